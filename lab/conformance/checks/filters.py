"""What is received: addresses, multicast, VLANs, PAUSE; checksums verified, RSS, VLAN stripping."""

# ruff: noqa: D401 - the first line of a check's docstring is the sentence that must hold

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from device.rings.receive import RxError, RxStatus
from lab.conformance import frames as make
from lab.conformance.check import Check, Topic, expect, is_true
from lab.conformance.checks.receive import WIRE, none, one, ready, to_card
from lab.conformance.frames import (
    BROADCAST,
    ETH_IPV4,
    ETH_IPV6,
    PEER_MAC,
    ethernet,
    ipv4,
    ipv6,
    padded,
    payload,
    put16,
    tagged,
)
from lab.conformance.rings import Kind, RxRing

if TYPE_CHECKING:
    from lab.conformance.subject import Subject

TOPIC = Topic("filters and receive offloads", "datasheet, Receive, packet address filtering")
OTHER = bytes.fromhex("02abcdef0001")
GROUP = bytes.fromhex("01005e010203")


def frame_to(address: bytes) -> bytes:
    """Return a frame to an address."""
    return padded(ethernet(payload(80), to=address, sender=PEER_MAC))


def passes(address: bytes, rctl: dict[str, int], *, wanted: bool, card: Subject) -> None:
    """A frame to that address is stored or not under that RCTL."""
    card.link_up()
    ring = RxRing(card).start(**rctl)
    if wanted:
        expect("the frame", one(card, ring, frame_to(address)).data, frame_to(address))
    else:
        none(card, ring, frame_to(address))


for _id, _address, _rctl, _wanted, _words in (
    ("BAM-ON", BROADCAST, {"BAM": 1}, True, "A broadcast is stored with BAM."),
    ("BAM-OFF", BROADCAST, {"BAM": 0}, False, "A broadcast is not stored without BAM."),
    ("UPE-ON", OTHER, {"UPE": 1}, True, "A frame to another station is stored with UPE."),
    ("UPE-OFF", OTHER, {"UPE": 0}, False, "A frame to another station is not stored without UPE."),
    ("MPE-ON", GROUP, {"MPE": 1}, True, "A multicast is stored with MPE."),
    ("MPE-OFF", GROUP, {"MPE": 0}, False, "A multicast that is not in the table is not stored without MPE."),
    ("UPE-GROUP", GROUP, {"UPE": 1}, False, "UPE does not let multicasts in."),
    ("MPE-UNI", OTHER, {"MPE": 1}, False, "MPE does not let other stations' frames in."),
):
    TOPIC.add(
        Check(
            f"FLT-{_id}",
            _words,
            "datasheet, Receive Registers, RCTL",
            partial(
                lambda address, rctl, wanted, card: passes(address, rctl, wanted=wanted, card=card),
                _address,
                _rctl,
                _wanted,
            ),
            WIRE,
        )
    )


def exact(index: int, card: Subject) -> None:
    """A frame to a receive address is stored, one to the address next to it is not."""
    ring = ready(card)
    card.write("RAL", int.from_bytes(OTHER[:4], "little"), index)
    card.write("RAH", 1 << 31 | int.from_bytes(OTHER[4:], "little"), index)
    expect("the frame", one(card, ring, frame_to(OTHER)).data, frame_to(OTHER))
    none(card, ring, frame_to(OTHER[:5] + b"\x02"))


for _index in (1, 7, 14, 15):
    TOPIC.add(
        Check(
            f"FLT-RA-{_index:02}",
            f"Receive address {_index} lets its station in and no other.",
            "datasheet, Receive Registers, RAL and RAH",
            partial(exact, _index),
            WIRE,
        )
    )


@TOPIC.check("FLT-RA-AV", "datasheet, Receive Registers, RAH.AV", needs=WIRE)
def an_invalid_address(card: Subject) -> None:
    """A receive address without AV lets nothing in."""
    ring = ready(card)
    card.write("RAL", int.from_bytes(OTHER[:4], "little"), 3)
    card.write("RAH", int.from_bytes(OTHER[4:], "little"), 3)
    none(card, ring, frame_to(OTHER))


