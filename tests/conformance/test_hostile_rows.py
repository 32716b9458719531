"""The hostile-guest table, row by row, on both engines: what a guest does to a ring costs its own frames."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from device.card import Card
from device.effects import DmaFault, FrameSent
from device.engine.contract import MOST_SLOTS, WORK_BUDGET, InterruptMode
from device.regs.nic import NIC
from device.rings.receive import ExtendedRxRead
from device.rings.transmit import IP, TCP, TSE, ContextTx, DataTx, LegacyTx, TxCommand, TxOptions
from tests.bench import MAC, MEMORY, RX_BUFFERS, RX_RING, SEND, TX_BUFFERS, TX_RING, ethernet

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.bench import Bench

DEXT = TxCommand.DEXT
RCTL = NIC["RCTL"]
BAR0 = 0xFEBC_0000
SEGMENTS = 4096


def alive(bench: Bench) -> None:
    """After a reset the engine sends and receives as if nothing had been."""
    bench.engine.reset()
    bench.engine.effects()
    frame = ethernet(b"alive")
    bench.transmitter(8)
    bench.post(bench.legacy(frame))
    assert bench.sent() == [frame]
    bench.receiver(8)
    assert bench.engine.receive(frame)
    assert bench.stored(0, len(frame)) == frame


def segmentation(mss: int, header: int = 54, paylen: int = 3000) -> ContextTx:
    """Return a context for IPv4 and TCP with a nonsense of that kind."""
    return ContextTx(14, 24, 33, 34, 50, 0, paylen, DEXT | TSE | TCP | IP, 0, header, mss)


def oversize(bench: Bench) -> None:
    """Send a frame longer than LPE allows, into buffers of 256 bytes."""
    bench.receiver(8, control=RCTL["BSIZE"].put(3), buffer_size=256)
    before = bytes(bench.ram.data[RX_BUFFERS : RX_BUFFERS + 0x4000])
    assert not bench.engine.receive(ethernet(bytes(4000)))
    assert bench.ram.data[RX_BUFFERS : RX_BUFFERS + 0x4000] == before


def heads_outside(bench: Bench) -> None:
    """Put TDH, TDT, RDH, RDT beyond the ring: the queue stands still."""
    for head, tail in ((9, 3), (3, 9), (0xFFFF, 0xFFFE), (8, 8), (0, 0xFFFF)):
        bench.transmitter(8)
        bench.receiver(8)
        for direction in "TR":
            bench.write(f"{direction}DH0", head)
            bench.write(f"{direction}DT0", tail)
        assert bench.engine.run() == 0
        assert not bench.engine.receive(ethernet())


def endless_fragments(bench: Bench) -> None:
    """Fill the ring with a chain without EOP, again and again."""
    bench.transmitter(64)
    where = bench.buffer(bytes(4000))
    for _ in range(6):
        bench.post(*(DataTx(where, 4000, DEXT | TxCommand.IFCS) for _ in range(63)))
        assert bench.engine.run() == 63
    assert not [effect for effect in bench.effects() if isinstance(effect, FrameSent)]


def null_descriptors(bench: Bench) -> None:
    """Hand over rings of zeros."""
    bench.transmitter(64)
    bench.ram.write(TX_RING[0], bytes(64 * 16))
    bench.write("TDT0", 63)
    assert bench.engine.run() == 63
    bench.receiver(64, control=RCTL["LPE"].mask)
    bench.ram.write(RX_RING[0], bytes(64 * 16))
    assert not bench.engine.receive(ethernet(bytes(3000)))


def loop_into_registers(bench: Bench) -> None:
    """Loop frames back into buffers at the card's own doorbells."""
    bench.receiver(8, control=RCTL["LBM"].put(1) | RCTL["UPE"].mask)
    for index in range(8):
        bench.ram.write(RX_RING[0] + 16 * index, ExtendedRxRead(BAR0 + NIC["TDT0"].offset).emit())
    bench.transmitter(8)
    bench.post(*(bench.legacy(ethernet(b"\x05\0\0\0" * 30)) for _ in range(7)))
    assert bench.engine.run() == 7
    assert bench.peek("TDT0") == 7


