"""The loads of ``bench guest``: each moves one kind of traffic over one card and returns one figure.

The guest's ends are iputils' ping, iperf3 and the kernel's pktgen; the host's ends are Linux's stack, the
same iperf3, and ``flood.py``. A frame of 60 bytes is UDP with 18 bytes of data (FCS not counted).
"""

from __future__ import annotations

import json
import re
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.machines import fetch
from lab.machines.fetch import prefix
from lab.machines.guest.session import GuestError
from lab.trials.bench import flood

if TYPE_CHECKING:
    from lab.machines.cards import FarEnd
    from lab.machines.guest.session import Guest

IPERF_PORT = 5201
CLOSED_PORT = 9
"""Nobody listens: the guest's stack counts what arrives and drops it."""
PAYLOAD_BYTES = 18
NOBODY = "02:00:00:00:00:99"
"""A destination that the host's stack drops at once, so that pktgen measures the way out alone."""
SETTLE_S = 0.3


@dataclass(frozen=True, slots=True)
class Lane:
    """One card of the guest, with what is needed to load it."""

    name: str
    guest: Guest
    interface: str
    end: FarEnd
    pid: int | None
    """The card's process; None for a card inside QEMU."""

    @property
    def host_address(self) -> str:
        """The far end's address."""
        return str(self.end.address.ip) if self.end.address else ""

    @property
    def guest_address(self) -> str:
        """The guest's address on this card."""
        return str(self.end.guest_address.ip) if self.end.guest_address else ""


@dataclass(frozen=True, slots=True)
class Sample:
    """A load's figure, and the processor time that the card's process took for it, in cores."""

    value: float
    cores: float | None = None


Load = Callable[[Lane, float], Sample]


def start_server(lane: Lane) -> None:
    """Start iperf3's server at the far end; it is killed with the wire."""
    argv = prefix.command(fetch.tree("guest"), "usr/bin/iperf3")
    lane.end.peer.start([*argv, "-s", "-p", str(IPERF_PORT), "--logfile", "/dev/null"])


def ping(lane: Lane, seconds: float) -> Sample:
    """Return the median round trip in µs."""
    count = max(10, int(seconds * 50))
    out = lane.guest.run(f"ping -i 0.01 -c {count} -W 2 {lane.host_address}", timeout_s=60).out
    times = [float(ms) * 1000 for ms in re.findall(r"time=([\d.]+) ms", out)]
    if not times:
        raise GuestError(f"{lane.name}: no echo came back: {out[-200:]}")
    return Sample(statistics.median(times))


def tcp_to_host(lane: Lane, seconds: float) -> Sample:
    """Return Mbit/s that arrived."""
    return _tcp(lane, seconds, "")


def tcp_to_guest(lane: Lane, seconds: float) -> Sample:
    """Return Mbit/s that arrived."""
    return _tcp(lane, seconds, "-R")


def _tcp(lane: Lane, seconds: float, direction: str) -> Sample:
    before, began = _cpu_seconds(lane.pid), time.monotonic()
    end = iperf(lane, f"-t {whole(seconds)} {direction}")
    after, took = _cpu_seconds(lane.pid), time.monotonic() - began
    cores = None if before is None or after is None else (after - before) / took
    return Sample(end["sum_received"]["bits_per_second"] / 1e6, cores)


def udp_to_host(lane: Lane, seconds: float) -> Sample:
    """Return frames of 60 bytes a second, in thousands, that arrived."""
    end = iperf(lane, f"-u -b 0 -l {PAYLOAD_BYTES} -t {whole(seconds)}")
    total = end.get("sum_received") or end["sum"]
    return Sample((total["packets"] - total["lost_packets"]) / total["seconds"] / 1e3)


def whole(seconds: float) -> int:
    """Return seconds as iperf3 wants them: it cuts a fraction off, and 0 is for ever."""
    return max(1, round(seconds))


def iperf(lane: Lane, options: str) -> dict[str, Any]:
    """Run iperf3 in the guest until its server is ready, and return what it says at the end."""
    command = f"iperf3 -J -c {lane.host_address} -p {IPERF_PORT} {options}"
    script = f"for n in 1 2 3 4 5 6 7 8; do {command} >/tmp/iperf && break; sleep 0.5; done; cat /tmp/iperf"
    said = json.loads(lane.guest.run(script, timeout_s=180).out or "{}")
    if "error" in said or "end" not in said:
        raise GuestError(f"{lane.name}: iperf3 {options}: {said.get('error', 'said nothing')}")
    end: dict[str, Any] = said["end"]
    return end


def pktgen(lane: Lane, seconds: float) -> Sample:
    """Return frames of 60 bytes a second, in thousands, that the kernel's generator hands to the driver."""
    settings = ("count 0", "pkt_size 60", "delay 0", f"dst {lane.host_address}", f"dst_mac {NOBODY}")
    device = f"/proc/net/pktgen/{lane.interface}"
    script = "\n".join(
        [
            "modprobe pktgen",
            "echo rem_device_all >/proc/net/pktgen/kpktgend_0",
            f"echo add_device {lane.interface} >/proc/net/pktgen/kpktgend_0",
            *(f"echo {setting} >{device}" for setting in settings),
            "echo start >/proc/net/pktgen/pgctrl & writer=$!",
            f"sleep {seconds:g}",
            "echo stop >/proc/net/pktgen/pgctrl; kill -INT $writer 2>/dev/null; wait $writer",
            f"cat {device}",
            "echo rem_device_all >/proc/net/pktgen/kpktgend_0",
        ]
    )
    out = lane.guest.run(script, timeout_s=60).out
    rate = re.search(r"(\d+)pps", out)
    if rate is None:
        raise GuestError(f"{lane.name}: pktgen gave no rate: {out[-300:]}")
    return Sample(int(rate[1]) / 1e3)


ARRIVED = "awk '/^Udp:/{n=$3} END{print n}' /proc/net/snmp; cut -d' ' -f1 /proc/uptime"
"""Datagrams that came to a closed port, and when: counted by the guest's stack, the same for every driver."""


def flood_to_guest(lane: Lane, seconds: float) -> Sample:
    """Return frames of 60 bytes a second, in thousands, that reach the guest's UDP."""
    program = [sys.executable, "-I", str(Path(flood.__file__).resolve())]
    sending = [*program, lane.guest_address, str(CLOSED_PORT), str(seconds + 2 * SETTLE_S + 0.5)]
    number = lane.end.peer.start(sending)
    out = lane.guest.run(f"sleep {SETTLE_S}; {ARRIVED}; sleep {seconds:g}; {ARRIVED}", timeout_s=120).out
    lane.end.peer.finish(number, seconds + 30)
    first, began, last, ended = map(float, out.split())
    return Sample((last - first) / (ended - began) / 1e3)


def _cpu_seconds(pid: int | None) -> float | None:
    """Return the processor time of a process and its threads so far (proc_pid_stat(5), fields 14 and 15)."""
    if pid is None:
        return None
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


TICKS_PER_SECOND = 100
"""USER_HZ: what the kernel tells user space in, on every architecture that QEMU's guests run on here."""
