"""Captures, read back with readers that nobody here wrote."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
from pcapng import FileScanner
from pcapng.blocks import EnhancedPacket, InterfaceDescription
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from device.wire.capture import CaptureFile, capture
from device.wire.contract import WireError
from device.wire.frame import Frame, Gso, GsoFlag, GsoType
from device.wire.port import Port
from device.wire.segmentation import segment
from device.wire.simple import LoopbackWire
from device.wire.spec import open_wire
from formats.pcapng import Direction
from tests.judges import wireshark

if TYPE_CHECKING:
    from pathlib import Path

WHEN_NS = 1_700_000_000_123_456_789
DATA = bytes(range(61))


def blocks(path: Path) -> list[Any]:
    """Return the blocks that python-pcapng finds."""
    with path.open("rb") as file:
        return list(FileScanner(file))


def packets(path: Path) -> list[tuple[int, bytes]]:
    """Return direction and bytes of each packet."""
    found = [block for block in blocks(path) if isinstance(block, EnhancedPacket)]
    return [(int(block.options.get_raw("epb_flags")[0]), block.packet_data) for block in found]


def test_a_frame_is_read_back_with_its_nanosecond_and_direction(tmp_path: Path) -> None:
    """By python-pcapng: interface name, resolution, flags, bytes."""
    file = CaptureFile(str(tmp_path / "x.pcapng"), "card 0")
    file.write(DATA, WHEN_NS, Direction.OUTBOUND)
    file.write(DATA[:60], WHEN_NS + 1, Direction.INBOUND)
    file.close()

    found = blocks(tmp_path / "x.pcapng")

    interface = next(block for block in found if isinstance(block, InterfaceDescription))
    assert interface.options["if_name"] == "card 0"
    assert interface.timestamp_resolution == 1e-9
    stamps = [
        (block.timestamp_high << 32) | block.timestamp_low
        for block in found
        if isinstance(block, EnhancedPacket)
    ]
    assert stamps == [WHEN_NS, WHEN_NS + 1]
    assert packets(tmp_path / "x.pcapng") == [(2, DATA), (1, DATA[:60])]


def test_tshark_reads_it_too(tmp_path: Path) -> None:
    """Time to the nanosecond, direction and interface."""
    command = wireshark()
    file = CaptureFile(str(tmp_path / "x.pcapng"), "card 0")
    file.write(DATA, WHEN_NS, Direction.OUTBOUND)
    file.close()
    fields = [
        "frame.time_epoch",
        "frame.len",
        "frame.packet_flags_direction",
        "frame.interface_name",
    ]
    wanted = [word for name in fields for word in ("-e", name)]

    told = subprocess.run(
        [*command, "-r", str(tmp_path / "x.pcapng"), "-T", "fields", *wanted],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\t")

    assert told[0] == "1700000000.123456789"
    assert told[1] == "61"
    assert int(told[2], 0) == 2
    assert told[3].strip() == "card 0"


def test_a_disk_that_fills_leaves_whole_blocks() -> None:
    """/dev/full refuses every byte: the user is told at once."""
    with pytest.raises(WireError, match="free some space"):
        CaptureFile("/dev/full", "x")


def test_after_an_error_nothing_more_is_written(tmp_path: Path) -> None:
    """What is there stays readable, and the cable lives."""
    file = CaptureFile(str(tmp_path / "x.pcapng"), "x")
    file.write(DATA, WHEN_NS, Direction.OUTBOUND)
    file.error = OSError(28, "No space left on device")

    file.write(DATA, WHEN_NS, Direction.OUTBOUND)

    assert packets(tmp_path / "x.pcapng") == [(2, DATA)]
    assert file.frames == 1
    file.close()


def read(port: Port, count: int) -> list[bytes]:
    """Return ``count`` frames, or fewer after ten seconds."""
    got: list[bytes] = []
    deadline = time.monotonic() + 10
    while len(got) < count and time.monotonic() < deadline:
        frame = port.read()
        if frame is None:
            time.sleep(0.002)
        else:
            got.append(frame.data)
    return got


def test_a_captured_wire_works_as_before_and_shows_both_directions(tmp_path: Path) -> None:
    """On a loopback, everything goes out and comes in."""
    path = tmp_path / "both.pcapng"
    wire = capture(LoopbackWire(), str(path))
    port = Port(wire.fd, wire.framing)

    for n in range(3):
        port.write(Frame(DATA + bytes([n])))
    got = read(port, 3)
    wire.close()

    assert got == [DATA + bytes([n]) for n in range(3)]
    assert sorted(packets(path)) == [(way, DATA + bytes([n])) for way in (1, 2) for n in range(3)]


def test_a_wire_that_leads_into_a_file_keeps_what_is_sent(tmp_path: Path) -> None:
    """And cuts a TSO frame as a cable would carry it."""
    path = tmp_path / "sent.pcapng"
    wire = open_wire(f"pcap:{path}")
    gso = Gso(GsoType.TCPV4, 54, 1448, 34, 16, GsoFlag.NEEDS_CSUM)
    frame = Frame(bytes(Ether() / IP() / TCP() / bytes(5000)), gso)
    port = Port(wire.fd, wire.framing)

    port.write(frame)
    deadline = time.monotonic() + 10
    while len(packets(path)) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    wire.close()

    assert packets(path) == [(2, data) for data in segment(frame)]
