"""What packetdrill's, gVisor's and Linux's own cases found in November 2026, each with its source."""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import (
    HBHOptUnknown,
    ICMPv6ND_NS,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6ParamProblem,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrHopByHop,
)
from scapy.layers.l2 import Ether

from lab.trials.tcpip.script import LOCAL, LOCAL_MAC, PEER, PEER_MAC, App, OurTarget, Send, Step, Wait, run
from lab.trials.tcpip.scripts import MSS_SACK, accepted
from protocols.apis.winsock.constants import Af, Sock
from protocols.transports.tcpip import addresses
from protocols.transports.tcpip.link import Offload
from protocols.transports.tcpip.stack import StackConfig
from protocols.transports.tcpip.tcp.scoreboard import Scoreboard
from protocols.transports.tcpip.tcp.segment import syn_options, timestamps
from protocols.transports.tcpip.timers import MILLISECOND
from tests.support.nt_world import SERVER, World

LOCAL6, PEER6 = addresses.parse("fd00:9::1"), addresses.parse("fd00:9::2")
STAMPED = syn_options(1460, 7, (1000, 0), sack=True)


def target(*, ipv6: bool = False, **settings: object) -> OurTarget:
    """Return our stack; settings are those of ``StackConfig``."""
    config = StackConfig(ipv6=ipv6, min_rto=200 * MILLISECOND, **settings)  # type: ignore[arg-type]  # the tests' own
    made = OurTarget(bytes, Offload(), config)
    if ipv6:
        made.stack.add_address(made.interface, LOCAL6, 64)
        made.interface.neighbours6.add_permanent(PEER6, PEER_MAC)
        made.collect(3000)
    return made


def answers(victim: OurTarget, packet: IPv6 | IP, ms: int = 50) -> list[Ether]:
    """Return what is sent after a packet of the peer's."""
    victim.inject(bytes(Ether(dst=LOCAL_MAC.hex(":"), src=PEER_MAC.hex(":")) / packet))
    return [Ether(frame) for frame in victim.collect(ms)]


def test_the_rescue_repeats_what_was_not_sacked() -> None:
    """Packetdrill fast_retransmit/fr-4pkt-sack; RFC 6675 4, NextSeg rule 4."""
    board = Scoreboard()
    board.add(1000, 2000)
    board.add(3000, 4000)

    assert board.last_hole(0, 4000) == (2000, 3000)
    assert board.last_hole(0, 5000) == (4000, 5000)
    assert board.last_hole(1000, 2000) == (1000, 1000)
    assert board.last_hole(0, 2500) == (2000, 2500)


def test_nothing_sacked_goes_again_in_a_recovery() -> None:
    """Four segments, the last three SACKed: only the first is sent again, however often the ACK comes."""
    mss = 1460
    sacks = [Send(".", 1, 1, sack=((1 + mss, 1 + mss * n),)) for n in (2, 3, 4)]

    lines = run(target(), [*accepted(MSS_SACK), App("write", 4 * mss), *sacks, sacks[-1], sacks[-1]])

    repeated = [line for step in lines[4:] for line in step]
    assert [line.split(" ack")[0] for line in repeated] == [". seq 1"]


def test_after_an_rto_of_silence_the_window_begins_anew() -> None:
    """Packetdrill slow_start/slow-start-after-idle; RFC 5681 4.1: at most the initial window (RFC 6928)."""
    wide = syn_options(1460, 7, None, sack=True)
    acks = [Send(".", 1, 1 + 1460 * n) for n in (10, 30, 70)]
    opened = [*accepted(wide), App("write", 70 * 1460), *acks]
    much = App("write", 40 * 1460)

    busy = run(target(), [*opened, much])[-1]
    rested = run(target(), [*opened, Wait(3000), much])[-1]

    assert len(busy) > 10
    assert len(rested) == 10


def test_a_duplicate_beyond_a_hole_is_told_by_d_sack() -> None:
    """Linux tcp_dsack_mult; RFC 2883 4.1.3: the duplicate first, then the block that holds it."""
    lines = run(target(), [*accepted(MSS_SACK), Send(".", 1001, 1, 500), Send(".", 1201, 1, 100)])

    assert lines[-1] == [". seq 1 ack 1 len 0 sack 1201-1301 1001-1501"]


