"""Wake-up: which frames, and which change of the link, wake a card in D3, and what it keeps of them."""

# ruff: noqa: D401 - the first line of a check's docstring is the sentence that must hold

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.conformance.bench import Capability
from lab.conformance.check import SDM, Check, Topic, expect
from lab.conformance.checks.receive import WIRE
from lab.conformance.frames import BROADCAST, PEER_MAC, ethernet, padded, payload
from lab.conformance.rings import RxRing
from lab.conformance.subject import MILLISECOND

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.conformance.subject import Subject

TOPIC = Topic("wake-up", "datasheet, wake-up; __e1000_shutdown in Linux's e1000e/netdev.c")
NEEDS = WIRE | Capability.CONFIG
PMCSR, D3_PME_EN, D0_PME_EN, PME_STATUS = 0xCC, 0x103, 0x100, 15
LNKC, MAG, EX, MC, BC, ARP, IPV4, IPV6, FLX = 0, 1, 2, 3, 4, 5, 6, 7, 16
GROUP = bytes.fromhex("01005e7f0102")
OURS4, OURS6 = bytes((10, 0, 0, 2)), bytes.fromhex("fd00" + 13 * "00" + "02")
OTHER4, OTHER6 = bytes((10, 0, 0, 3)), bytes.fromhex("fd00" + 13 * "00" + "03")
PATTERN = b"ringwalk"
PATTERN_AT = 20


def magic(address: bytes, times: int = 16) -> bytes:
    """Return a magic packet, or one that is not repeated enough."""
    return ethernet(b"\xff" * 6 + address * times, to=BROADCAST, sender=PEER_MAC, ethertype=0x0842)


def arp(target: bytes, operation: int = 1) -> bytes:
    """Return an ARP message to everybody (RFC 826)."""
    body = struct.pack(">HHBBH", 1, 0x0800, 6, 4, operation) + PEER_MAC + bytes((10, 0, 0, 9)) + bytes(6)
    return padded(ethernet(body + target, to=BROADCAST, sender=PEER_MAC, ethertype=0x0806))


def ipv4(card: Subject, target: bytes) -> bytes:
    """Return an IPv4 packet to the card."""
    header = struct.pack(">BBHHHBBH", 0x45, 0, 46, 0, 0, 64, 17, 0) + bytes((10, 0, 0, 9)) + target
    return padded(ethernet(header + payload(26), to=card.address(), sender=PEER_MAC, ethertype=0x0800))


def ipv6(card: Subject, target: bytes) -> bytes:
    """Return an IPv6 packet to the card."""
    header = struct.pack(">IHBB", 6 << 28, 20, 59, 64) + OTHER6 + target + payload(20)
    return padded(ethernet(header, to=card.address(), sender=PEER_MAC, ethertype=0x86DD))


def plain(card: Subject, data: bytes = PATTERN) -> bytes:
    """Return a frame to the card with a pattern at ``PATTERN_AT``."""
    return padded(ethernet(bytes(PATTERN_AT - 14) + data, to=card.address(), sender=PEER_MAC))


def sleep(card: Subject, *filters: int) -> None:
    """Arm filters and go to D3 with PME enabled, as a driver's suspend does."""
    card.link_up()
    RxRing(card).start(MPE=1)
    card.write("IP4AT", int.from_bytes(OURS4, "little"), 1)
    for index in range(4):
        card.write("IP6AT", int.from_bytes(OURS6[4 * index : 4 * index + 4], "little"), index)
    card.write("IPAV", 1 << 1 | 1 << 16)
    card.write("WUS", 0xFFFF_FFFF)
    card.write("WUFC", sum(1 << bit for bit in filters))
    card.write("WUC", 0x2)
    card.bench.config_write(PMCSR, D3_PME_EN, 2)


def woken(card: Subject) -> int:
    """Return PME_Status."""
    card.bench.settle()
    return card.bench.config_read(PMCSR, 2) >> PME_STATUS & 1


def flexible(card: Subject, index: int, length: int) -> None:
    """Program a flexible filter: the pattern at ``PATTERN_AT``, everything else ignored."""
    card.write("FFLT", length, index)
    for at in range(128):
        inside = PATTERN_AT <= at < PATTERN_AT + len(PATTERN)
        value = PATTERN[at - PATTERN_AT] if inside else 0
        card.write("FFMT", inside << index, at)
        card.write("FFVT", value << 8 * index, at)


