"""Hostile LLC frames: nothing is raised, memory and answers are bounded, and the station serves others."""

from __future__ import annotations

import random
from contextlib import suppress

from formats.llc import LlcFrame
from ntos.executive.contract import MILLISECOND, SECOND
from protocols.interfaces.llc import BusyReason, LinkParameters, LinkState, LlcError, Station
from protocols.interfaces.llc.pdu import MODULUS, Kind, control
from protocols.interfaces.llc.sap import EVENTS_LIMIT

OURS = bytes.fromhex("020000000001")
SAP, THEIRS = 0x04, 0x08
PEERS = [b"\2\0\0\0\0" + bytes((n,)) for n in range(2, 6)]
FRAMES, SEEDS = 4000, 12
UNUSUAL = (0x03, 0x0F, 0x1F, 0x13, 0x23, 0x43, 0x53, 0x63, 0x73, 0x87, 0x97, 0xAF, 0xBF, 0xE3, 0xF3)
ADDRESSES = (
    (SAP | 1, THEIRS),
    (0, THEIRS),
    (0xFF, THEIRS),
    (0x40, THEIRS),
    (SAP, 0x0C),
    (SAP, 0xFF),
    (SAP, 0),
)
LIMITS = LinkParameters(n1=100, queue_limit=16, n2=3)


class Hostile:
    """Four peers that know what a link awaits, and mostly keep to it: else none would get far."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.station = Station(OURS)
        self.sap = self.station.open_sap(SAP, listens=True, parameters=LIMITS)
        self.now_ns = SECOND
        self.states: set[LinkState] = set()
        self.most_sent = 0
        self._awaited = dict.fromkeys(PEERS, (0, 0))
        """N(S) and N(R) that the link with each would take."""

    def step(self) -> None:
        """One frame, time, perhaps a request of the owner; then what must hold."""
        self.now_ns += self.chance.choice((0, 0, MILLISECOND, MILLISECOND, SECOND, 40 * SECOND))
        self.station.receive(self._frame(), self.now_ns)
        self._request()
        self.station.advance(self.now_ns)
        self.states |= {link.state for link in self.sap.links.values()}
        self.most_sent = max(self.most_sent, len(self.station.outbox))
        while self.station.outbox:
            self._learn(self.station.outbox.popleft())
        assert all(link.outstanding <= LIMITS.queue_limit for link in self.sap.links.values())

    def _frame(self) -> bytes:
        chance = self.chance
        peer, response = chance.choice(PEERS), chance.random() < 0.4
        ns, nr = self._awaited[peer]
        if chance.random() < 0.2:
            ns = (ns + chance.choice((1, 2, -1, 64))) % MODULUS
        if chance.random() < 0.02:
            nr = chance.randrange(MODULUS)
        kind = chance.choices((Kind.I, Kind.RR, Kind.RNR, Kind.REJ, Kind.SABME), (50, 20, 5, 5, 4))[0]
        field = control(kind, ns=ns if kind is Kind.I else 0, nr=0 if kind is Kind.SABME else nr)
        if chance.random() < 0.3:
            field |= 0x10 if kind is Kind.SABME else 0x100
        response &= kind is not Kind.SABME
        if chance.random() < 0.06:
            field = chance.choice((*UNUSUAL, 0x000D, 0x00F1))
        dsap, ssap = chance.choice(ADDRESSES) if chance.random() < 0.05 else (SAP, THEIRS)
        data = bytes(chance.choice((0, 1, 5)) if kind is Kind.I else 200 * (chance.random() < 0.01))
        destination = b"\xff" * 6 if chance.random() < 0.02 else OURS
        raw = LlcFrame(destination, peer, dsap, ssap | response, field, data).emit()
        return raw[: chance.randrange(len(raw))] if chance.random() < 0.02 else raw

    def _learn(self, frame: LlcFrame) -> None:
        ns, nr = self._awaited.get(frame.destination, (0, 0))
        if not frame.is_unnumbered:
            ns = frame.control >> 9
            nr = ((frame.control >> 1) + 1) % MODULUS if not frame.control & 1 else nr
        elif frame.control & ~0x10 in (Kind.UA.value, Kind.SABME.value):
            ns = nr = 0
        self._awaited[frame.destination] = ns, nr

    def _request(self) -> None:
        chance, now = self.chance, self.now_ns
        if chance.random() < 0.05:
            assert len(self.sap.take(now)) <= EVENTS_LIMIT
        if chance.random() < 0.02:
            self.sap.listens = not self.sap.listens
        with suppress(LlcError):
            if chance.random() < 0.02:
                self.sap.connect(chance.choice(PEERS), THEIRS, now)
            if self.sap.links:
                link = chance.choice(list(self.sap.links.values()))
                todo = chance.choices(["send", "busy", "ready", "end"], (50, 5, 8, 1))[0]
                if todo == "send":
                    link.send(b"data", now)
                elif todo == "busy":
                    link.set_busy(BusyReason.USER, now)
                elif todo == "ready":
                    link.clear_busy(BusyReason.USER, now)
                else:
                    link.disconnect(now)


def test_hostile_frames_are_survived_and_bounded() -> None:
    """Every state of a link is seen; a frame draws no more than the windows of four links."""
    runs = [Hostile(seed) for seed in range(SEEDS)]

    for run in runs:
        for _ in range(FRAMES):
            run.step()

    assert set.union(*(run.states for run in runs)) == set(LinkState) - {LinkState.CLOSED}
    assert max(run.most_sent for run in runs) <= len(PEERS) * (LIMITS.window + 4)
    station = runs[0].station
    question = LlcFrame(OURS, b"\2\0\0\0\0\x63", SAP, THEIRS, control(Kind.TEST, pf=True), b"?")
    station.receive(question.emit(), runs[0].now_ns)
    assert station.outbox[-1].information == b"?"