def test_a_segment_that_acknowledges_what_was_never_sent_leaves_ts_recent_alone() -> None:
    """Packetdrill ts_recent/invalid_ack: else later data of the peer's own would fail PAWS."""
    opened: list[Step] = [
        App("listen"),
        Send("S", options=STAMPED),
        Send(".", 1, 1, options=timestamps(1001, 0)),
    ]
    lie = Send(".", 1, 90001, 10, options=timestamps(900_000, 0))

    lines = run(target(), [*opened, lie, Send("P.", 1, 1, 10, options=timestamps(1002, 0)), Wait(300)])

    assert [line for step in lines[4:] for line in step] == [". seq 1 ack 11 len 0"]


@pytest.mark.parametrize("header", [IPv6ExtHdrHopByHop, IPv6ExtHdrDestOpt])
@pytest.mark.parametrize(
    ("option", "to_group", "code"), [(0x9E, False, 2), (0x9E, True, 2), (0xDE, False, 2), (0xDE, True, None)]
)
def test_an_unknown_option_is_answered_as_its_type_says(
    header: type[IPv6ExtHdrHopByHop], option: int, code: int | None, *, to_group: bool
) -> None:
    """GVisor ipv6_unknown_options_action; RFC 8200 4.2 and RFC 4443 3.4: code 2, 10b to groups, too."""
    victim = target(ipv6=True)
    destination = "ff02::1" if to_group else addresses.text(LOCAL6)
    options = [HBHOptUnknown(otype=option, optlen=4, optdata=bytes(4))]
    packet = (
        IPv6(src=addresses.text(PEER6), dst=destination) / header(options=options) / UDP(sport=1, dport=7)
    )

    came = [frame for frame in answers(victim, packet) if frame.haslayer(ICMPv6ParamProblem)]

    assert [frame[ICMPv6ParamProblem].code for frame in came] == ([] if code is None else [code])
    assert all(frame[ICMPv6ParamProblem].ptr == 42 for frame in came)


@pytest.mark.parametrize("lie", ["with a link address", "to one host"])
def test_a_solicitation_from_nobody_says_no_address(lie: str) -> None:
    """RFC 4861 7.1.1: from :: it goes to the solicited-node group, without a source link-layer address."""
    victim = target(ipv6=True)
    group = addresses.text(addresses.solicited_node(LOCAL6))
    destination = addresses.text(LOCAL6) if lie == "to one host" else group
    good = IPv6(src="::", dst=group, hlim=255) / ICMPv6ND_NS(tgt=addresses.text(LOCAL6))
    bad = IPv6(src="::", dst=destination, hlim=255) / ICMPv6ND_NS(tgt=addresses.text(LOCAL6))
    if lie == "with a link address":
        bad = bad / ICMPv6NDOptSrcLLAddr(lladdr=PEER_MAC.hex(":"))

    assert answers(victim, bad) == []
    assert len(answers(victim, good)) == 1


@pytest.mark.parametrize("version", [4, 6])
def test_a_datagram_from_nobody_reaches_nobody(version: int) -> None:
    """GVisor udp_any_addr_recv; RFC 1122 3.2.1.3, RFC 4291 2.5.2."""
    victim = target(ipv6=True)
    heard: list[object] = []
    victim.stack.udp_bind(9999, heard.append)
    v4 = IP(src="0.0.0.0", dst=addresses.text(LOCAL))  # noqa: S104 - the lie
    packet = (
        (v4 if version == 4 else IPv6(src="::", dst=addresses.text(LOCAL6))) / UDP(sport=1, dport=9999) / b"x"
    )

    sent = answers(victim, packet)

    assert (heard, sent) == ([], [])
    fine = IP(src=addresses.text(PEER), dst=addresses.text(LOCAL)) / UDP(sport=1, dport=9999) / b"x"
    answers(victim, fine)
    """The closesocket page (gVisor tcp_noaccept_close_rst): the peer is to know at once."""


def test_what_nobody_accepted_is_reset_when_the_listener_closes() -> None:
    """Whoever holds such a socket could answer nobody (RFC 1122 3.2.1.3, RFC 4291 2.5.2; gVisor)."""
    world = World()
    listener = world.listener()
    near = world.client.socket(Af.INET, Sock.STREAM)
    world.client.connect(near, SERVER)
    world.net.run(0.1)

    world.server.closesocket(listener)
    world.net.run(0.1)

    resets = world.net.hosts[0].stack.context.counters["tcp.in_resets"]
    assert resets == 1