@dataclass(frozen=True, slots=True)
class Kind:
    """A filter, a frame that meets it, and one that barely does not."""

    name: str
    bit: int
    meets: Callable[[Subject], bytes]
    fails: Callable[[Subject], bytes]
    what: str
    but: str

    def wakes(self, card: Subject) -> None:
        """Send the frame that meets the filter."""
        sleep(card, self.bit)
        card.bench.send(self.meets(card))
        expect("PME_Status", woken(card), 1)
        card.bench.config_write(PMCSR, D0_PME_EN, 2)
        expect("WUS", card.read("WUS"), 1 << self.bit)

    def does_not(self, card: Subject) -> None:
        """Send the other."""
        sleep(card, self.bit)
        card.bench.send(self.fails(card))
        expect("PME_Status", woken(card), 0)


KINDS = (
    Kind(
        "MAGIC",
        MAG,
        lambda card: magic(card.address()),
        lambda card: magic(card.address(), 15),
        "a magic packet",
        "one with 15 repetitions",
    ),
    Kind(
        "EXACT",
        EX,
        lambda card: padded(ethernet(payload(46), to=card.address(), sender=PEER_MAC)),
        lambda _: padded(ethernet(payload(46), to=BROADCAST, sender=PEER_MAC)),
        "a frame to the card's address",
        "a broadcast",
    ),
    Kind(
        "MULTICAST",
        MC,
        lambda _: padded(ethernet(payload(46), to=GROUP, sender=PEER_MAC)),
        lambda card: padded(ethernet(payload(46), to=card.address(), sender=PEER_MAC)),
        "a multicast that the address filters take",
        "a unicast",
    ),
    Kind(
        "BROADCAST",
        BC,
        lambda _: padded(ethernet(payload(46), to=BROADCAST, sender=PEER_MAC)),
        lambda card: padded(ethernet(payload(46), to=card.address(), sender=PEER_MAC)),
        "a broadcast",
        "a unicast",
    ),
    Kind(
        "ARP",
        ARP,
        lambda _: arp(OURS4),
        lambda _: arp(OTHER4),
        "an ARP request for an address in IP4AT",
        "one for another address",
    ),
    Kind(
        "IPV4",
        IPV4,
        lambda card: ipv4(card, OURS4),
        lambda card: ipv4(card, OTHER4),
        "an IPv4 packet to the card and an address in IP4AT",
        "one to another address",
    ),
    Kind(
        "IPV6",
        IPV6,
        lambda card: ipv6(card, OURS6),
        lambda card: ipv6(card, OTHER6),
        "an IPv6 packet to the card and the address in IP6AT",
        "one to another address",
    ),
)

for kind in KINDS:
    source = f"datasheet, wake-up packets; {SDM}, 6.4.3.1; WUFC bit {kind.bit}"
    said = f"In D3, with its bit of WUFC, {kind.what} sets PME_Status and its bit of WUS."
    TOPIC.add(Check(f"WAKE-{kind.name}", said, source, kind.wakes, NEEDS))
    said = f"In D3, with bit {kind.bit} of WUFC alone ({kind.what}), {kind.but} wakes nobody."
    TOPIC.add(Check(f"WAKE-NOT-{kind.name}", said, source, kind.does_not, NEEDS))


# -- flexible filters ----------------------------------------------------------------------------------

FLEXIBLE = f"{SDM}, 6.4.3.3 Flexible Filter, and FFLT, FFMT, FFVT there; the same tables in Linux's regs.h"


def _filter_wakes(index: int) -> Check:
    def body(card: Subject) -> None:
        flexible(card, index, PATTERN_AT + len(PATTERN))
        sleep(card, FLX + index)
        card.bench.send(plain(card))
        expect("PME_Status", woken(card), 1)
        card.bench.config_write(PMCSR, D0_PME_EN, 2)
        expect("WUS", card.read("WUS"), 1 << FLX + index)

    said = f"In D3 a frame that has every masked byte of flexible filter {index} wakes."
    return Check(f"WAKE-FLEX-{index}", said, FLEXIBLE, body, NEEDS)


for number in range(4):
    TOPIC.add(_filter_wakes(number))


@TOPIC.check("WAKE-FLEX-DIFFERS", FLEXIBLE, needs=NEEDS)
def one_byte_differs(card: Subject) -> None:
    """A frame with one masked byte different does not pass a flexible filter."""
    flexible(card, 0, PATTERN_AT + len(PATTERN))
    sleep(card, FLX)
    card.bench.send(plain(card, PATTERN[:-1] + b"!"))
    expect("PME_Status", woken(card), 0)


