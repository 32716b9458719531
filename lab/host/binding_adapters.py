"""What a binding is on each layer of an NT host: an NDIS open, a transport's devices, a catalog's entries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ndis.protocol import NetEvent, PnPEvent
from protocols.transports.tcpip.tdi_edge.devices import RAWIP, TCP, UDP

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.host.host import Upper
    from ndis.adapter import MiniportAdapter
    from ndis.protocol import Open
    from ndis.wrapper import Ndis, RegisteredProtocol

DEVICES = {"Tcpip": frozenset({TCP, UDP, RAWIP})}
"""What each transport's devices are called."""


class NdisJoint:
    """A protocol driver over adapters."""

    def __init__(
        self, ndis: Ndis, protocol: RegisteredProtocol, adapter: Callable[[str], MiniportAdapter]
    ) -> None:
        """``adapter`` finds the adapter of a component's instance."""
        self._ndis = ndis
        self._protocol = protocol
        self._adapter = adapter
        self._opens: dict[str, Open] = {}

    def bind(self, lower: str) -> None:
        """ProtocolBindAdapter."""
        self._opens[lower] = self._ndis.bind(self._protocol, self._adapter(lower))

    def unbind(self, lower: str) -> None:
        """ProtocolUnbindAdapter, and wait for the close. An adapter that went has taken its open along."""
        open_ = self._opens.pop(lower)
        if open_ in self._protocol.opens:
            self._ndis.unbind(open_)

    def reorder(self, lowers: list[str]) -> None:
        """NetEventBindList, with the adapters' names, to every binding of the protocol."""
        event = PnPEvent(NetEvent.BIND_LIST, tuple(self._adapter(one).name for one in lowers))
        for open_ in self._opens.values():
            open_.callout("pnp_event", event)


class AfdJoint:
    """AFD over the devices of a transport: while they are parted, no socket can be made."""

    def __init__(self, upper: Upper) -> None:
        """Work on a host's AFD."""
        self._upper = upper

    def bind(self, lower: str) -> None:
        """Open the transport's devices to AFD."""
        self._upper.afd.offer(DEVICES[lower])

    def unbind(self, lower: str) -> None:
        """End every socket of the transport; make no more."""
        self._upper.afd.withdraw(DEVICES[lower])

    def reorder(self, lowers: list[str]) -> None:
        """AFD goes by names."""


class WskJoint:
    """WSK over the transports that the NMR attaches: while they are parted, its sockets do not function."""

    def __init__(self, upper: Upper) -> None:
        """Work on a host's WSK."""
        self._upper = upper

    def bind(self, lower: str) -> None:
        """NmrRegisterClient: the transport has registered when its service was started."""
        del lower
        self._upper.wsk.start()

    def unbind(self, lower: str) -> None:
        """NmrDeregisterClient, and wait."""
        del lower
        self._upper.wsk.stop()

    def reorder(self, lowers: list[str]) -> None:
        """There is one."""


class WinsockJoint:
    """Winsock's catalogs over AFD: while they are parted, ``socket`` finds no protocol."""

    def __init__(self, upper: Upper) -> None:
        """Work on a host's processes."""
        self._upper = upper

    def bind(self, lower: str) -> None:
        """Fill the catalogs."""
        del lower
        self._upper.offer_tcpip()

    def unbind(self, lower: str) -> None:
        """Empty them."""
        del lower
        self._upper.withdraw_tcpip()

    def reorder(self, lowers: list[str]) -> None:
        """There is one."""
