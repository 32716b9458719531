"""The receive packet buffer: what waits in it, what it loses, and when the link partner is paused.

Sources: the 82574's datasheet (PBA, FCRTL, FCRTH, RNBC, MPC, RXO) and the 8254x manual, 8.7.5, 13.4.16,
13.4.23 f., 13.7.5 and 13.7.33. Said of every engine.
"""

from __future__ import annotations

import json
import random

import pytest

from device.effects import FrameSent
from device.engine.contract import InterruptMode
from device.regs.nic import NIC
from device.rings.receive import ExtendedRxRead, RxStatus
from tests.bench import MAC, RX_BUFFERS, RX_RING, Bench, ethernet, signals

SHARE = 0x14 << 10
"""PBA's receive share after power-on, bytes."""
LARGE = 1514
LARGE_TAKES = 1520
"""Bytes of the buffer: 1514 and the FCS, in lines of 8."""
XOFF, XON = b"\x06\x80", b"\0\0"
RXO = NIC["ICR"]["RXO"].mask
TAG = b"\x81\0\x20\x05"


def numbered(number: int, length: int = 100) -> bytes:
    """Return a frame that says which it is."""
    return ethernet(number.to_bytes(4, "big")).ljust(length, b"\x5a")


def pausing(bench: Bench, high: int, low: int, *, xon: bool = True) -> None:
    """Let the driver ask for flow control with these thresholds."""
    for name, value in (("FCAL", 0x00C28001), ("FCAH", 0x0100), ("FCT", 0x8808), ("FCTTV", 0x0680)):
        bench.write(name, value)
    bench.poke("CTRL", NIC["CTRL"]["TFCE"].mask)
    bench.write("FCRTH", high)
    bench.write("FCRTL", low | (1 << 31 if xon else 0))


def pauses(bench: Bench) -> list[bytes]:
    """Return the quanta of the PAUSE frames that left since the last look."""
    return [effect.data[16:18] for effect in bench.effects() if isinstance(effect, FrameSent)]


def counts(bench: Bench) -> tuple[int, int, int]:
    """Return RNBC, MPC, and whether RXO is in ICR."""
    return bench.read("RNBC"), bench.read("MPC"), int(bool(bench.peek("ICR") & RXO))


def test_frames_without_descriptors_wait_and_are_stored_in_order(bench: Bench) -> None:
    """RNBC counts them, MPC does not: the packet is still received if there is space in the FIFO."""
    bench.receiver(fill=0)
    frames = [numbered(n) for n in range(5)]

    answers = [bench.engine.receive(frame) for frame in frames]
    waiting = (bench.read("RDH0"), *counts(bench))
    bench.write("RDT0", 2)
    first = bench.read("RDH0")
    bench.write("RDT0", 31)

    assert answers == [False] * 5
    assert waiting == (0, 5, 0, 0)
    assert (first, bench.read("RDH0")) == (2, 5)
    assert [bench.stored(n, 100) for n in range(5)] == frames
    assert (bench.read("GPRC"), bench.read("TPR")) == (5, 5)
    assert bench.engine.stored == 5


def test_what_waited_is_announced_once_when_it_is_stored(bench: Bench) -> None:
    """Nothing is raised by a frame that only waits."""
    bench.receiver(fill=0)
    bench.write("IVAR", 0x8)
    bench.write("IMS", NIC["IMS"]["RXQ0"].mask)
    for n in range(3):
        bench.engine.receive(numbered(n))
    before = signals(bench.effects())

    bench.write("RDT0", 31)

    assert (before, signals(bench.effects())) == ([], [0])


def test_a_frame_that_arrives_behind_others_waits_its_turn(bench: Bench) -> None:
    """A frame of the empty ring holds up one of the ring that has descriptors: there is one buffer."""
    bench.receiver(fill=0, queue=0)
    bench.receiver(queue=1)
    bench.write("MRQC", 1 | 0x1F << 16)
    for n in range(32):
        bench.write("RETA", 0, n)
    bench.engine.receive(numbered(0))
    for n in range(32):
        bench.write("RETA", 0x80808080, n)

    bench.engine.receive(numbered(1))
    behind = bench.read("RDH1")
    bench.write("RDT0", 31)

    assert behind == 0
    assert bench.read("RDH0") + bench.read("RDH1") == 2