def hashed(offset: int, card: Subject) -> None:
    """The multicast table lets a group in by 12 bits of its address."""
    ring = ready(card, MO=offset)
    shift = (4, 3, 2, 0)[offset]
    value = (GROUP[4] | GROUP[5] << 8) >> shift & 0xFFF
    card.write("MTA", 1 << (value & 31), value >> 5)
    got = one(card, ring, frame_to(GROUP))
    expect("the frame", got.data, frame_to(GROUP))
    expect("PIF: an inexact match", got.status & RxStatus.PIF, RxStatus.PIF)
    none(card, ring, frame_to(GROUP[:4] + b"\xf5\x5f"))


for _offset in range(4):
    TOPIC.add(
        Check(
            f"FLT-MTA-{_offset}",
            f"With RCTL.MO = {_offset} the multicast table is indexed by its 12 bits of the address,"
            " and PIF is set.",
            "datasheet, Receive Registers, MTA; e1000_hash_mc_addr_82571 in Linux's mac.c",
            partial(hashed, _offset),
            WIRE,
        )
    )


@TOPIC.check("FLT-VFE-IN", "datasheet, Receive Registers, VFTA", needs=WIRE)
def a_vlan_in_the_table(card: Subject) -> None:
    """With VFE a tagged frame of a VLAN in the table is stored."""
    ring = ready(card, VFE=1)
    card.write("VFTA", 1 << (100 & 31), 100 >> 5)
    card.set("CTRL", VME=1)
    frame = to_card(card, payload(80))
    expect("the frame", one(card, ring, tagged(frame, 100)).data, frame)


@TOPIC.check("FLT-VFE-OUT", "datasheet, Receive Registers, VFTA", needs=WIRE)
def a_vlan_outside_the_table(card: Subject) -> None:
    """With VFE a tagged frame of another VLAN is not stored."""
    ring = ready(card, VFE=1)
    card.write("VFTA", 1 << (100 & 31), 100 >> 5)
    none(card, ring, tagged(to_card(card, payload(80)), 101))


@TOPIC.check("FLT-VFE-UNTAGGED", "datasheet, Receive Registers, RCTL.VFE", needs=WIRE)
def untagged_under_vfe(card: Subject) -> None:
    """With VFE an untagged frame is stored."""
    ring = ready(card, VFE=1)
    frame = to_card(card, payload(80))
    expect("the frame", one(card, ring, frame).data, frame)


@TOPIC.check("FLT-PAUSE", "datasheet, Receive Registers, RCTL.PMCF and DPF; IEEE 802.3, 31B", needs=WIRE)
def pause_frames_are_consumed(card: Subject) -> None:
    """With CTRL.RFCE and without PMCF a PAUSE frame is not stored."""
    ring = ready(card, MPE=1)
    pause_addresses(card)
    none(card, ring, make.pause(0x10))


@TOPIC.check("FLT-PAUSE-COUNT", "datasheet, Statistics Registers, XONRXC and XOFFRXC", needs=WIRE)
def pause_frames_are_counted(card: Subject) -> None:
    """XOFFRXC and XONRXC count PAUSE frames with and without time."""
    ready(card)
    pause_addresses(card)
    for quanta in (0x10, 0x20, 0):
        card.bench.send(make.pause(quanta))
    card.bench.settle()
    expect("XOFFRXC, XONRXC", (card.read("XOFFRXC"), card.read("XONRXC")), (2, 1))


def pause_addresses(card: Subject) -> None:
    """Set flow control up as e1000e_set_fc_watermarks and its caller do (Linux, mac.c)."""
    card.write("FCAL", 0x00C2_8001)
    card.write("FCAH", 0x0100)
    card.write("FCT", 0x8808)
    card.set("CTRL", RFCE=1)


# -- VLAN tags ---------------------------------------------------------------------------------------


def strips(kind: Kind, card: Subject) -> None:
    """CTRL.VME takes the tag out and puts it into the descriptor."""
    ring = ready(card, kind=kind)
    card.set("CTRL", VME=1)
    frame = to_card(card, payload(80))
    got = one(card, ring, tagged(frame, 0x2ABC))
    tag = got.legacy.special if kind is Kind.LEGACY else got.extended.vlan
    expect("data, VP, tag", (got.data, got.status & RxStatus.VP, tag), (frame, RxStatus.VP, 0x2ABC))


