"""Two LLC stations on a wire that loses, duplicates and reorders, in virtual time. No I/O."""

from __future__ import annotations

import random
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from ntos.executive.contract import MILLISECOND, SECOND
from protocols.interfaces.llc import Station

if TYPE_CHECKING:
    from formats.llc import LlcFrame
    from protocols.interfaces.llc import Event, LinkParameters

MACS = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
SAP = 0x04
DELAY_NS = MILLISECOND


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
        self.loss = self.duplicate = self.reorder = 0.0
        self._random = random.Random(seed)
        self._flying: list[tuple[int, int, int, bytes]] = []
        self._count = 0

    def settle(self, limit_ns: int = 600 * SECOND, quiet_ns: int = 20 * SECOND) -> None:
        """Carry frames and run timers until nothing is due within ``quiet_ns``, or for ``limit_ns``."""
        end = self.now_ns + limit_ns
        while True:
            self._collect()
            due = [one for one in (s.next_deadline() for s in self.stations) if one is not None]
            if self._flying:
                due.append(self._flying[0][0])
            if not due or min(due) > min(end, self.now_ns + quiet_ns):
                return
            self.now_ns = max(self.now_ns, min(due))
            while self._flying and self._flying[0][0] <= self.now_ns:
                _due, _count, to, raw = heappop(self._flying)
                self.stations[to].receive(raw, self.now_ns)
            for station in self.stations:
                station.advance(self.now_ns)

    def _collect(self) -> None:
        for at, station in enumerate(self.stations):
            self.events[at] += self.saps[at].take(self.now_ns)
            while station.outbox:
                frame = station.outbox.popleft()
                self.frames.append(frame)
                for _ in range(1 + (self._random.random() < self.duplicate)):
                    self._fly(1 - at, frame.emit())

    def _fly(self, to: int, raw: bytes) -> None:
        if self._random.random() < self.loss:
            return
        late = DELAY_NS * self._random.randrange(1, 5) if self._random.random() < self.reorder else 0
        self._count += 1
        heappush(self._flying, (self.now_ns + DELAY_NS + late, self._count, to, raw.ljust(60, b"\0")))
