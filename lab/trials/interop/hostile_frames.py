"""Frames that nobody honest sends: a generator for each kind of attack, seeded; no socket, no clock.

A kind is a function of an ``Attacker`` that returns a few frames that belong together. Sources: RFC 5722 and
CVE-2018-5391 (fragments), RFC 4987 (floods), RFC 5927 (ICMP lies), RFC 5961 (blind segments), RFC 6980 and
RFC 7112 (IPv6 extension headers), and the names that old attacks go by.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from formats import ethernet, ipv4, ipv6
from formats.checksum import ones_sum_of, pseudo_sum
from formats.transport import ACK, FIN, ICMP, ICMPV6, IGMP, PSH, RST, SYN, TCP, UDP, URG
from protocols.transports.netbt import NetbiosName, message
from protocols.transports.netbt.message import Flags, Kind, Opcode, Record
from protocols.transports.tcpip import arp, icmp
from protocols.transports.tcpip.tcp import segment

if TYPE_CHECKING:
    from collections.abc import Callable

    from formats.checksum import Buffer

LONGEST = 1514
MUTATED = 0.6
"""How often a mutated frame comes; of the other kinds some come in groups."""
FLAGS = (SYN, ACK, FIN, RST, PSH, URG)
MULTICAST = (bytes((224, 0, 0, 1)), bytes((224, 0, 0, 251)), bytes((255, 255, 255, 255)))
REDIRECT, NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT, ROUTER_ADVERTISEMENT = 5, 135, 136, 134


@dataclass(frozen=True, slots=True)
class Ends:
    """The victim and the one that the frames pretend to come from: MAC, IPv4 and IPv6 addresses."""

    mac: bytes
    ip: bytes
    ip6: bytes
    from_mac: bytes
    from_ip: bytes
    from_ip6: bytes
    port: int
    """A port of the victim that listens, TCP and UDP."""


class Attacker:
    """Makes frames; the same seed makes the same."""

    def __init__(self, ends: Ends, seed: int) -> None:
        self.ends = ends
        self.chance = random.Random(seed)  # noqa: S311 - seeded attacks, not secrets
        self.made: dict[str, int] = dict.fromkeys(KINDS, 0)

    def volley(self, count: int) -> list[bytes]:
        """Return at least ``count`` frames: mutated ones, and every other kind by chance."""
        frames: list[bytes] = []
        names = list(KINDS)
        while len(frames) < count:
            name = "mutated" if self.chance.random() < MUTATED else self.chance.choice(names)
            some = KINDS[name](self)
            self.made[name] += len(some)
            frames += some
        return frames

    def ip4(
        self,
        protocol: int,
        payload: bytes,
        *,
        source: bytes | None = None,
        ttl: int = 64,
        identification: int = 0,
        fragment: int = 0,
    ) -> bytes:
        """Return a frame with an IPv4 packet to the victim."""
        head = ipv4.build(
            source or self.ends.from_ip,
            self.ends.ip,
            protocol,
            len(payload),
            ttl=ttl,
            identification=identification,
            fragment=fragment,
        )
        return self.frame(ethernet.IPV4, head + payload)

    def ip6(self, next_header: int, payload: bytes, *, hop_limit: int = 64) -> bytes:
        """Return a frame with an IPv6 packet to the victim."""
        ends = self.ends
        head = ipv6.build(ends.from_ip6, ends.ip6, next_header, len(payload), hop_limit=hop_limit)
        return self.frame(ethernet.IPV6, head + payload)

    def frame(self, kind: int, payload: bytes) -> bytes:
        """Return a frame to the victim."""
        return ethernet.header(self.ends.mac, self.ends.from_mac, kind) + payload[: LONGEST - 14]

    def tcp(
        self, flags: int, data: bytes = b"", *, options: bytes = b"", source: bytes | None = None
    ) -> bytes:
        """Return a segment from a random port, its checksum right."""
        chance, ends = self.chance, self.ends
        source = source or ends.from_ip
        ports = (chance.randrange(1, 65536), ends.port if chance.random() < 0.8 else chance.randrange(65536))
        raw = segment.build(
            ports,
            chance.getrandbits(32),
            chance.getrandbits(32),
            flags,
            chance.choice((0, 1, 1460, 65535)),
            options=options,
            urgent=chance.choice((0, 0, 1, 65535)),
        )
        raw = summed(raw + data, source, ends.ip)
        return self.ip4(TCP, raw, source=source)

    def udp(self, data: bytes) -> bytes:
        """Return a datagram without a checksum."""
        ports = self.chance.randrange(1, 65536).to_bytes(2) + self.ends.port.to_bytes(2)
        return ports + (len(data) + 8).to_bytes(2) + bytes(2) + data


def summed(raw: bytes, source: bytes, destination: bytes) -> bytes:
    """Return a TCP segment with its checksum."""
    value = 0xFFFF - ones_sum_of((raw,), pseudo_sum(source, destination, TCP) + len(raw))
    return raw[:16] + value.to_bytes(2) + raw[18:]


def syn_flood(by: Attacker) -> list[bytes]:
    """SYNs from addresses that never answer."""
    return [by.tcp(SYN, source=by.ends.from_ip[:3] + bytes((by.chance.randrange(2, 254),))) for _ in range(8)]


def odd_flags(by: Attacker) -> list[bytes]:
    """Every combination of flags, with data or without: null, Xmas, SYN-FIN, blind RST."""
    flags = sum(by.chance.sample(FLAGS, by.chance.randrange(len(FLAGS) + 1)))
    return [by.tcp(flags, bytes(by.chance.choice((0, 1, 1460))))]


def land(by: Attacker) -> list[bytes]:
    """Send the victim a SYN of its own."""
    return [by.tcp(SYN, source=by.ends.ip)]


def bad_options(by: Attacker) -> list[bytes]:
    """TCP options of impossible lengths, and IPv4 options as well."""
    length = 4 * by.chance.randrange(1, 11)
    options = by.chance.randbytes(length)
    tcp = by.tcp(SYN, options=options)
    head = ipv4.build(by.ends.from_ip, by.ends.ip, UDP, 12, ttl=9, options=by.chance.randbytes(length))
    return [tcp, by.frame(ethernet.IPV4, head + by.udp(b"odd!"))]


def tiny_segments(by: Attacker) -> list[bytes]:
    """Single bytes, far apart, of connections that there are not."""
    return [by.tcp(ACK | PSH, b"x") for _ in range(8)]


def overlapping_fragments(by: Attacker) -> list[bytes]:
    """Teardrop: pieces that reach into one another, or leave holes, or never end."""
    ident = by.chance.randrange(65536)
    frames = []
    for _ in range(by.chance.randrange(2, 6)):
        offset = by.chance.randrange(0, 60) * 8
        more = ipv4.MORE_FRAGMENTS if by.chance.random() < 0.7 else 0
        payload = bytes(8 * by.chance.randrange(1, 60))
        frames.append(by.ip4(UDP, payload, identification=ident, fragment=more | offset // 8))
    return frames


def giant_fragments(by: Attacker) -> list[bytes]:
    """Ping of death: a last piece that ends beyond 64 KB; and the rose attack's two lone ends."""
    ident = by.chance.randrange(65536)
    first = by.ip4(ICMP, bytes(1480), identification=ident, fragment=ipv4.MORE_FRAGMENTS)
    return [first, by.ip4(ICMP, bytes(1480), identification=ident, fragment=8189)]


