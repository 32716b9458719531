"""Kernel sockets against Linux: a WSK echo server and a WSK client, over the emulated card.

The server is ``protocols.apis.wsk.samples.echosrv``, a driver of this host: its work items and callbacks
run in the host's own thread. Linux's programs are ``wsk_peer.py``'s, plain sockets. At the end the driver is
unloaded: WskDeregister returns when every socket is closed.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.errors import UsageError
from lab.machines.peer import Peer, PeerError
from lab.trials.interop import wsk_peer
from lab.trials.interop.contract import Seen
from lab.trials.interop.verified import MOST_SHOWN, watched
from ntos.executive.contract import SECOND
from ntos.io.status import NtError, NtStatus
from protocols.apis.winsock.constants import Af, Proto, Sock
from protocols.apis.wsk.blocking import Blocking
from protocols.apis.wsk.constants import Category
from protocols.apis.wsk.npi import WskBuf
from protocols.apis.wsk.samples.echosrv import PORT, SOCKETS, EchoServer
from protocols.interfaces.tdi.address import InternetAddress, internet
from protocols.transports.tcpip.addresses import parse

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from lab.host.station import Station
    from lab.trials.parts import Progress

NAME = "wsk"
HELP = "a WSK echo server and a WSK client in the kernel, against plain sockets of Linux"
OURS, LINUX = "10.82.57.9", "10.82.57.1"
ANY = internet(bytes(4), 0)
THEIR_PORT = 40007
SIZES = (1, 2, 1459, 1460, 1461, 4096, 65536, 262_144, 1_048_576)
DATAGRAMS = (1, 1472, 1473, 8192, 65507)
SHORT = 65536
CONNECTIONS = 50
MANY_BYTES = 20_000
ABORTS = 20
BUFFER_BYTES = 16384
LIMIT_S = 120.0
LIMIT_NS = 120 * SECOND
SETTLE_S = 10.0
MOST_TOLD = 300
PROGRAM = str(Path(wsk_peer.__file__))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how much, and the wire. The verifiers always watch."""
    parser.add_argument(
        "--largest", type=int, default=SIZES[-1], metavar="BYTES", help="of the echoes (default 1048576)"
    )
    parser.add_argument(
        "--connections", type=int, default=CONNECTIONS, metavar="N", help="at once (default 50)"
    )
    parser.add_argument("--verify", action="store_true", help="the verifiers watch in any case")
    parser.add_argument("--wire", default="netns", help="the cable to Linux's end (default netns)")


def run(args: argparse.Namespace, progress: Progress) -> list[Seen]:
    """Serve Linux, then be its client; both verifiers on."""
    seen: list[Seen] = []
    with watched(args.wire, seen, verify=True) as station:
        peer = station.process.peer
        if peer is None:
            raise UsageError(f"--wire {args.wire} has no far end of ours: use netns")
        station.configure(f"{OURS}/24")
        sizes = [size for size in SIZES if size <= args.largest]
        seen += served(station, peer, sizes, args.connections, progress)
        progress("a WSK client, Linux's server")
        seen += asked(station, peer, sizes)
    return seen


def served(
    station: Station, peer: Peer, sizes: list[int], connections: int, progress: Progress
) -> list[Seen]:
    """Run the driver, have Linux talk to it, unload it."""
    host = station.host
    with host.executive.entry:
        registration = host.upper.wsk_register()
        server = EchoServer(
            registration, host.executive.queue_work_item, port=PORT, buffer_bytes=BUFFER_BYTES
        )
        host.executive.wait(lambda: server.bound == SOCKETS, "the sample to listen", LIMIT_NS)
    seen = [Seen("echosrv", f"listens on ports {PORT} to {PORT + 2}, TCP and UDP", not server.failures)]

    def survived(told: dict[str, Any]) -> Seen:
        """Judge resets by the far end: the driver must have closed every connection."""
        end = time.monotonic() + SETTLE_S
        while (left := len(server.connections)) and time.monotonic() < end:
            time.sleep(0.01)
        return Seen("", f"{told['count']} times, {left} connections left", not left)

    parts: tuple[tuple[str, Callable[[Any], Seen], tuple[object, ...]], ...] = (
        ("TCP, served by WskReceive", echoes, ("tcp", OURS, PORT, *sizes)),
        ("TCP, served by WskReceiveEvent", echoes, ("tcp", OURS, PORT + 1, *sizes)),
        (f"TCP, {connections} connections at once", at_once, ("many", OURS, PORT, connections, MANY_BYTES)),
        (
            f"TCP, {connections} at once, by events",
            at_once,
            ("many", OURS, PORT + 1, connections, MANY_BYTES),
        ),
        ("Linux resets in the middle", survived, ("abort", OURS, PORT, ABORTS)),
        ("the same, by events", survived, ("abort", OURS, PORT + 1, ABORTS)),
        ("WskDisconnect, abortive", was_reset, ("reset", OURS, PORT + 2)),
        ("UDP", echoes, ("udp", OURS, PORT, *DATAGRAMS)),
        ("nc -N", by_nc, ("nc", OURS, PORT, SHORT)),
        ("TCP again, after the resets", echoes, ("tcp", OURS, PORT, SHORT)),
    )
    for what, judge, arguments in parts:
        progress(what)
        began = time.monotonic()
        found = judge(ask(peer, *arguments))
        seen.append(Seen(what, f"{found.result}, {time.monotonic() - began:.1f} s", found.good, found.note))
    seen.append(unloaded(station, registration, server))
    return seen