for _kind in (Kind.LEGACY, Kind.EXTENDED):
    TOPIC.add(
        Check(
            f"VLAN-RX-{_kind.name}",
            f"With CTRL.VME the tag moves into the {_kind.value} descriptor, VP set.",
            "datasheet, VLAN, stripping 802.1Q tags on receives",
            partial(strips, _kind),
            WIRE,
        )
    )


@TOPIC.check("VLAN-RX-OFF", "datasheet, VLAN", needs=WIRE)
def tags_stay_without_vme(card: Subject) -> None:
    """Without CTRL.VME a tagged frame is stored as it is, VP clear."""
    ring = ready(card)
    frame = tagged(to_card(card, payload(80)), 7)
    got = one(card, ring, frame)
    expect("data and VP", (got.data, got.status & RxStatus.VP), (frame, 0))


@TOPIC.check("VLAN-RX-UNTAGGED", "datasheet, VLAN", needs=WIRE)
def untagged_under_vme(card: Subject) -> None:
    """With CTRL.VME an untagged frame has VP clear."""
    ring = ready(card)
    card.set("CTRL", VME=1)
    got = one(card, ring, to_card(card, payload(80)))
    expect("VP", got.status & RxStatus.VP, 0)


# -- checksums ---------------------------------------------------------------------------------------

XSUM = "datasheet, RSS, receive packet checksum offloading; e1000_rx_checksum in Linux's netdev.c"


def packet(name: str, broken: str) -> bytes:
    """Return a packet with a right checksum, or with the one that is named broken."""
    v6, is_tcp = name.endswith("6"), name.startswith("TCP")
    segment = (make.tcp if is_tcp else make.udp)(payload(100), v6=v6)
    if broken == "L4":
        at = 16 if is_tcp else 6
        segment = put16(segment, at, int.from_bytes(segment[at : at + 2], "big") ^ 0x0101)
    whole = (ipv6 if v6 else ipv4)(segment, make.TCP if is_tcp else make.UDP)
    if broken == "IP":
        whole = put16(whole, 10, int.from_bytes(whole[10:12], "big") ^ 0x0101)
    return whole


def verifies(name: str, broken: str, card: Subject) -> None:
    """The status says which checksums were looked at, the errors which were wrong."""
    ring = ready(card)
    card.write("RXCSUM", 0x300)
    got = one(card, ring, to_card(card, packet(name, broken), ETH_IPV6 if name.endswith("6") else ETH_IPV4))
    ip = RxStatus.NONE if name.endswith("6") else RxStatus.IPCS
    looked = got.status & (RxStatus.IPCS | RxStatus.TCPCS | RxStatus.IXSM)
    expect("IPCS, TCPCS, IXSM", RxStatus(looked), ip | RxStatus.TCPCS)
    wanted = {"": RxError.NONE, "L4": RxError.TCPE, "IP": RxError.IPE}[broken]
    expect("IPE, TCPE", got.extended.errors & (RxError.IPE | RxError.TCPE), wanted)


for _name, _broken in (
    *(("TCP4", broken) for broken in ("", "L4", "IP")),
    *(("UDP4", broken) for broken in ("", "L4", "IP")),
    *(("TCP6", broken) for broken in ("", "L4")),
    *(("UDP6", broken) for broken in ("", "L4")),
):
    TOPIC.add(
        Check(
            f"CSUM-RX-{_name}{'-' if _broken else ''}{_broken}",
            f"{_name[:3]} over IPv{_name[3]} with"
            f" {f'a wrong {_broken} checksum' if _broken else 'right checksums'} is"
            " reported so.",
            XSUM,
            partial(verifies, _name, _broken),
            WIRE,
        )
    )


@TOPIC.check("CSUM-RX-OFF", "datasheet, Receive Registers, RXCSUM", needs=WIRE)
def no_checksum_offload(card: Subject) -> None:
    """With IPOFL and TUOFL clear neither checksum is reported as looked at."""
    ring = ready(card)
    card.write("RXCSUM", 0)
    got = one(card, ring, to_card(card, packet("TCP4", ""), ETH_IPV4))
    expect("IPCS, TCPCS", got.status & (RxStatus.IPCS | RxStatus.TCPCS), 0)


