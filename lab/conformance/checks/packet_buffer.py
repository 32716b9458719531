"""The receive packet buffer: what waits in it for descriptors, what it loses, when it pauses the partner."""

# ruff: noqa: D401 - the first line of a check's docstring is the sentence that must hold

from __future__ import annotations

from typing import TYPE_CHECKING

from device.rings.receive import RxStatus
from lab.conformance.bench import Capability
from lab.conformance.check import Topic, expect, is_true
from lab.conformance.checks.filters import pause_addresses
from lab.conformance.checks.receive import to_card
from lab.conformance.frames import payload
from lab.conformance.rings import RxRing

if TYPE_CHECKING:
    from lab.conformance.subject import Subject

TOPIC = Topic("packet buffer", "datasheet, Receive, packet buffer; 8254x manual, 8.7.5")
WIRE = Capability.WIRE
FCRT = "datasheet, Receive Registers, FCRTH and FCRTL; 8254x manual, 13.4.23 and 13.4.24"
QUANTA = 0x680
HELD = 104
"""Bytes of the buffer that a frame of 100 takes: with its FCS, a multiple of eight."""


def starved(card: Subject) -> RxRing:
    """Return a started ring without a descriptor on a card whose link is up."""
    card.link_up()
    return RxRing(card, fill=0).start()


def pausing(card: Subject, high: int, low: int) -> None:
    """Turn flow control on with these thresholds in the buffer."""
    pause_addresses(card)
    card.set("CTRL", TFCE=1)
    card.write("FCTTV", QUANTA)
    card.write("FCRTL", low | 1 << 31)
    card.write("FCRTH", high)


def arrives(card: Subject, number: int) -> bytes:
    """Put a frame of 100 bytes on the wire and return it."""
    frame = to_card(card, payload(86, number))
    card.bench.send(frame)
    card.bench.settle()
    return frame


def paused(card: Subject, frames: int) -> list[int]:
    """Return the quanta of the PAUSE frames that left, waiting for as many."""
    seen: list[int] = []

    def look() -> bool | None:
        seen.extend(
            int.from_bytes(frame[16:18], "big")
            for frame in card.bench.frames()
            if frame[12:16] == b"\x88\x08\0\x01"
        )
        return True if len(seen) >= frames else None

    if frames:
        card.soon(look)
    else:
        look()
    return seen


def counted(card: Subject, name: str, want: int) -> int:
    """Return what a counter came to, waiting for as much."""
    total = 0

    def look() -> bool | None:
        nonlocal total
        total += card.read(name)
        return True if total >= want else None

    card.soon(look)
    return total


@TOPIC.check("BUF-ORDER", "datasheet, Receive, Receive Descriptor Queue Structure", needs=WIRE)
def waiting_frames_are_stored_in_order(card: Subject) -> None:
    """Frames that find no descriptor are stored, in their order, when there are some."""
    ring = starved(card)
    sent = [arrives(card, number) for number in range(6)]
    ring.hand_over(4)
    got = [card.soon(ring.take) for _ in range(4)]
    ring.hand_over(8)
    got += [card.soon(ring.take) for _ in range(2)]
    expect("frames", [one.data if one else None for one in got], sent)


@TOPIC.check("BUF-RNBC", "datasheet, Statistics Registers, RNBC and MPC", needs=WIRE)
def rnbc_counts_what_waits(card: Subject) -> None:
    """RNBC counts frames that arrive without a descriptor; MPC does not while the buffer has room."""
    starved(card)
    for number in range(3):
        arrives(card, number)
    expect("RNBC", counted(card, "RNBC", 3), 3)
    expect("MPC", card.read("MPC"), 0)


@TOPIC.check("BUF-NO-RXO", "datasheet, Interrupt Registers, ICR.RXO", needs=WIRE)
def waiting_is_no_overrun(card: Subject) -> None:
    """A frame that waits in the buffer raises neither RXO nor RXT0."""
    starved(card)
    arrives(card, 1)
    counted(card, "TPR", 1)
    expect("RXO, RXT0", card.read("ICR") & card.causes("RXO", "RXT0"), 0)


@TOPIC.check(
    "BUF-SMALL", "datasheet, PBA; Statistics Registers, MPC; Interrupt Registers, ICR.RXO", needs=WIRE
)
def a_frame_longer_than_the_share_is_missed(card: Subject) -> None:
    """A frame longer than PBA's receive share is missed: MPC, RXO; the next that fits is stored."""
    card.link_up()
    card.write("PBA", 1)
    ring = RxRing(card).start()
    card.bench.send(to_card(card, payload(1500)))
    card.bench.settle()
    expect("MPC", counted(card, "MPC", 1), 1)
    is_true("RXO", card.read("ICR") & card.causes("RXO"))
    frame = arrives(card, 7)
    got = card.soon(ring.take)
    expect("the next", got and got.data, frame)


@TOPIC.check("BUF-XOFF", FCRT, needs=WIRE)
def the_fullness_pauses_the_partner(card: Subject) -> None:
    """An XOFF leaves when the frames that wait reach FCRTH, and not before."""
    starved(card)
    pausing(card, 3 * HELD, HELD)
    for number in range(2):
        arrives(card, number)
    counted(card, "RNBC", 2)
    expect("XOFF below FCRTH", paused(card, 0), [])
    arrives(card, 3)
    expect("XOFF at FCRTH", paused(card, 1), [QUANTA])
    arrives(card, 4)
    counted(card, "RNBC", 2)
    expect("XOFF above FCRTH", paused(card, 0), [])


@TOPIC.check("BUF-XON", FCRT, needs=WIRE)
def the_low_threshold_lets_the_partner_go_on(card: Subject) -> None:
    """An XON leaves when what waits is down to FCRTL, and not before."""
    ring = starved(card)
    pausing(card, 3 * HELD, HELD)
    for number in range(3):
        arrives(card, number)
    expect("XOFF", paused(card, 1), [QUANTA])
    ring.hand_over(1)
    is_true("stored", card.soon(ring.take))
    expect("XON above FCRTL", paused(card, 0), [])
    ring.hand_over(2)
    expect("XON at FCRTL", paused(card, 1), [0])


@TOPIC.check("BUF-ONE", FCRT + "; U-Boot's drivers/net/e1000.c", needs=WIRE)
def one_descriptor_at_a_time_pauses_nobody(card: Subject) -> None:
    """A driver with one descriptor at a time causes no XOFF by frames that come before the next."""
    ring = starved(card)
    pausing(card, 0x4000, 0x3FF8)
    stored = 0
    for number in range(12):
        arrives(card, number)
        ring.hand_over((number + 1) % ring.count)
        got = card.soon(ring.take)
        stored += got is not None and bool(got.last.status & RxStatus.EOP)
    expect("frames stored", stored, 12)
    expect("PAUSE frames", paused(card, 0), [])


@TOPIC.check("BUF-RST", "datasheet, Device Control, CTRL.RST", needs=WIRE)
def a_reset_empties_the_buffer(card: Subject) -> None:
    """A frame that waited is gone after CTRL.RST."""
    starved(card)
    arrives(card, 1)
    counted(card, "TPR", 1)
    card.software_reset()
    card.link_up()
    ring = RxRing(card).start()
    frame = arrives(card, 2)
    got = card.soon(ring.take)
    expect("the first frame", got and got.data, frame)
