"""Receive rings: formats, sizes, scatter, indices, thresholds, and what is too long."""

# ruff: noqa: D401 - the first line of a check's docstring is the sentence that must hold

from __future__ import annotations

import zlib
from functools import partial
from typing import TYPE_CHECKING

from device.rings.receive import ExtendedRx, ExtendedRxRead, RxStatus, SplitRx
from lab.conformance import frames as make
from lab.conformance.bench import Capability
from lab.conformance.check import Check, MismatchError, Topic, expect, is_true
from lab.conformance.frames import CARD_MAC, ETH_IPV4, PEER_MAC, ethernet, ipv4, padded, payload
from lab.conformance.rings import BUFFER_CODES, Kind, Received, RxRing, TxRing
from lab.conformance.subject import UNTOUCHED

if TYPE_CHECKING:
    from lab.conformance.subject import Subject

TOPIC = Topic("receive", "datasheet, Receive, packet reception")
WIRE = Capability.WIRE
DD, EOP = RxStatus.DD, RxStatus.EOP


def to_card(card: Subject, data: bytes, ethertype: int = 0x88B5) -> bytes:
    """Return a frame to the card's own address, padded as a cable would have it."""
    return padded(ethernet(data, to=card.address(), sender=PEER_MAC, ethertype=ethertype))


def ready(
    card: Subject, *, kind: Kind = Kind.EXTENDED, count: int = 16, buffer_bytes: int = 2048, **rctl: int
) -> RxRing:
    """Return a started ring on a card whose link is up."""
    card.link_up()
    return RxRing(card, kind=kind, count=count, buffer_bytes=buffer_bytes).start(**rctl)


def one(card: Subject, ring: RxRing, frame: bytes) -> Received:
    """Put a frame on the wire and return what the ring got; a frame that is not stored is a mismatch."""
    card.bench.send(frame)
    card.bench.settle()
    got = card.soon(ring.take)
    if got is None:
        raise MismatchError("frames received", 0, 1)
    return got


def none(card: Subject, ring: RxRing, frame: bytes) -> None:
    """Put a frame on the wire and expect that it is not stored."""
    card.bench.send(frame)
    card.bench.settle()
    got = ring.take()
    expect("frames received", [] if got is None else [got.data], [])


def stores(kind: Kind, length: int, card: Subject) -> None:
    """A frame of that length is stored."""
    ring = ready(card, kind=kind)
    frame = to_card(card, payload(length - 14))
    got = one(card, ring, frame)
    expect("the frame", got.data, frame)
    expect("DD, EOP", got.status & (DD | EOP), DD | EOP)
    expect("RDH", ring.head, 1)


for _kind in Kind:
    for _length in (60, 64, 127, 128, 129, 256, 1000, 1513, 1514):
        TOPIC.add(
            Check(
                f"RX-{_kind.name}-{_length:04}",
                f"A frame of {_length} bytes is stored by one {_kind.value} descriptor,"
                " length, DD and EOP right.",
                {
                    Kind.LEGACY: "datasheet, Receive, legacy receive descriptor format",
                    Kind.EXTENDED: "datasheet, Receive, extended receive descriptor",
                    Kind.SPLIT: "datasheet, Receive, packet split receive descriptor",
                }[_kind],
                partial(stores, _kind, _length),
                WIRE,
            )
        )


def scatters(size: int, card: Subject) -> None:
    """A frame longer than a buffer goes on in the next."""
    ring = ready(card, buffer_bytes=size, count=32, LPE=1)
    frame = to_card(card, payload(size * 2 + 100 - 14))
    got = one(card, ring, frame)
    expect("the frame", got.data, frame)
    lengths = [part.length for part in got.descriptors if isinstance(part, ExtendedRx)]
    expect("lengths", lengths, [size, size, 100])
    ends = [bool(part.status & EOP) for part in got.descriptors]
    expect("EOP", ends, [False, False, True])


for _size in BUFFER_CODES:
    if _size <= 4096:
        TOPIC.add(
            Check(
                f"RX-SCATTER-{_size:05}",
                f"With buffers of {_size} bytes a frame goes over three, EOP in the last alone.",
                "datasheet, RCTL.BSIZE and BSEX; e1000_clean_jumbo_rx_irq in Linux's netdev.c",
                partial(scatters, _size),
                WIRE,
            )
        )


