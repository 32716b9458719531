"""Two whole NT hosts, from Winsock to a card each, on one virtual clock and a cable of a given rate.

Nothing waits for a real clock: a run repeats to the microsecond. NDIS's verifier and the IRPs' are on.
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
from ndis.virtual import VirtualExecutive
from ndis.wrapper import Ndis
from protocols.transports.tcpip import Stack
from protocols.transports.tcpip.addresses import parse
from protocols.transports.tcpip.ndis_edge import TcpipDriver

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocols.apis.winsock import Winsock
    from protocols.transports.tcpip import StackConfig

TICK_US = 50
OVERHEAD_BYTES = 24
"""Of a frame on Ethernet: preamble, FCS and the gap (IEEE 802.3 4.2)."""
SETTLE_US = 3_000_000
"""Link training, and duplicate address detection."""


@dataclass(slots=True)
class Direction:
    """One direction of a cable: a queue that is as long as it must be, emptied at the cable's rate."""

    rate: int
    queue: deque[bytes] = field(default_factory=deque)
    credit_bits: float = 0
    octets: int = 0

    def pass_us(self, time_us: int) -> list[bytes]:
        """Return what arrives at the other end in this time."""
        self.credit_bits = self.credit_bits + self.rate * time_us / 1e6 if self.queue else 0
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
            self.uppers.append(Upper(stack, _Turns(self, driver), host_name=f"host{number}"))
        self.processes: list[Winsock] = [upper.process() for upper in self.uppers]
        for process in self.processes:
            process.startup()
        self.run(SETTLE_US, tick_us=10_000)

    @property
    def now_us(self) -> int:
        """The virtual time."""
        return self.executive.now_us()

    def run(self, time_us: int, *, tick_us: int = TICK_US) -> None:
        """Let time pass."""
        for _ in range(0, time_us, tick_us):
            self.tick(tick_us)

    def tick(self, tick_us: int = TICK_US) -> None:
        """Let a moment pass: what a card has sent joins its queue, what a queue lets go arrives."""
        for bus, direction in zip(self.buses, self.cable, strict=True):
            direction.queue.extend(bus.drain())
        for other, direction in zip(reversed(self.buses), self.cable, strict=True):
            for frame in direction.pass_us(tick_us):
                other.receive(frame)
        self.executive.advance(tick_us)

    def reports(self) -> list[str]:
        """Return what the verifiers of NDIS and of the I/O system found."""
        found = [str(one) for one in self.verifier.reports]
        return found + [str(one) for upper in self.uppers for one in upper.verifier.reports]


class _Turns:
    """Waits by letting the clock of both hosts run."""

    def __init__(self, cards: VirtualCards, driver: TcpipDriver) -> None:
        self._cards = cards
        self._driver = driver

    def now_ns(self) -> int:
        return self._cards.now_us * 1000

    def kick(self) -> None:
        self._driver.kick()

    def wait(self, until: Callable[[], bool], timeout_ns: int | None) -> bool:
        end = None if timeout_ns is None else self.now_ns() + timeout_ns
        while not until():
            if end is not None and self.now_ns() >= end:
                return False
            self._cards.tick()
        return True
