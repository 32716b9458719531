"""A virtual wire between stacks: seeded impairment on the clock of a virtual executive.

Nothing sleeps: time jumps to the next frame or timer, so minutes of retransmission cost milliseconds.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ntos.executive.contract import SECOND
from ntos.executive.dispatcher import Dpc
from ntos.executive.virtual import VirtualExecutive
from protocols.transports.tcpip.link import Offload, RxFrame
from protocols.transports.tcpip.segmentation import finish

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from protocols.transports.tcpip.interface import Interface
    from protocols.transports.tcpip.link import TxFrame
    from protocols.transports.tcpip.stack import Stack

FULL_OFFLOAD = Offload(
    tx_ipv4_checksum=True,
    tx_tcp_checksum=True,
    tx_udp_checksum=True,
    lso_v4_max_bytes=65535,
    lso_v6_max_bytes=65535,
)


@dataclass(frozen=True, slots=True)
class Impairment:
    """What a wire does to frames. Probabilities 0..1, times in nanoseconds, rate in bits a second."""

    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    corrupt: float = 0.0
    delay: int = 50_000
    jitter: int = 0
    rate: int = 0
    queue_bytes: int = 1 << 30


PERFECT = Impairment()


class WireEnd:
    """A ``Link`` that is one end of a virtual wire (or of a hub, with more than two)."""

    def __init__(
        self, network: Network, name: str, mac: bytes, mtu: int, offload: Offload, *, whole: bool
    ) -> None:
        """Made by ``Network.join``. ``whole``: large sends cross the wire uncut."""
        self.name = name
        self.mac = mac
        self.mtu = mtu
        self.offload = offload
        self.whole = whole
        self.groups: frozenset[bytes] = frozenset()
        self._network = network

    def send(self, frames: Sequence[TxFrame]) -> None:
        """Put frames on the wire."""
        self._network.transmit(self, frames)

    def set_multicast(self, groups: frozenset[bytes]) -> None:
        """Keep the filter (the wire does not apply it: the stack must check itself)."""
        self.groups = groups


@dataclass(slots=True)
class Port:
    """A stack's place on the network."""

    stack: Stack
    interface: Interface
    segment: str


@dataclass(slots=True)
class Segment:
    """One wire: its ends and what it does to frames."""

    impairment: Impairment = PERFECT
    ends: list[WireEnd] = field(default_factory=list)
    busy_until: dict[WireEnd | None, int] = field(default_factory=dict)  # each end: full duplex


