"""Hostile NetBIOS frames: nothing is raised, tables and answers are bounded, and others are served."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

from formats.llc import NETBIOS_SAP, UI, LlcFrame
from ntos.executive.contract import MILLISECOND, SECOND
from protocols.interfaces.llc.pdu import MODULUS, Kind, control
from protocols.transports.nbf.frame import COMMANDS, Command, NameFrame, SessionFrame
from protocols.transports.nbf.parameters import NbfError, NbfParameters
from protocols.transports.nbf.session import MESSAGES_LIMIT
from protocols.transports.nbf.states import SessionState
from tests.support.nbf_pair import Client, Host, name

if TYPE_CHECKING:
    from protocols.transports.nbf.session import Session

FRAMES = int(os.environ.get("RINGWALK_HOSTILE_FRAMES", "20000"))
"""100,000 in the long run."""
PEERS = [b"\2\0\0\0\1" + bytes((n,)) for n in range(4)]
NAMES = [name("ALICE"), name("BOB"), name("GROUP"), bytes(16), b"*" + bytes(15), b"\xff" * 16]
LIMITS = NbfParameters(sessions_limit=20, offers_limit=8, queries_limit=4, names_limit=8)


class Hostile:
    """Four peers that know all numbers and mostly keep to them: else none gets far."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.host = Host(1, LIMITS)
        self.now_ns = SECOND
        self.states: set[SessionState] = set()
        self.commands: set[Command] = set()
        self.most_sent = 0
        self._seen: list[NameFrame | SessionFrame] = []
        self.host.nbf.now_ns = self.now_ns
        self.host.add(NAMES[0], listens=True)
        self.host.add(NAMES[2], is_group=True, listens=True)
        self.host.room = 300

    def step(self) -> None:
        """One frame, time, perhaps a request of the client; then what must hold."""
        chance, host = self.chance, self.host
        self.now_ns += chance.choices((0, MILLISECOND, 20 * MILLISECOND, SECOND), (40, 40, 19, 1))[0]
        raw = self._frame()
        host.llc.receive(raw[: chance.randrange(len(raw))] if chance.random() < 0.01 else raw, self.now_ns)
        host.llc.advance(self.now_ns)
        host.nbf.serve(self.now_ns)
        self._request()
        self.states |= {one.state for one in host.nbf.sessions.values()}
        self.most_sent = max(self.most_sent, len(host.llc.outbox))
        while host.llc.outbox:
            self._learn(host.llc.outbox.popleft())
        assert len(host.nbf.sessions) <= LIMITS.sessions_limit
        assert len(host.nbf.names.names) <= LIMITS.names_limit
        del host.accepted[:-8], host.datagrams[:], self._seen[:-32]

    def _frame(self) -> bytes:
        chance = self.chance
        peer = chance.choice(PEERS)
        draw = chance.random()
        if draw < 0.05:
            kind = chance.choice((Kind.SABME, Kind.SABME, Kind.UA, Kind.DISC))
            field, response = control(kind, pf=True), kind is Kind.UA
            return self._llc(peer, field, b"", response=response)
        if draw < 0.45:
            return self._llc(peer, UI, self._mangled(self._name_frame().emit()))
        link = self.host.nbf.sap.links.get((peer, NETBIOS_SAP))
        ns, nr = (link._vr, (link._va + link._sent) % MODULUS) if link is not None else (0, 0)  # as it awaits
        if draw < 0.6:
            return self._llc(peer, control(Kind.RR, nr=nr, pf=chance.random() < 0.1), b"", response=True)
        return self._llc(peer, control(Kind.I, ns=ns, nr=nr), self._mangled(self._session_frame(peer).emit()))

    def _mangled(self, raw: bytes) -> bytes:
        if self.chance.random() > 0.03:
            return raw
        changed = bytearray(raw)
        changed[self.chance.randrange(len(changed))] = self.chance.randrange(256)
        return bytes(changed[: self.chance.randrange(len(changed) + 1)])

    def _name_frame(self) -> NameFrame:
        chance = self.chance
        seen = [one for one in self._seen if isinstance(one, NameFrame)]
        transmit = (
            chance.choice(seen).response if seen and chance.random() < 0.7 else chance.randrange(1 << 16)
        )
        commands = [one for one in COMMANDS.values() if not one.is_sessions]
        weights = [8 if one in (Command.NAME_QUERY, Command.NAME_RECOGNIZED) else 1 for one in commands]
        command = chance.choices(commands, weights)[0]
        data2 = chance.choice((0, 1, 2, 3, 0x101, 0xFF, 0xFFFF, chance.randrange(1 << 16)))
        data = bytes(chance.choice((0, 0, 60, 78, 600)))
        names = chance.choice(NAMES), chance.choice(NAMES)
        return NameFrame(command, *names, chance.randrange(3), data2, transmit, chance.randrange(8), data)

    def _session_frame(self, peer: bytes) -> SessionFrame:
        chance = self.chance
        sessions = [one for one in self.host.nbf.sessions.values() if one.peer == peer]
        number, remote, correlator = 1, 1, 0
        if sessions and chance.random() < 0.95:
            session = chance.choice(sessions)
            number, remote, correlator = session.number, session.remote_number, session.correlator
        seen = [one for one in self._seen if isinstance(one, SessionFrame)]
        if seen and chance.random() < 0.5:
            correlator = chance.choice(seen).response
        commands = [one for one in COMMANDS.values() if one.is_sessions]
        weights = [
            6 if one is Command.SESSION_INITIALIZE else 3 - 2 * (one is Command.SESSION_END)
            for one in commands
        ]
        command = chance.choices(commands, weights)[0]
        data2 = chance.choice((0, 1, 1, 500, 1482, 0xFFFF))
        data = bytes(chance.choice((0, 10, 1000))) if command in _WITH_DATA else b""
        numbers = chance.choice((0, 1, 4, 8, 0x0F)), data2, correlator, chance.randrange(1 << 16)
        return SessionFrame(command, number, remote, *numbers, data)

    def _llc(self, peer: bytes, field: int, data: bytes, *, response: bool = False) -> bytes:
        return LlcFrame(self.host.mac, peer, NETBIOS_SAP, NETBIOS_SAP | response, field, data).emit()

    def _learn(self, frame: LlcFrame) -> None:
        parsed = NameFrame.parse(frame.information) or SessionFrame.parse(frame.information)
        if parsed is not None:
            self._seen.append(parsed)
            self.commands.add(parsed.command)

    def _request(self) -> None:
        chance, nbf = self.chance, self.host.nbf
        try:
            if chance.random() < 0.03:
                nbf.call(NAMES[0], chance.choice(NAMES), Client())
            if chance.random() < 0.02:
                nbf.queries.find(chance.choice(NAMES), nbf.permanent, lambda _found: None)
            if chance.random() < 0.02:
                nbf.queries.ask_status(chance.choice(NAMES), 1000, lambda _raw, _more: None)
            if chance.random() < 0.02:
                nbf.names.release(NAMES[2])
                self.host.add(NAMES[2], is_group=True)
            self._use(chance.choice(list(nbf.sessions.values()) or [None]))
        except NbfError:
            pass

    def _use(self, session: Session | None) -> None:
        if session is None:
            return
        if isinstance(session.client, Client):
            session.client.room = 300
        what = self.chance.choices(("send", "resume", "hang_up", "abort"), (20, 20, 1, 1))[0]
        if what == "send":
            session.send(bytes(self.chance.choice((0, 100, 5000))), lambda: None)
        else:
            getattr(session, what)()


