"""Framings and ports: whole frames in and out, whatever bytes come."""

from __future__ import annotations

import contextlib
import os
import socket
import struct

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from device.wire.contract import LARGEST_FRAME_BYTES, Framing, MalformedFrame, WireClosed
from device.wire.frame import Frame, Gso, GsoFlag, GsoType, emit_vnet_header, parse_vnet
from device.wire.packet import restore_tag
from device.wire.port import Port, PortStatistics
from device.wire.pump import seqpacket_pair
from device.wire.segmentation import segment

DATA = bytes(range(64))
TSO = Gso(GsoType.TCPV4, 54, 1000, 34, 16, GsoFlag.NEEDS_CSUM, ecn=True)
BIG = Frame(bytes(Ether() / IP() / TCP() / bytes(60000)), TSO)


def pair(framing: Framing) -> tuple[Port, socket.socket, socket.socket]:
    """Return a port, its socket and the other end."""
    if framing is Framing.STREAM:
        ours, theirs = socket.socketpair()
        ours.settimeout(0)
        theirs.settimeout(0)
    else:
        ours, theirs = seqpacket_pair()
    return Port(ours.fileno(), framing), ours, theirs


def test_a_vnet_header_survives_the_round_trip() -> None:
    """Every field of it, and ten bytes in native order."""
    header = emit_vnet_header(BIG)

    assert header == struct.pack("=BBHHHH", 1, 0x81, 54, 1000, 34, 16)
    assert parse_vnet(header + BIG.data) == BIG


@pytest.mark.parametrize(
    "header",
    [
        struct.pack("=BBHHHH", 0, 3, 0, 100, 0, 0),  # UFO
        struct.pack("=BBHHHH", 0, 0x7F, 0, 100, 0, 0),
        struct.pack("=BBHHHH", 1, 1, 0, 0, 34, 16),  # size 0
        struct.pack("=BBHHHH", 1, 1, 0, 0xFFFF, 34, 16),  # GSO_BY_FRAGS
        struct.pack("=BBHHHH", 1, 0, 0, 0, 63, 0),  # the checksum field over the end
        struct.pack("=BBHHHH", 1, 0, 0, 0, 0xFFFF, 0xFFFF),
        struct.pack("=BBHHHH", 1, 0, 0, 0, 2, 2),  # inside the Ethernet header
    ],
)
def test_a_vnet_header_that_cannot_be_meant_is_refused(header: bytes) -> None:
    """Before anything acts on it."""
    with pytest.raises(MalformedFrame):
        parse_vnet(header + DATA)


def test_a_port_drops_and_counts_what_is_no_frame() -> None:
    """Short, truncated and oversized messages cost nothing but a count; the next frame arrives."""
    port, ours, theirs = pair(Framing.VNET)
    with ours, theirs:
        theirs.send(bytes(9))
        theirs.send(bytes(10 + 13))
        theirs.send(bytes(10 + LARGEST_FRAME_BYTES + 1))
        theirs.send(bytes(10) + DATA)

        assert port.read() == Frame(DATA)
        assert port.read() is None
    assert port.statistics == PortStatistics(received=1, malformed=3)


def test_a_tso_frame_passes_whole_over_vnet() -> None:
    """One write, one message of more than 60,000 bytes."""
    port, ours, theirs = pair(Framing.VNET)
    with ours, theirs:
        assert port.write(BIG)

        assert parse_vnet(theirs.recv(100_000)) == BIG


@pytest.mark.parametrize("framing", [Framing.DATAGRAM, Framing.STREAM])
def test_a_tso_frame_is_cut_where_the_framing_cannot_carry_it(framing: Framing) -> None:
    """The other end reads the segments, in order."""
    port, ours, theirs = pair(framing)
    other = Port(theirs.fileno(), framing)
    got: list[bytes] = []
    with ours, theirs:
        assert port.write(BIG)
        for _ in range(1000):
            port.flush()
            frame = other.read()
            if frame is None and not port.blocked:
                break
            if frame is not None:
                got.append(frame.data)

    assert got == segment(BIG)


def test_stream_framing_is_qemus() -> None:
    """A 4-byte big-endian length, then the frame: net/stream.c."""
    port, ours, theirs = pair(Framing.STREAM)
    with ours, theirs:
        port.write(Frame(DATA))

        assert theirs.recv(1000) == b"\x00\x00\x00\x40" + DATA


def test_a_stream_is_read_however_it_is_cut() -> None:
    """A byte at a time gives the same frames."""
    port, ours, theirs = pair(Framing.STREAM)
    got = []
    with ours, theirs:
        for byte in (b"\x00\x00\x00\x40" + DATA) * 2:
            theirs.send(bytes([byte]))
            got.append(port.read())

    assert [frame for frame in got if frame] == [Frame(DATA)] * 2


