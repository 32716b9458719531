"""IEEE 802.2's rules, frame by frame: poll and final, numbers, busy, FRMR, XID and TEST, and their bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from formats.llc import GLOBAL_SAP, NULL_SAP, LlcFrame
from ntos.executive.contract import SECOND
from protocols.interfaces.llc import (
    BusyReason,
    DataAcknowledged,
    DataReceived,
    DownReason,
    Kind,
    Link,
    LinkDown,
    LinkParameters,
    LinkUp,
    LlcError,
    LlcProblem,
    PduReceived,
    Sap,
    Station,
)
from protocols.interfaces.llc.pdu import NUMBERED, control
from protocols.interfaces.llc.sap import EVENTS_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable

OURS, PEER = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
SAP, OTHER = 0x04, 0x08


class Bench:
    """A station with one SAP, and a peer whose every frame the test writes."""

    def __init__(self, *, listens: bool = True, parameters: LinkParameters | None = None) -> None:
        self.now_ns = SECOND
        self.station = Station(OURS)
        self.sap: Sap = self.station.open_sap(SAP, listens=listens, parameters=parameters)

    def put(
        self,
        kind: Kind | int,
        *,
        response: bool = False,
        pf: bool = False,
        ns: int = 0,
        nr: int = 0,
        data: bytes = b"",
        dsap: int = SAP,
        source: bytes = PEER,
        destination: bytes = OURS,
    ) -> list[str]:
        """Have the peer send a frame; return what we sent."""
        field = kind if isinstance(kind, int) else control(kind, pf=pf, ns=ns, nr=nr)
        frame = LlcFrame(destination, source, dsap, OTHER | response, field, data)
        self.station.receive(frame.emit().ljust(60, b"\0"), self.now_ns)
        return self.sent()

    def sent(self) -> list[str]:
        """Return what was sent since, as text."""
        frames = [_text(frame) for frame in self.station.outbox]
        self.station.outbox.clear()
        return frames

    def wait(self) -> list[str]:
        """Let the next timer run out."""
        due = self.station.next_deadline()
        assert due is not None
        self.now_ns = max(self.now_ns, due)
        self.station.advance(self.now_ns)
        return self.sent()

    def up(self) -> Link:
        """Have the peer make a link."""
        assert self.put(Kind.SABME, pf=True) == ["UA rsp F"]
        (event,) = self.sap.take(self.now_ns)
        assert isinstance(event, LinkUp)
        return event.link


def _text(frame: LlcFrame) -> str:
    """Return a frame in words: kind, command or response, P or F, N(S), N(R), information."""
    field, response = frame.control, frame.ssap & 1
    numbered = not frame.is_unnumbered
    pf = bool(field & (0x100 if numbered else 0x10))
    code = (field & 0xFF if field & 1 else 0) if numbered else field & ~0x10
    kind = Kind(code)
    words = [kind.name, "rsp" if response else "cmd"]
    words += ["F" if response else "P"] if pf else []
    words += [f"ns={field >> 1 & 127}"] if kind is Kind.I else []
    words += [f"nr={field >> 9}"] if kind in NUMBERED else []
    words += [frame.information.hex()] if frame.information else []
    return " ".join(words)


def test_a_link_is_asked_for_with_p_and_is_up_when_ua_has_f() -> None:
    """UA without F answers something else."""
    bench = Bench(listens=False)

    link = bench.sap.connect(PEER, OTHER, bench.now_ns)

    assert bench.sent() == ["SABME cmd P"]
    assert bench.put(Kind.UA, response=True) == []
    assert not link.is_up
    assert bench.put(Kind.UA, response=True, pf=True) == []
    assert bench.sap.take(bench.now_ns) == [LinkUp(link, is_incoming=False)]


def test_sabme_is_tried_n2_times() -> None:
    """Then the link is down, once, and forgotten."""
    bench = Bench(parameters=LinkParameters(n2=3))
    link = bench.sap.connect(PEER, OTHER, bench.now_ns)

    seen = [bench.sent(), bench.wait(), bench.wait(), bench.wait()]

    assert seen == [["SABME cmd P"]] * 3 + [[]]
    assert bench.sap.take(bench.now_ns) == [LinkDown(link, DownReason.NO_ANSWER, 0)]
    assert bench.station.next_deadline() is None
    assert not bench.sap.links


def test_sabme_to_a_sap_that_does_not_listen_gets_dm() -> None:
    """With F, as the command had P."""
    bench = Bench(listens=False)

    assert bench.put(Kind.SABME, pf=True) == ["DM rsp F"]
    assert bench.sap.take(bench.now_ns) == []


def test_both_ends_that_ask_at_once_are_both_up() -> None:
    """Each answers the other's SABME (802.2: S_FLAG)."""
    bench = Bench(listens=False)
    link = bench.sap.connect(PEER, OTHER, bench.now_ns)

    sent = [bench.sent(), bench.put(Kind.SABME, pf=True), bench.put(Kind.UA, response=True, pf=True)]

    assert sent == [["SABME cmd P"], ["UA rsp F"], []]
    assert link.is_up


