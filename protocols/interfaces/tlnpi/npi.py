"""The contract between a transport and a socket layer. No transport and no socket layer is known here.

It has no requests and no buffers of its own: calls return at once, events say when there is more to do, and
whoever has requests queues them. So one queue of IRPs is enough between an application and TCP. Microsoft has
not published TLNPI; the names of the parts (provider, endpoint, listen, connect, inspect, abort) are those
that WSK's documented behaviour needs. Events come at DISPATCH_LEVEL at most.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from uuid import UUID

from ntos.object.token import system_token

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ntos.io.irp import Memory
    from ntos.io.status import NtStatus
    from ntos.object.descriptor import SecurityDescriptor
    from ntos.object.token import Token
    from protocols.interfaces.nmr.modules import NpiId
    from protocols.interfaces.tdi.address import InternetAddress

NPI_TRANSPORT_LAYER_ID: NpiId = UUID("5f3b1c2e-7a44-4c0d-9d6f-1e5a0b7c8d01")
"""Ours: Windows' own is not published."""
TL_VERSION = (1, 0)


class TlKind(enum.Enum):
    """What an address is for."""

    STREAM = enum.auto()
    DATAGRAM = enum.auto()


class Sharing(enum.Enum):
    """How an address may be shared: SO_REUSEADDR, SO_EXCLUSIVEADDRUSE, or neither."""

    DEFAULT = enum.auto()
    REUSE = enum.auto()
    EXCLUSIVE = enum.auto()


SYSTEM = system_token()
"""Whose a socket is when nobody is named."""


@dataclass(frozen=True, slots=True)
class BindRequest:
    """A local address, and in what company. ``dual``: an IPv6 address that serves IPv4 too.

    ``security`` says who may share it where sharing takes a check; None: nobody. ``owner`` is who binds.
    """

    local: InternetAddress
    sharing: Sharing = Sharing.DEFAULT
    security: SecurityDescriptor | None = None
    owner: Token = SYSTEM
    dual: bool = False


class Verdict(enum.Enum):
    """WSK_INSPECT_ACTION: what becomes of an incoming connection request."""

    REJECT = 0
    ACCEPT = 1
    PEND = 2


class TlTransport(NamedTuple):
    """What a provider can open: family (4 or 6), kind, IP protocol."""

    version: int
    kind: TlKind
    protocol: int


class ConnectionEvents(Protocol):
    """The client's half of a connection."""

    def connected(self, status: NtStatus) -> None:
        """Hear how connecting ended; not called for a connection that came in."""

    def readable(self) -> None:
        """Hear that there is more to ``take``."""

    def writable(self) -> None:
        """Hear that there is room again, or, once ``watch`` has asked for it, that data was acknowledged."""

    def remote_closed(self) -> None:
        """Hear that the peer will send no more; what it has sent can still be taken."""

    def aborted(self, status: NtStatus) -> None:
        """Hear, once, that the connection is lost; nothing can be taken any more."""


class TlConnection(Protocol):
    """The provider's half of a connection."""

    @property
    def local(self) -> InternetAddress:
        """The local end."""

    @property
    def remote(self) -> InternetAddress:
        """The remote end."""

    @property
    def at_end(self) -> bool:
        """Whether the peer has closed and everything was taken."""

    @property
    def available(self) -> int:
        """Bytes that can be taken."""

    @property
    def is_flushed(self) -> bool:
        """Whether all that was sent, and our FIN, have been acknowledged."""

    @property
    def ideal_backlog(self) -> int:
        """How many bytes it takes to keep the way full."""

    def send(self, data: Memory) -> int:
        """Hand over bytes; return how many were taken (0: ``writable`` will come). NtError."""

    def take(self, limit: int) -> list[Memory]:
        """Return received bytes, uncopied when they are many."""

    def shut_down(self) -> None:
        """Send a FIN behind everything."""

    def abort(self) -> None:
        """Reset; no event follows."""

    def close(self) -> None:
        """Be done with it: in good order when both ends have closed, else by a reset. No event follows."""

    def watch(self) -> None:
        """Have ``writable`` told of every acknowledgment from now on, our FIN's included."""

    def set_options(self, values: Mapping[str, Any]) -> None:
        """Apply options by name: no_delay, keepalive, ttl, tos."""


class ListenEvents(Protocol):
    """The client's half of a listener."""

    @property
    def is_conditional(self) -> bool:
        """Whether ``inspect`` is to be asked."""

    def inspect(self, request: object, local: InternetAddress, remote: InternetAddress) -> Verdict:
        """Judge a connection request before it is answered. ``request`` names it until the end."""

    def dropped(self, request: object) -> None:
        """Hear that a request that was not rejected will not become a connection."""

    def accepted(self, connection: TlConnection) -> ConnectionEvents | None:
        """Take a connection that was established; None resets it."""

    def may_accept(self) -> bool:
        """Tell whether there is room for one more; else its request is not heard, and will be sent again."""


class TlAddress(Protocol):
    """A local address that was claimed."""

    @property
    def local(self) -> InternetAddress:
        """The address with its port."""

    def set_options(self, values: Mapping[str, Any]) -> None:
        """Apply options by name, for what follows."""

    def close(self) -> None:
        """Give it back; connections live on."""


class TlStreamAddress(TlAddress, Protocol):
    """A local address for connections."""

    def connect(self, remote: InternetAddress, events: ConnectionEvents) -> TlConnection:
        """Open a connection. NtError when it cannot be begun."""

    def listen(self, events: ListenEvents) -> None:
        """Let connections come. NtError."""

    def inspected(self, request: object, verdict: Verdict) -> NtStatus:
        """End an inspection that was pending. INVALID_PARAMETER: the request has been dropped."""


class DatagramEvents(Protocol):
    """The client's half of a datagram address."""

    def arrived(self, data: memoryview, source: InternetAddress, details: Mapping[str, Any]) -> None:
        """Take a datagram: keep a copy, the memory is the transport's."""


class TlDatagramAddress(TlAddress, Protocol):
    """A local address for datagrams."""

    def send(self, data: bytes, remote: InternetAddress, source: tuple[bytes, int] | None = None) -> None:
        """Send one; ``source``: from which of our addresses, by which interface. NtError."""

    def connect(self, remote: InternetAddress | None) -> None:
        """Hear one peer only; None: everybody."""


class TlProvider(Protocol):
    """The provider's dispatch, as the NMR hands it to a client."""

    @property
    def transports(self) -> tuple[TlTransport, ...]:
        """What can be opened."""

    def addresses(self) -> tuple[InternetAddress, ...]:
        """Return the host's local addresses."""

    def open_stream(self, request: BindRequest) -> TlStreamAddress:
        """Claim an address for connections. NtError: ADDRESS_ALREADY_EXISTS, ACCESS_DENIED, ..."""

    def open_datagrams(self, request: BindRequest, events: DatagramEvents) -> TlDatagramAddress:
        """Claim an address for datagrams. NtError as ``open_stream``."""
