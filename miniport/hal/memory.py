"""DMA memory: one shared file, cut into blocks; what is not in a block, no device may touch.

The file is a memfd, so that another process (a vfio-user server, QEMU) or another mapping sees the same
bytes. It knows no bus.
"""

from __future__ import annotations

import mmap
import os
import weakref
from bisect import bisect_right, insort
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ndis.hardware import SharedMemory

PAGE = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Part of the memory that a driver holds. ``address`` is the bus's; ``view`` ours."""

    address: int
    view: memoryview


class DmaMemory:
    """An arena of ``length`` bytes at bus address ``base``, handed out in pages.

    Invariants: blocks do not overlap; a range is reachable (``find``) exactly while one block covers it.
    """

    def __init__(self, length: int, base: int, fd: int | None = None) -> None:
        """Map ``length`` bytes of ``fd``, or of a new memfd. OSError."""
        self.base = base
        self.length = length
        if fd is None:
            self.fd = os.memfd_create("ringwalk-dma", os.MFD_CLOEXEC)
            os.ftruncate(self.fd, length)
        else:
            self.fd = os.dup(fd)
        self._file = weakref.finalize(self, os.close, self.fd)  # who forgets to close leaks nothing
        self.map = mmap.mmap(self.fd, length)
        self.view = memoryview(self.map)
        self._free = [(0, length)]
        self._starts: list[int] = []
        self._blocks: dict[int, Block] = {}

    def allocate(self, length: int) -> Block:
        """Return zeroed pages that hold ``length`` bytes. MemoryError when there is no gap that large."""
        wanted = -(-max(length, 1) // PAGE) * PAGE
        for at, (start, size) in enumerate(self._free):
            if size >= wanted:
                self._free[at : at + 1] = [(start + wanted, size - wanted)] if size > wanted else []
                return self._block(start, length)
        raise MemoryError(f"no {wanted:#x} bytes of DMA memory left of {self.length:#x}")

    def free(self, memory: SharedMemory) -> None:
        """Give a block back. KeyError when it is not out."""
        block = self._blocks.pop(memory.address)
        self._starts.remove(block.address)
        start, size = block.address - self.base, -(-max(len(block.view), 1) // PAGE) * PAGE
        insort(self._free, (start, size))
        self._merge()

    def find(self, address: int, length: int) -> Block | None:
        """Return the block that covers the whole range, or None."""
        at = bisect_right(self._starts, address) - 1
        if at < 0:
            return None
        block = self._blocks[self._starts[at]]
        return block if address + length <= block.address + len(block.view) else None

    @property
    def is_huge(self) -> bool:
        """Whether the file is of hugepages: hugetlbfs names its page as the block size."""
        return os.fstat(self.fd).st_blksize > PAGE

    @property
    def blocks(self) -> list[Block]:
        """Every block that is out."""
        return [self._blocks[start] for start in self._starts]

    def close(self) -> None:
        """Unmap what nobody looks at any more, and close the file; once is enough."""
        self._file()

    def _block(self, start: int, length: int) -> Block:
        block = Block(self.base + start, self.view[start : start + length])
        block.view[:] = bytes(length)
        self._blocks[block.address] = block
        insort(self._starts, block.address)
        return block

    def _merge(self) -> None:
        merged: list[tuple[int, int]] = []
        for start, size in self._free:
            if merged and merged[-1][0] + merged[-1][1] == start:
                merged[-1] = (merged[-1][0], merged[-1][1] + size)
            else:
                merged.append((start, size))
        self._free = merged
