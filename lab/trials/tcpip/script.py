"""Scripted packet exchanges, as packetdrill has them, run against our stack or against Linux.

A script is data: segments that a peer sends, calls that the application makes, time that passes.
The result of each step is what the stack under test sent, in relative sequence numbers, so that the
answers of two stacks to one script can be compared line by line.
"""

from __future__ import annotations

import os
import select
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from formats import ethernet, ipv4
from formats.checksum import ones_sum_of, pseudo_sum
from formats.transport import ACK, RST, SYN, URG
from protocols.transports.tcpip import addresses, arp
from protocols.transports.tcpip.link import RxFrame
from protocols.transports.tcpip.segmentation import finish
from protocols.transports.tcpip.stack import Stack, StackConfig
from protocols.transports.tcpip.tcp import segment
from protocols.transports.tcpip.tcp.connection import Connection, ConnectionHandler
from protocols.transports.tcpip.timers import MILLISECOND, SECOND

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lab.trials.tcpip.namespace import Namespace
    from protocols.transports.tcpip.link import Offload, TxFrame
    from protocols.transports.tcpip.tcp.segment import Segment

LOCAL = addresses.parse("10.9.0.1")  # the stack under test
PEER = addresses.parse("10.9.0.2")  # the script
LOCAL_MAC = b"\x02\x00\x00\x00\x09\x01"
PEER_MAC = b"\x02\x00\x00\x00\x09\x02"
LOCAL_PORT = 8080
PEER_PORT = 40000
PEER_ISN = 1_000_000
FLAGS = {"F": 1, "S": 2, "R": 4, "P": 8, ".": 16, "U": 32, "E": 64, "W": 128}
QUIET_MS = 15  # how long a step waits for answers when it does not say


@dataclass(frozen=True, slots=True)
class Send:
    """The peer sends a segment; ``seq`` and ``ack`` are relative to the two initial numbers."""

    flags: str
    seq: int = 0
    ack: int = 0
    length: int = 0
    window: int = 65535
    options: bytes = b""
    urgent: int = 0
    sack: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class App:
    """The application calls: listen, connect, write, read, shutdown, close."""

    call: str
    amount: int = 0


@dataclass(frozen=True, slots=True)
class Wait:
    """Time passes."""

    ms: int


Step = Send | App | Wait


class Target(Protocol):
    """A stack under test."""

    def inject(self, frame: bytes) -> None:
        """Give it a frame."""

    def collect(self, ms: int) -> list[bytes]:
        """Let time pass and return the frames that it sent."""

    def app(self, call: str, amount: int) -> None:
        """Make an application call."""


def run(target: Target, steps: Iterable[Step]) -> list[list[str]]:
    """Run a script; return, for every step, what the stack sent after it."""
    script = _Script(target)
    return [script.step(step) for step in steps]


