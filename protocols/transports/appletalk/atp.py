"""ATP: transactions, at least once or exactly once. Source: Inside AppleTalk, chapter 9.

::

     0                      1                   2     4            8
    +----------------------+-------------------+-----+------------+----------
    | 40 request           | bitmap / sequence | TID | user bytes | data
    | 80 response          | number            |     |            | 0 to 578
    | C0 release           |                   |     |            |
    | 20 XO, 10 EOM, 08 STS, 07 the release timer                 |
    +----------------------+-------------------+-----+------------+----------
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from formats.appletalk import Datagram, DdpType, NodeAddress
from ntos.executive.contract import SECOND
from protocols.transports.appletalk.parameters import AppletalkError

if TYPE_CHECKING:
    from protocols.transports.appletalk.contract import Ddp

MOST_RESPONSES: Final = 8
MOST_DATA: Final = 578
_HEAD: Final = 8
_RELEASE_NS: Final = (30 * SECOND, 60 * SECOND, 120 * SECOND, 240 * SECOND, 480 * SECOND)
"""By the release timer indicator of a request."""
Response = tuple[bytes, bytes]
"""User bytes and data."""


class Function(enum.IntEnum):
    """What a packet is."""

    REQUEST = 0x40
    RESPONSE = 0x80
    RELEASE = 0xC0


FUNCTIONS: Final = {one.value: one for one in Function}
XO, EOM, STS = 0x20, 0x10, 0x08


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet. ``bits`` is a request's bitmap or a response's number; ``flags`` are the low six bits."""

    function: Function
    flags: int
    bits: int
    number: int
    user: bytes = bytes(4)
    data: bytes = b""

    def emit(self) -> bytes:
        """Return the datagram's data."""
        return (
            bytes((self.function | self.flags, self.bits)) + self.number.to_bytes(2) + self.user + self.data
        )

    @classmethod
    def parse(cls, raw: bytes) -> Packet | None:
        """Read one; None when it is cut, or of no known function."""
        function = FUNCTIONS.get(raw[0] & 0xC0) if len(raw) >= _HEAD else None
        if function is None:
            return None
        return cls(function, raw[0] & 0x3F, raw[1], int.from_bytes(raw[2:4]), raw[4:8], raw[8:])


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a transaction brought: responses in order."""

    responses: list[Response]


@dataclass(slots=True)
class Asking:
    """A request of ours that is out."""

    socket: int
    to: NodeAddress
    to_socket: int
    packet: Packet
    bitmap: int
    done: Callable[[Outcome | None], None]
    left: int
    due_ns: int
    responses: dict[int, Response] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """A request of a peer's, as a responder is handed it."""

    source: NodeAddress
    from_socket: int
    socket: int
    number: int
    is_exactly_once: bool
    bitmap: int
    user: bytes
    data: bytes


@dataclass(slots=True)
class Kept:
    """A transaction that is done exactly once: in the client's hands, or answered."""

    until_ns: int
    release_ns: int
    responses: Sequence[Response] | None = None
    is_released: bool = False
    """The peer has its answer; a late duplicate of its request is known by what is kept, for a while."""


Key = tuple[NodeAddress, int, int, int]
Responder = Callable[[Request], None]


