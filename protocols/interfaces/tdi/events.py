"""The event handlers of an address object, and their default: refuse.

Arguments: CONNECT(context, remote, local) -> (status, connection file or None);
DISCONNECT(connection context, flags); ERROR(context, status); ERROR_EX(context, status, remote);
RECEIVE and RECEIVE_EXPEDITED(connection context, flags, available, lookahead) -> Taken;
CHAINED_RECEIVE(connection context, buffers) -> status; RECEIVE_DATAGRAM(context, source, data, details) ->
status; SEND_POSSIBLE(connection context, bytes). Source: ClientEventXxx, Windows DDK.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ntos.io.status import NtStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntos.io.irp import Irp
    from protocols.interfaces.tdi.requests import Event


class Taken(NamedTuple):
    """What ClientEventReceive says: bytes it took, and a receive request for the rest, if any.

    DATA_NOT_ACCEPTED: the transport keeps the data and says nothing more until it is asked.
    """

    status: NtStatus
    bytes_taken: int = 0
    irp: Irp | None = None


NOT_ACCEPTED = Taken(NtStatus.DATA_NOT_ACCEPTED)


class EventHandlers(dict["Event", "Callable[..., Any]"]):
    """The handlers that were set for one address object."""

    __slots__ = ()

    def set(self, event: Event, handler: Callable[..., Any] | None) -> None:
        """Set or take away a handler."""
        if handler is None:
            self.pop(event, None)
        else:
            self[event] = handler

    def tell(self, event: Event, *arguments: Any, default: Any = None) -> Any:  # noqa: ANN401 - each event has its own types
        """Call a handler; return ``default`` when there is none."""
        handler = self.get(event)
        return handler(*arguments) if handler is not None else default