class _Script:
    def __init__(self, target: Target) -> None:
        self._target = target
        self._isn: int | None = None
        self._port = LOCAL_PORT

    def step(self, step: Step) -> list[str]:
        """Do one step and say what came of it."""
        quiet = QUIET_MS
        match step:
            case Send():
                self._target.inject(self._frame(step))
            case App(call, amount):
                self._target.app(call, amount)
            case Wait(ms):
                quiet = ms
        lines = []
        for frame in self._target.collect(quiet):
            line = self._describe(frame)
            if line is not None:
                lines.append(line)
        return lines

    def _frame(self, step: Send) -> bytes:
        flags = sum(FLAGS[c] for c in step.flags)
        ack = (self._isn or 0) + step.ack if flags & ACK else 0
        raw = segment.build(
            (PEER_PORT, self._port),
            PEER_ISN + step.seq,
            ack,
            flags,
            step.window,
            options=step.options + self._sack(step),
            urgent=step.urgent,
        ) + bytes(step.length)
        value = 0xFFFF - ones_sum_of((raw,), pseudo_sum(PEER, LOCAL, 6) + len(raw))
        raw = raw[:16] + value.to_bytes(2) + raw[18:]
        head = ipv4.build(PEER, LOCAL, 6, len(raw), ttl=64, fragment=ipv4.DONT_FRAGMENT)
        return ethernet.header(LOCAL_MAC, PEER_MAC, ethernet.IPV4) + head + raw

    def _sack(self, step: Send) -> bytes:
        base = self._isn or 0
        return segment.sack_blocks([(base + a, base + b) for a, b in step.sack]) if step.sack else b""

    def _describe(self, frame: bytes) -> str | None:
        seg = parse_tcp(frame)
        if seg is None:
            return None
        if seg.flags & SYN:
            self._isn = seg.sequence
            self._port = seg.source_port
        letters = "".join(c for c, bit in FLAGS.items() if seg.flags & bit)
        base = self._isn if self._isn is not None else seg.sequence
        line = f"{letters} seq {(seg.sequence - base) & segment.MASK}"
        if seg.flags & ACK:
            line += f" ack {(seg.acknowledgment - PEER_ISN) & segment.MASK}"
        line += f" len {seg.length}"
        if seg.flags & SYN:
            offered = {
                "mss": seg.mss is not None,
                "sack": seg.sack_permitted,
                "ts": seg.ts_value is not None,
                "scale": seg.window_scale is not None,
            }
            line += " <" + ",".join(name for name, there in offered.items() if there) + ">"
        if seg.sack:
            blocks = ((a - PEER_ISN, b - PEER_ISN) for a, b in seg.sack)
            line += " sack " + " ".join(f"{a & segment.MASK}-{b & segment.MASK}" for a, b in blocks)
        if not seg.window and not seg.flags & RST:
            line += " closed"
        if seg.flags & URG:
            line += f" urg {seg.urgent}"
        return line


def parse_tcp(frame: bytes) -> Segment | None:
    """Return the TCP segment of an IPv4 frame, None for anything else."""
    if ethernet.ethertype(frame) != ethernet.IPV4:
        return None
    header = ipv4.parse(frame, ethernet.HEADER_BYTES, verified=False)
    if header.protocol != 6:
        return None
    start = ethernet.HEADER_BYTES + header.header_bytes
    end = ethernet.HEADER_BYTES + header.total_bytes
    return segment.parse(memoryview(frame)[start:end], [])


class _RecordingLink:
    """A link without offload that keeps what is sent."""

    name = "script"
    mac = LOCAL_MAC
    mtu = 1500

    def __init__(self, offload: Offload) -> None:
        self.offload = offload
        self.sent: list[bytes] = []

    def send(self, frames: Sequence[TxFrame]) -> None:
        for frame in frames:
            self.sent += finish(frame)

    def set_multicast(self, groups: frozenset[bytes]) -> None:
        del groups


class OurTarget(ConnectionHandler):
    """Our stack, on a virtual clock. ``connection`` is the one that was opened last."""

    def __init__(
        self, entropy: Callable[[int], bytes], offload: Offload, config: StackConfig | None = None
    ) -> None:
        """Make a host at LOCAL that knows the peer's MAC."""
        self.now = SECOND
        self.link = _RecordingLink(offload)
        self.stack = Stack(entropy, self.now, config or StackConfig(ipv6=False, min_rto=200 * MILLISECOND))
        self.interface = self.stack.add_interface(self.link)
        self.stack.add_address(self.interface, LOCAL, 24)
        self.interface.neighbours4.add_permanent(PEER, PEER_MAC)
        self.connection: Connection | None = None
        self.events: list[str] = []
        self.stack.flush()
        self.link.sent.clear()

    def connected(self, connection: Connection) -> None:
        """Remember."""
        self.connection = connection
        self.events.append("connected")

    def remote_closed(self, connection: Connection) -> None:
        """Remember."""
        del connection
        self.events.append("remote_closed")

    def urgent(self, connection: Connection) -> None:
        """Remember where the mark is."""
        self.events.append(f"urgent {connection.urgent_ahead}")

    def closed(self, connection: Connection, failure: object) -> None:
        """Remember why."""
        del connection
        self.events.append(f"closed {getattr(failure, 'name', None)}")

    def inject(self, frame: bytes) -> None:
        """Receive a frame at the present time."""
        self.stack.receive(self.interface, [RxFrame(frame)], self.now)

    def collect(self, ms: int) -> list[bytes]:
        """Run timers for ``ms`` of virtual time."""
        end = self.now + ms * MILLISECOND
        self.stack.flush()
        while (deadline := self.stack.next_deadline()) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.stack.advance(self.now)
        self.now = end
        self.stack.advance(end)
        sent, self.link.sent = self.link.sent, []
        return sent

    def app(self, call: str, amount: int) -> None:
        """Make a call on the stack's own API."""
        connection = self.connection
        if call == "listen":
            self.stack.tcp_listen(LOCAL_PORT, lambda _connection: self)
        elif call == "connect":
            self.connection = self.stack.tcp_connect(PEER, PEER_PORT, self)
        elif connection is not None:
            calls: dict[str, Callable[[], object]] = {
                "write": lambda: connection.send(bytes(amount)),
                "urgent": lambda: connection.send_urgent(bytes(amount)),
                "read": lambda: connection.receive(amount or 1 << 30),
                "shutdown": connection.shutdown,
                "close": connection.close,
                "abort": connection.abort,
                "nodelay": lambda: connection.set_no_delay(enabled=True),
            }
            calls[call]()


