"""Linux in a guest, with its own driver and ``tc netem``, against our stack on a card of its own: one switch.

What the other parts show against this machine's kernel, another kernel shows here through two emulated cards:
iperf3 both ways, and transfers while netem spoils what the guest sends.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lab.machines import guest_machine, traffic
from lab.machines.cards import LOCAL_MAC, CardSpec
from lab.machines.guest.session import GuestSpec
from lab.trials.interop import iperf3
from lab.trials.interop.contract import Seen
from lab.trials.interop.guest_peer import GuestPeer
from lab.trials.interop.iperf3_peer import Server
from lab.trials.interop.transfer import Receiving, Sending, listening
from lab.trials.interop.verified import add_verify, watched

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from lab.host.station import Station
    from lab.machines.guest.session import Guest
    from lab.trials.parts import Progress

NAME = "guest"
HELP = "a Linux guest with tc netem and iperf3 against our stack, each with an emulated card"
GUEST, OURS, BITS = iperf3.LINUX, iperf3.OURS, 24
TO_US, TO_GUEST = 5001, 5002
KILOBYTES = 300
LIMIT_S = 120.0
NETEM = (
    "loss 3%",
    "loss 10%",
    "duplicate 5%",
    "corrupt 1%",
    "delay 10ms reorder 25% 50%",
    "delay 100ms 10ms",
    "delay 20ms loss 2% duplicate 2% corrupt 0.5%",
)
"""What ``tc qdisc … netem`` is given, one after the other."""
IPERF3_CASES = ("TCP", "TCP reverse", "UDP")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the rules, the size, and whether to fetch."""
    add_verify(parser)
    parser.add_argument(
        "--netem", action="append", metavar="RULE", help="as 'loss 3%%' (repeatable; default: seven)"
    )
    parser.add_argument(
        "--kilobytes", type=int, default=KILOBYTES, metavar="N", help="each way (default 300)"
    )
    parser.add_argument("--offline", action="store_true", help="use only what is in the cache")


def run(args: argparse.Namespace, progress: Progress) -> list[Seen]:
    """Boot, then iperf3, then each rule of netem."""
    progress("a guest and a station on one switch")
    seen: list[Seen] = []
    with meeting(seen, offline=args.offline, verify=args.verify) as (guest, interface, station):
        seen += iperf3_with(guest, station, progress)
        for rule in args.netem or NETEM:
            progress(f"netem {rule}")
            seen.append(under(guest, interface, station, rule, args.kilobytes * 1000))
    return seen


@contextmanager
def meeting(
    seen: list[Seen], *, offline: bool = False, verify: bool = False
) -> Iterator[tuple[Guest, str, Station]]:
    """Boot a guest and start a station on one switch; give both, configured. ``seen``: as ``watched``."""
    wire = f"switch:interop{os.getpid()}"
    card = CardSpec("82574l", wire, LOCAL_MAC.format(1))
    with guest_machine.booted([card], GuestSpec(offline=offline)) as running:
        (interface,) = running.interfaces()
        with watched(wire, seen, verify=verify, mac=LOCAL_MAC.format(2)) as station:
            station.configure(f"{OURS}/{BITS}")
            running.guest.run(f"ip link set {interface} up", check=True)
            running.guest.wait_link(interface)
            running.guest.run(f"ip address replace {GUEST}/{BITS} dev {interface}", check=True)
            yield running.guest, interface, station


def iperf3_with(guest: Guest, station: Station, progress: Progress) -> list[Seen]:
    """Have the guest's iperf3 be the client of our server, and the server of our client."""
    peer, program = GuestPeer(guest), ["iperf3"]
    cases = [case for case in iperf3.cases(2) if case.name in IPERF3_CASES]
    seen = []
    server = Server(station.sockets, OURS)
    try:
        for case in cases:
            progress(f"the guest's iperf3 client, our server: {case.name}")
            seen.append(iperf3.their_client(peer, program, server, case))
    finally:
        server.close()
    for case in cases:
        progress(f"our client, the guest's iperf3 server: {case.name}")
        seen.append(iperf3.their_server(peer, program, station.sockets, case))
    return seen


def under(guest: Guest, interface: str, station: Station, rule: str, size: int) -> Seen:
    """Move ``size`` bytes each way, one after the other, while netem has a rule."""
    guest.run(f"tc qdisc replace dev {interface} root netem {rule}", check=True)
    began = time.monotonic()
    try:
        same = {
            "from the guest": _from_guest(guest, station, size),
            "to the guest": _to_guest(guest, station, size),
        }
    finally:
        said = guest.run(f"tc -s qdisc show dev {interface}; tc qdisc del dev {interface} root").out
    wrong = [what for what, right in same.items() if not right]
    took = f"{size // 1000} kB each way in {time.monotonic() - began:.1f} s, "
    took += "SHA-256 equal" if not wrong else f"SHA-256 differs: {', '.join(wrong)}"
    return Seen(f"netem {rule}", took, not wrong and "qdisc netem" in said, _sent(said))


def _sent(said: str) -> str:
    """Return netem's own count, of ``tc -s``."""
    lines = (line.strip() for line in said.splitlines())
    return next((f"netem: {line}" for line in lines if line.startswith("Sent")), "netem was not there")


def _from_guest(guest: Guest, station: Station, size: int) -> bool:
    data = traffic.pattern(size, 3)
    guest.put("/tmp/data", data)  # noqa: S108 - in the guest
    receiving = Receiving(listening(station.sockets, (OURS, TO_US)))
    guest.run(_bash(f"cat /tmp/data >/dev/tcp/{OURS}/{TO_US}"), timeout_s=LIMIT_S, check=True)
    return receiving.wait(LIMIT_S) == hashlib.sha256(data).hexdigest()


def _to_guest(guest: Guest, station: Station, size: int) -> bool:
    sending = Sending(listening(station.sockets, (OURS, TO_GUEST)), traffic.pattern(size, 4))
    said = guest.run(_bash(f"sha256sum </dev/tcp/{OURS}/{TO_GUEST}"), timeout_s=LIMIT_S, check=True)
    return said.out.split()[:1] == [sending.wait(LIMIT_S)]


def _bash(script: str) -> str:
    return f"bash -c {shlex.quote(script)}"
