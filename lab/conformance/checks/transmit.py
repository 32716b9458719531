"""Transmit rings: formats, indices, write-back, chains, doorbells."""

# ruff: noqa: D401 - the first line of a check's docstring is the sentence that must hold

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from device.rings.transmit import ContextTx, DataTx, LegacyTx, TxCommand
from lab.conformance.bench import Capability
from lab.conformance.check import Check, Topic, expect, is_false
from lab.conformance.frames import ethernet, padded, payload
from lab.conformance.rings import DESCRIPTOR, TXDCTL_EVERY, WHOLE, TxRing
from lab.conformance.subject import MILLISECOND

if TYPE_CHECKING:
    from lab.conformance.subject import Subject

TOPIC = Topic("transmit", "datasheet, Transmit, packet transmission")
WIRE = Capability.WIRE
EOP, IFCS, RS, DEXT, IDE = TxCommand.EOP, TxCommand.IFCS, TxCommand.RS, TxCommand.DEXT, TxCommand.IDE


def ready(card: Subject, *, count: int = 16, queue: int = 0, psp: bool = True) -> TxRing:
    """Return a ring on a card whose link is up."""
    card.link_up()
    return TxRing(card, count=count, queue=queue, psp=psp)


def data(card: Subject, content: bytes, command: TxCommand = WHOLE) -> DataTx:
    """Return a data descriptor of bytes in memory of their own."""
    return DataTx(card.buffer(content), len(content), command | DEXT)


def one_length(length: int, card: Subject) -> None:
    """A frame of that length leaves as it is."""
    ring = ready(card)
    frame = ethernet(payload(length - 14))
    ring.send(ring.legacy(frame))
    expect("frames", card.bench.frames(), [frame])
    expect("DD and TDH", (ring.done(0), ring.head), (True, 1))


for _length in (60, 61, 64, 127, 128, 255, 256, 511, 512, 1023, 1024, 1513, 1514, 1518):
    TOPIC.add(
        Check(
            f"TX-LEN-{_length:04}",
            f"A legacy descriptor of {_length} bytes leaves as that frame.",
            "datasheet, Transmit, legacy transmit descriptor format",
            partial(one_length, _length),
            WIRE,
        )
    )


def split_at(cut: int, command: TxCommand, card: Subject) -> None:
    """A frame cut in two descriptors leaves whole."""
    ring = ready(card)
    frame = ethernet(payload(200))
    make = data if DEXT in command else lambda _, content, flags: ring.legacy(content, flags)
    ring.send(make(card, frame[:cut], command & ~EOP & ~RS), make(card, frame[cut:], command | EOP | RS))
    expect("frames", card.bench.frames(), [frame])
    expect("TDH", ring.head, 2)


for _cut in (1, 13, 14, 15, 60, 213):
    for _name, _command in (("LEG", IFCS), ("DAT", IFCS | DEXT)):
        TOPIC.add(
            Check(
                f"TX-CUT-{_name}-{_cut:03}",
                f"A frame cut after byte {_cut} over two {'legacy' if _name == 'LEG' else 'data'} descriptors"
                " leaves whole.",
                "datasheet, Transmit: a packet is one or more descriptors up to EOP",
                partial(split_at, _cut, _command),
                WIRE,
            )
        )


def fragments(count: int, card: Subject) -> None:
    """A frame of that many descriptors leaves whole."""
    ring = ready(card, count=128)
    frame = ethernet(payload(count * 20 - 14))
    pieces = [frame[at : at + 20] for at in range(0, len(frame), 20)]
    ring.send(
        *(ring.legacy(piece, IFCS) for piece in pieces[:-1]),
        ring.legacy(pieces[-1]),
    )
    expect("frames", card.bench.frames(), [frame])


for _count in (3, 17, 63, 64, 65, 70, 100):
    TOPIC.add(
        Check(
            f"TX-FRAG-{_count:03}",
            f"A frame of {_count} descriptors leaves whole: the hardware sets no limit.",
            "datasheet, Transmit: no limit of descriptors a packet; e1000_tx_map in Linux's netdev.c",
            partial(fragments, _count),
            WIRE,
        )
    )


@TOPIC.check("TX-DAT-001", "datasheet, Transmit, TCP/IP data descriptor", needs=WIRE)
def data_descriptor(card: Subject) -> None:
    """A data descriptor without offloads leaves as one frame and is written back."""
    ring = ready(card)
    frame = ethernet(payload(300))
    ring.send(data(card, frame))
    expect("frames and DD", (card.bench.frames(), ring.done(0)), ([frame], True))


