"""``ringwalk boot --stack``: a Linux guest and an NT stack, each with a card of ours, meet on one switch.

The guest's own driver drives its card, our miniport drives ours; ping and TCP go both ways, and every call
of the NT side is told with the layers that it passed.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.host.hops import HopRecorder
from lab.host.reports import ping
from lab.host.systems import osi_map

if TYPE_CHECKING:
    from lab.host.station import Station
    from lab.machines.guest.session import Guest

GUEST, HOST, BITS = "10.82.58.1", "10.82.58.2", 24
PORT = 5001
TRANSFER_BYTES = 4 << 20
TIMEOUT_S = 60.0
DOWN = ("winsock", "afd", "tdi", "tcp", "ip", "ndis", "miniport", "82574l", "wire")
"""The components that a send must pass, as the OSI map names them."""
TRACED_BYTES = 1000
QUIET_S = 0.3


@dataclass(frozen=True, slots=True)
class Told:
    """One thing that happened."""

    what: str
    result: str
    good: bool


class Receiver:
    """Accepts one connection on the NT side and sums what comes."""

    def __init__(self, station: Station) -> None:
        self.digest = ""
        self.count = 0
        self._listener = station.sockets.socket()
        self._listener.bind((HOST, PORT))
        self._listener.listen(1)
        self._listener.settimeout(TIMEOUT_S)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait for the end of the stream."""
        self._thread.join(TIMEOUT_S)

    def _run(self) -> None:
        summed = hashlib.sha256()
        connection, _ = self._listener.accept()
        connection.settimeout(TIMEOUT_S)
        while piece := connection.recv(1 << 16):
            summed.update(piece)
            self.count += len(piece)
        self.digest = summed.hexdigest()
        connection.close()
        self._listener.close()


def meet(guest: Guest, interface: str, station: Station) -> list[Told]:
    """Move traffic both ways between the guest and the station."""
    guest.run(f"ip address replace {GUEST}/{BITS} dev {interface}", check=True)
    return [
        _ping_guest(station),
        _ping_host(guest),
        _to_host(guest, station),
        _to_guest(guest, station),
        _hops(guest, station),
        _on_our_card(station),
    ]


def text(told: list[Told]) -> str:
    """Return the story for a terminal."""
    width = max(len(one.what) for one in told)
    return "".join(f"  {one.what:<{width}}  {'ok ' if one.good else 'BAD'}  {one.result}\n" for one in told)


def _ping_guest(station: Station) -> Told:
    with station.host.executive.entry:
        said = ping(station.host.upper, GUEST).strip().splitlines()
    return Told("NT stack pings guest", said[-2] + ", " + said[-1], good="Lost = 0" in said[-2])


def _ping_host(guest: Guest) -> Told:
    said = guest.run(f"ping -c 4 -i 0.2 {HOST}", timeout_s=30)
    lines = [line for line in said.out.splitlines() if "packets" in line or "min/" in line]
    return Told("guest pings NT stack", ", ".join(lines), good=said.status == 0)


def _to_host(guest: Guest, station: Station) -> Told:
    receiver = Receiver(station)
    began = time.monotonic()
    script = _bash(
        f"head -c {TRANSFER_BYTES} /dev/urandom > /tmp/out; exec 3<>/dev/tcp/{HOST}/{PORT}; "
        "cat /tmp/out >&3; exec 3>&-; sha256sum /tmp/out"
    )
    said = guest.run(script, timeout_s=TIMEOUT_S)
    receiver.wait()
    theirs = said.out.split()[0] if said.out.split() else ""
    return _judge("guest sends to NT stack", receiver.count, began, same=theirs == receiver.digest)


def _to_guest(guest: Guest, station: Station) -> Told:
    data = os.urandom(TRANSFER_BYTES)
    listener = station.sockets.socket()
    listener.bind((HOST, PORT + 1))
    listener.listen(1)
    listener.settimeout(TIMEOUT_S)

    def serve() -> None:
        connection, _ = listener.accept()
        connection.sendall(data)
        connection.close()
        listener.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    began = time.monotonic()
    said = guest.run(_bash(f"exec 3<>/dev/tcp/{HOST}/{PORT + 1}; sha256sum <&3"), timeout_s=TIMEOUT_S)
    thread.join(TIMEOUT_S)
    theirs = said.out.split()[0] if said.out.split() else ""
    same = theirs == hashlib.sha256(data).hexdigest()
    return _judge("NT stack sends to guest", len(data), began, same=same)


def _hops(guest: Guest, station: Station) -> Told:
    listener = station.sockets.socket()
    listener.bind((HOST, PORT + 2))
    listener.listen(1)
    listener.settimeout(TIMEOUT_S)
    recorder = HopRecorder(station)

    def serve() -> None:
        connection, _ = listener.accept()
        time.sleep(QUIET_S)  # the handshake's own segments are through
        with recorder:
            connection.sendall(bytes(TRACED_BYTES))
        connection.close()
        listener.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    said = guest.run(_bash(f"wc -c </dev/tcp/{HOST}/{PORT + 2}"), timeout_s=TIMEOUT_S)
    thread.join(TIMEOUT_S)
    came = said.out.strip() == str(TRACED_BYTES)
    return Told(
        "the hops of a send", osi_map().describe(recorder.hops), came and tuple(recorder.hops) == DOWN
    )


def _bash(script: str) -> str:
    return f"bash -c {shlex.quote(script)}"


def _judge(what: str, count: int, began: float, *, same: bool) -> Told:
    seconds = time.monotonic() - began
    sums = "SHA-256 equal" if same else "SHA-256 differs"
    return Told(what, f"{count >> 10} KiB in {seconds:.2f} s, {sums}", good=same)


def _on_our_card(station: Station) -> Told:
    counts = station.process.account()
    told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in counts.items() if value)
    return Told("the NT side's card", told, good=bool(counts))
