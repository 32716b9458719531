"""What ``bench tcp`` does with one of our stacks: bulk each way, questions and answers, and both at once.

A ``Lane`` is a stack of ours through which it is all measured, from a socket call to the cable, and somebody
at the other end: Linux in the wire's namespace, or another stack of ours in a process of its own.
"""

from __future__ import annotations

import itertools
import json
import socket
import struct
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from lab.errors import UsageError
from lab.machines.peer import LocalPeer, PeerError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.host.station import Station
    from lab.machines.peer import Peer

CHUNK: Final = bytes(1 << 18)
PATIENCE_S: Final = 20.0
"""How long any call, and the far end, may make no headway before the bench says so."""
QUESTIONS_EACH_S: Final = 1000
STROKES_EACH_S: Final = 100
ADDRESS: Final = "10.82.57.9"


@dataclass(slots=True)
class Lane:
    """One stack, and how a peer reaches it."""

    station: Station
    peer: Peer
    far_wire: str | None = None
    """Where the peer is to start a stack of its own; None: it uses Linux's sockets."""
    _ports: Iterator[int] = field(default_factory=lambda: itertools.count(5001))
    _hosts: Iterator[int] = field(default_factory=lambda: itertools.cycle(range(10, 250)))

    def listen(self) -> tuple[Any, int]:
        """Return a listening socket of our stack, and its port: a new one each time."""
        port = next(self._ports)
        listener = self.station.sockets.socket()
        listener.bind((ADDRESS, port))
        listener.listen(4)
        listener.settimeout(PATIENCE_S)
        return listener, port

    def accept(self, listener: Any) -> Any:  # noqa: ANN401 - sockets of our module
        """Return the next connection; its calls end in ``TimeoutError`` when nothing moves.

        By SO_RCVTIMEO and SO_SNDTIMEO: Python's own timeouts are a WSAPoll before every call.
        """
        connection, _ = listener.accept()
        patience = struct.pack("ll", int(PATIENCE_S), 0)  # a timeval, as Python's module has it
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            connection.setsockopt(socket.SOL_SOCKET, option, patience)
        return connection

    def call(self, what: str, port: int, amount: float) -> int:
        """Start the peer's half of some traffic."""
        argv = [sys.executable, "-m", "lab.trials.bench.tcp_peer", what, ADDRESS, str(port), str(amount)]
        if self.far_wire is not None:  # each a station of its own: two on a wire must not share an address
            argv += ["--wire", self.far_wire, "--host-number", str(next(self._hosts))]
        return self.peer.start(argv)

    def answer(self, number: int) -> dict[str, float]:
        """Wait for what the peer has measured. UsageError with its own words when it could not."""
        end = self.peer.finish(number, PATIENCE_S)
        if end.status:
            words = end.err.strip().splitlines()
            raise UsageError(f"the far end: {words[-1] if words else 'said nothing'}")
        found: dict[str, float] = json.loads(end.out)
        return found


class Load(Protocol):
    """One kind of traffic."""

    def __call__(self, lane: Lane, seconds: float) -> dict[str, float]:
        """Do it; return figures by name."""


def transmit(lane: Lane, seconds: float) -> dict[str, float]:
    """Send until the time is over; Mbit/s until the peer has all of it."""
    listener, port = lane.listen()
    number = lane.call("drain", port, seconds)
    connection = lane.accept(listener)
    count, began = 0, time.monotonic()
    while time.monotonic() - began < seconds:
        connection.sendall(CHUNK)
        count += len(CHUNK)
    connection.shutdown(1)
    connection.recv(1)
    took = time.monotonic() - began
    connection.close()
    listener.close()
    if lane.answer(number)["bytes"] != count:
        raise PeerError("the far end got another number of bytes than were sent")
    return {"Mbit/s": count * 8 / took / 1e6}


def receive(lane: Lane, seconds: float) -> dict[str, float]:
    """Receive what the peer sends as long; Mbit/s."""
    listener, port = lane.listen()
    number = lane.call("pour", port, seconds)
    connection = lane.accept(listener)
    room, count, began = bytearray(CHUNK), 0, time.monotonic()
    while got := connection.recv_into(room):
        count += got
    took = time.monotonic() - began
    connection.close()
    listener.close()
    if lane.answer(number)["bytes"] != count:
        raise PeerError("the far end sent another number of bytes than came")
    return {"Mbit/s": count * 8 / took / 1e6}


def _echo(lane: Lane, listener: Any) -> None:  # noqa: ANN401 - a socket of our module
    connection = lane.accept(listener)
    connection.setsockopt(6, 1, 1)
    while data := connection.recv(1):
        connection.send(data)
    connection.close()


def round_trips(lane: Lane, seconds: float) -> dict[str, float]:
    """Echo single bytes, on an idle stack; µs as the peer sees them."""
    listener, port = lane.listen()
    number = lane.call("ask", port, max(10, seconds * QUESTIONS_EACH_S))
    _echo(lane, listener)
    listener.close()
    return lane.answer(number)


def interactive(lane: Lane, seconds: float) -> dict[str, float]:
    """Echo somebody's typing while a bulk transfer goes out of the same card; µs as the peer sees them."""
    bulk, bulk_port = lane.listen()
    sink = lane.call("drain", bulk_port, seconds)
    pouring = lane.accept(bulk)
    over = threading.Event()

    failures: list[OSError] = []

    def pour() -> None:
        try:
            while not over.is_set():
                pouring.sendall(CHUNK)
            pouring.shutdown(1)
            pouring.recv(1)
        except OSError as error:  # of the other thread's: raised when it is joined
            failures.append(error)
        pouring.close()

    thread = threading.Thread(target=pour, daemon=True)
    listener, port = lane.listen()
    typist = lane.call("type", port, max(10, seconds * STROKES_EACH_S))
    thread.start()
    try:
        _echo(lane, listener)
    finally:
        over.set()
        thread.join(PATIENCE_S)
        listener.close()
        bulk.close()
    if failures:
        raise failures[0]
    lane.answer(sink)
    return lane.answer(typist)


def local_peer() -> LocalPeer:
    """Return a peer that is a process beside us."""
    return LocalPeer()
