"""curl on Linux's TCP fetches a file from Python's web server on our stack, and puts it back."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import UsageError
from lab.host.web import WebServer
from lab.machines import scratch
from lab.trials.interop.contract import Seen
from lab.trials.interop.verified import add_verify, watched

if TYPE_CHECKING:
    import argparse

    from lab.machines.peer import Peer
    from lab.trials.parts import Progress

NAME = "curl"
HELP = "curl gets 100 MB from a web server on our stack and puts it back"
ADDRESS = "10.82.57.9"
SIZE_MB = 100
LIMIT_S = 300.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the size and the wire."""
    add_verify(parser)
    parser.add_argument("--megabytes", type=int, default=SIZE_MB, metavar="N", help="how much (default 100)")
    parser.add_argument("--wire", default="netns", help="the cable to Linux's end (default netns)")


def run(args: argparse.Namespace, progress: Progress) -> list[Seen]:
    """Serve, get, put, compare by SHA-256."""
    if shutil.which("curl") is None:
        raise UsageError("no curl program: install curl")
    data = os.urandom(args.megabytes * 1_000_000)
    folder = Path(scratch.make())
    seen: list[Seen] = []
    try:
        with watched(args.wire, seen, verify=args.verify) as station:
            peer = station.process.peer
            if peer is None:
                raise UsageError(f"--wire {args.wire} has no far end of ours: use netns")
            station.configure(f"{ADDRESS}/24")
            web = WebServer(station.sockets, (ADDRESS, 80), {"/data": data})
            web.start()
            try:
                seen += _both_ways(peer, web, folder / "copy", progress)
            finally:
                web.stop()
        return seen
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _both_ways(peer: Peer, web: WebServer, copy: Path, progress: Progress) -> list[Seen]:
    url = f"http://{ADDRESS}"
    fetched = _timed(
        peer, ["curl", "-sS", "-o", str(copy), f"{url}/data"], "curl gets from our server", progress
    )
    back = _timed(peer, ["curl", "-sS", "-T", str(copy), f"{url}/back"], "curl puts back", progress)
    sent, got = (hashlib.sha256(web.files.get(name, b"")).hexdigest() for name in ("/data", "/back"))
    kept = hashlib.sha256(copy.read_bytes() if copy.exists() else b"").hexdigest()
    size = len(web.files["/data"])
    same = sent == kept == got
    sums = f"served {sent[:16]}…, curl's {kept[:16]}…, put back {got[:16]}…"
    return [
        Seen("curl gets from our server", fetched.told(size), fetched.good),
        Seen("curl puts to our server", back.told(size), back.good),
        Seen("SHA-256", sums, same),
    ]


class _Timed:
    """How one curl ended, and when."""

    def __init__(self, status: int, complaint: str, seconds: float) -> None:
        self.good = status == 0 and not complaint
        self._complaint = complaint.strip() or f"status {status}"
        self._seconds = seconds

    def told(self, size: int) -> str:
        """Return its line."""
        if not self.good:
            return self._complaint
        rate = size * 8 / self._seconds / 1e6
        return f"{size:,} bytes in {self._seconds:.1f} s, {rate:.0f} Mbit/s"


def _timed(peer: Peer, argv: list[str], words: str, progress: Progress) -> _Timed:
    progress(words)
    began = time.monotonic()
    end = peer.finish(peer.start(argv), LIMIT_S)
    return _Timed(end.status, end.err, time.monotonic() - began)