@TOPIC.check("TX-CTX-001", "datasheet, Transmit: RS of a context descriptor reports status", needs=WIRE)
def context_is_written_back(card: Subject) -> None:
    """A context descriptor sends nothing, is consumed, and DD is set when it has RS."""
    ring = ready(card)
    ring.send(ContextTx(command=DEXT | RS))
    expect("frames, DD, TDH", (card.bench.frames(), ring.done(0), ring.head), ([], True, 1))


@TOPIC.check("TX-RS-OFF", "datasheet, Transmit, RS", needs=WIRE)
def no_report_without_rs(card: Subject) -> None:
    """Without RS the frame leaves and DD is not set."""
    ring = ready(card)
    ring.send(ring.legacy(ethernet(payload(80)), EOP | IFCS))
    expect("frames", len(card.bench.frames()), 1)
    is_false("DD", ring.done(0))


@TOPIC.check("TX-RS-KEEPS", "datasheet, Transmit: write-back touches the status byte", needs=WIRE)
def write_back_keeps_the_rest(card: Subject) -> None:
    """The write-back changes nothing of the descriptor but its status."""
    ring = ready(card)
    descriptor = ring.legacy(ethernet(payload(80)), special=0x1234)
    ring.send(descriptor)
    expect("the descriptor", ring.raw(0), descriptor.done().emit())


@TOPIC.check("TX-NEIGHBOUR", needs=WIRE)
def neighbours_are_left_alone(card: Subject) -> None:
    """Slots that were not handed over are neither read for frames nor written."""
    ring = ready(card)
    frame = ethernet(payload(80))
    ring.post(ring.legacy(frame), ring.legacy(ethernet(payload(90))))
    before = ring.raw(1)
    card.write("TDT0", 1)
    card.bench.settle()
    expect("frames and slot 1", (card.bench.frames(), ring.raw(1)), ([frame], before))


@TOPIC.check("TX-BUFFER", needs=WIRE)
def buffers_are_left_alone(card: Subject) -> None:
    """Transmitting does not change the buffer."""
    ring = ready(card)
    frame = ethernet(payload(80))
    descriptor = ring.legacy(frame)
    ring.send(descriptor)
    expect("the buffer", card.memory_read(descriptor.address, len(frame)), frame)


@TOPIC.check("TX-WRAP", "datasheet, Transmit, transmit descriptor ring structure", needs=WIRE)
def the_ring_wraps(card: Subject) -> None:
    """Thirty frames through a ring of eight leave in order."""
    ring = ready(card, count=8)
    frames = [ethernet(payload(60 + n, n)) for n in range(30)]
    for start in range(0, 30, 5):
        ring.send(*(ring.legacy(frame) for frame in frames[start : start + 5]))
    expect("frames", card.bench.frames(), frames)
    expect("TDH", ring.head, 30 % 8)


@TOPIC.check("TX-WRAP-CHAIN", needs=WIRE)
def a_chain_wraps(card: Subject) -> None:
    """A frame whose descriptors lie on both sides of the ring's end leaves whole."""
    ring = ready(card, count=8)
    ring.send(*(ring.legacy(ethernet(payload(60))) for _ in range(6)))
    card.bench.frames()
    frame = ethernet(payload(300))
    ring.send(*(ring.legacy(frame[at : at + 100], IFCS) for at in (0, 100, 200)), ring.legacy(frame[300:]))
    expect("frames and TDH", (card.bench.frames(), ring.head), ([frame], 2))


@TOPIC.check("TX-FULL", "datasheet, Transmit: TDH = TDT is an empty ring", needs=WIRE)
def a_full_ring(card: Subject) -> None:
    """One less than the ring's size can be handed over at once."""
    ring = ready(card, count=8)
    frames = [ethernet(payload(60, n)) for n in range(7)]
    ring.send(*(ring.legacy(frame) for frame in frames))
    expect("frames", card.bench.frames(), frames)


@TOPIC.check("TX-EMPTY", needs=WIRE)
def nothing_handed_over(card: Subject) -> None:
    """Writing TDT with the value of TDH sends nothing."""
    ring = ready(card)
    ring.post(ring.legacy(ethernet(payload(80))))
    card.write("TDT0", 0)
    card.bench.settle()
    expect("frames", card.bench.frames(), [])


@TOPIC.check("TX-BELLS", "e1000_xmit_frame defers the doorbell by xmit_more (Linux, netdev.c)", needs=WIRE)
def a_frame_over_two_doorbells(card: Subject) -> None:
    """A frame whose descriptors are handed over by two TDT writes leaves whole."""
    ring = ready(card)
    frame = ethernet(payload(200))
    ring.send(ring.legacy(frame[:100], IFCS))
    ring.send(ring.legacy(frame[100:]))
    expect("frames", card.bench.frames(), [frame])


