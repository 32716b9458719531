"""``net trace``: one send, the layers that it passed on the way down, and the frame that came of it.

The hops are seen (``lab.host.hops``); the frame is captured behind the card and read by tshark, whose order
of protocols, outermost first, must be the hops' own order read from the wire up.
"""

from __future__ import annotations

import re
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.errors import UsageError
from lab.host.hops import HopRecorder
from lab.host.station import Station
from lab.host.systems import osi_map
from lab.machines import tshark
from protocols.apis.winsock.constants import Af, Proto, So, Sock, Sol
from protocols.apis.winsock.providers.logging_layer import LoggingLayer
from protocols.apis.wsk.blocking import Blocking
from protocols.apis.wsk.constants import Category, ControlType
from protocols.apis.wsk.npi import WskBuf
from protocols.interfaces.tdi.address import internet
from protocols.transports.tcpip.addresses import parse

if TYPE_CHECKING:
    from pathlib import Path

ADDRESS, EVERYBODY, PORT = "10.82.57.9/24", "10.82.57.255", 40000
PAYLOAD = b"one send, every layer"
DOWN = ("winsock", "afd", "tdi", "udp", "ip", "ndis", "miniport", "82574l", "wire")
"""What a datagram must pass, as the OSI map names it."""
KERNEL_DOWN = ("wsk", "tlnpi", *DOWN[3:])
"""The same for a driver's."""
ON_THE_WIRE = {"wire": "eth", "82574l": "eth", "miniport": "eth", "ndis": "eth", "ip": "ip", "udp": "udp"}
"""Whose header each component's is; TDI and AFD add none, and what Winsock was given is tshark's ``data``."""
SETTLE_S = 2.5
"""By then duplicate address detection and its neighbours have nothing more to send."""
OWN = ("geninfo", "frame")
"""What PDML says of a packet that is in none of its bytes."""
NAMES = {"fake-field-wrapper": "data"}
"""PDML's wrapper of bytes that belong to no dissector."""
PROTO = re.compile(r'^  <proto name="([^"]+)"', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Trace:
    """The hops of a send, and tshark's protocols of its frame; None where there is no tshark."""

    hops: tuple[str, ...]
    nesting: tuple[str, ...] | None
    layered: tuple[str, ...] = ()  # calls that a layered provider saw, WSPConnect as ``connect``
    down: tuple[str, ...] = DOWN  # what the hops must be

    @property
    def expected(self) -> tuple[str, ...]:
        """The protocols that the hops ask for, outermost first."""
        headers = [ON_THE_WIRE[hop] for hop in reversed(self.hops) if hop in ON_THE_WIRE]
        return (*dict.fromkeys(headers), "data")

    @property
    def good(self) -> bool:
        """Whether every layer was passed in order, and the frame says the same."""
        return self.hops == self.down and self.nesting in (None, self.expected)

    def describe(self) -> str:
        """Return it in words."""
        lines = [f"a send passed   {osi_map().describe(self.hops)}"]
        if self.layered:
            lines.append(f"a layered provider above MSAFD saw  {', '.join(self.layered)}")
        if self.nesting is None:
            lines.append("the frame       not compared: there is no tshark here (ringwalk fetch tshark)")
        else:
            verdict = (
                "the same order, from the wire up" if self.nesting == self.expected else "NOT that order"
            )
            lines.append(f"tshark's frame  {' > '.join(self.nesting)}: {verdict}")
        return "\n".join(lines)


def trace_send(folder: Path) -> Trace:
    """Send one datagram on a station of its own and tell what it passed; the capture stays in ``folder``."""
    capture = folder / "trace.pcapng"
    station = Station(f"pcap:{capture}")
    try:
        station.configure(ADDRESS)
        catalog = station.winsock.catalog
        layer = LoggingLayer()
        catalog.install_layer(layer, "logging", catalog.find(Af.INET, Sock.DGRAM, 0))
        sock = station.sockets.socket(type=station.sockets.SOCK_DGRAM)
        sock.setsockopt(station.sockets.SOL_SOCKET, station.sockets.SO_BROADCAST, 1)
        sock.connect((EVERYBODY, PORT))
        time.sleep(SETTLE_S)
        recorder = HopRecorder(station)
        with recorder:
            sock.send(PAYLOAD)
        sock.close()
    finally:
        station.close()
    return Trace(tuple(recorder.hops), _nesting(capture), tuple(layer.log))


def trace_kernel_send(folder: Path) -> Trace:
    """Do the same for a driver's datagram: WskSendTo."""
    capture = folder / "kernel.pcapng"
    station = Station(f"pcap:{capture}")
    try:
        station.configure(ADDRESS)
        entry, everybody = station.host.executive.entry, internet(parse(EVERYBODY), PORT)
        with entry:
            client = station.host.upper.wsk_register().capture_provider_npi().client
            call = Blocking(client, station.host.executive).call
            socket = call(client.socket, Af.INET, Sock.DGRAM, Proto.UDP, Category.DATAGRAM)
            call(socket.control_socket, ControlType.SET_OPTION, So.BROADCAST, Sol.SOCKET, 1)
            call(socket.bind, internet(bytes(4), 0))
        time.sleep(SETTLE_S)
        recorder = HopRecorder(station)
        with recorder, entry:
            call(socket.send_to, WskBuf((PAYLOAD,)), everybody)
        with entry:
            call(socket.close_socket)
    finally:
        station.close()
    return Trace(tuple(recorder.hops), _nesting(capture), down=KERNEL_DOWN)


def _nesting(capture: Path) -> tuple[str, ...] | None:
    try:
        command = tshark.command()
    except UsageError:
        return None
    wanted = ["-Y", f"udp.dstport == {PORT}", "-T", "pdml"]
    said = subprocess.run(
        [*command, "-r", str(capture), *wanted], capture_output=True, text=True, check=False
    )
    return tuple(NAMES.get(name, name) for name in PROTO.findall(said.stdout) if name not in OWN)