def icmp_lies(by: Attacker) -> list[bytes]:
    """Unreachables, tiny path MTUs, redirects, about segments that were never sent."""
    kind = by.chance.choice((icmp.UNREACHABLE, REDIRECT, icmp.TIME_EXCEEDED, icmp.PARAMETER_PROBLEM))
    code = by.chance.randrange(16)
    rest = by.chance.choice((0, 68, 552, by.chance.getrandbits(32)))
    quoted = ipv4.build(by.ends.ip, by.ends.from_ip, TCP, 8, ttl=64)
    ports = by.ends.port.to_bytes(2) + by.chance.randbytes(2)
    body = quoted + ports + by.chance.randbytes(4)
    return [by.ip4(ICMP, icmp.build4(kind, code, rest, body[: by.chance.randrange(len(body) + 1)]))]


def arp_lies(by: Attacker) -> list[bytes]:
    """Tell of others' addresses unasked, and ask with broken fields."""
    other = by.ends.from_ip[:3] + bytes((by.chance.randrange(2, 254),))
    lie = arp.ArpMessage(arp.REPLY, by.chance.randbytes(6), other, by.ends.mac, by.ends.ip)
    odd = arp.ArpMessage(by.chance.randrange(65536), by.chance.randbytes(6), other, bytes(6), by.ends.ip)
    return [by.frame(ethernet.ARP, arp.build(one)) for one in (lie, odd)]


def neighbour_lies(by: Attacker) -> list[bytes]:
    """Advertisements and solicitations with options of length zero, and routers that are none."""
    kind = by.chance.choice((NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT, ROUTER_ADVERTISEMENT))
    body = by.chance.choice((by.ends.ip6, by.chance.randbytes(16))) + by.chance.randbytes(
        8 * by.chance.randrange(0, 5)
    )
    message = icmp.build6(kind, 0, by.chance.getrandbits(32), body, (by.ends.from_ip6, by.ends.ip6))
    return [by.ip6(ICMPV6, message, hop_limit=by.chance.choice((255, 255, 64)))]


