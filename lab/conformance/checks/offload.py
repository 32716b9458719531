"""Transmit offloads: checksum insertion, TCP segmentation, VLAN tags."""

# ruff: noqa: D401 - the first line of a check's docstring is the sentence that must hold

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from device.rings.transmit import IP, TCP, TSE, ContextTx, DataTx, TxCommand, TxOptions
from lab.conformance import frames as make
from lab.conformance.check import Check, Topic, expect
from lab.conformance.checks.transmit import DEXT, IFCS, WIRE, ready
from lab.conformance.frames import ETH_IPV4, ETH_IPV6, ethernet, ipv4, ipv6, payload, put16, tagged
from lab.conformance.rings import WHOLE

if TYPE_CHECKING:
    from lab.conformance.rings import TxRing
    from lab.conformance.subject import Subject

TOPIC = Topic("transmit offloads", "datasheet, Transmit, TCP Segmentation")
IXSM, TXSM, VLE = TxOptions.IXSM, TxOptions.TXSM, TxCommand.VLE
IC = TxCommand.IC
ACK = 0x10  # the only TCP flag of most checks: what becomes of FIN and PSH has one of its own


def context(ip_at: int, l4_at: int, l4_checksum: int, *, v6: bool = False, tcp: bool = True) -> ContextTx:
    """Return the context descriptor of e1000_tx_csum (Linux, netdev.c): offsets from the frame's start."""
    return ContextTx(
        ipcss=ip_at,
        ipcso=0 if v6 else ip_at + 10,
        ipcse=0 if v6 else l4_at - 1,
        tucss=l4_at,
        tucso=l4_checksum,
        tucse=0,
        command=DEXT | (TxCommand.NONE if v6 else IP) | (TCP if tcp else TxCommand.NONE),
    )


def data(card: Subject, content: bytes, options: TxOptions, command: TxCommand = WHOLE) -> DataTx:
    """Return a data descriptor with options."""
    return DataTx(card.buffer(content), len(content), command | DEXT, options=options)


def checksums(name: str, v6: bool, tcp: bool, length: int, card: Subject) -> None:  # noqa: FBT001 - from a table
    """The card puts the IP and transport checksums in."""
    ring = ready(card)
    segment = (make.tcp if tcp else make.udp)(payload(length), v6=v6)
    packet = (
        ipv6(segment, make.TCP if tcp else make.UDP) if v6 else ipv4(segment, make.TCP if tcp else make.UDP)
    )
    whole = ethernet(packet, ethertype=ETH_IPV6 if v6 else ETH_IPV4)
    l4_at = 54 if v6 else 34
    at = l4_at + (16 if tcp else 6)
    seed = make.ones_sum(make.pseudo(make.TCP if tcp else make.UDP, len(segment), v6=v6))
    bare = put16(whole, at, seed)
    if not v6:
        bare = put16(bare, 24, 0)
    options = TXSM if v6 else TXSM | IXSM
    ring.send(context(14, l4_at, at, v6=v6, tcp=tcp), data(card, bare, options))
    expect(f"the {name} frame", card.bench.frames(), [whole])


for _name, _v6, _tcp in (
    ("TCP4", False, True),
    ("UDP4", False, False),
    ("TCP6", True, True),
    ("UDP6", True, False),
):
    for _length in (20, 21, 999, 1400):
        TOPIC.add(
            Check(
                f"OFF-CSUM-{_name}-{_length:04}",
                f"{_name[:3]} over IPv{_name[3]} with {_length} bytes of data gets its checksums.",
                "datasheet, Transmit, POPTS; e1000_tx_csum in Linux's netdev.c",
                partial(checksums, _name, _v6, _tcp, _length),
                WIRE,
            )
        )


@TOPIC.check("OFF-IP-ONLY", "datasheet, Transmit, POPTS.IXSM", needs=WIRE)
def ip_checksum_alone(card: Subject) -> None:
    """IXSM alone inserts the IP checksum and leaves the transport's as it is."""
    ring = ready(card)
    segment = put16(make.tcp(payload(50)), 16, 0x1111)
    whole = ethernet(ipv4(segment, make.TCP), ethertype=ETH_IPV4)
    ring.send(context(14, 34, 50), data(card, put16(whole, 24, 0), IXSM))
    expect("frames", card.bench.frames(), [whole])


@TOPIC.check("OFF-NONE", "datasheet, Transmit, POPTS", needs=WIRE)
def no_option_no_change(card: Subject) -> None:
    """Without POPTS a frame with wrong checksums leaves as it is."""
    ring = ready(card)
    wrong = put16(ethernet(ipv4(make.tcp(payload(50)), make.TCP), ethertype=ETH_IPV4), 24, 0x4242)
    ring.send(context(14, 34, 50), data(card, wrong, TxOptions.NONE))
    expect("frames", card.bench.frames(), [wrong])


