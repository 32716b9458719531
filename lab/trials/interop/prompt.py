"""Keystrokes while a bulk transfer runs, as ssh beside a copy: each is a byte there and its echo back.

The echo server and both ends of the bulk are ordinary programs on our stack; Linux types. A single queue for
all would make the keystroke wait behind every byte of the bulk that is under way.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.errors import UsageError
from lab.machines.peer import PeerError
from lab.trials.interop.contract import Seen
from lab.trials.interop.echo import EchoServer
from lab.trials.interop.verified import add_verify, watched

if TYPE_CHECKING:
    import argparse

    from lab.machines.peer import Peer
    from lab.trials.parts import Progress

NAME = "prompt"
HELP = "keystrokes echoed while a bulk transfer runs: idle, beside sending, beside receiving"
OURS = "10.82.57.9"
ECHO, SOURCE, SINK = 7000, 9001, 9002
KEYS, PAUSE_MS = 100, 30
LIMIT_S = 120.0
HEAD_START_S = 0.5
PROMPT_MS = 100
"""What a person takes for at once; the median must be below."""
PROGRAM = str(Path(__file__).with_name("keystrokes.py"))
PIECE = bytes(1 << 16)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the number of keystrokes and the wire."""
    add_verify(parser)
    parser.add_argument(
        "--keys", type=int, default=KEYS, metavar="N", help="keystrokes each time (default 100)"
    )
    parser.add_argument("--wire", default="netns", help="the cable to Linux's end (default netns)")


def run(args: argparse.Namespace, progress: Progress) -> list[Seen]:
    """Type idle, then beside each direction of bulk."""
    seen: list[Seen] = []
    with watched(args.wire, seen, verify=args.verify) as station:
        peer = station.process.peer
        if peer is None:
            raise UsageError(f"--wire {args.wire} has no far end of ours: use netns")
        station.configure(f"{OURS}/24")
        server = EchoServer(station.sockets, ECHO)
        bulk = BulkServer(station.sockets)
        try:
            progress("idle")
            seen.append(typed(peer, args.keys, "idle", None))
            for what, direction, port in (
                ("beside a transfer that we send", "receive", SOURCE),
                ("beside a transfer that we receive", "send", SINK),
            ):
                progress(what)
                seen.append(typed(peer, args.keys, what, (direction, port)))
        finally:
            bulk.close()
            server.close()
    return seen


def typed(peer: Peer, count: int, what: str, beside: tuple[str, int] | None) -> Seen:
    """Type while a bulk transfer runs that lasts as long."""
    seconds = count * PAUSE_MS / 1000 + 2 * HEAD_START_S
    number = None
    if beside is not None:
        direction, port = beside
        number = peer.start([sys.executable, PROGRAM, direction, OURS, str(port), str(seconds)])
        time.sleep(HEAD_START_S)
    argv = [sys.executable, PROGRAM, "type", OURS, str(ECHO), str(count), str(PAUSE_MS)]
    end = peer.finish(peer.start(argv), LIMIT_S)
    if end.status:
        raise PeerError(f"nobody could type: {end.err.strip().splitlines()[-1:]}")
    times = sorted(us / 1000 for us in json.loads(end.out)["us"])
    middle, slow = statistics.median(times), times[int(len(times) * 0.99)]
    result = f"{len(times)} echoes, median {middle:.2f} ms, 99 % in {slow:.2f} ms, longest {times[-1]:.2f} ms"
    if number is not None:
        moved = json.loads(peer.finish(number, LIMIT_S).out)["bytes"]
        result += f"; bulk {moved * 8 / seconds / 1e6:.0f} Mbit/s"
    return Seen(what, result, len(times) == count and middle <= PROMPT_MS)


class BulkServer:
    """Sends without end on one port, takes without end on another."""

    def __init__(self, sockets: Any) -> None:  # noqa: ANN401 - a module like ``socket``
        """Listen and serve until ``close``."""
        self._listeners = []
        for port, serve in ((SOURCE, self._give), (SINK, self._take)):
            listener = sockets.socket()
            listener.bind((OURS, port))
            listener.listen(4)
            self._listeners.append(listener)
            threading.Thread(target=self._accept, args=(listener, serve), daemon=True).start()

    def close(self) -> None:
        """Serve nobody any more."""
        for listener in self._listeners:
            listener.close()

    def _accept(self, listener: Any, serve: Any) -> None:  # noqa: ANN401 - a socket, a method
        with contextlib.suppress(OSError):  # closed
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    def _give(self, connection: Any) -> None:  # noqa: ANN401 - a socket
        with contextlib.suppress(OSError), connection:  # the peer hangs up
            while True:
                connection.sendall(PIECE)

    def _take(self, connection: Any) -> None:  # noqa: ANN401 - a socket
        with contextlib.suppress(OSError), connection:
            while connection.recv(len(PIECE)):
                pass