def test_crossed_requests_are_up_when_the_ua_is_lost() -> None:
    """T1 runs on when the peer's SABME came."""
    bench = Bench(listens=False)
    link = bench.sap.connect(PEER, OTHER, bench.now_ns)
    bench.put(Kind.SABME, pf=True)

    bench.wait()

    assert link.is_up


def test_a_poll_is_answered_at_once_with_f() -> None:
    """An I PDU with P, too, and not twice."""
    bench = Bench()
    bench.up()

    assert bench.put(Kind.RR, pf=True) == ["RR rsp F nr=0"]
    assert bench.put(Kind.I, data=b"x", pf=True) == ["RR rsp F nr=1"]
    assert bench.station.next_deadline() == bench.now_ns + LinkParameters().ti_ns


def test_an_acknowledgment_waits_for_t2_or_n3() -> None:
    """N3 PDUs are acknowledged at once, fewer when T2 has run out."""
    bench = Bench(parameters=LinkParameters(n3=2))
    link = bench.up()

    sent = [bench.put(Kind.I, ns=n, data=b"%d" % n) for n in range(3)]

    assert [*sent, bench.wait()] == [[], ["RR rsp nr=2"], [], ["RR rsp nr=3"]]
    assert bench.sap.take(bench.now_ns) == [DataReceived(link, b"%d" % n) for n in range(3)]


def test_a_gap_is_rejected_once() -> None:
    """Until the missing PDU has come; what lies ahead is dropped."""
    bench = Bench()
    link = bench.up()

    sent = [bench.put(Kind.I, ns=n, data=b"%d" % n) for n in (1, 2, 0, 1)]

    assert sent == [["REJ rsp nr=0"], [], [], []]
    assert bench.sap.take(bench.now_ns) == [DataReceived(link, b"0"), DataReceived(link, b"1")]


def test_the_window_holds_data_back() -> None:
    """So many PDUs are out; acknowledged ones make room."""
    bench = Bench(parameters=LinkParameters(window=2))
    link = bench.up()

    for n in range(3):
        link.send(bytes((n,)), bench.now_ns)

    assert bench.sent() == ["I cmd ns=0 nr=0 00", "I cmd ns=1 nr=0 01"]
    assert bench.put(Kind.RR, response=True, nr=1) == ["I cmd ns=2 nr=0 02"]
    assert bench.sap.take(bench.now_ns) == [DataAcknowledged(link, 1)]


def test_rej_has_them_sent_again_from_nr() -> None:
    """What lies before N(R) is acknowledged."""
    bench = Bench()
    link = bench.up()
    for n in range(3):
        link.send(bytes((n,)), bench.now_ns)
    bench.sent()

    assert bench.put(Kind.REJ, response=True, nr=1) == ["I cmd ns=1 nr=0 01", "I cmd ns=2 nr=0 02"]


def test_t1_polls_and_f_has_them_sent_again() -> None:
    """While the poll is out, no I PDU is sent, whatever comes."""
    bench = Bench()
    link = bench.up()
    link.send(b"a", bench.now_ns)
    bench.sent()

    polled = bench.wait()
    link.send(b"b", bench.now_ns)

    assert (polled, bench.sent()) == (["RR cmd P nr=0"], [])
    assert bench.put(Kind.RR, response=True) == []
    assert bench.put(Kind.RR, response=True, pf=True) == ["I cmd ns=0 nr=0 61", "I cmd ns=1 nr=0 62"]


def test_rnr_stops_us_and_rr_lets_us_go_on() -> None:
    """A peer that stays busy is polled by T1, without end while it answers."""
    bench = Bench(parameters=LinkParameters(n2=2))
    link = bench.up()
    bench.put(Kind.RNR, response=True)

    link.send(b"a", bench.now_ns)

    assert bench.sent() == []
    for _ in range(5):
        assert bench.wait() == ["RR cmd P nr=0"]
        assert bench.put(Kind.RNR, response=True, pf=True) == []
    assert bench.put(Kind.RR, response=True) == ["I cmd ns=0 nr=0 61"]