class Network:
    """Stacks, wires and their common clock."""

    def __init__(self, seed: int = 0) -> None:
        """Start at one second, so that a timestamp of zero is never taken for a real one."""
        self.executive = VirtualExecutive(now_ns=SECOND)
        self.random = random.Random(seed)  # noqa: S311 - seeded impairment, not secrets
        self.stacks: list[Stack] = []
        self.segments: dict[str, Segment] = {}
        self.ports: dict[WireEnd, Port] = {}
        self.log: list[tuple[int, str, bytes]] | None = None
        self.dropped = 0

    @property
    def now(self) -> int:
        """The time in nanoseconds. Set later, what has become due happens when the network runs next."""
        return self.executive.now_ns()

    @now.setter
    def now(self, now_ns: int) -> None:
        self.executive.move_clock(now_ns)

    def entropy(self, size: int) -> bytes:
        """Return seeded bytes, for a stack's entropy source."""
        return self.random.randbytes(size)

    def add(self, stack: Stack) -> Stack:
        """Let the clock drive a stack, and the executive give it its turns."""
        self.stacks.append(stack)
        self.executive.add_source(stack)
        stack.request_turn = Dpc(self.executive, "tcpip", lambda: stack.advance(self.now)).queue
        return stack

    def join(
        self,
        stack: Stack,
        segment: str = "wire",
        *,
        mtu: int = 1500,
        offload: Offload = Offload(),  # noqa: B008 - frozen
        whole: bool = False,
        mac: bytes | None = None,
    ) -> Interface:
        """Plug a stack into a wire; make the wire if it is new."""
        wire = self.segments.setdefault(segment, Segment())
        number = len(self.ports) + 1
        mac = mac or b"\x02\x00\x00\x00\x00" + bytes((number,))
        end = WireEnd(self, f"{segment}{number}", mac, mtu, offload, whole=whole)
        interface = stack.add_interface(end)
        wire.ends.append(end)
        self.ports[end] = Port(stack, interface, segment)
        return interface

    def impair(self, impairment: Impairment, segment: str = "wire") -> None:
        """Change what a wire does."""
        self.segments[segment].impairment = impairment

    def at(self, when: int, action: Callable[[], None]) -> None:
        """Do something at a time."""
        self.executive.call_at(when, "network", action)

    def transmit(self, sender: WireEnd, frames: Sequence[TxFrame]) -> None:
        """Send frames from one end to all others of its wire."""
        segment = self.ports[sender].segment
        for frame in frames:
            if sender.whole:
                wire_frame = RxFrame(frame.data(), ip_verified=True, l4_verified=True, lso_mss=frame.lso_mss)
                self._schedule(segment, sender, wire_frame)
                continue
            for data in finish(frame):
                self._schedule(segment, sender, RxFrame(data))

    def inject(self, data: bytes, segment: str = "wire", sender: WireEnd | None = None) -> None:
        """Put a raw frame on a wire, as somebody who is not one of the stacks."""
        self._schedule(segment, sender, RxFrame(data))

    def run(self, until: Callable[[], bool] = lambda: False, limit: int = 600 * SECOND) -> bool:
        """Let time pass until the condition holds or the limit; return whether it holds."""
        self._turn()
        if self.executive.wait(until, "the network", limit):
            return True
        self._turn()
        return until()

    def _turn(self) -> None:
        """Give every stack a turn, as its owner does after calls of its own."""
        for stack in self.stacks:
            stack.advance(self.now)

    def _schedule(self, name: str, sender: WireEnd | None, frame: RxFrame) -> None:
        segment = self.segments[name]
        how = segment.impairment
        chance = self.random.random
        if self.log is not None:
            self.log.append((self.now, sender.name if sender else "outside", bytes(frame.data)))
        if how.loss and chance() < how.loss:
            self.dropped += 1
            return
        copies = 2 if how.duplicate and chance() < how.duplicate else 1
        for _ in range(copies):
            when = self.now + how.delay
            if how.rate:
                start = max(self.now, segment.busy_until.get(sender, 0))
                if (start - self.now) * how.rate > how.queue_bytes * 8 * SECOND:
                    self.dropped += 1
                    return
                when = start + len(frame.data) * 8 * SECOND // how.rate
                segment.busy_until[sender] = when
                when += how.delay
            if how.jitter:
                when += self.random.randrange(how.jitter)
            if how.reorder and chance() < how.reorder:
                when += self.random.randrange(1, 4 * how.delay + 2)
            arriving = frame
            if how.corrupt and chance() < how.corrupt:
                arriving = self._corrupted(frame)
            self._arrive_later(segment, sender, arriving, when)

    def _arrive_later(self, segment: Segment, sender: WireEnd | None, frame: RxFrame, when: int) -> None:
        def arrive() -> None:
            for end in segment.ends:
                if end is sender:
                    continue
                data = bytes(frame.data)
                if not data[0] & 1 and data[:6] != end.mac:
                    continue
                port = self.ports[end]
                copy = RxFrame(
                    data,
                    ip_verified=frame.ip_verified,
                    l4_verified=frame.l4_verified,
                    lso_mss=frame.lso_mss,
                )
                port.stack.receive(port.interface, [copy], self.now)

        self.at(when, arrive)

    def _corrupted(self, frame: RxFrame) -> RxFrame:
        data = bytearray(frame.data)
        # One bit, as netem does: two that are 16 bits apart could cancel out in the Internet
        # checksum. Not in the Ethernet header: what changed there would not arrive at all.
        data[self.random.randrange(14, len(data))] ^= 1 << self.random.randrange(8)
        return RxFrame(bytes(data))
