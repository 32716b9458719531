"""Two LLC stations on a wire that loses, duplicates and reorders, in virtual time. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntos.executive.contract import SECOND
from protocols.interfaces.llc import Station
from tests.support.lossy_wire import LossyWire

if TYPE_CHECKING:
    from formats.llc import LlcFrame
    from protocols.interfaces.llc import Event, LinkParameters

MACS = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
SAP = 0x04


class Pair:
    """Two stations with SAP 04 open; the second listens."""

    def __init__(self, seed: int = 0, parameters: LinkParameters | None = None) -> None:
        self.now_ns = SECOND
        self.stations = [Station(mac) for mac in MACS]
        self.saps = [
            self.stations[0].open_sap(SAP, parameters=parameters),
            self.stations[1].open_sap(SAP, parameters=parameters, listens=True),
        ]
        self.events: list[list[Event]] = [[], []]
        self.frames: list[LlcFrame] = []
        """All that were sent, in order."""
        self.wire = LossyWire(seed)

    def settle(self, limit_ns: int = 600 * SECOND, quiet_ns: int = 20 * SECOND) -> None:
        """Carry frames and run timers until nothing is due within ``quiet_ns``, or for ``limit_ns``."""
        end = self.now_ns + limit_ns
        while True:
            self._collect()
            due = [one for one in (s.next_deadline() for s in self.stations) if one is not None]
            if self.wire.due_ns is not None:
                due.append(self.wire.due_ns)
            if not due or min(due) > min(end, self.now_ns + quiet_ns):
                return
            self.now_ns = max(self.now_ns, min(due))
            for to, raw in self.wire.arrived(self.now_ns):
                self.stations[to].receive(raw, self.now_ns)
            for station in self.stations:
                station.advance(self.now_ns)

    def _collect(self) -> None:
        for at, station in enumerate(self.stations):
            self.events[at] += self.saps[at].take(self.now_ns)
            while station.outbox:
                frame = station.outbox.popleft()
                self.frames.append(frame)
                self.wire.send(1 - at, frame.emit(), self.now_ns)
