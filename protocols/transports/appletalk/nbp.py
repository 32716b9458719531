"""NBP: names of sockets, object:type@zone. Source: Inside AppleTalk, chapter 7.

::

    +----------------+----+---------+------+--------+------------+------------------------
    | function,count | id | network | node | socket | enumerator | object, type, zone ...
    | 4+4 bits       |    |         |      |        |            | a length in front each
    +----------------+----+---------+------+--------+------------+------------------------
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from formats.appletalk import ANY_NODE, Datagram, DdpType, NodeAddress
from protocols.transports.appletalk.parameters import NIS_SOCKET, AppletalkError
from protocols.transports.appletalk.strings import take_string

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocols.transports.appletalk.contract import Ddp
    from protocols.transports.appletalk.zones import Zones

FIELD_BYTES: Final = 32
ANY, HERE, SOME = b"=", b"*", b"\xc5"
"""Any object or type; this zone; and, once within an object or type, any characters (MacRoman)."""
_TUPLE: Final = 5


class Function(enum.IntEnum):
    """What an NBP packet is."""

    BROADCAST_REQUEST = 1
    LOOKUP = 2
    REPLY = 3
    FORWARD_REQUEST = 4


FUNCTIONS: Final = {one.value: one for one in Function}


@dataclass(frozen=True, slots=True)
class EntityName:
    """A name. AppletalkError: a field is empty, or longer than 32 bytes."""

    object: bytes
    type: bytes
    zone: bytes = HERE

    def __post_init__(self) -> None:
        """Check the fields."""
        if not all(1 <= len(one) <= FIELD_BYTES for one in (self.object, self.type, self.zone)):
            raise AppletalkError(f"no name: {self.object!r}:{self.type!r}@{self.zone!r}")

    def emit(self) -> bytes:
        """Return the three fields."""
        return b"".join(bytes((len(one),)) + one for one in (self.object, self.type, self.zone))

    @property
    def is_pattern(self) -> bool:
        """Whether it may stand for several."""
        return any(one == ANY or SOME in one for one in (self.object, self.type))


@dataclass(frozen=True, slots=True)
class Entry:
    """A name and where it is."""

    address: NodeAddress
    socket: int
    enumerator: int
    name: EntityName

    def emit(self) -> bytes:
        """Return the tuple."""
        where = bytes((self.address.node, self.socket, self.enumerator))
        return self.address.network.to_bytes(2) + where + self.name.emit()


@dataclass(frozen=True, slots=True)
class Packet:
    """An NBP packet: at most 15 entries."""

    function: Function
    number: int
    entries: tuple[Entry, ...]

    def emit(self) -> bytes:
        """Return the datagram's data."""
        head = bytes((self.function << 4 | len(self.entries), self.number))
        return head + b"".join(one.emit() for one in self.entries)

    @classmethod
    def parse(cls, data: bytes) -> Packet | None:
        """Read one; None when it is cut, or of no known function."""
        function = FUNCTIONS.get(data[0] >> 4) if len(data) >= 2 else None
        if function is None:
            return None
        entries, at = [], 2
        for _ in range(data[0] & 15):
            taken = _entry(data, at)
            if taken is None:
                return None
            entries.append(taken[0])
            at = taken[1]
        return cls(function, data[1], tuple(entries))


def _entry(data: bytes, at: int) -> tuple[Entry, int] | None:
    if len(data) < at + _TUPLE:
        return None
    address = NodeAddress(int.from_bytes(data[at : at + 2]), data[at + 2])
    socket, enumerator = data[at + 3], data[at + 4]
    fields, at = [], at + _TUPLE
    for _ in range(3):
        taken = take_string(data, at)
        if taken is None or len(taken[0]) > FIELD_BYTES:
            return None
        fields.append(taken[0])
        at = taken[1]
    fields[2] = fields[2] or HERE
    if not fields[0] or not fields[1]:
        return None
    return Entry(address, socket, enumerator, EntityName(*fields)), at


def matches(pattern: bytes, field_: bytes) -> bool:
    """Whether an object or a type is meant by a pattern; upper and lower case are the same."""
    pattern, field_ = pattern.lower(), field_.lower()
    if pattern == ANY:
        return True
    first, some, rest = pattern.partition(SOME)
    if not some:
        return pattern == field_
    return len(field_) >= len(first) + len(rest) and field_.startswith(first) and field_.endswith(rest)


@dataclass(slots=True)
class Lookup:
    """A question that is out."""

    name: EntityName
    done: Callable[[list[Entry]], None]
    most: int
    left: int
    due_ns: int
    confirm: tuple[NodeAddress, int] | None = None
    found: dict[tuple[NodeAddress, int, int], Entry] = field(default_factory=dict)


