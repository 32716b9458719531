"""The null transport on the wire, over NDIS: one datagram a frame, of IEEE's first experimental EtherType.

::

     0              14           16             18       20
    +--------------+------------+--------------+--------+------
    | Ethernet 88B5| to channel | from channel | length | data
    +--------------+------------+--------------+--------+------
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, Any

from formats import ethernet
from ntos.io.status import NtError, NtStatus
from protocols.interfaces.edge import EdgeDriver, EdgeLink, Wanted

from .address import NullAddress

if TYPE_CHECKING:
    from collections.abc import Callable

    from ndis.packet import Packet, PacketPool
    from ndis.wrapper import Ndis

ETHERTYPE = 0x88B5
HEADER = Struct(">HHH")
DATA_AT = ethernet.HEADER_BYTES + HEADER.size


@dataclass(frozen=True, slots=True)
class NullDatagram:
    """One that came in."""

    source: NullAddress
    channel: int
    data: bytes

    @classmethod
    def parse(cls, frame: bytes) -> NullDatagram | None:
        """Read a frame; None when it is cut, or its length lies."""
        if len(frame) < DATA_AT:
            return None
        channel, sender, length = HEADER.unpack_from(frame, ethernet.HEADER_BYTES)
        data = frame[DATA_AT : DATA_AT + length]
        return cls(NullAddress(frame[6:12], sender), channel, data) if len(data) == length else None


class NullLink(EdgeLink[bytes, bytes]):
    """A card."""

    wanted = Wanted(frozenset({ETHERTYPE}))

    def prepare(self, frame: bytes) -> tuple[list[bytes], dict[Any, Any]]:
        """Leave no work to the card."""
        return [frame], {}

    def received(self, packet: Packet) -> bytes:
        """Copy the frame."""
        return bytes(packet.data)


class NullEdge(EdgeDriver[NullLink]):
    """The protocol driver: what comes goes to ``arrived``."""

    name = "null"

    def __init__(self, ndis: Ndis, arrived: Callable[[NullDatagram], None]) -> None:
        super().__init__(ndis)
        self._arrived = arrived
        self.malformed = 0

    def make_link(self, name: str, pool: PacketPool) -> NullLink:
        """Return a link over a card."""
        return NullLink(name, pool, self.request_turn, self.reorder)

    def deliver(self, link: NullLink, frames: list[bytes], now_ns: int) -> None:
        """Hand datagrams up."""
        del link, now_ns
        for frame in frames:
            found = NullDatagram.parse(frame)
            if found is None:
                self.malformed += 1
            else:
                self._arrived(found)

    def send(self, to: NullAddress, channel: int, data: bytes) -> None:
        """Send one by the first card that is up. NtError: none is, or it is too long."""
        link = next((one for one in self.links.values() if one.up), None)
        if link is None:
            raise NtError(NtStatus.NETWORK_UNREACHABLE)
        if len(data) > link.mtu - HEADER.size:
            raise NtError(NtStatus.BUFFER_OVERFLOW)
        head = ethernet.header(to.station, link.mac, ETHERTYPE) + HEADER.pack(to.channel, channel, len(data))
        frame = head + data
        link.send([frame.ljust(ethernet.MINIMUM_BYTES, b"\0")])