@TOPIC.check("CSUM-RX-OTHER", XSUM, needs=WIRE)
def no_ip_no_checksum(card: Subject) -> None:
    """A frame that is not IP has IPCS and TCPCS clear."""
    ring = ready(card)
    card.write("RXCSUM", 0x300)
    got = one(card, ring, to_card(card, payload(100)))
    expect("IPCS, TCPCS", got.status & (RxStatus.IPCS | RxStatus.TCPCS), 0)


# -- RSS ---------------------------------------------------------------------------------------------

RSS = 'datasheet, Receive Checksums, receive side scaling; Microsoft\'s "Verifying the RSS hash calculation"'
# Microsoft's example key, and its hash of 10.0.0.1:4000 to 10.0.0.2:5000 is worked out below, bit by bit.
KEY = bytes.fromhex("6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa")


def toeplitz(data: bytes) -> int:
    """Return the Toeplitz hash as Microsoft's specification words it, a bit at a time."""
    result, window = 0, int.from_bytes(KEY, "big")
    width = len(KEY) * 8
    for index, bit in enumerate(f"{int.from_bytes(data, 'big'):0{len(data) * 8}b}"):
        if bit == "1":
            result ^= window >> (width - 32 - index) & 0xFFFF_FFFF
    return result


def spread(card: Subject, types: int, table: int = 0x8000_8000) -> list[RxRing]:
    """Return the two queues with RSS on, hashes into the descriptors, RETA alternating."""
    card.link_up()
    rings = [RxRing(card, queue=queue) for queue in (0, 1)]
    for index in range(10):
        card.write("RSSRK", int.from_bytes(KEY[4 * index : 4 * index + 4], "little"), index)
    for index in range(32):
        card.write("RETA", table, index)
    card.write("RXCSUM", 0x2300)
    card.write("MRQC", 1 | types)
    rings[1].start()
    rings[1].hand_over(rings[1].tail)
    rings[0].start()
    return rings


def hashes(types: int, length: int, card: Subject) -> None:
    """The descriptor holds the Toeplitz hash, and RETA picks the queue."""
    rings = spread(card, types)
    card.bench.send(to_card(card, ipv4(make.tcp(payload(60)), make.TCP), ETH_IPV4))
    card.bench.settle()
    fields = make.IPV4_A + make.IPV4_B + (4000).to_bytes(2, "big") + (5000).to_bytes(2, "big")
    want = toeplitz(fields[:length])
    queue = 1 if want & 1 else 0  # RETA 0, 0x80, 0, 0x80: odd entries are queue 1
    got = rings[queue].take()
    is_true(f"a frame in queue {queue}", got is not None)
    if got is not None:
        kind = 1 if length == 12 else 2
        expect("hash and type", (got.extended.hash, got.extended.mrq & 0xF), (want, kind))


for _id, _types, _length in (("TCP4", 1 << 16, 12), ("IPV4", 1 << 17, 8), ("BOTH", 3 << 16, 12)):
    TOPIC.add(
        Check(
            f"RSS-{_id}",
            f"RSS with {_id} types puts the Toeplitz hash over {_length} bytes into the descriptor"
            " and picks the queue.",
            RSS,
            partial(hashes, _types, _length),
            WIRE,
        )
    )


@TOPIC.check("RSS-OTHER", RSS, needs=WIRE)
def what_has_no_hash(card: Subject) -> None:
    """A frame without a hash goes to queue 0 with hash and type zero."""
    rings = spread(card, 3 << 16, 0x8080_8080)
    card.bench.send(to_card(card, payload(80)))
    card.bench.settle()
    got = rings[0].take()
    is_true("a frame in queue 0", got is not None)
    if got is not None:
        expect("hash and type", (got.extended.hash, got.extended.mrq & 0xF), (0, 0))


@TOPIC.check("RSS-RETA-1", RSS, needs=WIRE)
def the_table_picks_queue_one(card: Subject) -> None:
    """With every entry of RETA 0x80 hashed frames go to queue 1, and MRQ says so."""
    rings = spread(card, 3 << 16, 0x8080_8080)
    card.bench.send(to_card(card, ipv4(make.tcp(payload(60)), make.TCP), ETH_IPV4))
    card.bench.settle()
    got = rings[1].take()
    is_true("a frame in queue 1", got is not None)
    if got is not None:
        expect("queue in MRQ", got.extended.mrq >> 8 & 0x1F, 1)
