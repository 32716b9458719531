"""Cards under the driver's loops in C (``bench miniport``).

A loop needs a card that C can ring: by a call (``rw_write`` and ``rw_run`` of the native engine, which has
the signature of ``mp_bell.call``), or by a store into a mapped BAR (``serve --doorbell mmap``). In every
case two rings mean the card's own two transmit queues.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from device.engine._core import ffi, lib

from device.engine.native import NativeEngine
from device.regs.nic import NIC
from device.vfio_user import Client
from device.wire.contract import Framing
from miniport.burst import Bell, Gate, NullCard, TxBurst
from miniport.hal.memory import DmaMemory
from miniport.pointers import pointer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COUNT: Final = 256
"""Descriptors in a ring."""
ARENA_BYTES: Final = 16 << 20
BASE: Final = 1 << 32
BAR0: Final = 0
CONFIG: Final = 7
COMMAND_REGISTER: Final = 4
BUS_MASTER: Final = 0x6


def lay(arena: DmaMemory, bell: Bell, gate: Gate | None) -> TxBurst:
    """Return a ring of ``COUNT`` in the arena."""
    return TxBurst(arena.allocate(COUNT * 16), arena.allocate(COUNT * 2048), COUNT, bell, gate)


def set_up(ring: TxBurst, queue: int, write: Callable[[str, int], None]) -> None:
    """Give a ring to a transmit queue by its registers."""
    write(f"TDBAL{queue}", ring.address & 0xFFFFFFFF)
    write(f"TDBAH{queue}", ring.address >> 32)
    write(f"TDLEN{queue}", ring.length_bytes)


class NullCards:
    """A null card a ring: done with every descriptor at once."""

    def __init__(self) -> None:
        self._arena = DmaMemory(ARENA_BYTES, BASE)

    def ring(self, _queue: int, gate: Gate | None = None) -> TxBurst:
        """Return a ring on a card of its own."""
        card = NullCard()
        ring = lay(self._arena, card.bell, gate)
        card.attach(ring)
        return ring

    def close(self) -> None:
        """Nothing is held but memory."""


class NativeCard:
    """The native engine in this process; frames that leave are lost."""

    def __init__(self) -> None:
        self._engine = NativeEngine()
        self._arena = DmaMemory(ARENA_BYTES, BASE)
        self._loan = self._engine.lend(BASE, self._arena.view)
        self._engine.attach_wire(-1, Framing.NONE)
        self._engine.set_link(up=True)
        self._engine.set_mastering(enabled=True)
        self._write("TCTL", NIC["TCTL"]["EN"].mask)

    def _write(self, name: str, value: int) -> None:
        self._engine.write(NIC[name].offset, value)

    def ring(self, queue: int, gate: Gate | None = None) -> TxBurst:
        """Return the ring of a transmit queue, empty."""
        write, work = (
            int(ffi.cast("uintptr_t", ffi.addressof(lib, name))) for name in ("rw_write", "rw_run")
        )
        device = int(ffi.cast("uintptr_t", self._engine.card))
        bell = Bell.call(write, work, device, NIC[f"TDT{queue}"].offset, self._engine)
        ring = lay(self._arena, bell, gate)
        set_up(ring, queue, self._write)
        for name in ("TDH", "TDT"):
            self._write(f"{name}{queue}", 0)
        return ring

    def close(self) -> None:
        """Take the memory back."""
        self._loan.end()


class MappedCard:
    """A card behind a vfio-user socket whose doorbells are mapped; it polls them."""

    def __init__(self, path: Path) -> None:
        """Connect and share memory. OSError, UsageError."""
        self._client = Client.connect(path)
        self._arena = DmaMemory(ARENA_BYTES, BASE)
        self._client.map_dma(BASE, self._arena.view, fd=self._arena.fd)
        self._client.write(CONFIG, COMMAND_REGISTER, struct.pack("<H", BUS_MASTER))
        self._areas = self._client.map_region(BAR0)
        self._write("RCTL", NIC["RCTL"]["LBM"].put(1))  # frames need no link then; the receiver is off
        self._write("TCTL", NIC["TCTL"]["EN"].mask)

    def _write(self, name: str, value: int) -> None:
        self._client.write(BAR0, NIC[name].offset, struct.pack("<I", value))

    def ring(self, queue: int, gate: Gate | None = None) -> TxBurst:
        """Return the ring of a transmit queue, empty."""
        offset = NIC[f"TDT{queue}"].offset
        area, pages = next(
            (area, pages) for area, pages in self._areas if area.offset <= offset < area.offset + area.size
        )
        view = memoryview(pages)
        bell = Bell.store(int(ffi.cast("uintptr_t", pointer(view))) - area.offset, offset, view)
        ring = lay(self._arena, bell, gate)
        set_up(ring, queue, self._write)
        return ring

    def close(self) -> None:
        """Hang up."""
        self._client.unmap_all_dma()
        self._client.close()