def test_the_buffer_holds_what_pba_gives_the_receiver_and_then_loses(bench: Bench) -> None:
    """MPC and RXO; what is in the buffer is not touched by what is lost."""
    bench.receiver(fill=0)
    room = SHARE // LARGE_TAKES

    for n in range(room + 3):
        bench.engine.receive(numbered(n, LARGE))
    told = counts(bench)
    bench.write("RDT0", 31)

    assert told == (room + 3, 3, 1)
    assert (bench.read("RDH0"), bench.read("GPRC"), bench.read("TPR")) == (room, room, room + 3)
    assert [bench.stored(n, LARGE) for n in range(room)] == [numbered(n, LARGE) for n in range(room)]


@pytest.mark.parametrize(("kib", "frames"), [(1, 16), (8, 128), (40, 640), (63, 640)])
def test_pba_says_how_much_waits(bench: Bench, kib: int, frames: int) -> None:
    """KiB of the receive share; there are 40 in all."""
    bench.receiver(fill=0)
    bench.write("PBA", kib)

    for n in range(700):
        bench.engine.receive(numbered(n, 60))

    assert bench.read("MPC") == 700 - frames


def test_a_frame_longer_than_the_share_is_lost_though_there_are_descriptors(bench: Bench) -> None:
    """It is not RNBC's: there were buffers in host memory."""
    bench.receiver()
    bench.write("PBA", 1)

    assert not bench.engine.receive(numbered(0, LARGE))
    assert bench.engine.receive(numbered(1))

    assert counts(bench) == (0, 1, 1)


def test_there_is_room_until_the_longest_frame_would_be_lost(bench: Bench) -> None:
    """``can_receive`` is what backpressure goes by."""
    bench.receiver(fill=0)
    taken = 0

    while bench.engine.can_receive():
        bench.engine.receive(numbered(taken, LARGE))
        taken += 1
    bench.write("RDT0", 2)

    assert taken == SHARE // LARGE_TAKES
    assert bench.read("MPC") == 0
    assert bench.engine.can_receive()


def test_one_descriptor_at_a_time_pauses_nobody(bench: Bench) -> None:
    """U-Boot's e1000 has one: a frame that comes early waits, and the threshold is far away."""
    bench.receiver(fill=0)
    pausing(bench, 0x4000, 0x3FF8)

    for n in range(100):
        bench.engine.receive(numbered(n))
        bench.engine.receive(numbered(n))
        bench.write("RDT0", (2 * n + 1) % 32)
        bench.write("RDT0", (2 * n + 2) % 32)

    assert pauses(bench) == []
    assert bench.read("RDH0") == 200 % 32


def test_the_fullness_sends_xoff_at_fcrth_and_xon_at_fcrtl(bench: Bench) -> None:
    """Three frames of 104 bytes reach 312; XON when no more than 104 are left."""
    bench.receiver(fill=0)
    pausing(bench, 312, 104)

    told = []
    for n in range(5):
        bench.engine.receive(numbered(n))
        told.append(pauses(bench))
    for tail in range(1, 6):
        bench.write("RDT0", tail)
        told.append(pauses(bench))

    assert told == [[], [], [XOFF], [], [], [], [], [], [XON], []]
    assert (bench.read("XOFFTXC"), bench.read("XONTXC")) == (1, 1)


