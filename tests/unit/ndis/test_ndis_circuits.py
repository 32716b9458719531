"""Connection-oriented NDIS: the order of calls on a circuit, and PPPoE sessions as circuits."""

from __future__ import annotations

# ruff: noqa: ARG002, D102 - doubles implement handlers that the contract documents
import contextlib
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ndis.co import ppp, pppoe
from ndis.co.family import AddressFamily, VcState, VirtualCircuit
from ndis.co.pppoe import Code, PppoeManager
from ndis.errors import NdisError
from ndis.miniport import MiniportCharacteristics
from ndis.oids import Oid
from ndis.requests import Request
from ndis.samples.cable import Cable
from ndis.samples.loopback_adapter import LoopbackAdapter
from ndis.status import Status
from ndis.suite.bench import Machine
from ndis.verifier.core import Verifier
from ndis.wrapper import Ndis
from ntos.errors import BugCheckError
from ntos.executive.contract import SECOND
from ntos.executive.virtual import VirtualExecutive

MINE, THEIRS = bytes([2, 0, 0, 0, 0, 1]), bytes([2, 0, 0, 0, 0, 0xAC])


class Caller:
    """A client that writes down its news."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.data: list[bytes] = []
        self.accepts = Status.SUCCESS

    def make_call_complete(self, status: Status, vc: VirtualCircuit) -> None:
        self.log.append(f"made {status.name} {vc.state.name}")

    def incoming_call(self, vc: VirtualCircuit, sap: str) -> Status:
        self.log.append(f"incoming {sap}")
        return self.accepts

    def call_connected(self, vc: VirtualCircuit) -> None:
        self.log.append("connected")

    def incoming_close_call(self, status: Status, vc: VirtualCircuit) -> None:
        self.log.append(f"closed {status.name}")

    def co_receive(self, vc: VirtualCircuit, data: bytes) -> None:
        self.data.append(data)


class Exchange:
    """A call manager that connects at once, and rings."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def register_sap(self, sap: str) -> Status:
        return Status.SUCCESS if sap != "bad" else Status.INVALID_DATA

    def deregister_sap(self, sap: str) -> None:
        pass

    def make_call(self, vc: VirtualCircuit, parameters: dict[str, Any]) -> Status:
        vc.move("activate")
        return Status.SUCCESS

    def close_call(self, vc: VirtualCircuit) -> Status:
        vc.move("deactivate")
        return Status.SUCCESS

    def incoming_call_complete(self, status: Status, vc: VirtualCircuit) -> None:
        vc.move("activate")
        vc.family.dispatch_call_connected(vc)

    def add_party(self, vc: VirtualCircuit, party: object) -> Status:
        return Status.SUCCESS

    def drop_party(self, vc: VirtualCircuit, party: object) -> Status:
        return Status.SUCCESS

    def co_send(self, vc: VirtualCircuit, data: bytes) -> Status:
        self.sent.append(data)
        return Status.SUCCESS


def family(verifier: Verifier | None = None) -> tuple[AddressFamily, Exchange, Caller]:
    """Make an open address family."""
    machine = Machine(observer=verifier)
    exchange, caller = Exchange(), Caller()
    return AddressFamily(machine.adapter, exchange, caller), exchange, caller


def test_a_call_is_made_used_and_closed() -> None:
    """The family can be closed only afterwards."""
    fam, exchange, caller = family()

    vc = fam.make_call({})
    fam.send(vc, b"x")
    fam.indicate(vc, b"y")
    with pytest.raises(NdisError, match="1 circuits"):
        fam.close()
    fam.close_call(vc)
    fam.close()

    assert (exchange.sent, caller.data) == ([b"x"], [b"y"])
    assert caller.log == ["made SUCCESS ACTIVE"]
    assert vc.state is VcState.DELETED


def test_an_incoming_call_needs_a_sap() -> None:
    """Registered, refused, unknown."""
    fam, _exchange, caller = family()
    fam.register_sap("here")
    vc = fam.create_vc()

    unknown = fam.dispatch_incoming_call("there", vc)
    known = fam.dispatch_incoming_call("here", vc)
    fam.answer(vc, Status.SUCCESS)

    assert (unknown, known) == (Status.NOT_RECOGNIZED, Status.SUCCESS)
    assert caller.log == ["incoming here", "connected"]
    with pytest.raises(NdisError, match="bad"):
        fam.register_sap("bad")


def test_a_call_with_parties_is_closed_after_the_last_is_dropped() -> None:
    """NdisClCloseCall with parties is refused."""
    fam, _exchange, _caller = family()
    vc = fam.make_call({})
    fam.add_party(vc, "leaf")

    with pytest.raises(NdisError, match="parties"):
        fam.close_call(vc)
    fam.drop_party(vc, "leaf")
    fam.close_call(vc)

    assert fam.circuits == []