class Transactions:
    """A node's transactions, both ends. Sockets hand it their datagrams of type 3."""

    def __init__(self, node: Ddp) -> None:
        self._node = node
        self.counters = dict.fromkeys(("malformed", "duplicates", "late", "refused", "timeouts"), 0)
        self.responders: dict[int, Responder] = {}
        self._asking: dict[int, Asking] = {}
        self._kept: dict[Key, Kept] = {}
        self._number = node.chance.randrange(1 << 16)

    def open(self, responder: Responder | None = None, number: int = 0) -> int:
        """Open a socket for requests, and for those of peers; return its number. AppletalkError."""
        socket = self._node.open_socket(number, self.receive)
        if responder is not None:
            self.responders[socket] = responder
        return socket

    def request(  # noqa: PLR0917 - where from, where to, what
        self,
        socket: int,
        to: NodeAddress,
        to_socket: int,
        user: bytes,
        data: bytes,
        count: int,
        done: Callable[[Outcome | None], None],
        *,
        exactly_once: bool,
    ) -> int:
        """Ask for up to ``count`` responses; ``done`` once, None when nobody answers. AppletalkError."""
        if not 1 <= count <= MOST_RESPONSES or len(user) != 4 or len(data) > MOST_DATA:
            raise AppletalkError("impossible transaction")
        if len(self._asking) >= self._node.parameters.transactions_limit:
            raise AppletalkError("too many transactions at a time")
        while self._number in self._asking:
            self._number = self._number + 1 & 0xFFFF
        number, self._number = self._number, self._number + 1 & 0xFFFF
        bitmap = (1 << count) - 1
        packet = Packet(Function.REQUEST, XO if exactly_once else 0, bitmap, number, user, data)
        tries = self._node.parameters.transaction_tries
        self._asking[number] = Asking(socket, to, to_socket, packet, bitmap, done, tries, self._node.now_ns)
        return number

    def give_up(self, number: int) -> None:
        """End a transaction of ours without its answer."""
        asking = self._asking.pop(number, None)
        if asking is not None:
            asking.done(None)

    def respond(self, request: Request, responses: Sequence[Response]) -> None:
        """Answer a request by up to eight responses; those go that it has room for. AppletalkError."""
        sizes_fit = all(len(user) == 4 and len(data) <= MOST_DATA for user, data in responses)
        if not 1 <= len(responses) <= MOST_RESPONSES or not sizes_fit:
            raise AppletalkError("impossible responses")
        kept = self._kept.get(_key(request))
        if request.is_exactly_once:
            if kept is None or kept.is_released:
                return  # the peer has released it, or has been silent for too long
            kept.responses = responses
            kept.until_ns = self._node.now_ns + kept.release_ns
        self._answer(request, responses, request.bitmap)

    def receive(self, datagram: Datagram) -> None:
        """Take a datagram of a socket."""
        packet = Packet.parse(datagram.data) if datagram.kind == DdpType.ATP else None
        if packet is None or len(packet.data) > MOST_DATA:
            self.counters["malformed"] += 1
            return
        _TAKERS[packet.function](self, datagram, packet)

    def advance(self, now_ns: int) -> None:
        """Ask again, give up, and forget what nobody released."""
        for number, asking in list(self._asking.items()):
            if asking.due_ns > now_ns or number not in self._asking:
                continue
            if asking.left:
                asking.left -= 1
                asking.due_ns = now_ns + self._node.parameters.transaction_ns
                self._ask(asking)
            else:
                self.counters["timeouts"] += 1
                self.give_up(number)
        for key in [key for key, kept in self._kept.items() if kept.until_ns <= now_ns]:
            del self._kept[key]

    def next_deadline(self) -> int | None:
        """Return when ``advance`` is due."""
        due = [one.due_ns for one in self._asking.values()] + [one.until_ns for one in self._kept.values()]
        return min(due, default=None)

    def forget(self, socket: int) -> None:
        """End what a socket has: it is closed."""
        self.responders.pop(socket, None)
        self._kept = {key: one for key, one in self._kept.items() if key[2] != socket}
        for number in [number for number, one in self._asking.items() if one.socket == socket]:
            self.give_up(number)

    def stop(self) -> None:
        """End all of ours."""
        for number in list(self._asking):
            self.give_up(number)

    def _request(self, datagram: Datagram, packet: Packet) -> None:
        responder = self.responders.get(datagram.to_socket)
        if responder is None:
            self.counters["refused"] += 1
            return
        is_once = bool(packet.flags & XO)
        where = datagram.source, datagram.from_socket, datagram.to_socket, packet.number
        request = Request(*where, is_once, packet.bits, packet.user, packet.data)
        kept = self._kept.get(where)
        if is_once and kept is not None:
            self.counters["duplicates"] += 1
            if kept.responses is not None and not kept.is_released:
                kept.until_ns = self._node.now_ns + kept.release_ns
                self._answer(request, kept.responses, packet.bits)
            return
        if is_once:
            if len(self._kept) >= self._node.parameters.kept_limit and not self._forget_released():
                self.counters["refused"] += 1
                return
            release_ns = _RELEASE_NS[min(packet.flags & 7, len(_RELEASE_NS) - 1)]
            if not packet.flags & 7:
                release_ns = self._node.parameters.release_ns
            self._kept[where] = Kept(self._node.now_ns + release_ns, release_ns)
        responder(request)

    def _response(self, datagram: Datagram, packet: Packet) -> None:
        asking = self._asking.get(packet.number)
        is_late = asking is None or packet.bits >= MOST_RESPONSES or asking.socket != datagram.to_socket
        if asking is None or is_late or not _is_from(datagram, asking):
            self.counters["late"] += 1
            return
        if asking.bitmap >> packet.bits & 1:
            asking.responses[packet.bits] = packet.user, packet.data
            asking.bitmap &= ~(1 << packet.bits)
        if packet.flags & EOM:
            asking.bitmap &= (1 << packet.bits) - 1
        if asking.bitmap:
            if packet.flags & STS:
                self._ask(asking)
            return
        del self._asking[packet.number]
        if asking.packet.flags & XO:
            release = Packet(Function.RELEASE, 0, 0, packet.number)
            self._send(asking.to, asking.to_socket, asking.socket, release)
        asking.done(Outcome([asking.responses[at] for at in sorted(asking.responses)]))

    def _release(self, datagram: Datagram, packet: Packet) -> None:
        where = datagram.source, datagram.from_socket, datagram.to_socket, packet.number
        kept = self._kept.get(where)
        if kept is not None and kept.responses is not None:
            kept.is_released, kept.responses = True, ()
            kept.until_ns = self._node.now_ns + self._node.parameters.released_ns

    def _forget_released(self) -> bool:
        """Make room for a new transaction; whether one was released that can go."""
        oldest = next((key for key, kept in self._kept.items() if kept.is_released), None)
        if oldest is not None:
            del self._kept[oldest]
        return oldest is not None

    def _ask(self, asking: Asking) -> None:
        asked = asking.packet
        packet = Packet(asked.function, asked.flags, asking.bitmap, asked.number, asked.user, asked.data)
        self._send(asking.to, asking.to_socket, asking.socket, packet)

    def _answer(self, request: Request, responses: Sequence[Response], bitmap: int) -> None:
        for at, (user, data) in enumerate(responses):
            if bitmap >> at & 1:
                flags = EOM if at == len(responses) - 1 else 0
                packet = Packet(Function.RESPONSE, flags, at, request.number, user, data)
                self._send(request.source, request.from_socket, request.socket, packet)

    def _send(self, to: NodeAddress, to_socket: int, socket: int, packet: Packet) -> None:
        """Send, if we have an address: else the retry does."""
        if self._node.address is not None:
            self._node.send(to, to_socket, socket, DdpType.ATP, packet.emit())


def _is_from(datagram: Datagram, asking: Asking) -> bool:
    return (datagram.source, datagram.from_socket) == (asking.to, asking.to_socket)


def _key(request: Request) -> Key:
    return request.source, request.from_socket, request.socket, request.number


_TAKERS: Final = {
    Function.REQUEST: Transactions._request,  # noqa: SLF001 - the class's own table
    Function.RESPONSE: Transactions._response,  # noqa: SLF001
    Function.RELEASE: Transactions._release,  # noqa: SLF001
}
