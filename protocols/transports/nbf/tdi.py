r"""\Device\Nbf_NAME: one card's NetBIOS names as address objects, and sessions as connection objects.

The create of an address object pends until the name is ours, or another station has objected.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from ntos.io.irp import Major
from ntos.io.status import NtError, NtStatus
from protocols.interfaces.tdi.address import NetbiosName, NetbiosNameType
from protocols.interfaces.tdi.requests import ConnectionContext, Tdi, TransportAddress
from protocols.interfaces.tdi.transport import ControlChannel, TransportDriver
from protocols.transports.nbf.address import STATUS, NbfAddress
from protocols.transports.nbf.connection import NbfConnection
from protocols.transports.nbf.parameters import (
    BROADCAST_NAME,
    LARGEST_DATAGRAM,
    LARGEST_MESSAGE,
    EndReason,
    NbfError,
)
from protocols.transports.nbf.states import NameState

if TYPE_CHECKING:
    from collections.abc import Callable, Sized

    from ntos.io.device import DeviceObject, FileObject
    from ntos.io.irp import Irp
    from ntos.io.system import IoSystem
    from protocols.interfaces.tdi.transport import ConnectionObject
    from protocols.transports.nbf.connection import SessionEnd
    from protocols.transports.nbf.session import Session
    from protocols.transports.nbf.station import NbfStation

PREFIX = "\\Device\\Nbf_"
GROUPS = frozenset({NetbiosNameType.GROUP, NetbiosNameType.QUICK_GROUP})


class NbfChannel(ControlChannel):
    """Questions to the whole station."""

    driver: NbfDevice

    def action(self, irp: Irp) -> NtStatus:
        """TDI_ACTION: ``find_name`` (``name``), ``adapter_status`` (``name``, ``room``), ``local_status``."""
        asked = irp.location.parameters
        queries, station = self.driver.station.queries, self.driver.station
        if asked.name == "local_status":
            return self.io.complete(irp, NtStatus.SUCCESS, result=station.status().emit())
        name = asked.arguments.get("name")
        if asked.name not in ("find_name", "adapter_status") or not isinstance(name, NetbiosName):
            return self.io.complete(irp, NtStatus.INVALID_PARAMETER)
        self.driver.asking.append(irp)
        self.io.mark_pending(irp)
        try:
            if asked.name == "find_name":
                queries.find(name.name, station.permanent, lambda found: self._answer(irp, found, found))
            else:
                room = asked.arguments.get("room", 0xFFFF)
                queries.ask_status(name.name, room, lambda raw, more: self._answer(irp, (raw, more), raw))
        except NbfError as error:
            self.driver.asking.remove(irp)
            self.io.complete(irp, STATUS[error.reason])
        self.driver.request_turn()
        return NtStatus.PENDING

    def _answer(self, irp: Irp, result: object, proof: Sized) -> None:
        if irp in self.driver.asking:
            self.driver.asking.remove(irp)
            self.io.complete(irp, NtStatus.SUCCESS if len(proof) else NtStatus.IO_TIMEOUT, result=result)


class NbfDevice(TransportDriver):
    """The driver of one card's device, and the station's client. ``station`` is set before it is used."""

    name = "nbf"
    connection_kind: type[ConnectionObject] | None = NbfConnection
    channel_kind: type[ControlChannel] = NbfChannel
    station: NbfStation

    def __init__(self, io: IoSystem, request_turn: Callable[[], None], now_ns: Callable[[], int]) -> None:
        super().__init__(io)
        self._now_ns = now_ns
        self.request_turn = request_turn
        self.addresses: dict[bytes, list[NbfAddress]] = {}
        self.asking: list[Irp] = []
        """Questions that are out; they end by themselves, and cannot be cancelled."""
        self._claiming: dict[bytes, deque[tuple[Irp, NbfAddress]]] = {}

    # Opens

    def dispatch(self, device: DeviceObject, irp: Irp) -> NtStatus:
        """Dispatch; the create of an address object takes its time."""
        self.station.now_ns = self._now_ns()  # requests come between turns
        asked = irp.location.parameters.ea if irp.location.major is Major.CREATE else None
        if isinstance(asked, TransportAddress) and irp.location.file is not None:
            return self._open(irp, irp.location.file, asked)
        is_asking = isinstance(asked, ConnectionContext) or irp.location.minor in _ON_THE_WIRE
        if is_asking and self.station.sap.is_closing:
            return self.io.complete(irp, NtStatus.NETWORK_UNREACHABLE)
        return super().dispatch(device, irp)

    def stop(self) -> None:
        """End what waits for peers: the card was unbound, and the station has ended its own."""
        for address in [one for opens in self.addresses.values() for one in opens]:
            address.stop()

    def close_address(self, address: NbfAddress) -> None:
        """Forget an open; the last of a name gives it up."""
        name = address.local.name
        left = [one for one in self.addresses.get(name, []) if one is not address]
        if left:
            self.addresses[name] = left
        elif self.addresses.pop(name, None) is not None:
            self.station.names.release(name)

    # StationClient

    def listens(self, name: bytes) -> bool:
        """Whether somebody listens at the name, or is asked about calls."""
        return any(one.listens for one in self.addresses.get(name, []))

    def accept(self, name: bytes, caller: bytes, session: Session) -> SessionEnd | None:
        """Give a call to the oldest listen request, else to who has a connect handler."""
        opens = self.addresses.get(name, [])
        for address in opens:
            if address.waiting:
                irp, connection = address.waiting.popleft()
                return connection.adopt(session, irp)
        for address in opens:
            handler = address.handlers.connect
            if handler is not None:
                status, file = handler(address, NetbiosName(caller), address.local)
                target = file.fs_context if file is not None else None
                if status in _TAKEN and isinstance(target, NbfConnection) and not target.is_active:
                    return target.adopt(session, None)
        return None

    def datagram(self, name: bytes, source: bytes, data: bytes) -> None:
        """Hand a datagram to all that have its name open."""
        for address in list(self.addresses.get(name, [])):
            address.deliver(memoryview(data), NetbiosName(source), {"destination": NetbiosName(name)})

    # Information

    def provider_info(self) -> dict[str, Any]:
        """TDI_PROVIDER_INFO."""
        sizes = {"max_send": LARGEST_MESSAGE, "max_datagram": LARGEST_DATAGRAM}
        return {"name": self.name, "version": 1, "connections": True, "messages": True, **sizes}

    def statistics(self) -> dict[str, int]:
        """TDI_PROVIDER_STATISTICS."""
        return dict(self.station.counters)

    def _open(self, irp: Irp, file: FileObject, asked: TransportAddress) -> NtStatus:
        try:
            address = self._address(file, asked)
        except NtError as error:
            return self.io.complete(irp, error.status)
        file.fs_context = address
        name = address.local.name
        known = self.station.names.names.get(name)
        is_plain = name in (BROADCAST_NAME, self.station.permanent)
        if is_plain or (known is not None and known.state is NameState.REGISTERED):
            self.addresses.setdefault(name, []).append(address)
            return self.io.complete(irp, NtStatus.SUCCESS)
        if known is None:
            self._claiming[name] = deque()
            try:
                self.station.names.add(
                    name,
                    lambda reason: self._claimed(name, reason),
                    lambda: self._conflicted(name),
                    is_group=address.local.kind in GROUPS,
                )
            except NbfError as error:
                del self._claiming[name]
                return self.io.complete(irp, STATUS[error.reason])
            self.request_turn()
        self._claiming[name].append((irp, address))
        return self.io.pend_cancellable(irp, self._cancel_open)

    def _address(self, file: FileObject, asked: TransportAddress) -> NbfAddress:
        local = asked.address
        if not isinstance(local, NetbiosName):
            raise NtError(NtStatus.INVALID_ADDRESS_COMPONENT, f"{local!r} is no NetBIOS name")
        if self.station.sap.is_closing:
            raise NtError(NtStatus.NETWORK_UNREACHABLE, "the card was unbound")
        if local.is_any:
            local = NetbiosName(self.station.permanent, local.kind)
        known = self.station.names.names.get(local.name)
        if known is not None and (
            known.is_group is not (local.kind in GROUPS) or known.state is NameState.CONFLICT
        ):
            raise NtError(NtStatus.ADDRESS_ALREADY_EXISTS)
        return NbfAddress(self, file, local)

    def _claimed(self, name: bytes, reason: EndReason | None) -> None:
        waiting = self._claiming.pop(name, deque())
        for irp, address in waiting:
            if not self.io.claim(irp):
                continue
            if reason is None:
                self.addresses.setdefault(name, []).append(address)
            self.io.complete(irp, NtStatus.SUCCESS if reason is None else STATUS[reason])
        if reason is None and not self.addresses.get(name):
            self.station.names.release(name)

    def _conflicted(self, name: bytes) -> None:
        for address in list(self.addresses.get(name, [])):
            handler = address.handlers.error_ex
            if handler is not None:
                handler(address, NtStatus.ADDRESS_ALREADY_EXISTS, address.local)

    def _cancel_open(self, irp: Irp) -> None:
        for waiting in self._claiming.values():
            for one in list(waiting):
                if one[0] is irp:
                    waiting.remove(one)
        self.io.complete(irp, NtStatus.CANCELLED)


_ON_THE_WIRE = frozenset(
    {
        *(Tdi.CONNECT, Tdi.LISTEN, Tdi.SEND, Tdi.RECEIVE),
        *(Tdi.SEND_DATAGRAM, Tdi.RECEIVE_DATAGRAM, Tdi.ACTION),
    }
)
_TAKEN = frozenset({NtStatus.SUCCESS, NtStatus.MORE_PROCESSING_REQUIRED})
