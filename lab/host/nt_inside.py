"""What ``boot --guest nt`` runs inside the guest: the miniport and NDIS on the card that VFIO gives.

Raw frames only: ARP for the far end's address, then ICMP echoes; every answer is checked. It leaves one JSON
line in the file ``told``, and answers questions (``lab.host.fifo_relay``) until it is ended.
"""

from __future__ import annotations

import argparse
import contextlib
import ipaddress
import json
import signal
import struct
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from formats.checksum import checksum
from lab.host.fifo_relay import FifoTools
from lab.host.inprocess_stack import Stack
from lab.host.inspection import Inspected, tools
from lab.host.inspection_gate import LockDesk
from lab.host.ndis_rigs import ISR_REGISTERS
from lab.logs import configure
from miniport.hal import vfio
from ndis.journal import Journal, Tee
from ndis.suite.bench import Recorder
from ndis.verifier.core import Verifier
from ntos.executive.live import LiveExecutive

BROADCAST: Final = b"\xff" * 6
ARP, IPV4 = b"\x08\x06", b"\x08\x00"
ANSWER_NS: Final = 5_000_000_000
FOREVER_NS: Final = 10**18
IDENTIFIER: Final = 0x574B


@dataclass(frozen=True, slots=True)
class Told:
    """What happened in the guest."""

    card: str
    mac: str
    peer_mac: str
    mode: str
    echoes_sent: int
    echoes_answered: int
    round_trip_us: list[int]
    interrupts_messages: int
    hugepages: bool
    verifier: list[str]


def arp_request(mac: bytes, ours: ipaddress.IPv4Address, peer: ipaddress.IPv4Address) -> bytes:
    """Return "who has ``peer``?" (RFC 826)."""
    body = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 1) + mac + ours.packed + bytes(6) + peer.packed
    return (BROADCAST + mac + ARP + body).ljust(60, b"\0")


def arp_reply(mac: bytes, request: bytes) -> bytes:
    """Return the answer to a request for our address."""
    asked, target = request[22:32], request[38:42]
    body = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 2) + mac + target + asked
    return (request[6:12] + mac + ARP + body).ljust(60, b"\0")


def echo(mac: bytes, to: bytes, ours: ipaddress.IPv4Address, peer: ipaddress.IPv4Address, n: int) -> bytes:
    """Return an ICMP echo request (RFC 792) with 56 bytes of data."""
    icmp = struct.pack(">BBHHH", 8, 0, 0, IDENTIFIER, n) + bytes(range(56))
    icmp = icmp[:2] + checksum(icmp).to_bytes(2, "big") + icmp[4:]
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(icmp), n, 0, 64, 1, 0) + ours.packed + peer.packed
    head = head[:10] + checksum(head).to_bytes(2, "big") + head[12:]
    return to + mac + IPV4 + head + icmp


class Pinger:
    """Sends raw frames through the stack and waits for answers."""

    def __init__(self, stack: Stack, loop: LiveExecutive, ours: str, peer: str) -> None:
        """Use addresses of one network."""
        self._stack, self._loop = stack, loop
        self._ours, self._peer = ipaddress.IPv4Address(ours), ipaddress.IPv4Address(peer)
        self.mac = stack.adapter.filter.address

    def find_peer(self) -> bytes:
        """Ask by ARP for the far end's address; TimeoutError when nobody answers."""
        for _ in range(3):
            self._stack.send(arp_request(self.mac, self._ours, self._peer))
            found = self._await(
                lambda f: f[12:14] == ARP and f[20:22] == b"\0\2" and f[28:32] == self._peer.packed
            )
            if found is not None:
                return found[22:28]
        said = ", ".join(status.name for _, status in self._stack.recorder.sent) or "none"
        raise TimeoutError(f"nobody answers ARP for {self._peer}; sends completed: {said}")

    def ping(self, to: bytes, number: int) -> int | None:
        """Send one echo; return its round trip in µs, or None."""
        sent = echo(self.mac, to, self._ours, self._peer, number)
        begin_ns = self._loop.now_ns()
        self._stack.send(sent)
        want = sent[38:42] + sent[42:]
        found = self._await(
            lambda f: f[12:14] == IPV4 and f[23] == 1 and f[34] == 0 and f[38:98] == want[:60]
        )
        return None if found is None else (self._loop.now_ns() - begin_ns) // 1000

    def _await(self, wanted: object) -> bytes | None:
        found: list[bytes] = []

        def look() -> bool:
            received = self._stack.recorder.received
            while received:
                frame = received.pop(0)
                if frame[12:14] == ARP and frame[20:22] == b"\0\1" and frame[38:42] == self._ours.packed:
                    self._stack.send(arp_reply(self.mac, frame))
                elif wanted(frame):  # type: ignore[operator]  # a predicate
                    found.append(frame)
            return bool(found)

        self._loop.run_until(look, ANSWER_NS)
        return found[0] if found else None


def main() -> int:
    """Bind, start the stack, ping, tell."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--ours", required=True)
    parser.add_argument("--peer", required=True)
    parser.add_argument("--count", type=int, default=5)
    parser.add_argument("--deserialized", action="store_true")
    parser.add_argument("--folder", type=Path, required=True, help="where the story and the questions go")
    args = parser.parse_args()
    (address, *_) = vfio.find()
    vfio.bind(address)
    loop, verifier, journal = LiveExecutive(), Verifier(isr_registers=ISR_REGISTERS), Journal()
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: ended.append(number))
    bus = vfio.VfioBus(address, loop)
    client = Recorder()
    stack = Stack(
        loop,
        bus,
        client=client,
        observer=Tee(verifier, journal),
        configuration={"Deserialized": args.deserialized},
    )
    inspected = Inspected(stack.ndis, LockDesk(contextlib.nullcontext()), journal, verifier)
    questions = FifoTools(loop, args.folder, tools(lambda: inspected))
    pinger = Pinger(stack, loop, args.ours, args.peer)
    peer_mac = pinger.find_peer()
    trips = [pinger.ping(peer_mac, n) for n in range(args.count)]
    told = Told(
        address,
        pinger.mac.hex(":"),
        peer_mac.hex(":"),
        "deserialized" if args.deserialized else "serialized",
        args.count,
        sum(trip is not None for trip in trips),
        [trip for trip in trips if trip is not None],
        bus.messages,
        bus.memory.is_huge,
        [f"{report.rule}: {report.what}" for report in verifier.reports],
    )
    unfinished = args.folder / "telling"
    unfinished.write_text(json.dumps(asdict(told)) + "\n")
    unfinished.rename(args.folder / "told")
    loop.run_until(lambda: bool(ended), FOREVER_NS)
    questions.close()
    for sent, _ in client.sent:
        stack.pool.free(sent)
    stack.halt()
    bus.close()
    return 0 if told.echoes_answered == args.count and not told.verifier else 1


if __name__ == "__main__":
    configure()  # standard output is for what it says to its starter
    raise SystemExit(main())