def header_chains(by: Attacker) -> list[bytes]:
    """IPv6 extension headers without end, of wrong order, with lengths beyond the packet."""
    kinds = (0, 43, 44, 60, 51, 59)
    chain = [by.chance.choice(kinds) for _ in range(by.chance.randrange(1, 12))]
    payload = b""
    for following in [*chain[1:], UDP]:
        payload += bytes((following, by.chance.choice((0, 0, 0, 1, 255)))) + by.chance.randbytes(6)
    return [by.ip6(chain[0], payload + by.udp(b"chain"))]


def group_messages(by: Attacker) -> list[bytes]:
    """IGMP queries and reports of every version, cut short and with counts that lie."""
    body = by.chance.choice((b"\x11", b"\x16", b"\x22")) + by.chance.randbytes(by.chance.randrange(3, 40))
    return [by.ip4(IGMP, body, ttl=1)]


def datagrams(by: Attacker) -> list[bytes]:
    """UDP with lengths that lie, to open and closed ports; answers of DHCP and DNS that nobody asked for."""
    data = by.chance.randbytes(by.chance.randrange(0, 600))
    raw = bytearray(by.udp(data))
    raw[0:4] = by.chance.choice((b"\0\x43\0\x44", b"\0\x35\x12\x34", bytes(raw[0:4]), by.chance.randbytes(4)))
    if by.chance.random() < 0.3:
        raw[4:6] = by.chance.randbytes(2)
    return [by.ip4(UDP, bytes(raw), source=by.chance.choice((None, *MULTICAST)))]


def name_lies(by: Attacker) -> list[bytes]:
    """NetBIOS: queries, claims and releases of the victim's names, conflicts, status questions; some cut."""
    name = by.chance.choice((message.ANY, NetbiosName("RINGWALK"), NetbiosName("RINGWALK", 0x20)))
    flags = Flags(by.chance.choice((0, 0x110, 0x8000, 0x8400)))
    data = message.ENTRY.pack(by.chance.choice((0, message.GROUP)), by.ends.from_ip)
    told = message.Message(
        by.chance.randrange(1 << 16),
        by.chance.choice((*Opcode, 15)),
        flags,
        by.chance.choice((0, 6, 7)) if flags & Flags.RESPONSE else 0,
        name,
        by.chance.choice(tuple(Kind)),
        by.chance.choice((None, Record(name, Kind.NB, 300, data))),
    ).emit()
    cut = told[: by.chance.randrange(len(told) + 1)] if by.chance.random() < 0.2 else told
    raw = by.udp(cut)
    return [by.ip4(UDP, by.chance.choice((b"\0\x89", raw[:2])) + b"\0\x89" + raw[4:])]


def mutated(by: Attacker) -> list[bytes]:
    """Change some bits, bytes or the end of a frame of another kind."""
    others = [name for name in KINDS if name != "mutated"]
    raw = bytearray(by.chance.choice(KINDS[by.chance.choice(others)](by)))
    for _ in range(by.chance.randrange(1, 6)):
        _MUTATIONS[by.chance.randrange(len(_MUTATIONS))](by.chance, raw)
    return [bytes(raw[:LONGEST]).ljust(14, b"\0")]


def _flip(chance: random.Random, raw: bytearray) -> None:
    at = chance.randrange(6, len(raw)) if len(raw) > 6 else 0  # still to the victim
    raw[at] ^= 1 << chance.randrange(8)


def _overwrite(chance: random.Random, raw: bytearray) -> None:
    at = chance.randrange(min(6, len(raw)), len(raw) + 1)
    some: Buffer = chance.choice((b"\0\0", b"\xff\xff", chance.randbytes(2), chance.randbytes(4)))
    raw[at : at + len(some)] = some


def _cut(chance: random.Random, raw: bytearray) -> None:
    del raw[chance.randrange(min(14, len(raw)), len(raw) + 1) :]


def _grow(chance: random.Random, raw: bytearray) -> None:
    raw += chance.randbytes(chance.randrange(64))


_MUTATIONS = (_flip, _flip, _overwrite, _cut, _grow)

KINDS: dict[str, Callable[[Attacker], list[bytes]]] = {
    made.__name__: made
    for made in (
        syn_flood,
        odd_flags,
        land,
        bad_options,
        tiny_segments,
        overlapping_fragments,
        giant_fragments,
        icmp_lies,
        arp_lies,
        neighbour_lies,
        header_chains,
        group_messages,
        datagrams,
        name_lies,
        mutated,
    )
}
"""Every kind, by name."""
