"""Guests that mean harm: whatever they program, the card answers on and touches nothing it was not given.

Each row is one of the records in the fault table of the project's documentation.
"""

# ruff: noqa: D401 - the first line of a check's docstring is the sentence that must hold

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING

from device.regs.nic import NIC
from device.rings.receive import ExtendedRxRead
from device.rings.transmit import IP, TCP, TSE, ContextTx, DataTx, LegacyTx, TxCommand, TxOptions
from lab.conformance.bench import Capability
from lab.conformance.check import Check, Topic, expect, is_true
from lab.conformance.checks.receive import WIRE, ready, to_card
from lab.conformance.checks.transmit import DEXT
from lab.conformance.frames import ethernet, payload, segmentable
from lab.conformance.rings import WHOLE, Kind, RxRing, TxRing
from lab.conformance.subject import MILLISECOND, UNTOUCHED

if TYPE_CHECKING:
    from lab.conformance.subject import Subject

TOPIC = Topic("hostile guests", "the promise: no crash, no hang, nothing touched that was not mapped")
SPARE = Capability.SPARE
NOWHERE = 0x7_0000_0000


def alive(card: Subject) -> None:
    """The card answers, and after a reset it sends a frame."""
    is_true("STATUS is not all ones", card.read("STATUS") != 0xFFFF_FFFF)
    card.write("RCTL", 0)
    card.write("TCTL", 0)
    card.software_reset()
    card.link_up()
    card.bench.frames()
    ring = TxRing(card)
    frame = ethernet(payload(66))
    ring.send(ring.legacy(frame))
    expect("a frame afterwards", card.bench.frames()[-1:], [frame])


@TOPIC.check("HOST-CVE-2012-6075", "CVE-2012-6075: oversize frame without LPE", needs=WIRE)
def oversize(card: Subject) -> None:
    """A frame longer than LPE allows writes nothing beyond the buffer."""
    ring = ready(card, buffer_bytes=2048)
    card.bench.send(to_card(card, payload(4000)))
    card.bench.settle()
    after = card.memory_read(ring.buffers[0][0] + 2048, 64)
    expect("the guard after the buffer", after, bytes([UNTOUCHED]) * 64)
    alive(card)


def outside(direction: str, head: int, tail: int, card: Subject) -> None:
    """Heads and tails outside the ring end no loop: the queue stands still or wraps."""
    card.link_up()
    if direction == "T":
        TxRing(card, count=8)
    else:
        RxRing(card, count=8, kind=Kind.LEGACY).start()
    card.write(f"{direction}DH0", head)
    card.write(f"{direction}DT0", tail)
    card.bench.send(to_card(card, payload(80)))
    card.bench.settle()
    alive(card)


for _direction in "TR":
    for _head, _tail in ((9, 3), (3, 9), (0xFFFF, 0xFFFE), (8, 8), (0, 0xFFFF)):
        TOPIC.add(
            Check(
                f"HOST-{_direction}X-{_head:04X}-{_tail:04X}",
                f"{_direction}DH {_head:#x} and {_direction}DT {_tail:#x} of a ring of eight"
                " make no endless loop.",
                "CVE-2015-6815, CVE-2016-1981, CVE-2017-9310",
                partial(outside, _direction, _head, _tail),
                WIRE | SPARE,
            )
        )


@TOPIC.check("HOST-CVE-2020-16092", "CVE-2020-16092: fragments beyond the limit", needs=WIRE | SPARE)
def endless_fragments(card: Subject) -> None:
    """A chain that fills the ring and never ends does no harm."""
    card.link_up()
    ring = TxRing(card, count=256)
    piece = card.buffer(payload(2000))
    for _ in range(5):
        ring.send(*(DataTx(piece, 2000, DEXT | TxCommand.IFCS) for _ in range(255)))
    alive(card)


@TOPIC.check("HOST-CVE-2020-25707", "CVE-2020-25707, CVE-2020-28916: null descriptors", needs=WIRE | SPARE)
def all_null(card: Subject) -> None:
    """Rings of zeros are consumed once and do no harm."""
    card.link_up()
    ring = TxRing(card, count=8)
    ring.send(*(bytes(16) for _ in range(7)))
    receive = RxRing(card, count=8).start(LPE=1)
    for index in range(8):
        card.memory_write(receive.base + 16 * index, ExtendedRxRead(0).emit())
    card.bench.send(to_card(card, payload(3000)))
    card.bench.settle()
    alive(card)


