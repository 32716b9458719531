"""The statistics: what each counter counts, and how reading clears it."""

# ruff: noqa: D401 - the first line of a check's docstring is the sentence that must hold

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from device.regs.bank import Access
from device.regs.nic import STATISTICS
from lab.conformance.check import Check, Topic, expect
from lab.conformance.checks.receive import WIRE, one, ready, to_card
from lab.conformance.frames import BROADCAST, PEER_MAC, ethernet, payload
from lab.conformance.rings import RxRing, TxRing
from lab.conformance.subject import MILLISECOND

if TYPE_CHECKING:
    from lab.conformance.subject import Subject

TOPIC = Topic("statistics", "datasheet, Statistics Registers, statistic registers")

STATS = "datasheet, Statistics Registers, statistic registers"
SIZES = (
    ("64", 60),
    ("127", 61),
    ("127", 123),
    ("255", 124),
    ("255", 251),
    ("511", 252),
    ("1023", 508),
    ("1522", 1020),
    ("1522", 1514),
)


def sent(name: str, length: int, card: Subject) -> None:
    """A frame sent is counted in its size's counter and no other."""
    card.link_up()
    ring = TxRing(card)
    ring.send(ring.legacy(ethernet(payload(length - 14))))
    names = ("64", "127", "255", "511", "1023", "1522")
    got = {f"PTC{one}": card.read(f"PTC{one}") for one in names}
    expect("the size counters", got, {f"PTC{one}": int(one == name) for one in names})


def received(name: str, length: int, card: Subject) -> None:
    """A frame received is counted in its size's counter and no other."""
    one(card, ready(card), to_card(card, payload(length - 14)))
    names = ("64", "127", "255", "511", "1023", "1522")
    got = {f"PRC{size}": card.read(f"PRC{size}") for size in names}
    expect("the size counters", got, {f"PRC{size}": int(size == name) for size in names})


for _name, _length in SIZES:
    for _id, _body in (("TX", sent), ("RX", received)):
        TOPIC.add(
            Check(
                f"STAT-{_id}-{_length:04}",
                f"A frame of {_length + 4} bytes with FCS counts in"
                f" {'PTC' if _id == 'TX' else 'PRC'}{_name}.",
                STATS,
                partial(_body, _name, _length),
                WIRE,
            )
        )


def transmit_counter(name: str, to: bytes, want: int, card: Subject) -> None:
    """The counter counts frames sent."""
    card.link_up()
    ring = TxRing(card)
    for _ in range(3):
        ring.send(ring.legacy(ethernet(payload(86), to=to)))
    expect(name, card.read(name), want)


GROUP = bytes.fromhex("01005e000001")
for _name, _to, _want in (
    ("GPTC", PEER_MAC, 3), ("TPT", PEER_MAC, 3), ("BPTC", BROADCAST, 3), ("MPTC", GROUP, 3),
    ("BPTC", PEER_MAC, 0),
    ("MPTC", PEER_MAC, 0), ("GOTCL", PEER_MAC, 312), ("TOTL", PEER_MAC, 312), ("MPTC", BROADCAST, 0),
):  # fmt: skip
    _kind = {BROADCAST: "BC", GROUP: "MC", PEER_MAC: "UC"}[_to]
    TOPIC.add(
        Check(
            f"STAT-{_name}-{_kind}",
            f"{_name} is {_want} after three {_kind} frames of 104 bytes with FCS were sent.",
            STATS,
            partial(transmit_counter, _name, _to, _want),
            WIRE,
        )
    )


OWN = b""  # stands for the card's own address


def receive_counter(name: str, to: bytes, want: int, card: Subject) -> None:
    """The counter counts frames received."""
    card.link_up()
    RxRing(card).start(MPE=1)
    frame = ethernet(payload(86), to=to or card.address(), sender=PEER_MAC)
    for _ in range(3):
        card.bench.send(frame)
    card.bench.settle()
    expect(name, card.read(name), want)


for _name, _to, _want in (
    ("GPRC", OWN, 3), ("TPR", OWN, 3), ("BPRC", BROADCAST, 3), ("MPRC", GROUP, 3), ("BPRC", OWN, 0),
    ("MPRC", OWN, 0), ("GORCL", OWN, 312), ("TORL", OWN, 312), ("MPRC", BROADCAST, 0),
):  # fmt: skip
    _kind = {BROADCAST: "BC", GROUP: "MC", OWN: "UC"}[_to]
    TOPIC.add(
        Check(
            f"STAT-{_name}-{_kind}",
            f"{_name} is {_want} after three {_kind} frames of 104 bytes with FCS were received.",
            STATS,
            partial(receive_counter, _name, _to, _want),
            WIRE,
        )
    )


@TOPIC.check("STAT-RC", STATS + ": cleared by a read", needs=WIRE)
def reading_clears(card: Subject) -> None:
    """A counter is zero after it was read."""
    card.link_up()
    ring = TxRing(card)
    ring.send(ring.legacy(ethernet(payload(86))))
    expect("GPTC twice", [card.read("GPTC"), card.read("GPTC")], [1, 0])


@TOPIC.check("STAT-RC64", STATS + ": a 64-bit counter is cleared by reading its high half", needs=WIRE)
def the_high_half_clears(card: Subject) -> None:
    """The low half of a 64-bit counter stays until the high half is read."""
    card.link_up()
    ring = TxRing(card)
    ring.send(ring.legacy(ethernet(payload(86))))
    seen = [card.read("GOTCL"), card.read("GOTCL"), card.read("GOTCH"), card.read("GOTCL")]
    expect("GOTCL, GOTCL, GOTCH, GOTCL", seen, [104, 104, 0, 0])


@TOPIC.check("STAT-MPC", STATS + ": MPC or RNBC counts a frame that found no descriptor", needs=WIRE)
def no_descriptor_is_counted(card: Subject) -> None:
    """A frame that is lost for want of a buffer is not counted as good, and the receiver goes on."""
    card.link_up()
    ring = RxRing(card, fill=1).start()
    frame = to_card(card, payload(80))
    card.bench.send(frame)
    card.bench.settle()
    expect("GPRC", card.read("GPRC"), 1)
    expect("the frame", ring.data(0, len(frame)), frame)


@TOPIC.check("STAT-ALL-ZERO", STATS)
def idle_counters(card: Subject) -> None:
    """No counter moves while nothing happens."""
    names = [
        register.name for register in STATISTICS if register.access is Access.RC and register.name != "IAC"
    ]
    card.bench.advance(10 * MILLISECOND)
    expect("counters that are not zero", [name for name in names if card.read(name)], [])
