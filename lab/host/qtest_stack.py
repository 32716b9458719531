"""The stack over QEMU's own model of the card: our driver on their device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.host.inprocess_stack import MAC, Settings, Stack
from miniport.hal.pci import Signalling
from miniport.hal.qtest import QtestBus
from ntos.executive.virtual import VirtualExecutive

if TYPE_CHECKING:
    from typing import Unpack

    from lab.machines.qtest.machine import Machine

MODERATED_US = 200
"""QEMU's model moderates interrupts whatever ITR says: 128 µs at least (E1000E_MIN_XITR, e1000e_core.c)."""
IDLE_ROUNDS = 2
DEVICE = f"e1000e,mac={MAC.hex(':')}"


class Link:
    """``miniport.hal.qtest.QtestFunction`` over a machine of ``lab.machines.qtest``."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.read = machine.client.read
        self.write = machine.client.write

    def read_config(self, offset: int, length: int) -> bytes:
        """Read configuration space, in the widths that qtest has."""
        read = self._machine.function.read
        if length in (1, 2, 4):
            return read(offset, length).to_bytes(length, "little")
        return bytes(read(at, 1) for at in range(offset, offset + length))

    def write_config(self, offset: int, data: bytes) -> None:
        """Write configuration space."""
        self._machine.function.write(offset, int.from_bytes(data, "little"), len(data))

    def bar(self, index: int) -> int:
        """Return where a BAR is."""
        return self._machine.function.bars[index].address

    def clock_step(self, step_ns: int) -> None:
        """Let QEMU's time pass."""
        self._machine.client.clock_step(step_ns)

    @property
    def memory(self) -> tuple[int, int]:
        """The machine's RAM."""
        return self._machine.ram.descriptor, self._machine.ram.size_bytes


class QtestStack(Stack):
    """A stack over the card of a machine that somebody else started."""

    def __init__(
        self,
        machine: Machine,
        *,
        mode: Signalling = Signalling.MSIX,
        **settings: Unpack[Settings],
    ) -> None:
        """Put the stack over it."""
        executive = VirtualExecutive()
        self.machine = machine
        self.bus = QtestBus(Link(machine), executive, mode=mode)
        super().__init__(executive, self.bus, **settings)

    def receive(self, frame: bytes) -> None:
        """Put a frame on the wire towards the card."""
        self.machine.send_frame(frame)
        self.bus.stall(MODERATED_US)

    def settle(self) -> list[bytes]:
        """Let QEMU and the stack run until neither has anything to do; return the frames that left."""
        frames: list[bytes] = []
        idle = 0
        while idle < IDLE_ROUNDS:
            self.bus.stall(MODERATED_US)
            self.machine.client.sync()
            ran = self.executive.run()
            new = self.machine.frames()
            frames += new
            idle = 0 if ran or new else idle + 1
        return frames
