"""The far end of ``bench tcp``: connects, does one kind of traffic, prints what it measured as JSON.

``python -m lab.bench.tcp_peer WHAT HOST PORT AMOUNT [--wire WIRE --host-number N]``: over this system's own
sockets, or over those of an NT stack of ours that is started for it on ``WIRE``. AMOUNT is seconds, or round
trips.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from lab.nt.station import Station

if TYPE_CHECKING:
    from collections.abc import Callable

CHUNK_BYTES: Final = 1 << 18
MAC: Final = "52:54:00:82:58:{:02x}"
"""By host number; none is the one that a card has by itself, which is the near one's."""
ADDRESS: Final = "10.82.57.{}/24"
PAUSE_S: Final = 0.005
"""Between the strokes of somebody who types, shortened so that a second has enough of them."""


def drain(connection: Any, _amount: float) -> dict[str, float]:  # noqa: ANN401 - of either socket module
    """Receive until the other end has sent all."""
    room, count = bytearray(CHUNK_BYTES), 0
    while got := connection.recv_into(room):
        count += got
    return {"bytes": float(count)}


def pour(connection: Any, seconds: float) -> dict[str, float]:  # noqa: ANN401 - the same
    """Send for some seconds, and wait until the other end has got all."""
    chunk, count, end = bytes(CHUNK_BYTES), 0, time.monotonic() + seconds
    while time.monotonic() < end:
        connection.sendall(chunk)
        count += len(chunk)
    connection.shutdown(socket.SHUT_WR)
    connection.recv(1)
    return {"bytes": float(count)}


def ask(connection: Any, count: float, pause_s: float = 0.0) -> dict[str, float]:  # noqa: ANN401 - the same
    """Send a byte and wait for its echo, ``count`` times; microseconds."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    times = []
    for _ in range(int(count)):
        began = time.perf_counter()
        connection.send(b"x")
        connection.recv(1)
        times.append((time.perf_counter() - began) * 1e6)
        time.sleep(pause_s)
    times.sort()
    return {"p50": times[len(times) // 2], "p99": times[len(times) * 99 // 100]}


def type_slowly(connection: Any, count: float) -> dict[str, float]:  # noqa: ANN401 - the same
    """Do as ``ask`` with pauses, as ssh does."""
    return ask(connection, count, PAUSE_S)


TRAFFIC: Final[dict[str, Callable[[Any, float], dict[str, float]]]] = {
    "drain": drain,
    "pour": pour,
    "ask": ask,
    "type": type_slowly,
}


def _station(wire: str, number: int) -> Station:
    station = Station(wire, mac=MAC.format(number), host_name=f"far-{number}")
    station.configure(ADDRESS.format(number))
    return station


def main() -> int:
    """Run one kind of traffic."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=TRAFFIC)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("amount", type=float)
    parser.add_argument("--wire")
    parser.add_argument("--host-number", type=int)
    args = parser.parse_args()
    station = _station(args.wire, args.host_number) if args.wire else None
    try:
        module: Any = socket if station is None else station.sockets
        connection = module.socket()
        connection.connect((args.host, args.port))
        print(json.dumps(TRAFFIC[args.what](connection, args.amount)))
        connection.close()
    finally:
        if station is not None:
            station.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