@TOPIC.check("HOST-CVE-2021-3416", "CVE-2021-3416, CVE-2021-20257: loopback, re-entrancy", needs=WIRE | SPARE)
def loopback_into_registers(card: Subject) -> None:
    """Loopback frames whose buffers are the card's own doorbells do no harm."""
    card.link_up()
    receive = RxRing(card, count=8).start(LBM=1, UPE=1)
    bar = card.bench.config_read(0x10) & ~0xF
    for index in range(8):
        card.memory_write(receive.base + 16 * index, ExtendedRxRead(bar + NIC["TDT0"].offset).emit())
    ring = TxRing(card, count=8)
    frame = ethernet(b"\x05\0\0\0" * 30, to=card.address())
    ring.send(*(ring.legacy(frame) for _ in range(7)))
    alive(card)


@TOPIC.check("HOST-CVE-2023-3019", "CVE-2023-3019: DMA aimed at the card's own MMIO", needs=WIRE | SPARE)
def ring_in_registers(card: Subject) -> None:
    """A ring whose base is the card's own BAR does no harm."""
    card.link_up()
    bar = card.bench.config_read(0x10) & ~0xF
    TxRing(card, count=8, base=bar + 0x3800)
    card.write("TDT0", 7)
    card.bench.settle()
    alive(card)


@TOPIC.check("HOST-CVE-2024-3567", "CVE-2024-3567: checksum of a short fragmented packet", needs=WIRE | SPARE)
def checksum_beyond(card: Subject) -> None:
    """Checksum offsets beyond the packet do no harm and touch nothing."""
    card.link_up()
    ring = TxRing(card)
    for context in (
        ContextTx(ipcss=200, ipcso=255, ipcse=0, tucss=255, tucso=255, tucse=0xFFFF, command=DEXT | TCP | IP),
        ContextTx(ipcss=14, ipcso=59, ipcse=5, tucss=59, tucso=59, tucse=1, command=DEXT | TCP | IP),
    ):
        frame = ethernet(payload(46))
        options = TxOptions.IXSM | TxOptions.TXSM
        ring.send(context, DataTx(card.buffer(frame), len(frame), DEXT | WHOLE, options=options))
    alive(card)


def segmented(mss: int, header: int, paylen: int, card: Subject) -> None:
    """Nonsense in a segmentation context does no harm."""
    card.link_up()
    ring = TxRing(card)
    whole = segmentable(3000)
    ring.send(
        ContextTx(14, 24, 33, 34, 50, 0, paylen, DEXT | TSE | TCP | IP, 0, header, mss),
        DataTx(
            card.buffer(whole.frame),
            len(whole.frame),
            DEXT | TSE | WHOLE,
            options=TxOptions.IXSM | TxOptions.TXSM,
        ),
    )
    card.bench.frames()
    alive(card)


for _id, _mss, _header, _paylen in (
    ("MSS0", 0, 54, 3000), ("MSS1", 1, 54, 3000), ("HDR0", 1000, 0, 3000), ("HDR255", 1000, 255, 3000),
    ("PAY0", 1000, 54, 0), ("PAYMAX", 1000, 54, 0xFFFFF), ("MSSMAX", 0xFFFF, 54, 3000), ("ALL0", 0, 0, 0),
):  # fmt: skip
    TOPIC.add(
        Check(
            f"HOST-TSO-{_id}",
            f"A segmentation context with MSS {_mss}, header {_header}, payload length {_paylen}"
            " does no harm.",
            "CVE-2016-6834, CVE-2016-6835; TSO with MSS 0",
            partial(segmented, _mss, _header, _paylen),
            WIRE | SPARE,
        )
    )


