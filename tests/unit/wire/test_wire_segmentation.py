"""Segmentation and checksums in software, with scapy as the judge."""

from __future__ import annotations

from typing import Any

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt
from scapy.layers.l2 import Dot1Q, Ether

from device.wire.contract import MalformedFrame
from device.wire.frame import Frame, Gso, GsoFlag, GsoType
from device.wire.segmentation import MOST_SEGMENTS, complete_checksum, segment
from formats.checksum import checksum

PAYLOAD = bytes(n * 7 & 0xFF for n in range(5000))
NEEDS = GsoFlag.NEEDS_CSUM


def ethernet() -> Any:  # noqa: ANN401 - scapy has no types
    """Return the Ethernet layer that every packet here has."""
    return Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")


def gso(kind: GsoType, size: int, start: int = 34, offset: int = 16) -> Gso:
    """Return a request to cut; the defaults are those of TCP over IPv4."""
    return Gso(kind, 0, size, start, offset, NEEDS)


def rebuilt(data: bytes) -> bytes:
    """Return the frame with every length and checksum computed anew by scapy."""
    packet = Ether(data)
    for layer in (IP, TCP, UDP):
        if layer in packet:
            del packet[layer].chksum
            if layer is not TCP:
                del packet[layer].len
    if IPv6 in packet:
        del packet[IPv6].plen
    return bytes(packet)


TCP4 = ethernet() / IP(src="10.0.0.1", dst="10.0.0.2", id=65535) / TCP(seq=2**32 - 1000, flags="CFPA")
TCP6 = ethernet() / IPv6(src="fd00::1", dst="fd00::2") / TCP(seq=5, flags="PA")
CASES = {
    "TCP over IPv4": (TCP4 / PAYLOAD, GsoType.TCPV4, 1448),
    "TCP over IPv6": (TCP6 / PAYLOAD, GsoType.TCPV6, 1428),
    "TCP with options": (
        ethernet() / IP() / TCP(options=[("Timestamp", (1, 2)), ("NOP", None)]) / PAYLOAD,
        GsoType.TCPV4,
        999,
    ),
    "TCP in a VLAN": (ethernet() / Dot1Q(vlan=5) / IP() / TCP() / PAYLOAD, GsoType.TCPV4, 1448),
    "TCP after an IPv6 option": (
        ethernet() / IPv6(dst="fd00::2") / IPv6ExtHdrDestOpt() / TCP() / PAYLOAD,
        GsoType.TCPV6,
        1400,
    ),
    "UDP over IPv4": (ethernet() / IP() / UDP(dport=9) / PAYLOAD, GsoType.UDP_L4, 1000),
    "UDP over IPv6": (ethernet() / IPv6() / UDP(dport=9) / PAYLOAD, GsoType.UDP_L4, 1001),
}


