"""Rigs for the suite of ``ndis.suite``: our miniport's adapters on one wire, over each bus.

A rig of two cards joins their cables: what one sends, the other hears.
"""

from __future__ import annotations

import select
import socket
import tempfile
import threading
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Final

from device.engine.reference import ReferenceEngine
from device.serving import serve
from device.wire.sockets import InheritedWire
from lab.host.inprocess_stack import ADAPTERS
from lab.host.qtest_stack import MODERATED_US, Link
from lab.machines.qemu import binary
from lab.machines.qtest.machine import Machine
from miniport import registers as r
from miniport.hal.inprocess import InProcessBus
from miniport.hal.pci import Signalling
from miniport.hal.qtest import QtestBus
from miniport.hal.vfio_user import VfioUserBus
from ndis.miniport import MiniportCharacteristics
from ndis.verifier.core import Verifier
from ndis.wrapper import Ndis
from ntos.executive.live import LiveExecutive
from ntos.executive.virtual import VirtualExecutive

if TYPE_CHECKING:
    from collections.abc import Mapping

    from miniport.hal.inprocess import EngineFactory
    from ndis.adapter import MiniportAdapter
    from ndis.events import Observer
    from ndis.hardware import Hardware
    from ndis.miniport import Version
    from ndis.verifier.rule import Report

SETTLE_NS: Final = 50_000_000
FRAME_BYTES: Final = 1 << 16
ISR_REGISTERS: Final = frozenset({r.ICR, r.IMC})
"""What our interrupt service touches; rule V29 holds it to that."""


def mac(number: int) -> bytes:
    """Return the address of card ``number``."""
    return bytes.fromhex("5254008257") + bytes([number + 1])


class RigBase(ABC):
    """What all rigs are: NDIS with the verifier on, and adapters on buses."""

    def __init__(self, executive: VirtualExecutive | LiveExecutive) -> None:
        self.verifier = Verifier(isr_registers=ISR_REGISTERS)
        observer: Observer = self.verifier
        self.ndis = Ndis(executive, observer)

    @property
    def adapters(self) -> list[MiniportAdapter]:
        """The adapters, in the order of the cards."""
        return self.ndis.adapters

    def add(self, hardware: Hardware, version: Version, configuration: Mapping[str, object]) -> None:
        """Add an adapter over a bus."""
        characteristics = MiniportCharacteristics.of(ADAPTERS[version], version)
        driver = self.ndis.register_miniport(characteristics)
        name = f"82574L #{len(self.adapters) + 1}"
        self.ndis.add_adapter(driver, name, hardware, configuration)

    @property
    def reports(self) -> list[Report]:
        """What the verifier says."""
        return self.verifier.reports

    @abstractmethod
    def settle(self) -> None:
        """Return when what was begun has come to an end."""

    def close(self) -> None:
        """Halt, and end what the rig started."""
        self.halt()

    def halt(self) -> None:
        """Take the adapters away."""
        for adapter in self.adapters:
            self.ndis.remove_adapter(adapter)


class VirtualRig(RigBase):
    """Cards on a clock that only ``settle`` moves."""

    executive: VirtualExecutive

    def settle(self) -> None:
        """Carry frames over the cable until nothing moves, let time pass, and do it again."""
        self._carry()
        self.executive.advance(SETTLE_NS)
        self._carry()

    @abstractmethod
    def _carry(self) -> None:
        """Run both sides, and carry frames from card to card, until nothing moves."""


class InProcessRig(VirtualRig):
    """Cards in this process, on a virtual clock."""

    def __init__(
        self,
        cards: int,
        configuration: Mapping[str, object],
        *,
        engine: EngineFactory = ReferenceEngine,
        mode: Signalling = Signalling.MSIX,
        version: Version = (5, 1),
    ) -> None:
        self.executive = VirtualExecutive()
        super().__init__(self.executive)
        self.buses = [InProcessBus(engine, self.executive, mac(n), mode=mode) for n in range(cards)]
        for bus in self.buses:
            self.add(bus, version, configuration)

    def _carry(self) -> None:
        moved = True
        while moved:
            self.executive.run()
            moved = False
            for sender in self.buses:
                for frame in sender.drain():
                    moved = True
                    for receiver in self.buses:
                        if receiver is not sender:
                            receiver.receive(frame)
                            self.executive.run()