@pytest.mark.parametrize(("high", "tfce"), [(0, True), (104, False)])
def test_without_a_threshold_or_leave_no_xoff_is_sent(bench: Bench, high: int, *, tfce: bool) -> None:
    """FCRTH = 0 is what a driver writes that wants none."""
    bench.receiver(fill=0)
    pausing(bench, high, 0)
    bench.poke("CTRL", NIC["CTRL"]["TFCE"].mask if tfce else 0)

    for n in range(300):
        bench.engine.receive(numbered(n))
    bench.write("RDT0", 31)

    assert pauses(bench) == []


def test_a_frame_lost_after_an_xoff_sends_one_more(bench: Bench) -> None:
    """The first did not reach its target (8254x manual, 8.7.5)."""
    bench.receiver(fill=0)
    bench.write("PBA", 1)
    pausing(bench, 0x200, 0)

    for n in range(20):
        bench.engine.receive(numbered(n))
    bench.write("RDT0", 31)

    assert pauses(bench) == [XOFF, XOFF, XON]


def test_without_xone_the_partner_is_stopped_again_without_an_xon(bench: Bench) -> None:
    """FCRTL.XONE."""
    bench.receiver(fill=0)
    pausing(bench, 104, 0, xon=False)

    for n in range(2):
        bench.engine.receive(numbered(n))
        bench.write("RDT0", n + 1)

    assert pauses(bench) == [XOFF, XOFF]


def test_without_dma_frames_wait_and_are_stored_when_it_is_allowed(bench: Bench) -> None:
    """GIO_MASTER_DISABLE, bus mastering off; nothing waits for a wake-up here."""
    bench.receiver()
    bench.engine.set_mastering(enabled=False)
    bench.engine.receive(numbered(7))
    before = bench.read("RDH0")

    bench.engine.set_mastering(enabled=True)

    assert (before, bench.read("RDH0")) == (0, 1)
    assert bench.stored(0, 100) == numbered(7)


def test_a_receiver_that_is_turned_off_stores_nothing_that_waited(bench: Bench) -> None:
    """A driver that cleared RCTL.EN may take its buffers back; what waited comes with the next EN."""
    bench.receiver(fill=0)
    bench.engine.receive(numbered(1))

    bench.write("RCTL", 0)
    bench.write("RDT0", 31)
    off = bench.read("RDH0")
    bench.write("RCTL", NIC["RCTL"]["EN"].mask | NIC["RCTL"]["SECRC"].mask)

    assert (off, bench.read("RDH0")) == (0, 1)


def test_a_reset_empties_the_buffer_and_forgets_the_xoff(bench: Bench) -> None:
    """CTRL.RST."""
    bench.receiver(fill=0)
    pausing(bench, 104, 0)
    bench.engine.receive(numbered(1))

    bench.engine.reset()
    bench.receiver()
    told = pauses(bench)

    assert (told, bench.read("RDH0"), bench.engine.can_receive()) == ([XOFF], 0, True)


def test_the_tag_of_a_frame_that_waited_is_stripped_once(bench: Bench) -> None:
    """The MAC keeps the frame as it came; the DMA engine strips."""
    tagged = MAC + ethernet()[6:12] + TAG + ethernet(b"tagged")[12:]
    bench.receiver(fill=0)
    bench.poke("CTRL", NIC["CTRL"]["VME"].mask)
    bench.write("VET", 0x8100)
    bench.engine.receive(tagged)
    bench.write("RDT0", 31)

    done = bench.extended(0)
    assert (done.vlan, done.length) == (0x2005, len(tagged) - 4)
    assert bench.stored(0, done.length) == tagged[:12] + tagged[16:]
    assert RxStatus.VP in bench.status(0)


def test_a_time_stamp_is_of_the_arrival_not_of_the_descriptor(bench: Bench) -> None:
    """TSYNCRXCTL: the MAC stamps; the status says so when the frame is stored."""
    bench.receiver(fill=0)
    bench.write("TIMINCA", 1 << 24 | 1)
    bench.write("TSYNCRXCTL", NIC["TSYNCRXCTL"]["ENABLED"].mask | NIC["TSYNCRXCTL"]["TYPE"].put(4))
    bench.engine.advance(1_000_000)
    bench.engine.receive(numbered(1))
    stamped = bench.peek("RXSTMPL")

    bench.engine.advance(9_000_000)
    bench.engine.receive(numbered(2))
    bench.write("RDT0", 31)

    assert bench.peek("RXSTMPL") == stamped
    assert [RxStatus.TST in bench.status(n) for n in range(2)] == [True, False]