@pytest.mark.parametrize("name", CASES)
def test_every_segment_is_what_scapy_would_have_built(name: str) -> None:
    """Lengths, IP identifications and checksums of each segment are right."""
    packet, kind, size = CASES[name]

    segments = segment(Frame(bytes(packet), gso(kind, size)))

    assert len(segments) == -(-len(PAYLOAD) // size)
    assert [s.hex() for s in segments] == [rebuilt(s).hex() for s in segments]


@pytest.mark.parametrize("name", CASES)
def test_the_segments_carry_the_payload_whole_and_in_order(name: str) -> None:
    """Joined, the payloads are the payload, and only the last is short."""
    packet, kind, size = CASES[name]
    transport = TCP if TCP in packet else UDP

    segments = [Ether(s)[transport] for s in segment(Frame(bytes(packet), gso(kind, size)))]

    payloads = [bytes(s.payload) for s in segments]
    assert b"".join(payloads) == PAYLOAD
    assert {len(p) for p in payloads[:-1]} == {size}


def test_sequence_numbers_and_identifications_wrap() -> None:
    """Both are modular: 32 and 16 bits."""
    segments = [Ether(s) for s in segment(Frame(bytes(TCP4 / PAYLOAD), gso(GsoType.TCPV4, 1448)))]

    assert [s[TCP].seq for s in segments] == [(2**32 - 1000 + n * 1448) % 2**32 for n in range(4)]
    assert [s[IP].id for s in segments] == [65535, 0, 1, 2]


def test_flags_are_on_the_segments_they_belong_to() -> None:
    """CWR on the first only (RFC 3168), FIN and PSH on the last only."""
    segments = [Ether(s) for s in segment(Frame(bytes(TCP4 / PAYLOAD), gso(GsoType.TCPV4, 1448)))]

    assert [str(s[TCP].flags) for s in segments] == ["AC", "A", "A", "FPA"]


def test_a_partial_checksum_is_completed() -> None:
    """The field holds the pseudo header's sum, as Linux leaves it."""
    whole = bytes(ethernet() / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(dport=7) / b"odd")
    pseudo = whole[26:34] + bytes([0, 17]) + whole[38:40]
    partial = whole[:40] + (0xFFFF ^ checksum(pseudo)).to_bytes(2, "big") + whole[42:]

    data = complete_checksum(Frame(partial, Gso(csum_start=34, csum_offset=6, flags=NEEDS)))

    assert data.hex() == whole.hex()


def test_a_frame_without_gso_is_left_alone() -> None:
    """Even when it is not IP at all."""
    data = bytes(range(64))

    assert segment(Frame(data)) == [data]


@pytest.mark.parametrize("length", [0, 1, 2, 3, 20, 1501])
def test_the_checksum_is_the_ones_complement_of_the_sum(length: int) -> None:
    """Against RFC 1071's own loop."""
    data = bytes(n * 31 & 0xFF for n in range(length))
    padded = data + bytes(length & 1)
    total = sum(int.from_bytes(padded[n : n + 2], "big") for n in range(0, len(padded), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)

    assert checksum(data) == total ^ 0xFFFF


HEADERS = bytes(TCP4 / PAYLOAD)
MALFORMED = {
    "size 0": (HEADERS, gso(GsoType.TCPV4, 0)),
    "another version": (HEADERS, gso(GsoType.TCPV6, 1000)),
    "another protocol": (HEADERS, gso(GsoType.UDP_L4, 1000)),
    "no transport header": (HEADERS[:40], gso(GsoType.TCPV4, 1000)),
    "IHL of 4": (HEADERS[:14] + b"\x41" + HEADERS[15:], gso(GsoType.TCPV4, 1000)),
    "a data offset of 4": (HEADERS[:46] + b"\x10" + HEADERS[47:], gso(GsoType.TCPV4, 1000)),
    "a data offset over the end": (HEADERS[:60], gso(GsoType.TCPV4, 1000)),
    "not IP": (bytes(64), gso(GsoType.TCPV4, 1000)),
    "too many segments": (HEADERS, gso(GsoType.TCPV4, 1)),
    "an extension header over the end": (
        bytes(ethernet() / IPv6(nh=0))[:54] + b"\x00\xff" + bytes(6),
        gso(GsoType.TCPV6, 1000),
    ),
    "a checksum over the end": (HEADERS[:60], Gso(csum_start=50, csum_offset=9, flags=NEEDS)),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_frame_that_is_not_what_its_gso_says_is_refused(name: str) -> None:
    """No length and no offset is believed."""
    data, how = MALFORMED[name]
    if name == "a data offset over the end":
        data = data[:46] + b"\xf0" + data[47:]

    with pytest.raises(MalformedFrame):
        segment(Frame(data, how))


def test_one_frame_never_becomes_more_than_the_limit() -> None:
    """A tiny segment size must not be worth a minute of work."""
    smallest = -(-len(PAYLOAD) // MOST_SEGMENTS)

    assert len(segment(Frame(HEADERS, gso(GsoType.TCPV4, smallest)))) <= MOST_SEGMENTS