@TOPIC.check("WAKE-FLEX-SHORT", FLEXIBLE, needs=NEEDS)
def the_frame_is_too_short(card: Subject) -> None:
    """A frame that is shorter than FFLT does not pass, whatever its bytes are."""
    flexible(card, 1, 100)
    sleep(card, FLX + 1)
    card.bench.send(plain(card))
    expect("PME_Status", woken(card), 0)


@TOPIC.check("WAKE-FLEX-BEYOND", FLEXIBLE, needs=NEEDS)
def mask_bits_beyond_the_length(card: Subject) -> None:
    """Mask bits beyond FFLT are ignored."""
    flexible(card, 2, PATTERN_AT + 4)
    sleep(card, FLX + 2)
    card.bench.send(plain(card, PATTERN[:4] + b"else"))
    expect("PME_Status", woken(card), 1)


@TOPIC.check(
    "WAKE-FLEX-ADDRESS", "82598 datasheet, Flexible Filter: only what passed L2 filtering", needs=NEEDS
)
def the_address_counts(card: Subject) -> None:
    """A frame to another station does not wake, though a flexible filter would take it."""
    flexible(card, 3, PATTERN_AT + len(PATTERN))
    sleep(card, FLX + 3)
    card.bench.send(bytes.fromhex("020000000099") + plain(card)[6:])
    expect("PME_Status", woken(card), 0)


# -- the rest --------------------------------------------------------------------------------------------


@TOPIC.check("WAKE-LINK", "datasheet, WUFC.LNKC; e1000_set_wol in Linux's ethtool.c", needs=Capability.CONFIG)
def a_change_of_the_link(card: Subject) -> None:
    """In D3 with WUFC.LNKC a link that comes up sets PME_Status."""
    card.link_up()
    card.phy_write(0, 0x1340)  # the link goes, and comes again while the card sleeps
    card.write("WUS", 0xFFFF_FFFF)
    card.write("WUFC", 1 << LNKC)
    card.write("WUC", 0x2)
    card.bench.config_write(PMCSR, D3_PME_EN, 2)
    card.until(lambda: bool(woken(card)), step_ns=100 * MILLISECOND)
    expect("PME_Status", woken(card), 1)


@TOPIC.check("WAKE-KEPT", f"{SDM}, 6.4.3.5 Wakeup Packet Storage; WUPL and WUPM", needs=NEEDS)
def the_packet_is_kept(card: Subject) -> None:
    """WUPL and WUPM hold the length and the first 128 bytes of the packet that woke."""
    frame = magic(card.address())
    sleep(card, MAG)
    card.bench.send(frame)
    woken(card)
    card.bench.config_write(PMCSR, D0_PME_EN, 2)
    kept = b"".join(card.read("WUPM", index).to_bytes(4, "little") for index in range(32))
    expect("WUPM", kept[: min(128, len(frame))], frame[:128])


@TOPIC.check("WAKE-DISABLED", "datasheet, WUC.PME_EN and PMCSR.PME_En", needs=NEEDS)
def nothing_without_pme(card: Subject) -> None:
    """Without PME enabled in WUC and in PMCSR a magic packet sets no PME_Status."""
    sleep(card, MAG)
    card.bench.config_write(PMCSR, 0, 2)
    card.write("WUC", 0)
    card.bench.config_write(PMCSR, 3, 2)
    card.bench.send(magic(card.address()))
    expect("PME_Status", woken(card), 0)


@TOPIC.check(
    "WAKE-STATUS", "PCI Power Management 1.2, PMCSR: PME_Status is cleared by writing 1", needs=NEEDS
)
def pme_status_is_cleared(card: Subject) -> None:
    """Writing 1 to PME_Status clears it."""
    sleep(card, MAG)
    card.bench.send(magic(card.address()))
    expect("PME_Status before", woken(card), 1)
    card.bench.config_write(PMCSR, 1 << PME_STATUS | D0_PME_EN, 2)
    expect("PME_Status", woken(card), 0)


@TOPIC.check("WAKE-WUC", "datasheet, WUC")
def wuc_reads_back(card: Subject) -> None:
    """WUC.PME_EN and APMPME read back."""
    card.write("WUC", 0xA)
    expect("WUC", card.read("WUC") & 0xA, 0xA)