_WITH_DATA = (Command.DATA_FIRST_MIDDLE, Command.DATA_ONLY_LAST)


def test_hostile_frames_are_survived_and_bounded() -> None:
    """Every state of a session is seen; a frame draws a bounded number of frames; a stranger is served."""
    runs = [Hostile(seed) for seed in range(4)]

    for run in runs:
        for _ in range(FRAMES // len(runs)):
            run.step()

    assert set.union(*(run.states for run in runs)) == set(SessionState) - {SessionState.CLOSED}
    answers = {Command.NAME_RECOGNIZED, Command.STATUS_RESPONSE, Command.DATA_ACK, Command.NO_RECEIVE}
    assert answers | {Command.SESSION_CONFIRM, Command.RECEIVE_OUTSTANDING} <= set.union(
        *(r.commands for r in runs)
    )
    assert max(run.most_sent for run in runs) <= LIMITS.sessions_limit * 4 + LIMITS.link.window * 4
    assert all(run.host.nbf.counters["malformed"] for run in runs)
    assert MESSAGES_LIMIT == 1024
    host = runs[0].host
    host.add(name("AFTER"))
    question = NameFrame(Command.STATUS_QUERY, host.nbf.permanent, bytes(16), 1, 500, 0, 7).emit()
    host.llc.receive(
        LlcFrame(host.mac, PEERS[0][:5] + b"\x77", 0xF0, 0xF0, UI, question).emit(), runs[0].now_ns
    )
    host.nbf.serve(runs[0].now_ns)
    answer = NameFrame.parse(host.llc.outbox[-1].information)
    assert answer is not None
    assert (answer.command, answer.transmit, answer.data[:6]) == (Command.STATUS_RESPONSE, 7, host.mac)