def test_what_comes_round_the_loop_waits_too_and_pauses_nobody(bench: Bench) -> None:
    """RCTL.LBM: the receiver is the same, the cable is not listened to and not talked to."""
    bench.receiver(fill=0, control=NIC["RCTL"]["LBM"].put(1))
    bench.transmitter()
    pausing(bench, 104, 0)
    bench.post(*(bench.legacy(numbered(n)) for n in range(3)))
    assert bench.sent() == []

    bench.write("RDT0", 31)

    assert [bench.stored(n, 100) for n in range(3)] == [numbered(n) for n in range(3)]
    assert (pauses(bench), bench.read("XOFFTXC")) == ([], 0)


def test_a_saved_engine_goes_on_with_the_frames_that_waited(bench: Bench) -> None:
    """The buffer and what the partner was told are a part of the state."""
    bench.receiver(fill=0)
    pausing(bench, 104, 0)
    for n in range(3):
        bench.engine.receive(numbered(n))
    state = bench.engine.save()
    bench.effects()

    bench.engine.reset()
    bench.engine.restore(state)
    bench.write("RDT0", 31)

    assert [bench.stored(n, 100) for n in range(3)] == [numbered(n) for n in range(3)]
    assert pauses(bench) == [XON]


@pytest.mark.parametrize(
    "buffer",
    [[["00", 0]], [["00" * 60, 1]], [["00" * 16000, 0]] * 3, [["zz" * 60, 0]], [[1, 0]], 7],
    ids=["too short", "a status it cannot have", "too much", "no bytes", "a number", "no list"],
)
def test_a_state_with_a_buffer_that_cannot_be_is_refused(bench: Bench, buffer: object) -> None:
    """A state is untrusted."""
    state = json.loads(bench.engine.save()) | {"buffer": buffer}

    with pytest.raises(ValueError, match="not a saved engine"):
        bench.engine.restore(json.dumps(state).encode())


def test_a_buffer_that_is_filled_and_emptied_for_long_keeps_every_frame(bench: Bench) -> None:
    """Frames of all lengths, some at once and some later: none is lost, doubled or overtaken."""
    rng = random.Random(82574)
    count, head, tail = 32, 0, 0
    bench.receiver(count, fill=0)
    sent: list[bytes] = []
    got: list[bytes] = []

    while len(got) < 600:
        for _ in range(rng.randrange(6)):
            if bench.engine.can_receive():
                sent.append(numbered(len(sent), rng.randrange(60, LARGE)))
                bench.engine.receive(sent[-1])
        tail = min(tail + rng.randrange(7), head + count - 1)
        bench.write("RDT0", tail % count)
        while head % count != bench.peek("RDH0"):
            slot = head % count
            got.append(bench.stored(slot, bench.extended(slot).length))
            bench.ram.write(RX_RING[0] + 16 * slot, ExtendedRxRead(RX_BUFFERS + 2048 * slot).emit())
            head += 1

    assert got == sent[: len(got)]
    assert bench.read("MPC") == 0


def test_delayed_receive_interrupts_wait_for_frames_that_are_stored(bench: Bench) -> None:
    """RDTR runs from the write-back, not from the arrival."""
    bench.engine.set_interrupt_mode(InterruptMode.MSI)
    bench.receiver(fill=0)
    bench.write("RDTR", 10)
    bench.write("IMS", NIC["IMS"]["RXT0"].mask)
    bench.engine.receive(numbered(1))
    idle = bench.engine.deadline()

    bench.write("RDT0", 31)

    assert (idle, bench.engine.deadline()) == (None, 10 * 1024)
