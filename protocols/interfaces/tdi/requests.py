"""What is asked of a transport: the minor functions of IRP_MJ_INTERNAL_DEVICE_CONTROL and their parameters.

Source: "TDI IOCTL Requests" and ``tdi.h`` of the Windows DDK. Data only.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ntos.object.token import Token
    from protocols.interfaces.tdi.address import TdiAddress
    from protocols.interfaces.tdi.events import Handler


class Tdi(enum.IntEnum):
    """TDI_* minor functions. ``method`` is the object's that serves it: its name in lower case."""

    method: str

    def __init__(self, _number: int) -> None:
        """Make the method's name once, not with every request."""
        self.method = self.name.lower()

    ASSOCIATE_ADDRESS = 0x01
    DISASSOCIATE_ADDRESS = 0x02
    CONNECT = 0x03
    LISTEN = 0x04
    ACCEPT = 0x05
    DISCONNECT = 0x06
    SEND = 0x07
    RECEIVE = 0x08
    SEND_DATAGRAM = 0x09
    RECEIVE_DATAGRAM = 0x0A
    SET_EVENT_HANDLER = 0x0B
    QUERY_INFORMATION = 0x0C
    SET_INFORMATION = 0x0D
    ACTION = 0x0E


class Event(enum.IntEnum):
    """TDI_EVENT_*: what a transport tells unasked. ``events`` has each handler's type, by ``method``."""

    method: str

    def __init__(self, _number: int) -> None:
        """Make the handler's name once."""
        self.method = self.name.lower()

    CONNECT = 0
    DISCONNECT = 1
    ERROR = 2
    RECEIVE = 3
    RECEIVE_DATAGRAM = 4
    RECEIVE_EXPEDITED = 5
    SEND_POSSIBLE = 6
    CHAINED_RECEIVE = 7
    CHAINED_RECEIVE_DATAGRAM = 8
    CHAINED_RECEIVE_EXPEDITED = 9
    ERROR_EX = 10


class Query(enum.IntEnum):
    """TDI_QUERY_*."""

    BROADCAST_ADDRESS = 1
    PROVIDER_INFO = 2
    ADDRESS_INFO = 3
    CONNECTION_INFO = 4
    PROVIDER_STATISTICS = 5
    DATAGRAM_INFO = 6
    MAX_DATAGRAM_INFO = 0x11


class Flags(enum.IntFlag):
    """TDI_SEND_*, TDI_RECEIVE_* and TDI_DISCONNECT_* of one request."""

    NONE = 0
    WAIT = 0x01  # disconnect: complete when the peer has disconnected
    ABORT = 0x02
    RELEASE = 0x04
    PEEK = 0x08
    EXPEDITED = 0x20
    ENTIRE_MESSAGE = 0x400
    QUERY_ACCEPT = 0x1000  # listen: the client will accept by TDI_ACCEPT


class TransportAddress(NamedTuple):
    """The extended attribute that opens an address object."""

    address: TdiAddress
    share: bool = False  # another address object may have the same address (SO_REUSEADDR)
    protocol: int = 0  # RawIp: the protocol number is part of the device's name in Windows
    exclusive: bool = False  # nobody may share it, whatever they ask (SO_EXCLUSIVEADDRUSE)
    options: Mapping[str, object] = MappingProxyType({})  # what was set before, and the transport may know
    owner: Token | None = None  # on whose behalf it is opened; None: the system's


class ConnectionContext(NamedTuple):
    """The extended attribute that opens a connection object; events carry ``context`` back."""

    context: object


@dataclass(frozen=True, slots=True)
class Connect:
    """TDI_REQUEST_KERNEL_CONNECT."""

    remote: TdiAddress


@dataclass(frozen=True, slots=True)
class Transfer:
    """TDI_SEND, TDI_RECEIVE, TDI_LISTEN and TDI_DISCONNECT: flags."""

    flags: Flags = Flags.NONE


PLAIN = Transfer()
"""The transfer that asks for nothing special: most."""


@dataclass(frozen=True, slots=True)
class Datagram:
    """TDI_SEND_DATAGRAM: to whom; None for the address's connected peer.

    ``source``: from which local address and interface index, where the client says (zeros: any).
    """

    remote: TdiAddress | None
    source: tuple[bytes, int] | None = None


@dataclass(frozen=True, slots=True)
class SetEventHandler:
    """TDI_SET_EVENT_HANDLER: a handler, or None for none any more."""

    event: Event
    handler: Handler | None


@dataclass(frozen=True, slots=True)
class Associate:
    """TDI_ASSOCIATE_ADDRESS: the file of the address object."""

    address: Any


@dataclass(frozen=True, slots=True)
class QueryInformation:
    """TDI_QUERY_INFORMATION: the answer is the IRP's ``result``."""

    what: Query


@dataclass(frozen=True, slots=True)
class SetInformation:
    """TDI_SET_INFORMATION and the socket options that Windows sets by IOCTL_TCP_SET_INFORMATION_EX."""

    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Action:
    """TDI_ACTION: an action of the transport's own, by name."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