@TOPIC.check("RX-SCATTER-EXACT", needs=WIRE)
def an_exact_fit(card: Subject) -> None:
    """A frame as long as its buffer takes one descriptor, not two."""
    ring = ready(card, buffer_bytes=256)
    frame = to_card(card, payload(256 - 14))
    got = one(card, ring, frame)
    expect("descriptors and data", (len(got.descriptors), got.data), (1, frame))


@TOPIC.check(
    "RX-FLXBUF", "datasheet, Receive Registers, RCTL.FLXBUF: buffer size in KiB, BSIZE ignored", needs=WIRE
)
def flexible_buffers(card: Subject) -> None:
    """RCTL.FLXBUF sets the buffer size in KiB."""
    ring = ready(card, buffer_bytes=2048, FLXBUF=1, LPE=1)
    frame = to_card(card, payload(1500))
    got = one(card, ring, frame)
    lengths = [part.length for part in got.descriptors if isinstance(part, ExtendedRx)]
    expect("lengths", lengths, [1024, len(frame) - 1024])


@TOPIC.check("RX-WRAP", "datasheet, Receive, receive descriptor queue structure", needs=WIRE)
def the_ring_wraps(card: Subject) -> None:
    """Forty frames through a ring of eight arrive in order."""
    ring = ready(card, count=8)
    frames = [to_card(card, payload(60 + n, n)) for n in range(40)]
    got: list[bytes] = []
    for frame in frames:
        before = ring.next
        got.append(one(card, ring, frame).data)
        ring.give(before)
        ring.hand_over(before)
    expect("frames", got, frames)
    expect("RDH", ring.head, 40 % 8)


@TOPIC.check("RX-EMPTY-RING", "datasheet, Receive: hardware stops when head reaches tail", needs=WIRE)
def no_buffers(card: Subject) -> None:
    """A frame that finds no descriptor writes nothing, and RDH stays at RDT."""
    card.link_up()
    ring = RxRing(card, fill=0).start()
    before = card.memory_read(ring.base, 256)
    card.bench.send(to_card(card, payload(80)))
    card.bench.settle()
    expect("the ring and RDH", (card.memory_read(ring.base, 256), ring.head), (before, 0))


@TOPIC.check("RX-LAST-BUFFER", "datasheet, Receive", needs=WIRE)
def the_tail_is_not_the_cards(card: Subject) -> None:
    """The descriptor at RDT is not used."""
    card.link_up()
    ring = RxRing(card, fill=1).start()
    for seed in (1, 2):
        card.bench.send(to_card(card, payload(80, seed)))
    card.bench.settle()
    expect("slots done", [ring.done(0), ring.done(1)], [True, False])


@TOPIC.check("RX-NULL", "datasheet, Receive: null descriptors are written back with DD, no data", needs=WIRE)
def null_descriptors(card: Subject) -> None:
    """A descriptor with address 0 takes no data; the frame goes on in the next buffer or is dropped whole."""
    ring = ready(card)
    card.memory_write(ring.base, ExtendedRxRead(0).emit())
    card.bench.send(to_card(card, payload(100)))
    card.bench.settle()
    is_true("slot 0 is written back", card.until(lambda: ring.done(0)))
    card.bench.send(to_card(card, payload(80)))
    card.bench.settle()
    is_true("the card goes on", card.until(lambda: ring.done(1)))


@TOPIC.check("RX-TAIL-BYTES", needs=WIRE)
def nothing_beyond_the_frame(card: Subject) -> None:
    """Bytes of the buffer beyond the frame are not written."""
    ring = ready(card)
    frame = to_card(card, payload(100))
    one(card, ring, frame)
    expect("the rest", ring.data(0, 2048)[len(frame) :], bytes([UNTOUCHED]) * (2048 - len(frame)))


@TOPIC.check(
    "RX-SECRC-OFF",
    "datasheet, Receive Registers, RCTL.SECRC: the CRC is part of the length unless stripped",
    needs=WIRE,
)
def the_crc_is_kept(card: Subject) -> None:
    """With SECRC clear the length counts the four bytes of the FCS."""
    ring = ready(card, SECRC=0)
    frame = to_card(card, payload(100))
    got = one(card, ring, frame)
    expect("length and data", (len(got.data), got.data[:-4]), (len(frame) + 4, frame))


