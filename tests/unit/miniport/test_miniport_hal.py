"""The HAL's parts: DMA memory, interrupts as PCI grants them, the executive on the real clock."""

from __future__ import annotations

import gc
import os
import random
import time
from itertools import pairwise
from pathlib import Path

import pytest

from device.effects import DmaError
from device.engine.reference import ReferenceEngine
from miniport.hal import pci
from miniport.hal.contract import Bus
from miniport.hal.inprocess import ArenaMemory, InProcessBus
from miniport.hal.memory import PAGE, Block, DmaMemory
from miniport.hal.pci import Signalling
from ntos.executive.contract import StuckError, expect
from ntos.executive.live import LiveExecutive
from ntos.executive.virtual import VirtualExecutive

MAC = bytes.fromhex("525400825701")


def test_blocks_do_not_overlap_and_all_memory_comes_back() -> None:
    """Random allocations and frees of a small arena; at the end it is whole again."""
    choose = random.Random(1)
    arena = DmaMemory(64 * PAGE, 1 << 32)
    held: list[Block] = []

    for _ in range(500):
        if held and choose.random() < 0.5:
            arena.free(held.pop(choose.randrange(len(held))))
            continue
        try:
            held.append(arena.allocate(choose.randrange(1, 6 * PAGE)))
        except MemoryError:
            arena.free(held.pop())
        spans = sorted((b.address, b.address + len(b.view)) for b in arena.blocks)
        assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    for block in held:
        arena.free(block)

    assert len(arena.allocate(64 * PAGE).view) == 64 * PAGE


def test_memory_that_was_given_back_is_unreachable_and_comes_again_zeroed() -> None:
    """What the driver does not hold, the card cannot touch."""
    arena = DmaMemory(4 * PAGE, 0x1000)
    memory = ArenaMemory(arena)
    block = arena.allocate(100)
    memory.write(block.address, b"secret")

    arena.free(block)

    with pytest.raises(DmaError):
        memory.read(block.address, 1)
    assert bytes(arena.allocate(100).view) == bytes(100)


@pytest.mark.parametrize(("address", "length"), [(0x0FFF, 2), (0x1000, 101), (0x1000 + 99, 2), (1 << 63, 1)])
def test_a_range_that_leaves_its_block_is_refused(address: int, length: int) -> None:
    """By a byte at either end, or anywhere else."""
    arena = DmaMemory(4 * PAGE, 0x1000)
    arena.allocate(100)

    with pytest.raises(DmaError):
        ArenaMemory(arena).read(address, length)


@pytest.mark.parametrize(
    ("mode", "messages"), [(Signalling.INTX, 0), (Signalling.MSI, 1), (Signalling.MSIX, 5)]
)
def test_a_bus_grants_what_the_function_has(mode: Signalling, messages: int) -> None:
    """The 82574L has a line, one MSI, five MSI-X."""
    bus = InProcessBus(ReferenceEngine, VirtualExecutive(), MAC, mode=mode)

    assert isinstance(bus, Bus)
    assert bus.messages == messages


def test_the_last_interrupt_that_is_disconnected_switches_messages_off() -> None:
    """MSI-X Enable follows connect and disconnect."""
    bus = InProcessBus(ReferenceEngine, VirtualExecutive(), MAC)
    at = pci.capability(bus, pci.CAP_MSIX) + 2
    first, second = (bus.connect_interrupt(n, lambda: True) for n in range(2))
    states = [bool(pci.word(bus, at) & pci.MSIX_ENABLE)]

    for connection in (first, second):
        bus.disconnect_interrupt(connection)
        states.append(bool(pci.word(bus, at) & pci.MSIX_ENABLE))

    assert states == [True, True, False]


def test_a_capability_list_that_runs_in_a_circle_ends() -> None:
    """A broken card does not hang the bus."""

    class Circle:
        """Configuration space whose only capability follows itself."""

        def read_config(self, offset: int, length: int) -> bytes:
            """Read: everything points at 0x40."""
            return (b"\x40" if offset == pci.CAPABILITIES else b"\x09\x40")[:length]

        def write_config(self, offset: int, data: bytes) -> None:
            """Ignore it."""

    assert pci.capability(Circle(), pci.CAP_MSI) == 0


def test_the_loop_runs_dpcs_timers_and_descriptors_in_their_order() -> None:
    """What is queued runs at once, a descriptor when it is readable, a timer when it is due."""
    loop = LiveExecutive()
    seen: list[str] = []
    event = os.eventfd(0, os.EFD_NONBLOCK)

    def readable() -> None:
        os.eventfd_read(event)
        seen.append("descriptor")

    loop.watch(event, readable)
    loop.call_at(loop.now_ns() + 2_000_000, "late", lambda: seen.append("timer"))
    cancelled = loop.call_at(loop.now_ns() + 1_000_000, "never", lambda: seen.append("cancelled"))
    loop.queue_dpc("now", lambda: seen.append("dpc"))
    os.eventfd_write(event, 1)
    cancelled.cancel()

    loop.wait(lambda: "timer" in seen, "the timer")
    loop.unwatch(event)
    os.close(event)
    loop.close()

    assert seen == ["dpc", "descriptor", "timer"]


def test_a_wait_that_nothing_can_end_is_given_up() -> None:
    """Patience is a time, and the message names what was waited for."""
    loop = LiveExecutive(patience_ns=10_000_000)
    begin = time.monotonic()

    with pytest.raises(StuckError, match="a miracle"):
        expect(loop, lambda: False, "a miracle")

    loop.close()
    assert time.monotonic() - begin < 5


def test_memory_that_nobody_closes_leaks_no_file() -> None:
    """Closing twice is once; who forgets leaves it to the collector."""
    gc.collect()  # of others' tests
    before = len(list(Path("/proc/self/fd").iterdir()))
    arena = DmaMemory(4 * PAGE, 0x1000)
    arena.close()
    arena.close()
    del arena
    forgotten = DmaMemory(4 * PAGE, 0x1000)

    del forgotten
    gc.collect()

    assert len(list(Path("/proc/self/fd").iterdir())) == before