class QtestRig(VirtualRig):
    """QEMU's model: a machine a card."""

    def __init__(
        self,
        cards: int,
        configuration: Mapping[str, object],
        *,
        mode: Signalling = Signalling.MSIX,
        version: Version = (5, 1),
    ) -> None:
        """Start the machines. UsageError without QEMU."""
        qemu = binary.find()
        self.executive = VirtualExecutive()
        super().__init__(self.executive)
        self.machines = [
            Machine(qemu.command, qemu.environ(), f"e1000e,mac={mac(n).hex(':')}") for n in range(cards)
        ]
        self.buses = [QtestBus(Link(machine), self.executive, mode=mode) for machine in self.machines]
        for bus in self.buses:
            self.add(bus, version, configuration)

    def close(self) -> None:
        """Halt, and end the machines."""
        try:
            self.halt()
        finally:
            for machine in self.machines:
                machine.close()

    def _carry(self) -> None:
        idle = 0
        while idle < 2:
            moved = False
            for bus, machine in zip(self.buses, self.machines, strict=True):
                bus.stall(MODERATED_US)
                machine.client.sync()
                moved = bool(self.executive.run()) or moved
                for frame in machine.frames():
                    moved = True
                    for other in self.machines:
                        if other is not machine:
                            other.send_frame(frame)
            idle = 0 if moved else idle + 1


class VfioUserRig(RigBase):
    """Cards behind vfio-user sockets, served by threads of this process, on the real clock."""

    def __init__(
        self,
        cards: int,
        configuration: Mapping[str, object],
        *,
        engine: str = "reference",
        mode: Signalling = Signalling.MSIX,
        version: Version = (5, 1),
    ) -> None:
        """Serve ``cards``, joined by a socketpair, and connect to each."""
        self.executive = LiveExecutive()
        super().__init__(self.executive)
        self._folder = tempfile.TemporaryDirectory(prefix="ringwalk-")
        self._ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.buses: list[VfioUserBus] = []
        for number in range(cards):
            path = Path(self._folder.name) / f"card{number}"
            self._serve(path, number, engine)
            self.buses.append(VfioUserBus(path, self.executive, mode=mode))
            self.add(self.buses[-1], version, configuration)
        self._single = cards == 1

    def settle(self) -> None:
        """Run until the wires and the stack have been quiet for a moment."""
        quiet = 0
        while quiet < 3:
            ran = self.executive.step(4_000_000)
            if self._single:
                ran = self._discard() or ran
            quiet = 0 if ran else quiet + 1

    def close(self) -> None:
        """Halt, hang up, stop serving."""
        try:
            self.halt()
        finally:
            for bus in self.buses:
                bus.close()
            self._stop.set()
            for thread in self._threads:
                thread.join()
            for end in self._ends:
                end.close()
            self.executive.close()
            self._folder.cleanup()

    def _discard(self) -> bool:
        """Take what a lone card sends off the other end, so that it never blocks."""
        took = False
        while select.select([self._ends[1]], [], [], 0)[0]:
            self._ends[1].recv(FRAME_BYTES)
            took = True
        return took

    def _serve(self, path: Path, number: int, engine: str) -> None:
        ready = threading.Event()
        end = self._ends[number]
        wire = InheritedWire(f"end {number}", end.fileno())

        def run() -> None:
            serve(str(path), wire, mac(number), engine, ready=lambda _: ready.set(), stop=self._stop)
            wire.close()

        thread = threading.Thread(target=run, name=f"card {number}")
        thread.start()
        self._threads.append(thread)
        ready.wait()
