"""What is asked of AFD: its IOCTLs and their parameters. Data only.

Names as in ReactOS ``drivers/network/afd/include/afd.h`` (IOCTL_AFD_*). ``immediate`` is what a non-blocking
socket says: complete with DEVICE_NOT_READY what would wait.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntos.io.device import FileObject
    from protocols.interfaces.tdi.address import TdiAddress


class Afd(enum.Enum):
    """IOCTL_AFD_*. ``method`` is the endpoint's that serves it: its name in lower case."""

    method: str

    def __init__(self, _number: int) -> None:
        """Make the method's name once, not with every request."""
        self.method = self.name.lower()

    BIND = enum.auto()
    CONNECT = enum.auto()  # with data: ConnectEx
    START_LISTEN = enum.auto()
    ACCEPT = enum.auto()
    SUPER_ACCEPT = enum.auto()  # AcceptEx
    RECEIVE = enum.auto()
    RECEIVE_DATAGRAM = enum.auto()
    SEND = enum.auto()  # also TransmitFile and TransmitPackets: buffers are not copied
    SEND_DATAGRAM = enum.auto()
    DISCONNECT = enum.auto()
    SUPER_DISCONNECT = enum.auto()  # DisconnectEx
    SELECT = enum.auto()
    EVENT_SELECT = enum.auto()
    ENUM_NETWORK_EVENTS = enum.auto()
    GET_SOCK_NAME = enum.auto()
    GET_PEER_NAME = enum.auto()
    GET_INFO = enum.auto()
    SET_INFO = enum.auto()
    GET_CONTEXT = enum.auto()
    SET_CONTEXT = enum.auto()


class Poll(enum.IntFlag):
    """AFD_EVENT_*: what a poll waits for, and what is the case."""

    NONE = 0
    RECEIVE = 0x01
    OOB_RECEIVE = 0x02
    SEND = 0x04
    DISCONNECT = 0x08  # the peer has sent its FIN, and all before it was received
    ABORT = 0x10
    CLOSE = 0x20  # this handle was closed
    CONNECT = 0x40
    ACCEPT = 0x80
    CONNECT_FAIL = 0x100


class Kind(enum.Enum):
    """What an endpoint is."""

    STREAM = enum.auto()
    DATAGRAM = enum.auto()
    RAW = enum.auto()


class AfdOpen(NamedTuple):
    """The extended attribute AfdOpenPacketXX: the kind, and the transport's device."""

    kind: Kind
    transport: str
    any_address: TdiAddress  # what an endpoint is bound to that nobody has bound
    protocol: int = 0


@dataclass(frozen=True, slots=True)
class Bind:
    """AFD_BIND_DATA."""

    address: TdiAddress
    share: bool = False
    exclusive: bool = False


@dataclass(frozen=True, slots=True)
class ConnectTo:
    """AFD_CONNECT_INFO. The IRP's buffers go out behind the handshake."""

    remote: TdiAddress
    immediate: bool = False


@dataclass(frozen=True, slots=True)
class Listen:
    """AFD_LISTEN_DATA."""

    backlog: int


@dataclass(frozen=True, slots=True)
class Accept:
    """AFD_ACCEPT_DATA: the file that becomes the connection. ``receive_bytes``: AcceptEx waits for data."""

    file: FileObject
    receive_bytes: int = 0
    immediate: bool = False


@dataclass(frozen=True, slots=True)
class Receive:
    """AFD_RECV_INFO."""

    immediate: bool = False
    peek: bool = False
    out_of_band: bool = False
    wait_all: bool = False


NO_WAIT = Receive(immediate=True)
MAY_WAIT = Receive()
"""The receives that ask for nothing special: most."""


@dataclass(frozen=True, slots=True)
class Send:
    """AFD_SEND_INFO; ``remote`` for datagrams. ``steady``: the caller keeps the memory as it is, no copy.

    ``source``: a datagram's local address (all zero: any) and interface index (0: any), of IP_PKTINFO.
    """

    immediate: bool = False
    out_of_band: bool = False
    remote: TdiAddress | None = None
    steady: bool = False
    source: tuple[bytes, int] | None = None


SEND_NOW = Send(immediate=True)
MAY_BLOCK = Send()
"""The sends that ask for nothing special."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """AFD_DISCONNECT_INFO; ``reuse``: DisconnectEx with TF_REUSE_SOCKET."""

    send: bool = False
    receive: bool = False
    abort: bool = False
    reuse: bool = False


@dataclass(frozen=True, slots=True)
class Select:
    """AFD_POLL_INFO: files, and what is of interest of each."""

    files: tuple[tuple[FileObject, Poll], ...]


@dataclass(frozen=True, slots=True)
class EventSelect:
    """AFD_EVENT_SELECT_INFO: ``signal`` is called when one of ``events`` is recorded.

    ``anew``: what was told before and is still the case is told again (WSAAsyncSelect's message).
    """

    signal: Callable[[], None] | None
    events: Poll
    anew: bool = False


@dataclass(frozen=True, slots=True)
class Context:
    """AFD_SET_CONTEXT: what Winsock keeps with a file, for whoever gets another handle of it."""

    value: object


@dataclass(frozen=True, slots=True)
class Information:
    """AFD_INFO: option names and values."""

    values: dict[str, Any]
