"""LLC over NDIS: a station for each network card, with the executive's time.

A transport derives ``LlcDriver``, opens its SAPs in ``card_came``, and takes their events in ``served``, in
every turn. Frames go out at the end of a turn; after requests from outside of one, ``request_turn``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from formats import ethernet
from formats.llc import GLOBAL_SAP, NULL_SAP, LlcFrame
from protocols.interfaces.edge import EdgeDriver, EdgeLink, Wanted
from protocols.interfaces.llc.station import Station

if TYPE_CHECKING:
    from ndis.packet import Packet, PacketPool


class LlcLink(EdgeLink[LlcFrame, bytes]):
    """A network card, and the LLC station on it. ``station`` is there from the binding on."""

    station: Station

    def prepare(self, frame: LlcFrame) -> tuple[list[bytes], dict[Any, Any]]:
        """Pad the frame; leave no work to the card."""
        return [ethernet.padded(frame.emit())], {}

    def received(self, packet: Packet) -> bytes:
        """Copy the frame."""
        return bytes(packet.data)


class LlcDriver(EdgeDriver[LlcLink]):
    """An NDIS protocol driver whose links are LLC stations."""

    saps: ClassVar[frozenset[int]]
    """The SAPs that the transport may open; only their frames and the station's are taken."""
    answers_null_sap: ClassVar[bool] = True

    def card_came(self, link: LlcLink) -> None:
        """Open SAPs at ``link.station``."""

    def card_went(self, link: LlcLink) -> None:
        """Take the last events of ``link.station``: all links are down."""

    def served(self, now_ns: int) -> None:
        """Take the SAPs' events, and do all that follows."""

    # EdgeDriver

    def make_link(self, name: str, pool: PacketPool) -> LlcLink:
        """Return a link that takes the SAPs' frames only."""
        made = LlcLink(name, pool, self.request_turn, self.reorder)
        made.wanted = Wanted(saps=self.saps | {NULL_SAP, GLOBAL_SAP})
        return made

    def attach(self, link: LlcLink, before: LlcLink | None) -> None:
        """Make the card's station. What its predecessor had went down with it."""
        del before
        link.station = Station(link.mac, link.mtu, answers_null_sap=self.answers_null_sap)
        self.card_came(link)

    def detach(self, link: LlcLink) -> None:
        """End the card's links."""
        link.station.unbind(self.now_ns())
        self.card_went(link)

    def deliver(self, link: LlcLink, frames: list[bytes], now_ns: int) -> None:
        """Take what came, and let time pass, as a turn with frames has no other call."""
        for frame in frames:
            link.station.receive(frame, now_ns)
        self.advance(now_ns)

    def advance(self, now_ns: int) -> None:
        """Run the timers, then the transport; then all goes out."""
        for link in self.links.values():
            link.station.advance(now_ns)
        self.served(now_ns)
        for link in self.links.values():
            frames = list(link.station.outbox)
            link.station.outbox.clear()
            link.send(frames)

    def next_deadline(self) -> int | None:
        """Return the earliest of the stations' deadlines."""
        due = (link.station.next_deadline() for link in self.links.values())
        return min((one for one in due if one is not None), default=None)