def ask(peer: Peer, *arguments: object) -> Any:  # noqa: ANN401 - JSON
    """Run Linux's program; return what it printed. PeerError."""
    done = peer.finish(peer.start([sys.executable, PROGRAM, *map(str, arguments)]), LIMIT_S)
    if done.status:
        raise PeerError(f"{' '.join(map(str, arguments))}: {done.err.strip()[-MOST_TOLD:]}")
    return json.loads(done.out)


def echoes(told: list[dict[str, Any]]) -> Seen:
    """Judge echoes of several sizes."""
    bad = [f"{one['size']} ({one['bytes']} bytes)" for one in told if not one["same"]]
    sizes = ", ".join(f"{one['size']:,}" for one in told)
    return Seen(
        "", f"SHA-256 equal of {len(told) - len(bad)} of {len(told)}: {sizes}", not bad, "; ".join(bad)
    )


def at_once(told: dict[str, Any]) -> Seen:
    """Judge many connections."""
    return Seen("", f"SHA-256 equal of {told['same']} of {told['count']}", told["same"] == told["count"])


def was_reset(told: dict[str, Any]) -> Seen:
    """Judge how a connection ended."""
    return Seen("", f"Linux says {told['error']}", told["error"] == "ConnectionResetError")


def by_nc(told: dict[str, Any]) -> Seen:
    """Judge nc; without one there is nothing to judge."""
    if not told["there"]:
        return Seen("", "there is no nc here")
    return Seen("", f"{told['bytes']:,} of {told['size']:,} bytes came back", told["same"])


def unloaded(station: Station, registration: Any, server: EchoServer) -> Seen:  # noqa: ANN401 - a WskRegistration
    """Unload the driver; every socket must be closed, and every IRP completed."""
    host = station.host
    with host.executive.entry:
        server.stop()
        registration.deregister()
        host.executive.wait(lambda: not server.work_items, "the sample's work items", LIMIT_NS)
        left = len(server.connections)
        alive = [text for text in host.upper.verifier.alive.values() if "Wsk" in text]
    result = f"{server.accepted} accepted, {server.bytes_echoed:,} bytes echoed; WskDeregister returned"
    wrong = [*server.failures, *alive, *([f"{left} connections are left"] if left else [])]
    return Seen("echosrv unloaded", result, not wrong, "; ".join(wrong[:MOST_SHOWN]))


class Client:
    """A driver's thread that makes WSK calls and waits for each."""

    def __init__(self, station: Station) -> None:
        """Register, and capture the NPI."""
        self._host = station.host
        with self._host.executive.entry:
            self.registration = self._host.upper.wsk_register()
            self._npi = self.registration.capture_provider_npi()
            self._blocking = Blocking(self._npi.client, self._host.executive)

    def call(self, function: Callable[..., NtStatus], *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - each function has its own
        """Call, and wait. NtError."""
        with self._host.executive.entry:
            return self._blocking.call(function, *arguments, **named)

    def close(self) -> None:
        """Release and deregister; returns when every socket is closed."""
        with self._host.executive.entry:
            self.registration.release_provider_npi()
            self.registration.deregister()

    def connected(self, remote: InternetAddress) -> Any:  # noqa: ANN401 - a ConnectionSocket
        """WskSocketConnect, as soon as somebody listens there."""
        end = time.monotonic() + LIMIT_S
        while True:
            try:
                return self.call(self._npi.dispatch.socket_connect, Sock.STREAM, Proto.TCP, ANY, remote)
            except NtError as error:
                if error.status is not NtStatus.CONNECTION_REFUSED or time.monotonic() > end:
                    raise
            time.sleep(0.1)

    def stream(self, remote: InternetAddress, data: bytes) -> bytes:
        """Echo over a connection: a thread sends while this one receives."""
        socket = self.connected(remote)

        def push() -> None:
            self.call(socket.send, WskBuf((data,)))
            self.call(socket.disconnect, None)

        sender = threading.Thread(target=push, daemon=True)
        sender.start()
        back, buffer = bytearray(), bytearray(65536)
        while size := self.call(socket.receive, WskBuf((buffer,))):
            back += buffer[:size]
        sender.join(LIMIT_S)
        self.call(socket.close_socket)
        return bytes(back)

    def datagram(self, remote: InternetAddress, data: bytes) -> bytes:
        """Echo a datagram."""
        npi = self._npi
        socket = self.call(npi.dispatch.socket, Af.INET, Sock.DGRAM, Proto.UDP, Category.DATAGRAM)
        self.call(socket.bind, ANY)
        self.call(socket.send_to, WskBuf((data,)), remote)
        buffer = bytearray(65536)
        with self._host.executive.entry:
            irp = self._blocking.irp(socket.receive_from, WskBuf((buffer,)))
        self.call(socket.close_socket)
        return bytes(buffer[: irp.information])


def asked(station: Station, peer: Peer, sizes: list[int]) -> list[Seen]:
    """Be the client of Linux's echo server."""
    number = peer.start([sys.executable, PROGRAM, "serve", str(THEIR_PORT), str(len(sizes) + 1)])
    client, remote = Client(station), internet(parse(LINUX), THEIR_PORT)
    parts: list[Seen] = []
    for what, exchange, amounts in (
        ("our WSK client, Linux's server: TCP", client.stream, sizes),
        ("our WSK client, Linux's server: UDP", client.datagram, DATAGRAMS),
    ):
        told = [wsk_peer.compared(size, exchange(remote, wsk_peer.pattern(size))) for size in amounts]
        found = echoes(told)
        parts.append(Seen(what, found.result, found.good, found.note))
    client.stream(remote, b"the last connection, after which their server ends")
    client.close()
    peer.finish(number, LIMIT_S)
    return parts
