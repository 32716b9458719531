"""AppleTalk's frames on an extended network: AARP packets, and datagrams of DDP with the long header.

::

    AARP, SNAP 000000/80F3
     0          2          4    5    6          8       14      18      24      28
    +----------+----------+----+----+----------+-------+-------+-------+-------+
    | hardware | protocol | 06 | 04 | function | MAC   | 00    | MAC   | 00    |
    | 0001     | 809B     |    |    |          | ours  | n n o | theirs| n n o |
    +----------+----------+----+----+----------+-------+-------+-------+-------+

    DDP, SNAP 080007/809B
     0             2          4           6           8      9      10     11     12     13
    +-------------+----------+-----------+-----------+------+------+------+------+------+-----
    | hops,length | checksum | network   | network   | node | node |socket|socket| type | data
    | 2+4+10 bits |          | to        | from      | to   | from | to   | from |      |
    +-------------+----------+-----------+-----------+------+------+------+------+------+-----

All numbers are big-endian. Source: Inside AppleTalk, 2nd edition, chapters 2 to 4. A codec; it has no state.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from struct import Struct
from typing import Final

AARP_SNAP: Final = (bytes(3), 0x80F3)
DDP_SNAP: Final = (bytes.fromhex("080007"), 0x809B)
BROADCAST: Final = bytes.fromhex("090007ffffff")
"""Where all nodes of an extended Ethernet listen."""
ANY_NODE: Final = 0xFF
"""The node of a broadcast."""
LAST_NODE: Final = 0xFD
"""Of 1 to FD; FE is reserved on extended networks."""
STARTUP: Final = (0xFF00, 0xFFFE)
"""The networks of nodes that know no router."""
DDP_DATA: Final = 586
"""The most data of a datagram."""
_AARP: Final = Struct(">HHBBH6sxHB6sxHB")
_KIND: Final = (1, 0x809B, 6, 4)
_DDP: Final = Struct(">HHHHBBBBB")
DDP_HEADER: Final = _DDP.size
_CHECKED_FROM: Final = 4


class AarpFunction(enum.IntEnum):
    """What an AARP packet is."""

    REQUEST = 1
    RESPONSE = 2
    PROBE = 3


@dataclass(frozen=True, slots=True, order=True)
class NodeAddress:
    """A node: a network of 16 bits and a number of 8. Network 0 is this one."""

    network: int
    node: int

    @property
    def is_broadcast(self) -> bool:
        """Whether all nodes are meant."""
        return self.node == ANY_NODE


@dataclass(frozen=True, slots=True)
class Aarp:
    """An AARP packet. ``wanted`` is the address asked for; of a response, the asker's."""

    function: AarpFunction
    mac: bytes
    address: NodeAddress
    target_mac: bytes
    wanted: NodeAddress

    def emit(self) -> bytes:
        """Return the 28 bytes."""
        near, far = self.address, self.wanted
        ours = self.mac, near.network, near.node
        return _AARP.pack(*_KIND, self.function, *ours, self.target_mac, far.network, far.node)

    @classmethod
    def parse(cls, raw: bytes) -> Aarp | None:
        """Read one; None when it is cut, or for other hardware."""
        if len(raw) < _AARP.size:
            return None
        *kind, function, mac, network, node, target, to_network, to_node = _AARP.unpack_from(raw)
        if tuple(kind) != _KIND or function not in set(AarpFunction):
            return None
        near, far = NodeAddress(network, node), NodeAddress(to_network, to_node)
        return cls(AarpFunction(function), mac, near, target, far)


class DdpType(enum.IntEnum):
    """The protocol of a datagram."""

    RTMP = 1
    NBP = 2
    ATP = 3
    AEP = 4
    RTMP_REQUEST = 5
    ZIP = 6
    ADSP = 7


@dataclass(frozen=True, slots=True)
class Datagram:
    """A DDP datagram. ``kind`` is its DDP type, 8 bits."""

    destination: NodeAddress
    source: NodeAddress
    to_socket: int
    from_socket: int
    kind: int
    data: bytes
    hops: int = 0

    def emit(self, *, is_checked: bool = True) -> bytes:
        """Return the bytes behind SNAP. ValueError: more than 586 bytes of data."""
        if len(self.data) > DDP_DATA:
            raise ValueError(f"{len(self.data)} bytes in a datagram")
        networks = self.destination.network, self.source.network
        nodes = self.destination.node, self.source.node
        size = (self.hops << 10) | (_DDP.size + len(self.data))
        rest = self.to_socket, self.from_socket, self.kind
        raw = _DDP.pack(size, 0, *networks, *nodes, *rest) + self.data
        return raw[:2] + checksum(raw[_CHECKED_FROM:]).to_bytes(2) + raw[4:] if is_checked else raw

    @classmethod
    def parse(cls, raw: bytes) -> Datagram | None:
        """Read one; None when it is cut, its length lies, or its checksum is wrong. Padding is cut off."""
        if len(raw) < _DDP.size:
            return None
        size, told, to_network, network, to_node, node, to_socket, socket, kind = _DDP.unpack_from(raw)
        length = size & 0x3FF
        if not _DDP.size <= length <= min(len(raw), _DDP.size + DDP_DATA):
            return None
        raw = raw[:length]
        if told and told != checksum(raw[_CHECKED_FROM:]):
            return None
        to, source = NodeAddress(to_network, to_node), NodeAddress(network, node)
        return cls(to, source, to_socket, socket, kind, raw[_DDP.size :], size >> 10 & 0xF)


def checksum(data: bytes) -> int:
    """Return DDP's checksum, 16 bits, never 0: each byte is added, and the sum turned left by a bit."""
    total = 0
    for byte in data:
        total = total + byte & 0xFFFF
        total = (total << 1 | total >> 15) & 0xFFFF
    return total or 0xFFFF