@pytest.mark.parametrize("events", [("delete",), ("activate",), ()], ids=["delete", "twice", "ok"])
def test_v35_a_circuit_is_used_in_order(events: tuple[str, ...]) -> None:
    """Deleted while active, activated twice; the control does neither."""
    verifier = Verifier()
    fam, _exchange, _caller = family(verifier)
    vc = fam.make_call({})

    with contextlib.suppress(BugCheckError):
        for event in events:
            vc.move(event)
        fam.close_call(vc)

    assert verifier.broken == ({"V35"} if events else set())


def test_v35_a_send_on_an_inactive_circuit_is_reported() -> None:
    """And stopped."""
    verifier = Verifier()
    fam, _exchange, _caller = family(verifier)

    with pytest.raises(BugCheckError, match="send of a circuit that is CREATED"):
        fam.send(fam.create_vc(), b"x")

    assert verifier.broken == {"V35"}


class Concentrator:
    """An access concentrator on the cable, written from RFC 2516 and RFC 1661 alone."""

    def __init__(self, cable: Cable, *, pap: bool = False, deaf: int = 0) -> None:
        self.cable = cable
        self.pap = pap
        self.deaf = deaf  # PADIs it does not hear
        self.codes: list[int] = []
        self.login = b""
        self.ip: list[bytes] = []
        self.sessions = 0
        cable.stations.append(self)

    def frame_arrives(self, frame: bytes) -> None:
        code, session = frame[15], int.from_bytes(frame[16:18], "big")
        payload = frame[20 : 20 + int.from_bytes(frame[18:20], "big")]
        if frame[12:14] == b"\x88\x64":
            self.session(session, payload)
            return
        self.codes.append(code)
        if code == 0x09:
            self.deaf -= 1
            if self.deaf < 0:
                self.say(0x07, 0, payload + b"\x01\x02\x00\x02ac\x01\x04\x00\x03abc")
        elif code == 0x19:
            assert b"\x01\x04\x00\x03abc" in payload
            self.sessions += 1
            self.say(0x65, self.sessions, payload)
            extra = b"\x03\x04\xc0\x23" if self.pap else b""
            self.control(self.sessions, 0xC021, 1, 1, b"\x05\x06peer" + extra)

    def session(self, session: int, payload: bytes) -> None:
        protocol, code, identifier = struct.unpack_from(">HBB", payload)
        body = payload[6:]
        if protocol == 0x0021:
            self.ip.append(payload[2:])
        elif protocol == 0xC021 and code == 1:
            self.control(session, protocol, 2, identifier, body)
        elif protocol == 0xC023:
            self.login = body
            self.control(session, protocol, 2, identifier, b"\0")
        elif protocol == 0x8021 and code == 1:
            offered = bytes([3, 6, 10, 0, 0, session])
            answer = 2 if body == offered else 3
            self.control(session, protocol, answer, identifier, offered)
            if answer == 2:
                self.control(session, protocol, 1, 9, bytes([3, 6, 10, 0, 0, 254]))

    def control(self, session: int, protocol: int, code: int, number: int, body: bytes) -> None:
        self.say(0, session, struct.pack(">HBBH", protocol, code, number, len(body) + 4) + body)

    def say(self, code: int, session: int, payload: bytes) -> None:
        kind = b"\x88\x63" if code else b"\x88\x64"
        head = MINE + THEIRS + kind + struct.pack(">BBHH", 0x11, code, session, len(payload))
        self.cable.carry(self, (head + payload).ljust(60, b"\0"))


class Line:
    """A machine with PPPoE over a verified adapter, and a concentrator at the other end."""

    def __init__(self, *, pap: bool = False, deaf: int = 0) -> None:
        self.verifier = Verifier()
        self.executive = VirtualExecutive()
        self.ndis = Ndis(self.executive, self.verifier)
        driver = self.ndis.register_miniport(MiniportCharacteristics.of(LoopbackAdapter))
        cable = Cable()
        self.far = Concentrator(cable, pap=pap, deaf=deaf)
        settings = {"Cable": cable, "NetworkAddress": MINE}
        adapter = self.ndis.add_adapter(driver, "card0", None, settings)
        self.manager = PppoeManager(self.ndis)
        self.open = self.ndis.bind(self.manager.protocol, adapter)
        self.open.request(Request.set(Oid.GEN_CURRENT_PACKET_FILTER, b"\x01\0\0\0"))
        self.caller = Caller()
        self.family = self.manager.open_family(self.caller)

    def run(self, seconds: int = 1) -> None:
        self.executive.advance(seconds * SECOND)