def test_a_busy_link_says_rnr_and_asks_again_for_what_it_dropped() -> None:
    """REJ when something was dropped, else RR."""
    bench = Bench()
    link = bench.up()

    link.set_busy(BusyReason.USER, bench.now_ns)

    assert bench.sent() == ["RNR rsp nr=0"]
    link.clear_busy(BusyReason.USER, bench.now_ns)
    assert bench.sent() == ["RR rsp nr=0"]
    link.set_busy(BusyReason.USER, bench.now_ns)
    assert bench.sent() + bench.put(Kind.I, data=b"x") == ["RNR rsp nr=0", "RNR rsp nr=0"]
    link.clear_busy(BusyReason.USER, bench.now_ns)
    assert bench.sent() == ["REJ rsp nr=0"]
    assert bench.sap.take(bench.now_ns) == []


@pytest.mark.parametrize(
    ("kind", "fields", "frmr"),
    [
        (Kind.RR, {"nr": 5}, "010a000008"),
        (Kind.UA, {"response": True, "data": b"x"}, "6300000103"),
        (0x23, {}, "2300000001"),
        (0xF1, {}, "f100000001"),
        (Kind.I, {"data": bytes(65)}, "0000000004"),
    ],
    ids=["N(R) outside", "information not permitted", "undefined U", "undefined S", "too long"],
)
def test_a_pdu_against_the_rules_gets_frmr(kind: Kind | int, fields: dict[str, Any], frmr: str) -> None:
    """Rejected control, V(S), V(R) with C/R, reason (8802-2, 5.4.2.3.5). It is repeated, the link down."""
    bench = Bench(parameters=LinkParameters(n1=64, n2=2))
    link = bench.up()

    sent = bench.put(kind, **fields)

    assert sent == [f"FRMR rsp {frmr}"]
    assert bench.sap.take(bench.now_ns) == [LinkDown(link, DownReason.PROTOCOL_ERROR, 0)]
    assert bench.put(Kind.RR, pf=True) == [f"FRMR rsp F {frmr}"]
    assert bench.put(Kind.DISC, pf=True) == ["UA rsp F"]
    assert not bench.sap.links


def test_sabme_again_before_any_data_is_a_lost_ua() -> None:
    """Afterwards the peer began anew: the link goes down and comes up."""
    bench = Bench()
    link = bench.up()

    assert bench.put(Kind.SABME, pf=True) == ["UA rsp F"]
    assert bench.sap.take(bench.now_ns) == []
    bench.put(Kind.I, data=b"x")
    assert bench.put(Kind.SABME, pf=True) == ["UA rsp F"]
    assert bench.sap.take(bench.now_ns) == [
        DataReceived(link, b"x"),
        LinkDown(link, DownReason.RESET, 0),
        LinkUp(link, is_incoming=True),
    ]


def test_disc_and_dm_end_a_link() -> None:
    """DISC is answered UA, DM by nothing; afterwards a command with P finds no link: DM."""
    bench = Bench()
    link = bench.up()
    link.send(b"a", bench.now_ns)
    bench.sent()

    assert bench.put(Kind.DISC, pf=True) == ["UA rsp F"]

    assert bench.sap.take(bench.now_ns) == [LinkDown(link, DownReason.CLOSED_BY_PEER, 1)]
    assert bench.put(Kind.RR, pf=True) == ["DM rsp F"]
    assert bench.put(Kind.RR) == []
    again = bench.up()
    assert bench.put(Kind.DM, response=True) == []
    assert bench.sap.take(bench.now_ns) == [LinkDown(again, DownReason.CLOSED_BY_PEER, 0)]


def test_xid_and_test_are_answered_without_a_link() -> None:
    """By the SAP, by the station at the null SAP, and once for all SAPs; TEST returns what it brought."""
    bench = Bench()

    for dsap in (SAP, NULL_SAP, GLOBAL_SAP):
        assert bench.put(Kind.XID, dsap=dsap, data=b"\x81\x01\x00", pf=True) == ["XID rsp F 81037e"]
        assert bench.put(Kind.TEST, dsap=dsap, data=b"abc") == ["TEST rsp 616263"]
    assert bench.put(Kind.TEST, dsap=0x40, pf=True) == []