class Names:
    """A node's names table, and its questions to others."""

    def __init__(self, node: Ddp, zones: Zones) -> None:
        self._node, self._zones = node, zones
        self.table: dict[tuple[bytes, bytes], Entry] = {}
        """By object and type, in lower case; the addresses are filled in when they are told."""
        self.lookups: dict[int, Lookup] = {}
        self._number = self._enumerator = 0
        self.malformed = 0

    def register(self, name: EntityName, socket: int, done: Callable[[bool], None]) -> None:
        """Give a socket a name, if nobody on the network has it. AppletalkError: it cannot be asked for."""
        if name.is_pattern or name.zone not in (HERE, self._zones.zone):
            raise AppletalkError("a pattern, or another zone, cannot be registered")
        key = name.object.lower(), name.type.lower()
        if key in self.table:
            raise AppletalkError("the name is ours already")
        if len(self.table) >= self._node.parameters.names_limit:
            raise AppletalkError("the names table is full")

        def asked(found: list[Entry]) -> None:
            is_free = not found and key not in self.table and socket in self._node.sockets
            if is_free:
                self._enumerator = self._enumerator % 255 + 1
                self.table[key] = Entry(NodeAddress(0, 0), socket, self._enumerator, name)
            done(is_free)

        self.look_up(name, asked, most=1)

    def deregister(self, name: EntityName, socket: int) -> bool:
        """Take a name back; whether that socket had it."""
        key = name.object.lower(), name.type.lower()
        found = self.table.get(key)
        if found is None or found.socket != socket:
            return False
        del self.table[key]
        return True

    def forget(self, socket: int) -> None:
        """Take all names of a socket back."""
        self.table = {key: one for key, one in self.table.items() if one.socket != socket}

    def look_up(self, name: EntityName, done: Callable[[list[Entry]], None], most: int = 0) -> None:
        """Ask for names; ``done`` once, with ``most`` of them or after all tries. AppletalkError."""
        most = min(most or self._node.parameters.found_limit, self._node.parameters.found_limit)
        self._begin(Lookup(name, done, most, self._node.parameters.lookup_tries, self._node.now_ns))

    def confirm(
        self, name: EntityName, address: NodeAddress, socket: int, done: Callable[[list[Entry]], None]
    ) -> None:
        """Ask one node whether it still has a name there. AppletalkError: too many ask."""
        tries = self._node.parameters.lookup_tries
        self._begin(Lookup(name, done, 1, tries, self._node.now_ns, (address, socket)))

    def receive(self, datagram: Datagram) -> None:
        """Take a packet at the names information socket."""
        packet = Packet.parse(datagram.data) if datagram.kind == DdpType.NBP else None
        if packet is None:
            self.malformed += 1
        elif packet.function is Function.REPLY:
            self._found(packet)
        elif packet.function is Function.LOOKUP and len(packet.entries) == 1:
            self._answer(packet)

    def advance(self, now_ns: int) -> None:
        """Ask again, or give up."""
        for number, lookup in list(self.lookups.items()):
            if lookup.due_ns > now_ns:
                continue
            if lookup.left:
                lookup.left -= 1
                lookup.due_ns = now_ns + self._node.parameters.lookup_ns
                if self._node.address is not None:
                    self._ask(number, lookup)
            else:
                self._end(number)

    def next_deadline(self) -> int | None:
        """Return when the next question is due."""
        return min((one.due_ns for one in self.lookups.values()), default=None)

    def stop(self) -> None:
        """Answer all questions with what has come."""
        for number in list(self.lookups):
            self._end(number)

    def entries(self, name: EntityName) -> list[Entry]:
        """Return our own names that are meant."""
        ours = self._node.address
        if ours is None or name.zone.lower() not in (HERE, self._zones.zone.lower()):
            return []
        return [
            Entry(ours, one.socket, one.enumerator, EntityName(one.name.object, one.name.type, HERE))
            for one in self.table.values()
            if matches(name.object, one.name.object) and matches(name.type, one.name.type)
        ]

    def _begin(self, lookup: Lookup) -> None:
        free = next((one for one in range(1, 257) if (self._number + one) & 0xFF not in self.lookups), None)
        if free is None or len(self.lookups) >= self._node.parameters.lookups_limit:
            raise AppletalkError("too many lookups at a time")
        self._number = (self._number + free) & 0xFF
        for one in self.entries(lookup.name) if lookup.confirm is None else ():
            lookup.found[one.address, one.socket, one.enumerator] = one
        self.lookups[self._number] = lookup

    def _ask(self, number: int, lookup: Lookup) -> None:
        node, ours = self._node, self._node.address
        if ours is None:
            return
        entry = Entry(ours, NIS_SOCKET, 0, lookup.name)
        function, to = Function.LOOKUP, NodeAddress(0, 0xFF)
        if lookup.confirm is not None:
            to = lookup.confirm[0]
        elif node.router is not None:
            function, to = Function.BROADCAST_REQUEST, node.router.address
        data = Packet(function, number, (entry,)).emit()
        node.send(to, NIS_SOCKET, NIS_SOCKET, DdpType.NBP, data)

    def _answer(self, packet: Packet) -> None:
        asked = packet.entries[0]
        is_node = 1 <= asked.address.node < ANY_NODE and asked.socket
        found = self.entries(asked.name) if is_node else []
        for at in range(0, len(found), 4):  # four of the longest fit in a datagram
            reply = Packet(Function.REPLY, packet.number, tuple(found[at : at + 4]))
            self._node.send(asked.address, asked.socket, NIS_SOCKET, DdpType.NBP, reply.emit())

    def _found(self, packet: Packet) -> None:
        lookup = self.lookups.get(packet.number)
        if lookup is None:
            return
        for one in packet.entries:
            is_meant = matches(lookup.name.object, one.name.object) and matches(
                lookup.name.type, one.name.type
            )
            is_there = lookup.confirm in (None, (one.address, one.socket))
            if is_meant and is_there and len(lookup.found) < lookup.most:
                lookup.found[one.address, one.socket, one.enumerator] = one
        if len(lookup.found) >= lookup.most:
            self._end(packet.number)

    def _end(self, number: int) -> None:
        lookup = self.lookups.pop(number)
        lookup.done(list(lookup.found.values())[: lookup.most])