@TOPIC.check(
    "OFF-OFFSETS", "datasheet, Transmit: TUCSS, TUCSO say where, the packet's kind does not", needs=WIRE
)
def offsets_rule(card: Subject) -> None:
    """The checksum goes where the context says, for a protocol that the card cannot know."""
    ring = ready(card)
    frame = ethernet(payload(100))
    bare = put16(frame, 40, 0)
    want = put16(bare, 40, make.checksum(bare[30:]))
    ring.send(ContextTx(tucss=30, tucso=40, tucse=0, command=DEXT | TCP), data(card, bare, TXSM))
    expect("frames", card.bench.frames(), [want])


@TOPIC.check("OFF-TUCSE", "datasheet, Transmit: TUCSE is the last byte that is summed", needs=WIRE)
def the_end_rules(card: Subject) -> None:
    """TUCSE bounds the sum, its byte included."""
    ring = ready(card)
    bare = put16(ethernet(payload(100)), 40, 0)
    want = put16(bare, 40, make.checksum(bare[30:80]))
    ring.send(ContextTx(tucss=30, tucso=40, tucse=79, command=DEXT | TCP), data(card, bare, TXSM))
    expect("frames", card.bench.frames(), [want])


@TOPIC.check("OFF-CONTEXT-STAYS", "datasheet, Transmit: a context holds until the next one", needs=WIRE)
def a_context_serves_many(card: Subject) -> None:
    """One context descriptor serves the frames that follow it, over doorbells."""
    ring = ready(card)
    whole = [ethernet(ipv4(make.tcp(payload(60 + n, n)), make.TCP), ethertype=ETH_IPV4) for n in range(3)]
    ring.send(context(14, 34, 50))
    for frame in whole:
        length = len(frame) - 34
        bare = put16(put16(frame, 24, 0), 50, make.ones_sum(make.pseudo(make.TCP, length)))
        ring.send(data(card, bare, IXSM | TXSM))
    expect("frames", card.bench.frames(), whole)


@TOPIC.check("OFF-POPTS-FIRST", "datasheet, Transmit: POPTS of the first data descriptor counts", needs=WIRE)
def options_of_the_first(card: Subject) -> None:
    """POPTS are taken from a frame's first data descriptor."""
    ring = ready(card)
    whole = ethernet(ipv4(make.tcp(payload(90)), make.TCP), ethertype=ETH_IPV4)
    bare = put16(put16(whole, 24, 0), 50, make.ones_sum(make.pseudo(make.TCP, len(whole) - 34)))
    ring.send(
        context(14, 34, 50),
        data(card, bare[:54], IXSM | TXSM, IFCS),
        data(card, bare[54:], TxOptions.NONE),
    )
    expect("frames", card.bench.frames(), [whole])


@TOPIC.check("OFF-LEGACY-IC", "datasheet, Transmit: IC, CSO, CSS of a legacy descriptor", needs=WIRE)
def legacy_checksum(card: Subject) -> None:
    """A legacy descriptor with IC gets the sum from CSS to the end put at CSO."""
    ring = ready(card)
    bare = put16(ethernet(payload(100)), 44, 0)
    want = put16(bare, 44, make.checksum(bare[20:]))
    ring.send(ring.legacy(bare, WHOLE | IC, css=20, cso=44))
    expect("frames", card.bench.frames(), [want])


@TOPIC.check("OFF-LEGACY-CSO-OUT", "datasheet, Transmit: CSO beyond the packet inserts nothing", needs=WIRE)
def legacy_checksum_outside(card: Subject) -> None:
    """A CSO beyond the frame's end inserts no checksum."""
    ring = ready(card)
    frame = ethernet(payload(60))
    ring.send(ring.legacy(frame, WHOLE | IC, css=20, cso=200))
    expect("frames", card.bench.frames(), [frame])


@TOPIC.check(
    "OFF-BUFFER",
    "datasheet, Transmit: the card reads packet data; the checksum goes into the FIFO",
    needs=WIRE,
)
def insertion_leaves_the_buffer_alone(card: Subject) -> None:
    """Inserting checksums does not change the buffer in memory."""
    ring = ready(card)
    whole = ethernet(ipv4(make.tcp(payload(90)), make.TCP), ethertype=ETH_IPV4)
    bare = put16(put16(whole, 24, 0), 50, make.ones_sum(make.pseudo(make.TCP, len(whole) - 34)))
    descriptor = data(card, bare, IXSM | TXSM)
    ring.send(context(14, 34, 50), descriptor)
    expect("the buffer", card.memory_read(descriptor.address, len(bare)), bare)


