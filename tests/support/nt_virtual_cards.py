"""Two whole NT hosts, from Winsock to a card each, on one virtual clock and a cable of a given rate.

Nothing waits for a real clock: a run repeats to the nanosecond. NDIS's verifier and the IRPs' are on.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from device.engine.reference import ReferenceEngine
from lab.host.host import Upper
from miniport.adapter import Adapter
from miniport.hal.inprocess import InProcessBus
from ndis.miniport import MiniportCharacteristics
from ndis.verifier.core import Verifier
from ndis.wrapper import Ndis
from ntos.executive.virtual import VirtualExecutive
from protocols.transports.tcpip import Stack
from protocols.transports.tcpip.addresses import parse
from protocols.transports.tcpip.ndis_edge import TcpipDriver

if TYPE_CHECKING:
    from protocols.apis.winsock import Winsock
    from protocols.transports.tcpip import StackConfig

TICK_NS = 50_000
OVERHEAD_BYTES = 24
"""Of a frame on Ethernet: preamble, FCS and the gap (IEEE 802.3 4.2)."""
SETTLE_NS = 3_000_000_000
"""Link training, and duplicate address detection."""


@dataclass(slots=True)
class Direction:
    """One direction of a cable: a queue that is as long as it must be, emptied at the cable's rate."""

    rate: int
    queue: deque[bytes] = field(default_factory=deque)
    credit_bits: float = 0
    octets: int = 0

    def pass_ns(self, time_ns: int) -> list[bytes]:
        """Return what arrives at the other end in this time."""
        self.credit_bits = self.credit_bits + self.rate * time_ns / 1e9 if self.queue else 0
        arrived = []
        while self.queue and self.credit_bits >= (len(self.queue[0]) + OVERHEAD_BYTES) * 8:
            frame = self.queue.popleft()
            self.credit_bits -= (len(frame) + OVERHEAD_BYTES) * 8
            self.octets += len(frame)
            arrived.append(frame)
        return arrived


class VirtualCards:
    """Hosts 10.0.0.1 and 10.0.0.2; the process of each is ``processes[n]``.

    ``cable[n]`` is the direction away from host n.
    """

    def __init__(self, rate: int, config: StackConfig) -> None:
        """Power two cards on and bring both hosts up; ``rate`` in bits a second."""
        self.executive = VirtualExecutive()
        self.verifier = Verifier()
        self.ndis = Ndis(self.executive, self.verifier)
        self.cable = [Direction(rate), Direction(rate)]
        self.drivers: list[TcpipDriver] = []
        self.buses: list[InProcessBus] = []
        self.uppers: list[Upper] = []
        for number in (1, 2):
            bus = InProcessBus(ReferenceEngine, self.executive, bytes((2, 0, 0, 0, 0, number)))
            kind = MiniportCharacteristics.of(Adapter)
            adapter = self.ndis.add_adapter(self.ndis.register_miniport(kind), f"card{number}", bus)
            stack = Stack(random.Random(number).randbytes, 0, config)
            driver = TcpipDriver(self.ndis, stack)
            self.ndis.bind(self.ndis.register_protocol(f"tcpip{number}", driver), adapter)
            link = next(iter(driver.links.values()))
            stack.add_address(link.interface, parse(f"10.0.0.{number}"), 24)
            self.drivers.append(driver)
            self.buses.append(bus)
            self.uppers.append(Upper(stack, self.executive, host_name=f"host{number}"))
        self._due_ns = 0
        self.executive.add_source(self)
        self.processes: list[Winsock] = [upper.process() for upper in self.uppers]
        for process in self.processes:
            process.startup()
        self.run(SETTLE_NS)

    @property
    def now_ns(self) -> int:
        """The virtual time."""
        return self.executive.now_ns()

    def run(self, time_ns: int = TICK_NS) -> None:
        """Let time pass."""
        self.executive.advance(time_ns)

    def next_deadline(self) -> int | None:
        """Return when the cable moves next: every tick while something is on it, or waits to be."""
        if any(direction.queue for direction in self.cable) or any(bus.sent for bus in self.buses):
            return self._due_ns
        return None

    def advance(self, now: int) -> None:
        """Let the cable move: what a card has sent joins its queue, what a queue lets go arrives."""
        for bus, direction in zip(self.buses, self.cable, strict=True):
            direction.queue.extend(bus.drain())
        for other, direction in zip(reversed(self.buses), self.cable, strict=True):
            for frame in direction.pass_ns(TICK_NS):
                other.receive(frame)
        self._due_ns = (now // TICK_NS + 1) * TICK_NS

    def reports(self) -> list[str]:
        """Return what the verifiers of NDIS and of the I/O system found."""
        found = [str(one) for one in self.verifier.reports]
        return found + [str(one) for upper in self.uppers for one in upper.verifier.reports]
