"""Transfers through the whole stack over bad cables, both ways at once, Linux at the other end.

The cable of the emulated card is bad, in a way that a seed determines. A capture taken at the card, before
anything befalls a frame, shows to tshark that each frame we sent had right checksums.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.errors import UsageError
from lab.machines import scratch, traffic, tshark
from lab.trials.interop.contract import Seen
from lab.trials.interop.transfer import Receiving, Sending, connected
from lab.trials.interop.verified import add_verify, watched

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from lab.machines.peer import Peer
    from lab.trials.parts import Progress

NAME = "impaired"
HELP = "transfers both ways over bad cables: loss, reordering, duplication, corruption, delay"
OURS, LINUX = "10.82.57.9", "10.82.57.1"
TO_LINUX, FROM_LINUX = 6001, 6002
KILOBYTES = 300
LIMIT_S = 240.0
OUTBOUND = 2
GOOD, BAD = "1", "0"
PROTOCOLS = ("ip", "tcp", "udp")

CABLES = (
    "",
    "loss=1%",
    "loss=5%",
    "loss=10%",
    "duplicate=10%",
    "corrupt=2%",
    "reorder=10%,delay=5ms",
    "delay=50ms,jitter=10ms",
    "delay=200ms",
    "loss=3%,reorder=3%,duplicate=3%,corrupt=1%,delay=20ms,jitter=5ms",
    "loss=10%,delay=100ms",
)
"""What ``--wire netns`` is given each time; the first is a good cable."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the cables, the seed and the size."""
    add_verify(parser)
    parser.add_argument(
        "--cable", action="append", metavar="OPTIONS", help="as loss=5%%,delay=10ms (repeatable; default: 11)"
    )
    parser.add_argument("--seed", type=int, default=7, help="the same seed: the same faults (default 7)")
    parser.add_argument(
        "--kilobytes", type=int, default=KILOBYTES, metavar="N", help="each way (default 300)"
    )


def run(args: argparse.Namespace, progress: Progress) -> list[Seen]:
    """Go over every cable."""
    folder = Path(scratch.make())
    seen: list[Seen] = []
    try:
        for number, cable in enumerate(args.cable or CABLES):
            progress(cable or "a good cable")
            capture = folder / f"{number}.pcapng"
            options = [one for one in (cable, f"seed={args.seed}", f"pcap={capture}") if one]
            wire = ",".join(["netns", *options])
            seen += over(wire, cable or "a good cable", capture, args.kilobytes * 1000, verify=args.verify)
            capture.unlink(missing_ok=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return seen


def over(wire: str, name: str, capture: Path, size: int, *, verify: bool = False) -> list[Seen]:
    """Move ``size`` bytes each way at once over one cable, then look at what we sent."""
    seen: list[Seen] = []
    with watched(wire, seen, verify=verify) as station:
        if station.process.peer is None:
            raise UsageError(f"{wire}: no far end of ours")
        station.configure(f"{OURS}/24")
        began = time.monotonic()
        moved = both_ways(station.sockets, station.process.peer, size)
        seconds = time.monotonic() - began
        again = station.host.stack.counters.get("tcp.retransmitted_segments", 0)
    moved_kb = f"{size // 1000} kB each way in {seconds:.1f} s, {again} segments sent again"
    wrong = [what for what, same in moved.items() if not same]
    result = moved_kb + (f"; SHA-256 differs: {', '.join(wrong)}" if wrong else ", SHA-256 equal")
    return [Seen(name, result, not wrong), checksums(name, capture), *seen]


def both_ways(sockets: Any, peer: Peer, size: int) -> dict[str, bool]:  # noqa: ANN401 - a module like ``socket``
    """Send and receive at once; return whether each way arrived whole."""
    program = [sys.executable, str(Path(traffic.__file__).resolve())]
    takes = peer.start([*program, "receive", str(TO_LINUX)])
    gives = peer.start([*program, "send", str(FROM_LINUX), str(size), "2"])
    sending = Sending(partial(connected, sockets, (LINUX, TO_LINUX)), traffic.pattern(size, 1))
    receiving = Receiving(partial(connected, sockets, (LINUX, FROM_LINUX)))
    sent, received = sending.wait(LIMIT_S), receiving.wait(LIMIT_S)
    theirs = [json.loads(peer.finish(number, LIMIT_S).out or "{}").get("sha256") for number in (takes, gives)]
    return {"to Linux": sent == theirs[0], "from Linux": received == theirs[1]}


def checksums(name: str, capture: Path) -> Seen:
    """Have tshark check what we sent; a capture without a right TCP checksum is no proof either."""
    what = f"{name}: our checksums"
    fields = [f"{protocol}.checksum.status" for protocol in PROTOCOLS]
    argv = [*tshark.command(offline=False), "-r", str(capture), "-Tfields"]
    argv += [*(f"-o{p}.check_checksum:TRUE" for p in PROTOCOLS)]
    argv += ["-eframe.packet_flags_direction", *(f"-e{field}" for field in fields)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=LIMIT_S)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    ours = [row[1:] for row in rows if int(row[0] or "0", 0) == OUTBOUND]
    good, bad = counted(ours, GOOD), counted(ours, BAD)
    return Seen(what, f"{len(ours)} frames sent, tshark: {good} right, {bad} wrong", good=good > 0 == bad)


def counted(rows: Sequence[Sequence[str]], status: str) -> int:
    """Count the frames of which some checksum has this status (a field may have several values)."""
    return sum(any(status in value.split(",") for value in row) for row in rows)