def nowhere(which: str, card: Subject) -> None:
    """Addresses that no memory answers do no harm."""
    card.link_up()
    ring = TxRing(card, count=8, base=NOWHERE if which == "ring" else None)
    if which == "ring":
        card.write("TDT0", 7)
        card.bench.settle()
    else:
        ring.send(*(LegacyTx(NOWHERE, 100, command=WHOLE) for _ in range(4)))
    receive = RxRing(card, count=8)
    if which == "ring":
        card.write("RDBAH0", NOWHERE >> 32)
    else:
        for index in range(8):
            card.memory_write(receive.base + 16 * index, ExtendedRxRead(NOWHERE).emit())
    receive.start()
    card.bench.send(to_card(card, payload(100)))
    card.bench.settle()
    alive(card)


for _which in ("ring", "buffer"):
    TOPIC.add(
        Check(
            f"HOST-NOWHERE-{_which.upper()}",
            f"A {_which} where there is no memory does no harm.",
            "the promise; PCIe: a completion with Unsupported Request",
            partial(nowhere, _which),
            WIRE | SPARE,
        )
    )


@TOPIC.check("HOST-TOP", "the promise: addresses wrap as the bus would", needs=WIRE | SPARE)
def the_end_of_the_address_space(card: Subject) -> None:
    """A buffer over the end of the 64-bit address space does no harm."""
    card.link_up()
    ring = TxRing(card)
    ring.send(LegacyTx(0xFFFF_FFFF_FFFF_FFF0, 1000, command=WHOLE))
    alive(card)


@TOPIC.check("HOST-RING-DATA", "ours: a ring inside its own data", needs=WIRE | SPARE)
def ring_is_its_data(card: Subject) -> None:
    """A receive ring whose buffers are the ring itself ends."""
    card.link_up()
    ring = RxRing(card, count=8)
    for index in range(8):
        card.memory_write(ring.base + 16 * index, ExtendedRxRead(ring.base).emit())
    ring.start()
    for _ in range(4):
        card.bench.send(to_card(card, payload(200)))
    card.bench.settle()
    alive(card)


@TOPIC.check("HOST-LENGTH-MAX", "ours: lengths of 64 KiB and more", needs=WIRE | SPARE)
def longest_descriptors(card: Subject) -> None:
    """Descriptors of the greatest length do no harm."""
    card.link_up()
    ring = TxRing(card)
    start = card.bench.dma.start
    ring.send(LegacyTx(start, 0xFFFF, command=WHOLE), DataTx(start, 0xF_FFFF, DEXT | WHOLE))
    alive(card)


@TOPIC.check(
    "HOST-TIMERS", "QEMU commits 6da0c98281, a01344d9d7: timers pending over a mode change", needs=WIRE
)
def timers_over_a_reset(card: Subject) -> None:
    """Delay timers that are pending when the card is reset do no harm."""
    card.link_up()
    ring = ready(card)
    card.write("RDTR", 100)
    card.write("TIDV", 100)
    card.bench.send(to_card(card, payload(80)))
    card.bench.settle()
    card.software_reset()
    card.bench.advance(10 * MILLISECOND)
    expect("RXT0", card.read("ICR") & card.causes("RXT0"), 0)
    is_true("the ring was used", ring.done(0))
    alive(card)


def garbage(seed: int, card: Subject) -> None:
    """Random words in random registers do no harm."""
    chance = random.Random(seed)  # noqa: S311 - deterministic on purpose
    skip = NIC["CTRL"].offset
    for _ in range(300):
        offset = chance.randrange(0, 0x6000, 4)
        if offset != skip:
            card.bench.write(offset, chance.getrandbits(32))
        card.bench.read(chance.randrange(0, 0x20000, 4))
    card.bench.send(to_card(card, payload(100)))
    card.bench.frames()
    card.write("IMC", 0xFFFF_FFFF)
    for name in ("TDLEN1", "RDLEN0", "RDLEN1", "TDLEN0"):
        card.write(name, 0)
    alive(card)


for _seed in range(6):
    TOPIC.add(
        Check(
            f"HOST-GARBAGE-{_seed}",
            f"Three hundred random register accesses (seed {_seed}) do no harm.",
            "the promise",
            partial(garbage, _seed),
            WIRE | SPARE,
            destructive=True,
        )
    )
