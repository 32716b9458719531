"""TCP by the rules of its RFCs: scripts against our stack alone, with what it must answer."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from formats.transport import ACK
from lab.trials.tcpip.script import App, OurTarget, Send, Step, Wait, run
from lab.trials.tcpip.scripts import ALL, MSS, MSS_SACK, accepted
from protocols.transports.tcpip.errors import Failure, NetworkError
from protocols.transports.tcpip.link import Offload
from protocols.transports.tcpip.stack import StackConfig
from protocols.transports.tcpip.tcp import arrival, states
from protocols.transports.tcpip.tcp.segment import MASK, Segment, syn_options, timestamps, unwrap
from protocols.transports.tcpip.tcp.states import Event, State
from protocols.transports.tcpip.timers import MILLISECOND, SECOND

if TYPE_CHECKING:
    from protocols.transports.tcpip.tcp.connection import Connection


def target(**settings: object) -> OurTarget:
    """Return our stack; settings are those of ``StackConfig``."""
    config = StackConfig(ipv6=False, min_rto=200 * MILLISECOND, **settings)  # type: ignore[arg-type]  # the tests' own
    return OurTarget(random.Random(1).randbytes, Offload(), config)


def play(steps: list[Step], victim: OurTarget | None = None) -> list[list[str]]:
    """Run a script against our stack."""
    return run(victim or target(), steps)


@pytest.mark.parametrize(("state", "event"), [(s, e) for s in State for e in Event])
def test_only_the_transitions_of_figure_5_exist(state: State, event: Event) -> None:
    """RFC 9293 3.3.2: everything else is an error, never a silent state."""
    if (state, event) in states.TRANSITIONS:
        assert states.advance(state, event) is states.TRANSITIONS[state, event]
    else:
        with pytest.raises(ValueError, match=event.name):
            states.advance(state, event)


@pytest.mark.parametrize(
    ("reference", "wire", "expected"),
    [
        (1 << 32, 0, 1 << 32),
        ((1 << 32) + 5, 3, (1 << 32) + 3),
        ((1 << 33) - 1, 2, (1 << 33) + 2),
        ((1 << 33) + 2, 0xFFFFFFFF, (1 << 33) - 1),
        (1 << 32, 0x7FFFFFFF, (1 << 32) + 0x7FFFFFFF),
    ],
)
def test_sequence_numbers_unwrap_to_the_nearest(reference: int, wire: int, expected: int) -> None:
    """RFC 9293 3.4: comparison modulo 2**32."""
    assert unwrap(reference, wire) == expected


def test_syn_retransmissions_back_off_and_give_up() -> None:
    """RFC 6298 2.1 and 5.5: after 1, 2, 4, 8, 16 seconds."""
    victim = target(syn_retries=4)

    answers = play([App("connect"), *[Wait(500)] * 64], victim)

    assert [n for n, lines in enumerate(answers) if lines] == [0, 2, 6, 14, 30]
    assert victim.events == ["closed TIMED_OUT"]


def test_data_retransmissions_double_and_give_up() -> None:
    """RFC 6298 5.5; RFC 9293 3.8.3: then the connection is reported dead."""
    victim = target(data_retries=4)

    answers = play([*accepted(), App("write", 100), *[Wait(100)] * 80], victim)

    sent = [n for n, lines in enumerate(answers) if lines and n > 2]
    gaps = [b - a for a, b in pairwise(sent)]
    assert len(gaps) == 4
    assert all(late in (2 * early - 1, 2 * early, 2 * early + 1) for early, late in pairwise(gaps))
    assert victim.events == ["connected", "closed TIMED_OUT"]


def test_a_delayed_ack_waits_no_longer_than_its_timer() -> None:
    """RFC 9293 3.8.6.3."""
    answers = play([*accepted(), Send("P.", 1, 1, length=10), Wait(20), Wait(20)])

    assert answers[3:] == [[], [], [". seq 1 ack 11 len 0"]]


def test_every_second_full_segment_is_acknowledged() -> None:
    """RFC 9293 3.8.6.3 (MUST-58)."""
    data = [Send(".", 1 + 1460 * n, 1, length=1460) for n in range(6)]

    answers = play([*accepted(), *data])

    assert [len(lines) for lines in answers[3:]] == [0, 1, 0, 1, 0, 1]


def test_an_ack_rides_on_data() -> None:
    """No separate segment when the application answers at once."""
    answers = play([*accepted(), Send("P.", 1, 1, length=10), App("write", 5), Wait(100)])

    assert answers[4:] == [["P. seq 1 ack 11 len 5"], []]


def test_the_owner_hears_of_room_only_after_send_has_refused_bytes() -> None:
    """RFC 9293 3.9.1.2: a SEND waits for buffers; who waits for none is left alone."""
    heard: list[int] = []

    class Writer(OurTarget):
        def writable(self, connection: Connection) -> None:
            heard.append(connection.send_buffer.end - connection.send_buffer.start)

    victim = Writer(random.Random(1).randbytes, Offload(), StackConfig(ipv6=False, send_buffer=2000))
    play([*accepted(), App("write", 2000), Send(".", 1, 1001), Send(".", 1, 2001)], victim)
    assert heard == []

    run_on = [*accepted(), App("write", 2001), App("write", 1), Send(".", 1, 1001), Send(".", 1, 2001)]
    play(run_on, Writer(random.Random(1).randbytes, Offload(), StackConfig(ipv6=False, send_buffer=2000)))

    assert heard == [1000]


def test_paws_drops_an_old_timestamp() -> None:
    """RFC 7323 5.3: it is acknowledged, but its data is not taken."""
    victim = target()
    steps: list[Step] = [App("listen"), Send("S", options=syn_options(1460, 0, (1000, 0), sack=False))]
    good = Send("P.", 1, 1, length=5, options=timestamps(2000, 0))
    old = Send("P.", 6, 1, length=5, options=timestamps(1500, 0))

    answers = play([*steps, Send(".", 1, 1, options=timestamps(1001, 0)), good, Wait(50), old], victim)

    assert answers[5] == [". seq 1 ack 6 len 0"]
    assert victim.connection is not None
    assert victim.connection.received.size == 5
    assert victim.stack.counters["tcp.in_paws"] == 1


def test_agreed_timestamps_must_be_there() -> None:
    """RFC 7323 3.2."""
    victim = target()

    play(
        [
            App("listen"),
            Send("S", options=ALL),
            Send(".", 1, 1, options=timestamps(1001, 0)),
            Send("P.", 1, 1, length=5),
        ],
        victim,
    )

    assert victim.connection is not None
    assert victim.connection.received.size == 0


def test_a_reset_ignores_the_timestamp_rule() -> None:
    """RFC 7323 5.2: a reset without timestamps counts."""
    victim = target()

    play(
        [App("listen"), Send("S", options=ALL), Send(".", 1, 1, options=timestamps(1001, 0)), Send("R", 1)],
        victim,
    )

    assert victim.events == ["connected", "closed RESET"]


def test_the_window_scale_applies_after_the_handshake_only() -> None:
    """RFC 7323 2.2."""
    victim = target()
    options = syn_options(1460, 7, None, sack=False)

    play([App("listen"), Send("S", window=1000, options=options), Send(".", 1, 1, window=1000)], victim)

    assert victim.connection is not None
    assert victim.connection.snd_wnd == 128_000


def test_challenge_acks_are_limited() -> None:
    """RFC 5961 7: ten in five seconds."""
    answers = play([*accepted(), *[Send("R", 500)] * 20, Wait(5000), Send("R", 500)])

    assert sum(len(lines) for lines in answers[3:23]) == 10
    assert answers[-1] == [". seq 1 ack 1 len 0"]


def test_sack_blocks_name_the_latest_first() -> None:
    """RFC 2018 4."""
    steps = [Send(".", start, 1, length=100) for start in (1001, 3001, 2001)]

    answers = play([*accepted(MSS_SACK), *steps])

    assert answers[-1] == [". seq 1 ack 1 len 0 sack 2001-2101 3001-3101 1001-1101"]


def test_a_duplicate_is_reported_as_such() -> None:
    """RFC 2883 4: the first block is what came twice."""
    answers = play([*accepted(MSS_SACK), Send(".", 1, 1, length=100), Wait(50), Send(".", 1, 1, length=100)])

    assert answers[-1] == [". seq 1 ack 101 len 0 sack 1-101"]


def test_a_lost_retransmission_is_repeated_without_a_timeout() -> None:
    """Segments first sent after the retransmission arrive, it does not."""
    sack_to = [Send(".", 1, 1, sack=((1461, 1461 + 1460 * n),)) for n in range(1, 30)]

    answers = play([*accepted(MSS_SACK), App("write", 60000), *sack_to])

    again = [n for n, lines in enumerate(answers) if ". seq 1 ack 1 len 1460" in lines]
    assert len(again) >= 3, "the original, the retransmission, and its repair"


def test_after_a_timeout_what_was_sacked_is_not_sent_again() -> None:
    """RFC 6675 5.1."""
    answers = play(
        [
            *accepted(MSS_SACK),
            App("write", 5840),
            Send(".", 1, 1, sack=((1461, 4381),)),
            Wait(250),
            Send(".", 1, 4381),
        ]
    )

    assert answers[5] == [". seq 1 ack 1 len 1460"]
    assert answers[6] == ["P. seq 4381 ack 1 len 1460"]


def test_newreno_repairs_one_hole_a_partial_ack() -> None:
    """RFC 6582 3.2 step 3."""
    duplicates = [Send(".", 1, 1)] * 3

    answers = play([*accepted(MSS), App("write", 14600), *duplicates, Send(".", 1, 2921)])

    assert answers[6] == [". seq 1 ack 1 len 1460"]
    assert answers[7][0] == ". seq 2921 ack 1 len 1460"


def test_limited_transmit_keeps_the_clock_running() -> None:
    """RFC 3042: the first two duplicates each release a new segment."""
    answers = play([*accepted(MSS), App("write", 40000), Send(".", 1, 1), Send(".", 1, 1)])

    assert answers[4] == [". seq 14601 ack 1 len 1460"]
    assert answers[5] == [". seq 16061 ack 1 len 1460"]


def test_the_initial_window_is_ten_segments() -> None:
    """RFC 6928."""
    answers = play([*accepted(MSS), App("write", 40000)])

    assert len(answers[3]) == 10


def test_a_window_that_shrinks_to_nothing_is_probed_until_it_opens() -> None:
    """RFC 9293 3.8.6.1: the probes back off, and the connection lives as long as they are answered."""
    victim = target(data_retries=6)
    steps: list[Step] = [
        *accepted(),
        App("write", 100),
        Send(".", 1, 101),
        Send(".", 1, 101, window=0),
        App("write", 50),
    ]
    for _ in range(8):
        steps += [Wait(5000), Send(".", 1, 101, window=0)]

    answers = play([*steps, Send(".", 1, 101, window=1000)], victim)

    probes = [line for lines in answers[7:-1] for line in lines]
    assert len(probes) >= 6
    assert set(probes) == {". seq 101 ack 1 len 1"}
    assert answers[-1] == ["P. seq 101 ack 1 len 50"]
    assert victim.events == ["connected"]


def test_probes_that_nobody_answers_end_the_connection() -> None:
    """RFC 9293 3.8.3 R2 applies to probes, too."""
    victim = target(data_retries=3)

    play([*accepted(), Send(".", 1, 1, window=0), App("write", 50), *[Wait(10_000)] * 10], victim)

    assert victim.events == ["connected", "closed TIMED_OUT"]


def test_our_window_closes_and_tells_when_it_opens() -> None:
    """RFC 9293 3.8.6.2.2: no silly steps."""
    victim = target(receive_buffer=2920)
    data = [Send(".", 1, 1, length=1460), Send(".", 1461, 1, length=1460)]

    answers = play([*accepted(), *data, App("read", 10), App("read", 1500)], victim)

    assert answers[4] == [". seq 1 ack 2921 len 0 closed"]
    assert answers[5] == []
    assert answers[6] == [". seq 1 ack 2921 len 0"]


def test_data_in_a_closed_window_is_refused_but_its_ack_counts() -> None:
    """RFC 9293 3.10.7.4 (MUST-66)."""
    victim = target(receive_buffer=1460)
    steps = [*accepted(), Send(".", 1, 1, length=1460), App("write", 10), Send(".", 1461, 11, length=1)]

    answers = play(steps, victim)

    assert answers[-1] == [". seq 11 ack 1461 len 0 closed"]
    assert victim.connection is not None
    assert victim.connection.snd_una == victim.connection.snd_max


def test_keepalive_probes_then_gives_up() -> None:
    """RFC 9293 3.8.4."""
    victim = target(keepalive_idle=10 * SECOND, keepalive_probes=2)
    play(accepted(), victim)
    assert victim.connection is not None
    victim.connection.set_keepalive(enabled=True)

    frames = victim.collect(9_000)
    assert frames == []
    victim.collect(5_000)

    assert victim.events == ["connected", "closed TIMED_OUT"]
    assert victim.stack.counters["tcp.keepalive_probes"] == 2


def test_a_connection_that_answers_keepalive_lives() -> None:
    """The probe's answer starts the idle time again."""
    victim = target(keepalive_idle=10 * SECOND, keepalive_probes=2)
    play(accepted(), victim)
    connection = victim.connection
    assert connection is not None
    connection.set_keepalive(enabled=True)

    for _ in range(5):
        victim.collect(10_500)
        assert connection.keepalive_sent == 1
        answer = Segment(
            40000,
            8080,
            connection.rcv_nxt & MASK,
            connection.snd_una & MASK,
            flags=ACK,
            window=65535,
        )
        arrival.arrive(connection, answer)

    assert victim.events == ["connected"]