def dma_at_registers(bench: Bench) -> None:
    """Put a ring and data in the card's own BAR."""
    bench.transmitter(8, base=BAR0 + 0x3800)
    bench.write("TDT0", 7)
    bench.engine.run()
    faults = [effect for effect in bench.effects() if isinstance(effect, DmaFault)]
    assert {fault.address & ~0xFFFF for fault in faults} == {BAR0}


def sums_beyond(bench: Bench) -> None:
    """Point checksum offsets beyond a short, fragmented packet."""
    bench.transmitter(32)
    half = bench.buffer(ethernet(bytes(8))[:30])
    for context in (
        ContextTx(200, 255, 0, 255, 255, 0xFFFF, 0, DEXT | TCP | IP),
        ContextTx(14, 59, 5, 59, 59, 1, 0, DEXT | TCP | IP),
    ):
        options = TxOptions.IXSM | TxOptions.TXSM
        first = DataTx(half, 30, DEXT | TxCommand.IFCS, options=options)
        bench.post(context, first, DataTx(half, 1, DEXT | SEND, options=options))
    assert [len(frame) for frame in bench.sent()] == [31, 31]


def nonsense_segmentation(bench: Bench) -> None:
    """Ask for MSS 0, headers of 0 and beyond the frame, payloads that lie: each costs its frame."""
    bench.transmitter(64)
    for mss, header, paylen in (
        (0, 54, 3000),
        (1000, 0, 3000),
        (1000, 255, 100),
        (0xFFFF, 54, 0xFFFFF),
        (0, 0, 0),
    ):
        bench.post(segmentation(mss, header, paylen), bench.data(bytes(200), SEND | TSE, TxOptions.TXSM))
    bench.engine.run()
    assert bench.read("TSCTFC") >= 4


def split_sizes(bench: Bench) -> None:
    """Split packets with every size 0, and with sizes that sum to little."""
    for psrctl in (0, 1, 0x0101_0101, 0x3F3F_3F7F):
        bench.engine.reset()
        bench.split_receiver([(RX_BUFFERS, 0, 1, 0xFFFF_FFFF_FFFF_FFF0)] * 16, psrctl)
        bench.engine.receive(ethernet(bytes(1000)))


def ring_in_its_data(bench: Bench) -> None:
    """Make a receive ring its own buffers."""
    bench.receiver(8)
    for index in range(8):
        bench.ram.write(RX_RING[0] + 16 * index, ExtendedRxRead(RX_RING[0]).emit())
    for _ in range(9):
        bench.engine.receive(ethernet(bytes(range(200))))


def at_the_end_of_memory(bench: Bench) -> None:
    """Put the last bytes of a ring and of a buffer beyond what is mapped; neither wraps."""
    bench.transmitter(8, base=MEMORY - 32)
    bench.ram.write(MEMORY - 32, LegacyTx(MEMORY - 8, 64, command=SEND).emit() * 2)
    bench.write("TDT0", 7)
    assert bench.sent() == []
    bench.transmitter(8, base=(1 << 64) - 32)
    bench.write("TDT0", 7)
    assert bench.sent() == []


def longest_lengths(bench: Bench) -> None:
    """Ask for a megabyte, and for all that a descriptor can say."""
    bench.transmitter(8)
    bench.post(LegacyTx(TX_BUFFERS, 0xFFFF, command=SEND), DataTx(TX_BUFFERS, 0xF_FFFF, DEXT | SEND))
    assert [len(frame) for frame in bench.sent()] == [0xFFFF]


def timers_over_a_mode_change(bench: Bench) -> None:
    """Let RDTR and TIDV be pending when MSI-X goes and when the card is reset."""
    bench.write("RDTR", 100)
    bench.write("TIDV", 100)
    bench.write("IMS", 0xFFFF_FFFF)
    bench.receiver(8)
    bench.engine.receive(ethernet())
    bench.engine.set_interrupt_mode(InterruptMode.INTX)
    bench.engine.set_interrupt_mode(InterruptMode.MSIX)
    bench.engine.reset()
    assert bench.engine.deadline() is None
    bench.engine.advance(1 << 40)
    assert bench.read("ICR") == 0


def short_loop(bench: Bench) -> None:
    """Loop frames of 1 to 20 bytes back."""
    bench.receiver(64, control=RCTL["LBM"].put(1) | RCTL["SBP"].mask | RCTL["UPE"].mask)
    bench.transmitter(64)
    bench.post(*(LegacyTx(TX_BUFFERS, length, command=SEND) for length in range(1, 21)))
    assert bench.engine.run() == 20