class LinuxTarget:
    """Linux's stack in a namespace, behind a TAP; in real time."""

    def __init__(self, namespace: Namespace) -> None:
        """Make the TAP device and tell Linux the peer's MAC."""
        self._namespace = namespace
        self._fd = namespace.tap("script0", offload=False)
        run = namespace.run
        run("ip", "link", "set", "script0", "address", LOCAL_MAC.hex(":"))
        run("ip", "addr", "add", f"{addresses.text(LOCAL)}/24", "dev", "script0")
        run("ip", "link", "set", "script0", "up")
        run("ip", "neigh", "add", addresses.text(PEER), "lladdr", PEER_MAC.hex(":"), "dev", "script0")
        self._listening: socket.socket | None = None
        self._connected: socket.socket | None = None
        self.collect(QUIET_MS)

    def inject(self, frame: bytes) -> None:
        """Write a frame to the TAP, behind an empty virtio header."""
        os.write(self._fd, bytes(10) + frame)

    def collect(self, ms: int) -> list[bytes]:
        """Read frames for ``ms`` of real time."""
        frames = []
        end = time.monotonic() + ms / 1000
        while (left := end - time.monotonic()) > 0:
            if not select.select([self._fd], [], [], left)[0]:
                break
            frames.append(os.read(self._fd, 65536)[10:])
        return [f for f in frames if arp.parse(f) is None or ethernet.ethertype(f) != ethernet.ARP]

    def app(self, call: str, amount: int) -> None:
        """Make the socket call that corresponds."""
        if call == "listen":
            self._listening = self._namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
            self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listening.bind((addresses.text(LOCAL), LOCAL_PORT))
            self._listening.listen()
            self._listening.settimeout(1)
            return
        if call == "connect":
            self._connected = self._namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
            self._connected.settimeout(0)
            self._connected.connect_ex((addresses.text(PEER), PEER_PORT))
            return
        sock = self._accepted()
        calls: dict[str, Callable[[], object]] = {
            "write": lambda: sock.send(bytes(amount)),
            "urgent": lambda: sock.send(bytes(amount), socket.MSG_OOB),
            "read": lambda: sock.recv(amount or 1 << 20),
            "shutdown": lambda: sock.shutdown(socket.SHUT_WR),
            "close": sock.close,
            "abort": lambda: _abort(sock),
            "nodelay": lambda: sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        }
        calls[call]()

    def close(self) -> None:
        """Give everything back."""
        for sock in (self._listening, self._connected):
            if sock is not None:
                sock.close()
        os.close(self._fd)

    def _accepted(self) -> socket.socket:
        if self._connected is None and self._listening is not None:
            self._connected = self._listening.accept()[0]
        if self._connected is None:
            raise RuntimeError("the script has no connection")
        return self._connected


def _abort(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    sock.close()