def test_the_urgent_mark_points_behind_the_last_byte() -> None:
    """RFC 6093 4: the octet that follows the urgent data."""
    victim = target()

    answers = play([*accepted(), App("urgent", 5), Send("P.U", 1, 6, length=10, urgent=3)], victim)

    assert answers[3] == ["P.U seq 1 ack 1 len 5 urg 5"]
    assert "urgent 3" in victim.events


def test_time_wait_acknowledges_a_repeated_fin_and_ends() -> None:
    """RFC 9293 3.6.1 and 3.10.7.4: 2 MSL after the last FIN."""
    victim = target(msl=10 * SECOND)
    steps = [*accepted(), App("shutdown"), Send("F.", 1, 2), Wait(15_000), Send("F.", 1, 2), Wait(15_000)]

    answers = play(steps, victim)

    assert answers[6] == [". seq 2 ack 2 len 0"]
    assert len(victim.stack.tcp.connections) == 1
    victim.collect(6_000)
    assert not victim.stack.tcp.connections


def test_a_new_syn_takes_over_from_time_wait() -> None:
    """RFC 9293 3.10.7.4 (MAY-2), RFC 6191."""
    victim = target()

    answers = play([*accepted(), App("shutdown"), Send("F.", 1, 2), Send("S", 100_000, options=MSS)], victim)

    assert answers[-1][0].startswith("S. seq 0 ack 100001")