def test_ui_goes_up_and_is_bounded() -> None:
    """An owner that does not look loses datagrams; they are counted."""
    bench = Bench()

    for _ in range(EVENTS_LIMIT + 5):
        bench.put(Kind.UI, data=b"x", destination=b"\xff" * 6, dsap=GLOBAL_SAP)

    events = bench.sap.take(bench.now_ns)
    assert events == [PduReceived(Kind.UI, PEER, OTHER, True, False, b"x")] * EVENTS_LIMIT  # noqa: FBT003
    assert bench.sap.counters["pdus_lost"] == 5


def test_an_owner_that_does_not_take_its_events_makes_its_links_busy() -> None:
    """Nothing that was acknowledged is lost, and memory is bounded; the links go on when it looks."""
    bench = Bench(parameters=LinkParameters(n3=60))
    link = bench.up()
    for n in range(EVENTS_LIMIT):
        assert "RNR" not in " ".join(bench.put(Kind.I, ns=n % 128, data=b"x"))

    full = bench.put(Kind.I, ns=0, data=b"more")

    assert full == ["RNR rsp nr=0", "RNR rsp nr=0"]
    assert len(bench.sap.take(bench.now_ns)) == EVENTS_LIMIT
    assert bench.sent() == ["REJ rsp nr=0"]
    bench.put(Kind.I, ns=0, data=b"more")
    assert bench.sap.take(bench.now_ns) == [DataReceived(link, b"more")]


def test_a_flood_of_sabme_makes_no_more_links_than_a_sap_may_have() -> None:
    """The rest is refused; a group's address makes none."""
    bench = Bench()

    answers = [bench.put(Kind.SABME, source=b"\2" + n.to_bytes(5), pf=True) for n in range(300)]
    bench.put(Kind.SABME, source=b"\3\0\0\0\0\0", pf=True)
    bench.put(Kind.SABME, destination=b"\xff" * 6, pf=True)

    assert answers == [["UA rsp F"]] * 255 + [["DM rsp F"]] * 45
    assert (bench.station.counters["from_group"], bench.station.counters["not_for_groups"]) == (1, 1)


def test_rej_without_progress_ends_the_link() -> None:
    """A peer cannot have us send a window for each of its frames for ever."""
    bench = Bench(parameters=LinkParameters(n2=3))
    link = bench.up()
    link.send(b"a", bench.now_ns)
    bench.sent()

    sent = [bench.put(Kind.REJ, response=True) for _ in range(5)]

    assert sent == [["I cmd ns=0 nr=0 61"]] * 3 + [["DISC cmd P"], []]
    assert bench.sap.take(bench.now_ns) == [LinkDown(link, DownReason.NO_ANSWER, 1)]


def test_ti_asks_a_silent_peer() -> None:
    """And N2 polls later the link is lost."""
    bench = Bench(parameters=LinkParameters(n2=2))
    link = bench.up()

    assert [bench.wait() for _ in range(3)] == [["RR cmd P nr=0"], ["RR cmd P nr=0"], ["DISC cmd P"]]
    assert bench.sap.take(bench.now_ns) == [LinkDown(link, DownReason.NO_ANSWER, 0)]


def test_impossible_requests_are_refused() -> None:
    """Each with its problem."""
    bench = Bench()
    link = bench.up()
    bench.put(Kind.RNR, response=True)
    for _ in range(LinkParameters().queue_limit):
        link.send(b"", bench.now_ns)
    requests: dict[LlcProblem, Callable[[], object]] = {
        LlcProblem.QUEUE_FULL: lambda: link.send(b"", 0),
        LlcProblem.TOO_LONG: lambda: link.send(bytes(1497), 0),
        LlcProblem.LINK_EXISTS: lambda: bench.sap.connect(PEER, OTHER, 0),
        LlcProblem.BAD_ADDRESS: lambda: bench.sap.connect(b"\1" * 6, OTHER, 0),
        LlcProblem.BAD_SAP: lambda: bench.sap.connect(PEER, 5, 0),
        LlcProblem.SAP_OPEN: lambda: bench.station.open_sap(SAP),
    }

    for problem, request in requests.items():
        with pytest.raises(LlcError) as refused:
            request()
        assert refused.value.problem is problem


def test_a_sap_that_closes_ends_its_links_and_can_be_opened_again() -> None:
    """It is gone when the peer has answered."""
    bench = Bench()
    bench.up()

    bench.station.close_sap(bench.sap, bench.now_ns)

    assert bench.sent() == ["DISC cmd P"]
    assert bench.put(Kind.UA, response=True, pf=True) == []
    assert bench.station.open_sap(SAP).links == {}