@TOPIC.check("OFF-BAD-IP", "datasheet, Transmit: the card inserts checksums, it judges no packet", needs=WIRE)
def unparsable_packets_leave(card: Subject) -> None:
    """A frame that says IPv4 and is none leaves all the same."""
    ring = ready(card)
    frame = ethernet(b"\x00" + payload(99), ethertype=ETH_IPV4)
    ring.send(data(card, frame, TxOptions.NONE))
    expect("frames", card.bench.frames(), [frame])


# -- TCP segmentation -------------------------------------------------------------------------------


def tso(card: Subject, ring: TxRing, length: int, mss: int, *, v6: bool = False, flags: int = ACK) -> None:
    """Send one segmentation context of that much data, header and payload in one descriptor."""
    whole = make.segmentable(length, v6=v6, flags=flags)
    ring.send(
        replace(
            context(whole.ip_at, whole.tcp_at, whole.tcp_at + 16, v6=v6),
            command=DEXT | TSE | TCP | (TxCommand.NONE if v6 else IP),
            paylen=length,
            hdrlen=whole.header_length,
            mss=mss,
        ),
        DataTx(
            card.buffer(whole.frame),
            len(whole.frame),
            DEXT | TSE | WHOLE,
            options=TXSM if v6 else TXSM | IXSM,
        ),
    )


def segmentation(length: int, mss: int, v6: bool, card: Subject) -> None:  # noqa: FBT001 - from a table
    """The wire carries the segments."""
    ring = ready(card)
    tso(card, ring, length, mss, v6=v6)
    expect("frames", card.bench.frames(), make.segments(length, mss, v6=v6, flags=ACK))


for _v6 in (False, True):
    for _length, _mss in (
        (1000, 1460),
        (2920, 1460),
        (2961, 1460),
        (5000, 1448),
        (4000, 536),
        (65000, 1440),
        (200, 88),
    ):
        TOPIC.add(
            Check(
                f"TSO-{'V6' if _v6 else 'V4'}-{_length:05}-{_mss:04}",
                f"{_length} bytes of TCP over IPv{6 if _v6 else 4} leave as segments of {_mss}: lengths,"
                " identification, sequence, checksums right.",
                "datasheet, TCP Segmentation, TCP segmentation; e1000_tso in Linux's netdev.c",
                partial(segmentation, _length, _mss, _v6),
                WIRE,
            )
        )


@TOPIC.check("TSO-FIN", "datasheet, TCP Segmentation: FIN and PSH stay in the last frame alone", needs=WIRE)
def fin_is_in_the_last(card: Subject) -> None:
    """FIN and PSH are set in the last segment only."""
    ring = ready(card)
    tso(card, ring, 3000, 1000, flags=0x19)
    expect("frames", card.bench.frames(), make.segments(3000, 1000, flags=0x19))


@TOPIC.check("TSO-SPLIT-HEADER", "e1000_tx_map in Linux's netdev.c: header and fragments apart", needs=WIRE)
def header_apart(card: Subject) -> None:
    """Header in one descriptor and data in three leave as the same segments."""
    ring = ready(card)
    whole = make.segmentable(3000, flags=ACK)
    head, rest = whole.frame[: whole.header_length], whole.frame[whole.header_length :]
    ring.post(
        replace(
            context(14, 34, 50),
            command=DEXT | TSE | TCP | IP,
            paylen=3000,
            hdrlen=whole.header_length,
            mss=1200,
        )
    )
    parts = (head, rest[:700], rest[700:1900], rest[1900:])
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        ring.post(
            DataTx(
                card.buffer(part),
                len(part),
                DEXT | TSE | IFCS | (WHOLE if last else TxCommand.NONE),
                options=TXSM | IXSM,
            )
        )
    ring.doorbell()
    expect("frames and DD", (card.bench.frames(), ring.done(4)), (make.segments(3000, 1200, flags=ACK), True))


@TOPIC.check("TSO-VLAN", "datasheet, TCP Segmentation, VLAN: the tag goes into every segment", needs=WIRE)
def tags_in_every_segment(card: Subject) -> None:
    """With VLE every segment gets the tag of the first data descriptor."""
    ring = ready(card)
    card.set("CTRL", VME=1)
    whole = make.segmentable(2000, flags=ACK)
    ring.send(
        replace(
            context(14, 34, 50),
            command=DEXT | TSE | TCP | IP,
            paylen=2000,
            hdrlen=whole.header_length,
            mss=1000,
        ),
        DataTx(
            card.buffer(whole.frame),
            len(whole.frame),
            DEXT | TSE | WHOLE | VLE,
            options=TXSM | IXSM,
            special=0x2005,
        ),
    )
    expect(
        "frames",
        card.bench.frames(),
        [tagged(frame, 0x2005) for frame in make.segments(2000, 1000, flags=ACK)],
    )