@pytest.mark.parametrize("length", [0, 13, LARGEST_FRAME_BYTES + 1, 200_000])
def test_a_stream_skips_a_length_it_will_not_keep(length: int) -> None:
    """No memory is taken for it, and the next frame is found."""
    port, ours, theirs = pair(Framing.STREAM)
    message = length.to_bytes(4, "big") + bytes(length) + b"\x00\x00\x00\x40" + DATA
    frames = []
    with ours, theirs:
        while message:
            with contextlib.suppress(BlockingIOError):
                message = message[theirs.send(message) :]
            frames.append(port.read())
        frames.append(port.read())

    assert [frame for frame in frames if frame] == [Frame(DATA)]
    assert port.statistics == PortStatistics(received=1, malformed=1)
    assert len(port._unparsed) == 0


def test_a_full_wire_refuses_and_the_frame_arrives_when_offered_again() -> None:
    """EAGAIN loses nothing and doubles nothing."""
    port, ours, theirs = pair(Framing.DATAGRAM)
    with ours, theirs:
        taken = 0
        while port.write(Frame(taken.to_bytes(64, "big"))):
            taken += 1
        received = [theirs.recv(100) for _ in range(taken)]
        again = port.write(Frame(taken.to_bytes(64, "big")))
        received.append(theirs.recv(100))

    assert again
    assert received == [n.to_bytes(64, "big") for n in range(taken + 1)]


def test_a_partly_sent_stream_frame_is_finished_first() -> None:
    """The length prefix is never torn from its frame."""
    port, ours, theirs = pair(Framing.STREAM)
    other = Port(theirs.fileno(), Framing.STREAM)
    sent = 0
    got: list[int] = []
    with ours, theirs:
        while len(got) < 60:
            if sent < 60 and port.write(Frame(sent.to_bytes(9000, "big"))):
                sent += 1
            elif (frame := other.read()) is not None:
                got.append(int.from_bytes(frame.data, "big"))
            else:
                port.flush()

    assert got == list(range(60))


@pytest.mark.parametrize("framing", [Framing.STREAM, Framing.DATAGRAM])
def test_the_end_of_a_wire_is_told_apart_from_silence(framing: Framing) -> None:
    """Silence is None, the end is an exception."""
    port, ours, theirs = pair(framing)
    with ours:
        assert port.read() is None
        theirs.close()

        with pytest.raises(WireClosed):
            port.read()


def test_no_wire_loses_what_is_sent() -> None:
    """And counts it."""
    port = Port(-1, Framing.NONE)

    assert port.write(Frame(DATA))
    assert port.read() is None
    assert port.statistics == PortStatistics(lost=1)


def test_a_frame_that_is_not_what_its_gso_says_is_counted_not_sent() -> None:
    """The driver's fault costs the driver's frame."""
    port, ours, theirs = pair(Framing.DATAGRAM)
    with ours, theirs:
        assert port.write(Frame(DATA, TSO))

        with pytest.raises(BlockingIOError):
            theirs.recv(100)
    assert port.statistics == PortStatistics(refused=1)


def test_a_peer_that_is_away_costs_frames_and_not_the_wire() -> None:
    """ECONNREFUSED of a datagram socket whose other end is closed."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.settimeout(0)
    port = Port(ours.fileno(), Framing.DATAGRAM)
    with ours:
        theirs.close()

        assert port.write(Frame(DATA))
        assert port.read() is None
    assert port.statistics == PortStatistics(lost=1)


def test_a_vlan_tag_that_linux_took_out_is_put_back() -> None:
    """With the header's offsets moved by it: struct tpacket_auxdata."""
    auxdata = struct.pack("=IIIHHHH", 1 << 4 | 1 << 6, 0, 0, 0, 0, 0x6005, 0x88A8)
    message = struct.pack("=BBHHHH", 1, 1, 54, 1000, 34, 16) + DATA

    restored = restore_tag(message, auxdata)

    assert restored[:10] == struct.pack("=BBHHHH", 1, 1, 58, 1000, 38, 16)
    assert restored[10:] == DATA[:12] + bytes.fromhex("88a86005") + DATA[12:]
    assert restore_tag(message, b"") == message


def test_a_closed_descriptor_is_a_bug_and_says_so() -> None:
    """EBADF is nobody's bad luck."""
    ours, theirs = os.pipe()
    os.close(ours)
    os.close(theirs)

    with pytest.raises(OSError, match="Bad file descriptor"):
        Port(theirs, Framing.DATAGRAM).write(Frame(DATA))
