"""A protocol driver's bindings to adapters, as the binding engine makes and ends them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ndis.protocol import NetEvent, PnPEvent
from ntos.netcfg.driver import DriverObject

if TYPE_CHECKING:
    from ndis.adapter import MiniportAdapter
    from ndis.open import Open
    from ndis.wrapper import Ndis, RegisteredProtocol
    from ntos.netcfg.system import System


class NdisBindings(DriverObject):
    """The driver object of a protocol driver. ``lower`` is an adapter's instance."""

    def __init__(self, system: System, ndis: Ndis, protocol: RegisteredProtocol) -> None:
        self._system = system
        self._ndis = ndis
        self._protocol = protocol
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

    def unload(self) -> None:
        """NdisDeregisterProtocol."""
        self._ndis.deregister_protocol(self._protocol)

    def _adapter(self, instance: str) -> MiniportAdapter:
        """Return the adapter of a component, virtual ones included. KeyError when it is not there."""
        name = self._system.connection(instance)
        found = next((one for one in self._ndis.adapters if one.name == name), None)
        if found is None:
            raise KeyError(instance)
        return found