@TOPIC.check("TSO-COUNT", "datasheet, Statistics Registers, TSCTC", needs=WIRE)
def contexts_are_counted(card: Subject) -> None:
    """TSCTC counts each segmentation context sent."""
    ring = ready(card)
    card.read("TSCTC")
    tso(card, ring, 3000, 1000)
    tso(card, ring, 2000, 1000)
    expect("TSCTC", card.read("TSCTC"), 2)


@TOPIC.check("TSO-FRAMES", "datasheet, Statistics Registers: TPT counts frames on the wire", needs=WIRE)
def segments_are_counted(card: Subject) -> None:
    """Each segment is a frame to the statistics."""
    ring = ready(card)
    tso(card, ring, 3000, 1000)
    expect("GPTC and TPT", (card.read("GPTC"), card.read("TPT")), (3, 3))


@TOPIC.check("TSO-THEN-PLAIN", needs=WIRE)
def a_plain_frame_after(card: Subject) -> None:
    """A plain frame after a segmented one is not segmented."""
    ring = ready(card)
    tso(card, ring, 2000, 1000)
    card.bench.frames()
    frame = ethernet(payload(1400))
    ring.send(ring.legacy(frame))
    expect("frames", card.bench.frames(), [frame])


# -- VLAN -------------------------------------------------------------------------------------------

VLAN = "datasheet, VLAN, adding 802.1Q tags on transmits"


def inserts(tag: int, extended: bool, card: Subject) -> None:  # noqa: FBT001 - from a table
    """The tag is put after the addresses."""
    ring = ready(card)
    card.set("CTRL", VME=1)
    frame = ethernet(payload(80))
    if extended:
        ring.send(DataTx(card.buffer(frame), len(frame), DEXT | WHOLE | VLE, special=tag))
    else:
        ring.send(ring.legacy(frame, WHOLE | VLE, special=tag))
    expect("frames", card.bench.frames(), [tagged(frame, tag)])


for _tag in (0x0001, 0x0FFF, 0xE00A):
    for _extended in (False, True):
        TOPIC.add(
            Check(
                f"VLAN-TX-{'DAT' if _extended else 'LEG'}-{_tag:04X}",
                f"VLE of a {'data' if _extended else 'legacy'} descriptor inserts tag {_tag:#06x}.",
                VLAN,
                partial(inserts, _tag, _extended),
                WIRE,
            )
        )


@TOPIC.check("VLAN-TX-VET", "datasheet, General Registers, VET", needs=WIRE)
def the_ethertype_is_vets(card: Subject) -> None:
    """The inserted tag's ethertype is VET's."""
    ring = ready(card)
    card.set("CTRL", VME=1)
    card.write("VET", 0x88A8)
    frame = ethernet(payload(80))
    ring.send(ring.legacy(frame, WHOLE | VLE, special=7))
    expect("frames", card.bench.frames(), [tagged(frame, 7, 0x88A8)])


@TOPIC.check("VLAN-TX-OFF", VLAN, needs=WIRE)
def no_tag_without_vme(card: Subject) -> None:
    """Without CTRL.VME the VLE bit does nothing."""
    ring = ready(card)
    card.set("CTRL", VME=0)
    frame = ethernet(payload(80))
    ring.send(ring.legacy(frame, WHOLE | VLE, special=7))
    expect("frames", card.bench.frames(), [frame])


@TOPIC.check("VLAN-TX-CSUM", VLAN, needs=WIRE)
def checksums_and_a_tag(card: Subject) -> None:
    """Checksum offsets count without the tag that is inserted after."""
    ring = ready(card)
    card.set("CTRL", VME=1)
    whole = ethernet(ipv4(make.tcp(payload(90)), make.TCP), ethertype=ETH_IPV4)
    bare = put16(put16(whole, 24, 0), 50, make.ones_sum(make.pseudo(make.TCP, len(whole) - 34)))
    ring.send(
        context(14, 34, 50),
        DataTx(card.buffer(bare), len(bare), DEXT | WHOLE | VLE, options=IXSM | TXSM, special=9),
    )
    expect("frames", card.bench.frames(), [tagged(whole, 9)])
