"""NDIS itself: registration of drivers, adapters that come and go, binding and unbinding.

Which protocol is bound to which adapter is decided outside (``ntos.netcfg``). All calls here are
made at PASSIVE_LEVEL. Source: NdisMRegisterMiniport, NdisRegisterProtocol, NdisOpenAdapter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ndis.adapter import MiniportAdapter
from ndis.binding import BindContext
from ndis.errors import NdisError
from ndis.events import Event, Kind
from ndis.miniport import Medium
from ndis.open import Open
from ndis.packet import Owner, PacketPool
from ndis.protocol import OpenState
from ndis.status import Status
from ntos.errors import BugCheckError
from ntos.executive.contract import expect
from ntos.executive.irql import Irql, IrqlModel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ndis.binding import ProtocolDriver
    from ndis.events import Observer
    from ndis.hardware import Fault, Hardware
    from ndis.miniport import MiniportCharacteristics
    from ndis.packet import Packet
    from ndis.ports import Bound
    from ndis.protocol import BindingClient, PnPEvent
    from ntos.executive.contract import Executive


class MiniportDriver:
    """A registered miniport driver and its adapters."""

    def __init__(self, characteristics: MiniportCharacteristics) -> None:
        """Know the driver; it has no adapter yet."""
        self.characteristics = characteristics
        self.adapters: list[MiniportAdapter] = []


class RegisteredProtocol:
    """A registered transport and its opens."""

    def __init__(self, name: str, driver: ProtocolDriver) -> None:
        """Know the transport; it is bound nowhere yet."""
        self.name = name
        self.driver = driver
        self.opens: list[Open] = []


class Ndis:
    """The wrapper. One object a machine."""

    def __init__(self, executive: Executive, observer: Observer | None = None) -> None:
        """Start with nothing registered.

        With an observer every crossing is reported (``ndis.events``).
        """
        self.executive = executive
        self.observer = observer
        self.irql = IrqlModel(executive.context)
        self.miniports: list[MiniportDriver] = []
        self.protocols: list[RegisteredProtocol] = []
        self.pools: list[PacketPool] = []

    @property
    def adapters(self) -> list[MiniportAdapter]:
        """Every adapter, in the order they were added."""
        return [a for driver in self.miniports for a in driver.adapters]

    def packet_pool(self, size: int, holder: Owner = Owner.PROTOCOL) -> PacketPool:
        """NdisAllocatePacketPool."""
        pool = PacketPool(size, holder, self._touched if self.observer is not None else None)
        self.pools.append(pool)
        return pool

    def free_packet_pool(self, pool: PacketPool) -> None:
        """NdisFreePacketPool; packets still out are a leak."""
        if self.observer is not None:
            self._emit(Kind.POOL, "free", pool, leaked=pool.busy)
        if pool.in_use:
            raise BugCheckError(f"packet pool freed with {pool.in_use} packets out", pool)
        self.pools.remove(pool)

    # Miniports.

    def register_miniport(self, characteristics: MiniportCharacteristics) -> MiniportDriver:
        """NdisMRegisterMiniport. Raises NdisError(BAD_VERSION, BAD_CHARACTERISTICS)."""
        characteristics.check()
        driver = MiniportDriver(characteristics)
        self.miniports.append(driver)
        return driver

    def deregister_miniport(self, driver: MiniportDriver) -> None:
        """NdisMDeregisterMiniport: halts what is left of its adapters."""
        for adapter in list(driver.adapters):
            self.remove_adapter(adapter)
        self.miniports.remove(driver)

    def add_adapter(
        self,
        driver: MiniportDriver,
        name: str,
        hardware: Hardware | None = None,
        configuration: Mapping[str, object] | None = None,
        inject: Fault | None = None,
    ) -> MiniportAdapter:
        """Add and start an adapter.

        MiniportInitialize. Raises NdisError when the driver cannot.

        ``inject`` makes resource calls fail (rule V14). A driver that fails and still holds
        resources is stopped with BugCheckError, as Windows does.
        """
        self.irql.require(Irql.PASSIVE, "NdisAddDevice")
        adapter = MiniportAdapter(self, driver.characteristics, name, hardware, dict(configuration or {}))
        if inject is not None:
            adapter.resources.inject = inject
        try:
            adapter.initialize()
        except NdisError:
            held = adapter.resources.held
            if held:
                kinds = ", ".join(sorted({r.kind for r in held}))
                raise BugCheckError(f"{name}: Initialize failed and still holds {kinds}", adapter) from None
            raise
        driver.adapters.append(adapter)
        return adapter

    def reload_adapter(self, adapter: MiniportAdapter, inject: Fault | None = None) -> MiniportAdapter:
        """Halt an adapter, and start one of the same driver, hardware and settings in its place.

        It also starts one that did not come up before. Raises NdisError when the driver cannot.
        """
        driver = next(d for d in self.miniports if d.characteristics is adapter.characteristics)
        if adapter in driver.adapters:
            self.remove_adapter(adapter)
        hardware = adapter.resources.bus
        return self.add_adapter(driver, adapter.name, hardware, adapter.configuration, inject)

    def remove_adapter(self, adapter: MiniportAdapter) -> None:
        """Unbind everything from the adapter, then MiniportHalt."""
        self.irql.require(Irql.PASSIVE, "NdisMRemoveMiniport")
        for open_ in list(adapter.opens):
            self.unbind(open_)
        adapter.halt()
        for driver in self.miniports:
            if adapter in driver.adapters:
                driver.adapters.remove(adapter)

    # Protocols.

    def register_protocol(self, name: str, driver: ProtocolDriver) -> RegisteredProtocol:
        """NdisRegisterProtocol."""
        protocol = RegisteredProtocol(name, driver)
        self.protocols.append(protocol)
        return protocol

    def deregister_protocol(self, protocol: RegisteredProtocol) -> None:
        """NdisDeregisterProtocol: unbinds it everywhere."""
        for open_ in list(protocol.opens):
            self.unbind(open_)
        self.protocols.remove(protocol)

    def bind(self, protocol: RegisteredProtocol, adapter: MiniportAdapter) -> Open:
        """ProtocolBindAdapter. Raises NdisError when the protocol refuses or cannot open."""
        self.irql.require(Irql.PASSIVE, "binding")
        context = BindContext(self, adapter, protocol.name)
        status = protocol.driver.bind_adapter(context)
        if status is Status.PENDING:
            expect(self.executive, lambda: context.status is not Status.PENDING, f"{protocol.name} to bind")
            status = context.status
        if status is not Status.SUCCESS or context.opened is None:
            raise NdisError(status, f"{protocol.name} did not bind to {adapter.name}")
        protocol.opens.append(context.opened)
        return context.opened

    def unbind(self, open_: Bound) -> None:
        """ProtocolUnbindAdapter, and wait until the open is closed."""
        self.irql.require(Irql.PASSIVE, "unbinding")
        for protocol in self.protocols:
            if open_ in protocol.opens:
                protocol.driver.unbind_adapter(open_)
                expect(self.executive, lambda: open_.state is OpenState.CLOSED, f"{protocol.name} to close")
                protocol.opens.remove(open_)
                return
        if open_.state is OpenState.OPEN:
            open_.close()
        expect(self.executive, lambda: open_.state is OpenState.CLOSED, f"{open_!r} to close")

    def open_adapter(
        self,
        adapter: MiniportAdapter,
        client: BindingClient,
        protocol: str,
        media: Sequence[Medium] = (Medium.M802_3,),
    ) -> Open:
        """NdisOpenAdapter. Raises NdisError(UNSUPPORTED_MEDIA, ADAPTER_NOT_READY)."""
        if not adapter.is_initialized:
            raise NdisError(Status.ADAPTER_NOT_READY, adapter.name)
        if adapter.medium not in media:
            raise NdisError(Status.UNSUPPORTED_MEDIA, f"{adapter.name} is {adapter.medium.name}")
        open_ = Open(adapter, client, protocol)
        if adapter.resets.active:
            self.executive.queue_work_item("open adapter", lambda: self._open_later(open_))
        else:
            open_.opened()
        return open_

    def _open_later(self, open_: Open) -> None:
        expect(self.executive, lambda: not open_.adapter.resets.active, "the reset before an open")
        open_.opened()
        open_.callout("open_adapter_complete", Status.SUCCESS)

    def pnp_event(self, adapter: MiniportAdapter, event: PnPEvent) -> list[tuple[Bound, Status]]:
        """ProtocolPnPEvent of every open; return what each said."""
        return [(o, o.callout("pnp_event", event)) for o in adapter.opens]

    def _touched(self, packet: Packet) -> None:
        sender = packet.ndis_reserved
        name = sender.adapter.name if isinstance(sender, Open) else ""
        self._emit(Kind.TOUCH, "touch", packet, name)

    def _emit(self, kind: Kind, name: str, subject: object, adapter: str = "", **details: object) -> None:
        if self.observer is not None:
            executive = self.executive
            now_ns, context = executive.now_ns(), executive.context()
            self.observer(Event(kind, now_ns, context, self.irql.current, adapter, name, subject, details))
