"""The event handlers of an address object: what each is called with, and what happens without one: refusal.

``context`` is the address object itself for CONNECT, ERROR and datagrams, else what the client has opened the
connection object with. Source: ClientEventXxx, Windows DDK.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ntos.io.status import NtStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ntos.io.device import FileObject
    from ntos.io.irp import Irp, Memory
    from protocols.interfaces.tdi.address import TdiAddress
    from protocols.interfaces.tdi.requests import Event, Flags


class Taken(NamedTuple):
    """What ClientEventReceive says: bytes it took, and a receive request for the rest, if any.

    DATA_NOT_ACCEPTED: the transport keeps the data and says nothing more until it is asked.
    """

    status: NtStatus
    bytes_taken: int = 0
    irp: Irp | None = None


NOT_ACCEPTED = Taken(NtStatus.DATA_NOT_ACCEPTED)


class ConnectHandler(Protocol):
    """ClientEventConnect: a peer wants to connect."""

    def __call__(
        self,
        context: Any,  # noqa: ANN401 - the client's own
        remote: TdiAddress,
        local: TdiAddress,
        /,
    ) -> tuple[NtStatus, FileObject | None]:
        """Return the connection object that takes it; None refuses."""


class DisconnectHandler(Protocol):
    """ClientEventDisconnect: the peer has closed (RELEASE), or the connection is gone (ABORT)."""

    def __call__(self, context: Any, flags: Flags, /) -> object:  # noqa: ANN401 - the client's own
        """Take note."""


class ErrorHandler(Protocol):
    """ClientEventErrorEx: something that was sent met trouble on its way to ``remote``."""

    def __call__(self, context: Any, status: NtStatus, remote: TdiAddress, /) -> object:  # noqa: ANN401 - the client's own
        """Take note."""


class ReceiveHandler(Protocol):
    """ClientEventReceive and ClientEventReceiveExpedited: ``lookahead`` is the beginning of what is there."""

    def __call__(
        self,
        context: Any,  # noqa: ANN401 - the client's own
        flags: Flags,
        available: int,
        lookahead: Memory,
        /,
    ) -> Taken:
        """Say how much was taken."""


class ChainedReceiveHandler(Protocol):
    """ClientEventChainedReceive: all that is there, uncopied."""

    def __call__(self, context: Any, buffers: Sequence[Memory], /) -> NtStatus:  # noqa: ANN401 - the client's own
        """SUCCESS: taken, all of it; anything else: none."""


class DatagramHandler(Protocol):
    """ClientEventReceiveDatagram. ``details`` are the transport's: destination, interface, ttl, tos."""

    def __call__(
        self,
        context: Any,  # noqa: ANN401 - the client's own
        source: TdiAddress,
        data: bytes,
        details: dict[str, Any],
        /,
    ) -> object:
        """Take it."""


Handler = (
    ConnectHandler
    | DisconnectHandler
    | ErrorHandler
    | ReceiveHandler
    | ChainedReceiveHandler
    | DatagramHandler
)


class EventHandlers:
    """The handlers that were set for one address object; ``TdiClient.set_event_handler`` types them."""

    __slots__ = (
        "chained_receive",
        "connect",
        "disconnect",
        "error_ex",
        "receive",
        "receive_datagram",
        "receive_expedited",
    )

    def __init__(self) -> None:
        self.connect: ConnectHandler | None = None
        self.disconnect: DisconnectHandler | None = None
        self.error_ex: ErrorHandler | None = None
        self.receive: ReceiveHandler | None = None
        self.receive_expedited: ReceiveHandler | None = None
        self.chained_receive: ChainedReceiveHandler | None = None
        self.receive_datagram: DatagramHandler | None = None

    def set(self, event: Event, handler: Handler | None) -> bool:
        """Set or take away a handler; False: these transports have no such event."""
        if event.method not in self.__slots__:
            return False
        setattr(self, event.method, handler)
        return True
