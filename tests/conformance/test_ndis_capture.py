"""The capture driver between card and TCP/IP, judged by Wireshark's programs and by a capture on the wire."""

from __future__ import annotations

import io
import subprocess
from typing import TYPE_CHECKING

import pytest
from pcapng import FileScanner
from pcapng.blocks import EnhancedPacket

from lab.errors import UsageError
from lab.host.reports import ping
from lab.host.station import Station
from tests.judges import wireshark

if TYPE_CHECKING:
    from pathlib import Path

SHORTEST_BYTES = 60
CHECKED = ("-o", "ip.check_checksum:TRUE")


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Ping the far end; return what the driver and what the wire has written."""
    folder = tmp_path_factory.mktemp("capture")
    driver, wire = folder / "driver.pcapng", folder / "wire.pcapng"
    try:
        # Without offloads: what the card would fill in, the driver above it does not see.
        station = Station(
            f"netns:pcap={wire}",
            mac="52:54:00:82:57:09",
            large_sends=False,
            checksums=False,
            verify=True,
            intermediates=[f"capture={driver}"],
        )
    except UsageError as reason:
        pytest.skip(f"no network namespace here: {reason}")
    try:
        station.configure("10.82.57.9/24")
        with station.host.executive.entry:
            said = ping(station.host.upper, "10.82.57.1")
    finally:
        station.close()
    assert "Lost = 0" in said
    assert station.reports == []
    return driver, wire


def tool(*command: str) -> str:
    """Run one of Wireshark's programs."""
    program, *arguments = command
    argv = [*wireshark(program), *arguments]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def frames(path: Path) -> list[bytes]:
    """Return the frames of a file, padded as on the wire."""
    blocks = FileScanner(io.BytesIO(path.read_bytes()))
    return [b.packet_data.ljust(SHORTEST_BYTES, b"\0") for b in blocks if isinstance(b, EnhancedPacket)]


def test_the_driver_sees_what_is_on_the_wire(captures: tuple[Path, Path]) -> None:
    """The same frames, to the byte, padding aside; the wire may carry more before the driver is bound."""
    driver, wire = map(frames, captures)

    echoes = [frame for frame in driver if frame[12:14] == b"\x08\x00" and frame[23] == 1]
    strange = [frame.hex() for frame in driver if frame not in wire]

    assert len(echoes) == 8
    assert strange == []
    assert [one for one in wire if one in echoes] == echoes


def test_capinfos_and_tshark_read_the_drivers_file(captures: tuple[Path, Path]) -> None:
    """Every packet is counted, none is malformed, and both directions are there."""
    driver, _wire = captures

    counted = tool("capinfos", "-M", "-c", "-t", "-E", str(driver))
    bad = tool("tshark", "-r", str(driver), "-Y", "_ws.malformed or ip.checksum.status == 0", *CHECKED)
    echoes = tool("tshark", "-r", str(driver), "-Y", "icmp", "-T", "fields", "-e", "icmp.type")
    interface = tool("tshark", "-r", str(driver), "-c", "1", "-T", "fields", "-e", "frame.interface_name")

    assert f"Number of packets:   {len(frames(driver))}\n" in counted
    assert "pcapng" in counted
    assert bad == ""
    assert echoes.split() == ["8", "0"] * 4
    assert interface.strip() == "Local Area Connection 1"