@TOPIC.check("TX-BELLS-DATA", "datasheet, Transmit: a packet ends with EOP, not with a doorbell", needs=WIRE)
def data_over_three_doorbells(card: Subject) -> None:
    """A frame of data descriptors handed over by three TDT writes leaves whole."""
    ring = ready(card)
    frame = ethernet(payload(300))
    for part, command in ((frame[:50], IFCS), (frame[50:200], IFCS), (frame[200:], WHOLE)):
        ring.send(data(card, part, command))
    expect("frames", card.bench.frames(), [frame])


@TOPIC.check("TX-MIXED", needs=WIRE)
def formats_mix(card: Subject) -> None:
    """Legacy, context and data descriptors in one ring each do their part."""
    ring = ready(card)
    first, second = ethernet(payload(100, 1)), ethernet(payload(100, 2))
    ring.send(ring.legacy(first), ContextTx(command=DEXT), data(card, second))
    expect("frames", card.bench.frames(), [first, second])


@TOPIC.check("TX-ZERO-LEN", "datasheet, Transmit: null descriptors; QEMU CVE-2020-28916", needs=WIRE)
def empty_descriptors(card: Subject) -> None:
    """A descriptor of length zero in a chain adds nothing and is consumed."""
    ring = ready(card)
    frame = ethernet(payload(100))
    ring.send(ring.legacy(frame[:50], IFCS), LegacyTx(0, 0, command=IFCS), ring.legacy(frame[50:]))
    expect("frames and TDH", (card.bench.frames(), ring.head), ([frame], 3))


@TOPIC.check("TX-ZERO-EOP", "datasheet, Transmit: null descriptors", needs=WIRE)
def an_empty_last_descriptor(card: Subject) -> None:
    """An empty descriptor with EOP ends the frame before it."""
    ring = ready(card)
    frame = ethernet(payload(100))
    ring.send(ring.legacy(frame, IFCS), LegacyTx(0, 0, command=WHOLE))
    expect("frames and DD", (card.bench.frames(), ring.done(1)), ([frame], True))


@TOPIC.check("TX-OFF", "datasheet, Transmit Registers, TCTL.EN", needs=WIRE)
def a_disabled_transmitter(card: Subject) -> None:
    """With TCTL.EN clear nothing leaves and TDH stays."""
    ring = ready(card)
    card.set("TCTL", EN=0)
    ring.send(ring.legacy(ethernet(payload(80))))
    expect("frames and TDH", (card.bench.frames(), ring.head), ([], 0))


@TOPIC.check("TX-ON-LATER", "DPDK's em writes TDT before it sets TCTL.EN (em_rxtx.c)", needs=WIRE)
def enabling_later(card: Subject) -> None:
    """What was handed over before TCTL.EN leaves when the next doorbell comes after it."""
    ring = ready(card)
    card.set("TCTL", EN=0)
    first, second = ethernet(payload(80, 1)), ethernet(payload(80, 2))
    ring.send(ring.legacy(first))
    card.set("TCTL", EN=1)
    ring.send(ring.legacy(second))
    expect("frames", card.bench.frames(), [first, second])


@TOPIC.check("TX-PSP", "datasheet, Transmit Registers, TCTL.PSP: pad short packets", needs=WIRE)
def short_frames_are_padded(card: Subject) -> None:
    """With TCTL.PSP a short frame leaves with 60 bytes, the padding zero."""
    ring = ready(card, psp=True)
    frame = ethernet(payload(20))
    ring.send(ring.legacy(frame))
    expect("frames", card.bench.frames(), [padded(frame)])


@TOPIC.check("TX-TAIL-FIRST", "eth_em_tx_init in DPDK's em_rxtx.c writes TDT before TDH", needs=WIRE)
def tail_before_head(card: Subject) -> None:
    """Programming TDT before TDH, both zero, starts an empty ring."""
    ring = ready(card)
    card.write("TDT0", 0)
    card.write("TDH0", 0)
    card.bench.settle()
    frame = ethernet(payload(80))
    ring.send(ring.legacy(frame))
    expect("frames", card.bench.frames(), [frame])


@TOPIC.check("TX-HIGH", "datasheet, Transmit Registers, TDLEN: multiples of 128 bytes", needs=WIRE)
def the_smallest_ring(card: Subject) -> None:
    """A ring of eight descriptors, the smallest, works."""
    ring = ready(card, count=8)
    frames = [ethernet(payload(60, n)) for n in range(20)]
    for frame in frames:
        ring.send(ring.legacy(frame))
    expect("frames", card.bench.frames(), frames)


@TOPIC.check("TX-LARGE-RING", needs=WIRE)
def the_largest_ring_of_a_driver(card: Subject) -> None:
    """A ring of 4096 descriptors, Linux's largest, is walked to its end and wraps."""
    ring = ready(card, count=4096)
    card.write("TDH0", 4094)
    card.write("TDT0", 4094)
    ring.tail = 4094
    frames = [ethernet(payload(60, n)) for n in range(4)]
    ring.send(*(ring.legacy(frame) for frame in frames))
    expect("frames and TDH", (card.bench.frames(), ring.head), (frames, 2))


