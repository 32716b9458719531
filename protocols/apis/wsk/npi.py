"""What passes between WSK and an application: tables of callbacks, buffers, indications, ids. Values.

A callback that is None is not there. Source: ``wsk.h``: WSK_CLIENT_*_DISPATCH, WSK_BUF, WSK_DATA_INDICATION.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ntos.io.status import NtStatus
from protocols.apis.wsk.constants import NPI_WSK_INTERFACE_ID, WSK_VERSION, Event, Flag
from protocols.interfaces.tlnpi.npi import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ntos.io.irp import Memory
    from protocols.apis.wsk.constants import MessageFlag
    from protocols.interfaces.nmr.modules import NpiId
    from protocols.interfaces.tdi.address import InternetAddress

Inspect = Verdict
"""WSK_INSPECT_ACTION."""


@dataclass(frozen=True, slots=True)
class WskBuf:
    """WSK_BUF: ``length`` bytes of a chain of memory, from ``offset`` on; None: all that follows."""

    mdl: Sequence[Memory]
    offset: int = 0
    length: int | None = None

    @property
    def size(self) -> int:
        """Bytes that are meant. ValueError when the chain has not so many."""
        there = sum(map(len, self.mdl)) - self.offset
        size = there if self.length is None else self.length
        if not 0 <= size <= there or self.offset < 0:
            raise ValueError(f"{size} bytes from {self.offset} of a chain with {there} behind it")
        return size

    def pieces(self) -> Iterator[Memory]:
        """Give the memory that is meant, piece by piece; whole pieces as they are."""
        skip, left = self.offset, self.size
        for one in self.mdl:
            if skip >= len(one):
                skip -= len(one)
                continue
            piece = one if not skip and len(one) <= left else memoryview(one)[skip : skip + left]
            skip = 0
            left -= len(piece)
            if len(piece):
                yield piece
            if not left:
                return

    def data(self) -> bytes:
        """Return a copy of the bytes."""
        return b"".join(self.pieces())

    def scatter(self, data: Memory, at: int = 0) -> int:
        """Copy ``data`` in from byte ``at``; return how many bytes fitted."""
        copied = 0
        for piece in self.pieces():
            if at >= len(piece):
                at -= len(piece)
                continue
            room = memoryview(piece)[at:]
            part = data[copied : copied + len(room)]
            room[: len(part)] = part
            copied += len(part)
            at = 0
        return copied


EMPTY = WskBuf(())


@dataclass(eq=False, slots=True)
class DataIndication:
    """WSK_DATA_INDICATION: received bytes that an application may retain until it calls WskRelease."""

    buffer: WskBuf


@dataclass(eq=False, slots=True)
class DatagramIndication:
    """WSK_DATAGRAM_INDICATION: a datagram, whence it came, and what its packet said."""

    buffer: WskBuf
    remote: InternetAddress
    control_info: dict[str, Any]
    flags: MessageFlag
    next: DatagramIndication | None = None


@dataclass(slots=True)
class SizeOut:
    """A SIZE_T that a callback may write: WskReceiveEvent's BytesAccepted."""

    value: int


@dataclass(slots=True)
class Output:
    """OutputBuffer of a control operation."""

    value: Any = None


@dataclass(slots=True)
class AcceptOut:
    """What WskAcceptEvent writes: the accepted socket's context and callbacks."""

    context: object = None
    dispatch: ConnectionDispatch | None = None


class InspectId(NamedTuple):
    """WSK_INSPECT_ID: compared by contents."""

    key: int
    serial_number: int


class WskTransport(NamedTuple):
    """WSK_TRANSPORT: a combination that WskSocket takes."""

    version: tuple[int, int]
    socket_type: int
    protocol: int
    address_family: int


@dataclass(frozen=True, slots=True)
class EventCallbackControl:
    """WSK_EVENT_CALLBACK_CONTROL."""

    event_mask: Event
    npi_id: NpiId = NPI_WSK_INTERFACE_ID


@dataclass(frozen=True, slots=True)
class ClientDispatch:
    """WSK_CLIENT_DISPATCH. WskClientEvent is not used by version 1.0."""

    version: tuple[int, int] = WSK_VERSION


@dataclass(frozen=True, slots=True)
class ClientNpi:
    """WSK_CLIENT_NPI."""

    context: object = None
    dispatch: ClientDispatch = field(default_factory=ClientDispatch)


ReceiveEvent = Callable[[Any, Flag, DataIndication | None, int, SizeOut], NtStatus]
DisconnectEvent = Callable[[Any, Flag], NtStatus]
SendBacklogEvent = Callable[[Any, int], NtStatus]
ReceiveFromEvent = Callable[[Any, Flag, DatagramIndication | None], NtStatus]


@dataclass(frozen=True, slots=True)
class ConnectionDispatch:
    """WSK_CLIENT_CONNECTION_DISPATCH."""

    receive_event: ReceiveEvent | None = None
    disconnect_event: DisconnectEvent | None = None
    send_backlog_event: SendBacklogEvent | None = None


@dataclass(frozen=True, slots=True)
class DatagramDispatch:
    """WSK_CLIENT_DATAGRAM_DISPATCH."""

    receive_from_event: ReceiveFromEvent | None = None


NO_CONNECTION_EVENTS = ConnectionDispatch()
NO_DATAGRAM_EVENTS = DatagramDispatch()
