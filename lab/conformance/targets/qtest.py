"""``qtest:DEVICE``: one of QEMU's own cards on a bench, its clock in our hands."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.conformance.bench import BenchError, Capability, RefusedError, Signal
from lab.conformance.targets import capabilities
from lab.errors import UsageError
from lab.machines.qtest import protocol
from lab.machines.qtest.client import GoneError
from lab.machines.qtest.machine import RAM_BYTES, Machine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lab.machines.qemu.binary import Qemu
    from lab.machines.qtest.pci import Bar

DMA = range(0x0100_0000, 0x0110_0000)
MAILBOX = 0x0120_0000
MAC = "52:54:00:12:34:56"


@dataclass(frozen=True, slots=True)
class Memory:
    """How much RAM the machine has, and where in it messages are kept: where the driver's data are not."""

    ram_bytes: int
    mailbox: int


SMALL = Memory(RAM_BYTES, MAILBOX)


class QtestBench:
    """The card of a machine that runs no CPU."""

    capabilities = ~Capability.NONE
    dma = DMA

    def __init__(self, qemu: Qemu, device: str, memory: Memory = SMALL, mac: str = MAC) -> None:
        """Start QEMU; raises ``UsageError`` with its words when it refuses."""
        self._mailbox = memory.mailbox
        try:
            self._machine = Machine(
                qemu.command, qemu.environ(), f"{device},mac={mac}", ram_bytes=memory.ram_bytes
            )
        except GoneError as error:
            raise UsageError(f"{error}: is `{device}` a network card that this QEMU has?") from error
        self._client, self._function = self._machine.client, self._machine.function

    def read(self, offset: int, width: int = 4, bar: int = 0) -> int:
        """Read a BAR."""
        with _refusals():
            return self._client.ask(self._commands(bar)[0](self._address(bar, offset), width))

    def write(self, offset: int, value: int, width: int = 4, bar: int = 0) -> None:
        """Write a BAR."""
        with _refusals():
            self._client.ask(self._commands(bar)[1](self._address(bar, offset), value, width))

    def config_read(self, offset: int, width: int = 4) -> int:
        """Read configuration space."""
        return self._function.read(offset, width)

    def config_write(self, offset: int, value: int, width: int = 4) -> None:
        """Write configuration space."""
        self._function.write(offset, value, width)

    def memory_read(self, address: int, length: int) -> bytes:
        """Read RAM, which is our own memory."""
        return self._machine.ram.read(address, length)

    def memory_write(self, address: int, data: bytes) -> None:
        """Write RAM."""
        self._machine.ram.write(address, data)

    def send(self, frame: bytes) -> None:
        """Put a frame on the wire."""
        self._machine.send_frame(frame)

    def frames(self) -> list[bytes]:
        """Collect what left."""
        return self._machine.frames()

    def settle(self) -> None:
        """Let QEMU's main loop go round."""
        self._client.sync()

    def signal(self, how: Signal) -> None:
        """Program the capabilities, messages aimed at RAM."""
        capabilities.switch(self, how, self._mailbox)

    def line(self) -> bool:
        """Read the Interrupt Status bit, which follows the card's own level (PCI 3.0, 6.2.3)."""
        return bool(self.config_read(capabilities.STATUS, 2) & capabilities.INTX_PENDING)

    def messages(self) -> frozenset[int]:
        """Read and clear the mailbox."""
        size = 4 * capabilities.MAILBOX_WORDS
        words = self._machine.ram.read(self._mailbox, size)
        self._machine.ram.write(self._mailbox, bytes(size))
        return capabilities.vectors(words)

    def advance(self, step_ns: int) -> None:
        """Move the virtual clock."""
        self._client.clock_step(step_ns)

    def reset(self) -> None:
        """Reset the machine; frames that wait for a receiver are forgotten."""
        try:
            self._machine.reset()
            self._machine.purge()
        except (GoneError, BrokenPipeError, ConnectionResetError) as error:
            raise BenchError(f"QEMU is gone: {error}") from error
        self.frames()
        self.messages()

    def purge(self) -> None:
        """Forget frames that wait for the card to receive."""
        self._machine.purge()

    def close(self) -> None:
        """Stop QEMU."""
        self._machine.close()

    def _commands(self, bar: int) -> tuple[Callable[[int, int], str], Callable[[int, int, int], str]]:
        if self._bar(bar).io:
            return protocol.in_command, protocol.out_command
        return protocol.read_command, protocol.write_command

    def _bar(self, bar: int) -> Bar:
        if bar not in self._function.bars:
            raise RefusedError(f"the model has no BAR{bar}")
        return self._function.bars[bar]

    def _address(self, bar: int, offset: int) -> int:
        place = self._bar(bar)
        if place.io and offset >= place.size_bytes:
            raise RefusedError(f"BAR{bar} has {place.size_bytes} ports, none at {offset:#x}")
        return place.address + offset


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """Say as a refusal what QEMU does not do: ``inq``, for one, is none of its commands."""
    try:
        yield
    except protocol.QtestError as error:
        raise RefusedError(str(error)) from error