def test_time_wait_is_bounded() -> None:
    """The oldest goes first."""
    victim = target(time_wait_limit=0)

    play([*accepted(), App("shutdown"), Send("F.", 1, 2)], victim)

    assert not victim.stack.tcp.connections


def test_fin_wait_2_of_a_departed_application_ends() -> None:
    """A peer that never closes cannot hold us."""
    victim = target(fin_wait_2=20 * SECOND)

    play([*accepted(), App("close"), Send(".", 1, 2), Wait(21_000)], victim)

    assert victim.events == ["connected", "closed None"]
    assert not victim.stack.tcp.connections


def test_a_half_closed_connection_still_receives() -> None:
    """RFC 9293 3.6: our FIN closes only our direction."""
    victim = target()

    play(
        [*accepted(), App("shutdown"), Send(".", 1, 2), Send("P.", 1, 2, length=100), Send("F.", 101, 2)],
        victim,
    )

    assert victim.connection is not None
    assert len(victim.connection.receive()) == 100
    assert victim.connection.at_end


def test_sending_after_shutdown_is_refused() -> None:
    """The call says why."""
    victim = target()
    play([*accepted(), App("shutdown")], victim)
    assert victim.connection is not None

    with pytest.raises(NetworkError) as refused:
        victim.connection.send(b"x")

    assert refused.value.failure is Failure.SHUT_DOWN