ROWS: dict[str, Callable[[Bench], None]] = {
    "CVE-2012-6075": oversize,
    "CVE-2015-6815,2016-1981,2017-9310": heads_outside,
    "CVE-2020-16092": endless_fragments,
    "CVE-2020-25707,2020-28916,qemu-1863": null_descriptors,
    "CVE-2021-3416,2021-20257": loop_into_registers,
    "CVE-2023-3019": dma_at_registers,
    "CVE-2024-3567,2016-6888": sums_beyond,
    "CVE-2016-6834,6835,6836,2016-2857": nonsense_segmentation,
    "qemu-537": split_sizes,
    "qemu-6da0c98281": timers_over_a_mode_change,
    "qemu-a01344d9d7": short_loop,
    "ours-ring-in-its-data": ring_in_its_data,
    "ours-end-of-memory": at_the_end_of_memory,
    "ours-longest": longest_lengths,
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_a_hostile_guest_costs_its_own_frames_and_no_more(bench: Bench, row: Callable[[Bench], None]) -> None:
    """Whatever the row does, a reset finds a card that works."""
    row(bench)

    alive(bench)


@pytest.mark.parametrize("width", [1, 2, 3, 5, 8, 16, 64])
@pytest.mark.parametrize("offset", [0, 1, 12, 79, 80, 0x1FFE, 0x2000, 0x2007, 0x3FF0])
def test_msix_memory_bears_every_width_at_every_place(bench: Bench, offset: int, width: int) -> None:
    """CVE-2020-13754, 2020-27821, 2015-7549: table and pending bits, beyond them, and with odd widths."""
    card = Card(bench.engine, MAC)
    width = min(width, 0x4000 - offset)

    card.write_region(3, offset, b"\xff" * width)
    got = card.read_region(3, offset, width)

    assert len(got) == width
    assert card.read_region(3, 0x2000, 8) == bytes(8)


def test_a_write_back_has_no_byte_that_the_frame_did_not_decide(bench: Bench) -> None:
    """CVE-2016-6836: whatever the ring held and whatever came before, equal frames give equal write-backs."""
    frame, found = ethernet(bytes(100)), []

    for before in (b"\0", b"\xff", b"\x5a"):
        bench.engine.reset()
        bench.receiver(8)
        bench.ram.write(RX_RING[0], (ExtendedRxRead(RX_BUFFERS).emit()[:8] + before * 8) * 8)
        bench.engine.receive(ethernet(before * 900))
        bench.engine.receive(frame)
        found.append(bench.ram.read(RX_RING[0] + 16, 16))

    assert found[0] == found[1] == found[2]


def test_one_run_costs_a_bounded_amount_and_the_next_goes_on(bench: Bench) -> None:
    """Segmentation to one byte a frame: every run ends with its budget, and all segments leave in the end."""
    header, frames = 54, 7
    bench.transmitter(64)
    payload = bench.buffer(bytes(header + SEGMENTS))
    bench.post(segmentation(1, header, SEGMENTS))
    for _ in range(frames):
        bench.post(DataTx(payload, header + SEGMENTS, DEXT | SEND | TSE))
    counts = []

    while bench.engine.run():
        counts.append(len([effect for effect in bench.effects() if isinstance(effect, FrameSent)]))
        waits = bench.engine.deadline() is not None
        assert waits == (bench.peek("TDH0") != bench.peek("TDT0"))

    assert sum(counts) == frames * SEGMENTS
    assert max(counts) <= WORK_BUDGET // 4 + SEGMENTS
    assert len(counts) > 1


def test_a_row_of_null_buffers_costs_each_frame_a_bounded_time(bench: Bench) -> None:
    """The longest ring, all NULL: a frame looks at ``MOST_SLOTS`` of them and is missed."""
    count = 0xFFF0
    bench.receiver(16)
    bench.write("RDBAL0", 0)
    bench.write("RDLEN0", count * 16)
    bench.write("RDT0", count - 1)
    bench.ram.data[:] = bytes(MEMORY)
    began = time.thread_time()

    stored = [bench.engine.receive(ethernet()) for _ in range(100)]

    assert stored == [False] * 100
    assert bench.read("RNBC") == 100
    assert (time.thread_time() - began) / 100 < 100e-6 * MOST_SLOTS