@TOPIC.check(
    "RX-SECRC-FCS", "IEEE 802.3, 3.2.9: the FCS is the CRC-32 of the frame, low byte first", needs=WIRE
)
def the_crc_is_right(card: Subject) -> None:
    """With SECRC clear the four bytes are the frame's FCS."""
    ring = ready(card, SECRC=0)
    frame = to_card(card, payload(100))
    expect("the FCS", one(card, ring, frame).data[-4:], zlib.crc32(frame).to_bytes(4, "little"))


@TOPIC.check("RX-OFF", "datasheet, Receive Registers, RCTL.EN", needs=WIRE)
def a_disabled_receiver(card: Subject) -> None:
    """With RCTL.EN clear nothing is stored."""
    ring = ready(card)
    card.set("RCTL", EN=0)
    none(card, ring, to_card(card, payload(80)))


@TOPIC.check(
    "RX-LPE-OFF",
    "datasheet, Receive Registers, RCTL.LPE: 1522 bytes are the limit; CVE-2012-6075",
    needs=WIRE,
)
def long_frames_are_refused(card: Subject) -> None:
    """Without LPE a frame of more than 1522 bytes with FCS is not stored."""
    ring = ready(card)
    none(card, ring, to_card(card, payload(1519 - 14)))


@TOPIC.check("RX-LPE-EDGE", "datasheet, Receive Registers, RCTL.LPE", needs=WIRE)
def the_longest_short_frame(card: Subject) -> None:
    """Without LPE a frame of 1522 bytes with FCS is stored."""
    ring = ready(card)
    frame = to_card(card, payload(1518 - 14))
    expect("the frame", one(card, ring, frame).data, frame)


@TOPIC.check(
    "RX-LPE-SBP",
    "datasheet, Receive Registers: SBP stores bad packets, not ones that are too long",
    needs=WIRE,
)
def jumbo_over_small_buffers(card: Subject) -> None:
    """With LPE a frame of 9018 bytes is stored over five buffers of 2 KiB."""
    ring = ready(card, LPE=1)
    frame = to_card(card, payload(9014 - 14))
    got = one(card, ring, frame)
    expect("descriptors and data", (len(got.descriptors), got.data), (5, frame))


@TOPIC.check("RX-ROC", "datasheet, Statistics Registers, ROC: longer than 1522 without LPE", needs=WIRE)
def oversize_is_counted(card: Subject) -> None:
    """A frame too long is counted in ROC and not in GPRC."""
    ring = ready(card)
    none(card, ring, to_card(card, payload(1600)))
    expect("ROC, GPRC", (card.read("ROC"), card.read("GPRC")), (1, 0))


@TOPIC.check("RX-EN-LATER", "eth_em_rx_init in DPDK's em_rxtx.c: RDT before RCTL.EN", needs=WIRE)
def tail_before_enable(card: Subject) -> None:
    """Buffers that were handed over before RCTL.EN are used after it."""
    card.link_up()
    ring = RxRing(card, kind=Kind.LEGACY)
    card.write("RCTL", 0)
    card.write("RDT0", 15)
    card.set("RCTL", EN=1, BAM=1, SECRC=1)
    frame = to_card(card, payload(80))
    expect("the frame", one(card, ring, frame).data, frame)


@TOPIC.check(
    "RX-LEGACY-FIELDS", "datasheet, Receive; iPXE's intel.c drops frames whose error byte is set", needs=WIRE
)
def legacy_fields(card: Subject) -> None:
    """A legacy write-back has no errors, no VLAN, and keeps the buffer's address."""
    ring = ready(card, kind=Kind.LEGACY)
    got = one(card, ring, to_card(card, payload(80))).legacy
    expect("address, errors, special", (got.address, got.errors, got.special), (ring.buffers[0][0], 0, 0))


@TOPIC.check("RX-EXT-ERRORS", "datasheet, Receive, extended status and errors", needs=WIRE)
def extended_errors(card: Subject) -> None:
    """An extended write-back of a good frame has no error bits."""
    got = one(card, ready(card), to_card(card, payload(80))).extended
    expect("errors", int(got.errors), 0)


