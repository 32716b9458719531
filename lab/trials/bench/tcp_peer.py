"""The far end of ``bench tcp``: connects, does one kind of traffic, prints what it measured as JSON.

``python -m lab.trials.bench.tcp_peer WHAT HOST PORT AMOUNT [--wire WIRE --host-number N]``: over this
system's own sockets, or over those of an NT stack of ours that is started for it on ``WIRE``. AMOUNT is
seconds, or round trips.
"""

from __future__ import annotations

import argparse
import json
import socket
import struct
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from lab.host.station import Station
from lab.logs import configure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHUNK_BYTES: Final = 1 << 18
MAC: Final = "52:54:00:82:58:{:02x}"
"""By host number; none is the one that a card has by itself, which is the near one's."""
ADDRESS: Final = "10.82.57.{}/24"
EVERY_PROTOCOL: Final = 3
"""ETH_P_ALL (linux/if_ether.h)."""
SO_TIMESTAMPNS: Final = 35
TIMESPEC: Final = struct.Struct("@qq")
HEADERS_BYTES: Final = 66
"""Ethernet, IPv4, TCP with a timestamp: a segment without data is no longer."""
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


def watch(connection: Any, count: float) -> dict[str, list[int]]:  # noqa: ANN401 - one of Linux's
    """Do as ``ask``; return when: CLOCK_MONOTONIC in ns, for the frames as the kernel stamped them."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    found: dict[str, list[int]] = {"asked": [], "heard": []}
    frames: list[tuple[int, bool]] = []
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(EVERY_PROTOCOL)) as tap:
        tap.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        for _ in range(int(count)):
            asked = time.perf_counter_ns()
            connection.send(b"x")
            connection.recv(1)
            found["heard"].append(time.perf_counter_ns())
            found["asked"].append(asked)
            frames += _stamped(tap)  # between two questions: a socket does not hold them all
    found["questions"] = [at for at, leaves in frames if leaves]
    found["answers"] = [at for at, leaves in frames if not leaves]
    return found


def _stamped(tap: socket.socket) -> Iterator[tuple[int, bool]]:
    """Return when each TCP segment with data was seen that a packet socket holds, and whether it left us."""
    ahead = time.time_ns() - time.perf_counter_ns()  # the kernel stamps by CLOCK_REALTIME
    while True:
        try:
            data, ancillary, _flags, address = tap.recvmsg(
                2048, socket.CMSG_SPACE(TIMESPEC.size), socket.MSG_DONTWAIT
            )
        except BlockingIOError:
            return
        if len(data) <= HEADERS_BYTES or data[12:14] != b"\x08\x00" or data[23] != socket.IPPROTO_TCP:
            continue
        seconds, nanoseconds = TIMESPEC.unpack(ancillary[0][2])
        yield seconds * 10**9 + nanoseconds - ahead, address[2] == socket.PACKET_OUTGOING


TRAFFIC: Final[dict[str, Callable[[Any, float], Any]]] = {
    "drain": drain,
    "pour": pour,
    "ask": ask,
    "type": type_slowly,
    "watch": watch,
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
    configure()  # standard output is for what it says to its starter
    sys.exit(main())