def test_each_session_is_a_circuit() -> None:
    """Two calls: two sessions with addresses of their own, data both ways, one hung up."""
    line = Line()
    first, second = line.family.make_call({}), line.family.make_call({"service": "gold"})
    line.run()

    line.family.send(first, b"one")
    line.family.send(second, b"two")
    line.run()
    line.far.say(0, 2, b"\x00\x21back")
    line.run()
    line.family.close_call(first)
    line.run()

    assert line.caller.log == ["made SUCCESS ACTIVE"] * 2
    assert [vc.parameters["session"] for vc in (first, second)] == [1, 2]
    assert second.parameters["address"] == bytes([10, 0, 0, 2])
    assert line.far.ip == [b"one", b"two"]
    assert line.caller.data == [b"back"]
    assert line.far.codes.count(Code.PADT) == 1
    assert line.family.circuits == [second]
    assert [str(r) for r in line.verifier.reports] == []


def test_a_lost_padi_is_sent_again_and_pap_logs_in() -> None:
    """Every three seconds; name and password as RFC 1334 has them."""
    line = Line(pap=True, deaf=2)

    line.family.make_call({"user": "me", "password": "secret"})
    line.run(10)

    assert line.far.codes[:3] == [Code.PADI] * 3
    assert line.far.login == b"\x02me\x06secret"
    assert line.caller.log == ["made SUCCESS ACTIVE"]


def test_a_call_into_silence_fails_and_leaves_no_circuit() -> None:
    """After five tries."""
    line = Line(deaf=100)

    vc = line.family.make_call({})
    line.run(20)

    assert line.far.codes == [Code.PADI] * 5
    assert line.caller.log == ["made FAILURE CREATED"]
    assert (vc.state, line.family.circuits) == (VcState.DELETED, [])


def test_the_other_side_may_hang_up() -> None:
    """By PADT: the client is told, and closes."""
    line = Line()
    vc = line.family.make_call({})
    line.run()

    line.far.say(0xA7, 1, b"")
    line.run()
    line.family.close_call(vc)

    assert line.caller.log == ["made SUCCESS ACTIVE", "closed CLOSED"]
    assert line.family.circuits == []


def test_unknown_options_are_rejected_and_echoes_answered() -> None:
    """As RFC 1661 says."""
    session = ppp.PppSession(b"magi")
    (request,) = session.tick()

    (reject,) = session.receive(struct.pack(">HBBH", 0xC021, 1, 7, 8) + b"\x63\x04ab")
    (reply,) = session.receive(struct.pack(">HBBH", 0xC021, 9, 5, 8) + b"peer")

    assert request[:3] == b"\xc0\x21\x01"
    assert reject == struct.pack(">HBBH", 0xC021, 4, 7, 8) + b"\x63\x04ab"
    assert reply == struct.pack(">HBBH", 0xC021, 10, 5, 8) + b"magi"


def test_a_protocol_that_we_do_not_speak_is_rejected_once_lcp_is_open() -> None:
    """RFC 1661, 5.7: else pppd asks for IPV6CP again and again."""
    session = ppp.PppSession(b"magi")
    ipv6cp = bytes.fromhex("805701010004")
    early = session.receive(ipv6cp)
    (request,) = session.tick()
    session.receive(b"\xc0\x21\x02" + request[3:])
    session.receive(bytes.fromhex("c02101070008010405d4"))

    (answer,) = session.receive(ipv6cp)

    assert early == []
    assert answer == bytes.fromhex("c0210801000a") + ipv6cp


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_any_bytes_do_no_harm(frame: bytes, payload: bytes) -> None:
    """Neither to discovery nor to the session."""
    pppoe.parse_frame(bytes(12) + b"\x88\x63\x11" + frame)
    pppoe.parse_tags(payload)
    session = ppp.PppSession(b"magi")

    answers = session.receive(payload)

    assert all(len(a) >= 6 for a in answers)


def test_frames_and_tags_survive_the_wire() -> None:
    """Emitted and parsed again they are the same."""
    tags = [(pppoe.SERVICE_NAME, b""), (pppoe.HOST_UNIQ, b"abcd")]
    frame = pppoe.emit_frame(THEIRS, MINE, Code.PADI, 0, pppoe.emit_tags(tags))

    parsed = pppoe.parse_frame(frame.ljust(60, b"\0"))

    assert parsed == (Code.PADI, 0, pppoe.emit_tags(tags))
    assert pppoe.parse_tags(parsed[2]) == tags