@TOPIC.check("TX-QUEUE1", "datasheet, Transmit: two transmit queues; Transmit Registers, TARC1", needs=WIRE)
def the_second_queue(card: Subject) -> None:
    """The second transmit queue sends, too."""
    ring = ready(card, queue=1)
    card.write("TARC1", 0x403)
    frame = ethernet(payload(90))
    ring.send(ring.legacy(frame))
    expect("frames and DD", (card.bench.frames(), ring.done(0)), ([frame], True))


@TOPIC.check("TX-QUEUES", needs=WIRE)
def both_queues(card: Subject) -> None:
    """Both queues keep their own indices, and both send everything."""
    card.link_up()
    rings = [TxRing(card, queue=queue) for queue in (0, 1)]
    card.write("TARC1", 0x403)
    frames = [[ethernet(payload(60 + n, 10 * queue + n)) for n in range(3 + queue)] for queue in (0, 1)]
    for ring, mine in zip(rings, frames, strict=True):
        ring.send(*(ring.legacy(frame) for frame in mine))
    expect("frames", sorted(card.bench.frames()), sorted(frames[0] + frames[1]))
    expect("TDH of both", [ring.head for ring in rings], [3, 4])


@TOPIC.check("TX-ALIAS", "datasheet, Register Summary: aliases; drivers of the 8254x family", needs=WIRE)
def old_addresses_work(card: Subject) -> None:
    """A doorbell at the old address 0x0438 rings the first queue."""
    ring = ready(card)
    frame = ethernet(payload(80))
    ring.post(ring.legacy(frame))
    card.bench.write(0x0438, ring.tail)
    card.bench.settle()
    expect("frames", card.bench.frames(), [frame])


@TOPIC.check("TX-ODD-ADDRESS", "datasheet, Transmit: buffers on any byte boundary", needs=WIRE)
def buffers_anywhere(card: Subject) -> None:
    """Buffers may begin at any byte, also at the last of a page."""
    ring = ready(card)
    page = card.allocate(8192, align=4096)
    frames = [ethernet(payload(100, n)) for n in range(3)]
    for frame, at in zip(frames, (page + 1, page + 1003, page + 4095), strict=True):
        card.memory_write(at, frame)
        ring.post(LegacyTx(at, len(frame), command=WHOLE))
    ring.doorbell()
    expect("frames", card.bench.frames(), frames)


@TOPIC.check(
    "TX-WTHRESH",
    "datasheet, Transmit, transmit descriptor write-back; Transmit Registers, TXDCTL",
    needs=WIRE,
)
def the_write_back_threshold(card: Subject) -> None:
    """With WTHRESH above one, every RS descriptor is written back in the end (TIDV runs out)."""
    ring = ready(card)
    card.write("TXDCTL0", TXDCTL_EVERY & ~(0x3F << 16) | 5 << 16)
    card.write("TIDV", 8)
    ring.send(*(ring.legacy(ethernet(payload(80)), WHOLE | IDE) for _ in range(3)))
    card.bench.advance(10 * MILLISECOND)
    expect("DD", [ring.done(n) for n in range(3)], [True] * 3)


@TOPIC.check("TX-RING-MOVES", needs=WIRE)
def a_ring_moves(card: Subject) -> None:
    """A queue set up again at another address fetches from there."""
    ready(card)
    ring = TxRing(card)
    frame = ethernet(payload(77))
    ring.send(ring.legacy(frame))
    expect("frames", card.bench.frames(), [frame])


@TOPIC.check("TX-JUMBO", "datasheet, Transmit: packets up to 9018 bytes of jumbo frames", needs=WIRE)
def a_jumbo_frame(card: Subject) -> None:
    """A frame of 9014 bytes over three data descriptors leaves whole."""
    ring = ready(card)
    frame = ethernet(payload(9000))
    ring.send(*(data(card, frame[at : at + 4096], IFCS) for at in (0, 4096)), data(card, frame[8192:]))
    expect("frames", card.bench.frames(), [frame])


@TOPIC.check("TX-BURST", needs=WIRE)
def a_burst(card: Subject) -> None:
    """Two hundred frames by one doorbell all leave, in order, and all are written back."""
    ring = ready(card, count=256)
    frames = [ethernet(payload(60 + n % 64, n)) for n in range(200)]
    ring.send(*(ring.legacy(frame) for frame in frames))
    expect("frames", card.bench.frames(), frames)
    expect("DD of the last", card.memory_read(ring.base + 199 * DESCRIPTOR + 12, 1)[0] & 1, 1)