@TOPIC.check(
    "RX-LEGACY-CSUM", "datasheet, Receive: the packet checksum from RXCSUM.PCSS to the end", needs=WIRE
)
def the_packet_checksum(card: Subject) -> None:
    """The packet checksum of a legacy descriptor is the one's complement sum from PCSS on."""
    ring = ready(card, kind=Kind.LEGACY)
    card.write("RXCSUM", 14)
    frame = to_card(card, payload(86))
    got = one(card, ring, frame).legacy
    swapped = int.from_bytes(got.checksum.to_bytes(2, "little"), "big")
    want = make.ones_sum(frame[14:])
    if want not in (got.checksum, swapped, ~got.checksum & 0xFFFF, ~swapped & 0xFFFF):
        raise MismatchError("packet checksum (either byte order, inverted or not)", got.checksum, want)


# -- packet split ------------------------------------------------------------------------------------


def split_ring(card: Subject) -> RxRing:
    """Return a packet split ring: 128 bytes of header, three pages."""
    card.link_up()
    return RxRing(card, kind=Kind.SPLIT).start(LPE=1)


@TOPIC.check(
    "RX-SPLIT-HEADER", "datasheet, Receive: HLEN and HSPH; Receive Checksums, header splitting", needs=WIRE
)
def headers_apart(card: Subject) -> None:
    """A TCP header goes into the header buffer alone, HLEN and HSPH say so."""
    ring = split_ring(card)
    frame = to_card(card, ipv4(make.tcp(payload(500)), make.TCP), ETH_IPV4)
    got = one(card, ring, frame)
    assert isinstance(got.last, SplitRx)  # noqa: S101 - the ring is one of them
    expect(
        "HSPH, HLEN, length 1",
        (got.last.header_status & 0x83FF, got.last.length1),
        (0x8000 | 54, len(frame) - 54),
    )
    expect("header buffer", ring.data(0, 54), frame[:54])
    expect("first page", ring.data(0, len(frame) - 54, 1), frame[54:])


@TOPIC.check(
    "RX-SPLIT-NOHEADER", "datasheet, Receive: no header found, the frame begins in buffer 0", needs=WIRE
)
def no_header_to_split(card: Subject) -> None:
    """A frame without a known header fills the header buffer first and goes on in the page."""
    ring = split_ring(card)
    frame = to_card(card, payload(500))
    got = one(card, ring, frame)
    expect("the frame", ring.data(0, 128) + ring.data(0, len(frame) - 128, 1), frame)
    expect("EOP", got.status & EOP, EOP)


@TOPIC.check("RX-SPLIT-JUMBO", "datasheet, Receive; e1000_clean_rx_irq_ps in Linux's netdev.c", needs=WIRE)
def split_jumbo(card: Subject) -> None:
    """A jumbo frame fills the pages one after another."""
    ring = split_ring(card)
    frame = to_card(card, ipv4(make.udp(payload(8900)), make.UDP), ETH_IPV4)
    got = one(card, ring, frame)
    assert isinstance(got.last, SplitRx)  # noqa: S101 - the ring is one of them
    data = len(frame) - 42
    lengths = (got.last.length1, got.last.length2, got.last.length3)
    expect("page lengths", lengths, (4096, 4096, data - 8192))
    expect("the frame", got.data, frame)


# -- link state, order -------------------------------------------------------------------------------


@TOPIC.check("RX-ORDER", needs=WIRE)
def order_is_kept(card: Subject) -> None:
    """Twelve frames arrive in the order they were sent."""
    ring = ready(card)
    frames = [to_card(card, payload(60 + 13 * n, n)) for n in range(12)]
    for frame in frames:
        card.bench.send(frame)
    card.bench.settle()
    expect("frames", [got.data for got in ring.drain()], frames)


@TOPIC.check("RX-TXRX", needs=WIRE)
def both_directions(card: Subject) -> None:
    """Sending does not disturb receiving."""
    ring, out = ready(card), TxRing(card)
    frame, answer = to_card(card, payload(70)), ethernet(payload(90))
    out.send(out.legacy(answer))
    got = one(card, ring, frame)
    expect("frames", (got.data, card.bench.frames()), (frame, [answer]))


@TOPIC.check("RX-OWN-MAC", "datasheet, Receive, packet address filtering", needs=WIRE)
def the_bench_knows_the_address(card: Subject) -> None:
    """A frame to receive address 0 is stored."""
    ring = ready(card)
    frame = padded(ethernet(payload(50), to=card.address(), sender=CARD_MAC))
    expect("the frame", one(card, ring, frame).data, frame)