def test_a_full_send_buffer_takes_what_fits() -> None:
    """And says how much."""
    victim = target(send_buffer=1000)
    play(accepted(), victim)
    assert victim.connection is not None

    taken = [victim.connection.send(bytes(700)) for _ in range(3)]

    assert taken == [700, 300, 0]


def test_black_holes_are_avoided() -> None:
    """RFC 4821 7.7: full segments that nobody answers become smaller."""
    victim = target(data_retries=6)

    play([*accepted(), App("write", 5000), *[Wait(1000)] * 4], victim)

    assert victim.connection is not None
    assert victim.connection.mss == 1024 - 40
    assert victim.stack.counters["tcp.black_holes"] == 1


def test_initial_sequence_numbers_differ_by_connection_and_grow_with_time() -> None:
    """RFC 6528."""
    victim = target()
    numbers = []
    for _ in range(2):
        victim.app("connect", 0)
        assert victim.connection is not None
        numbers.append(victim.connection.iss)
        victim.connection.abort()
        victim.collect(1000)

    assert abs(numbers[1] - numbers[0]) > 1000


def test_large_sends_leave_whole_when_the_link_cuts_them() -> None:
    """LSO: one frame with the size of the pieces in its metadata."""
    offload = Offload(tx_tcp_checksum=True, lso_v4_max_bytes=65535)
    victim = OurTarget(random.Random(1).randbytes, offload, StackConfig(ipv6=False))

    answers = play([*accepted(), App("write", 14600)], victim)

    assert [line.split()[2] for line in answers[3]] == [str(1 + 1460 * n) for n in range(10)]
    assert victim.stack.counters["tcp.out_segments"] == 2, "SYN-ACK and one large send"
