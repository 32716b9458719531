"""The IOVA map: which addresses the client lets the device reach, and how.

Regions with an fd are mapped and copied; regions without one are reached by messages
(``DmaMessages``). Knows no socket and no message format. All methods may be called from any thread.

Invariants: regions never overlap and are sorted by IOVA; a region that is in the table is mapped on
the host; a region that left it is unmapped on the host only after every listener has returned, so
that an engine that holds its address can stop using it.
"""

from __future__ import annotations

import errno
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Protocol

from .errors import DmaError, RequestRefused
from .hostmemory import HostMemory, MappedMemory
from .protocol import DEFAULT_MAX_DMA_MAPS, Protection

_SPACE_END = 1 << 64
_READ = int(Protection.READ)
_WRITE = int(Protection.WRITE)
_VERBS = {_READ: "read", _WRITE: "write"}


@dataclass(frozen=True, slots=True)
class DmaRegion:
    """A range of the device's address space; ``address`` is ours, None when it came without an fd."""

    iova: int
    size: int
    protection: int  # bits of Protection; a plain number, for this is tested at every access
    address: int | None = None

    @property
    def end(self) -> int:
        """The first IOVA behind it."""
        return self.iova + self.size


@dataclass(frozen=True, slots=True)
class DmaChange:
    """What a listener is told.

    The table has changed already; removed host memory is still mapped.
    """

    added: tuple[DmaRegion, ...] = ()
    removed: tuple[DmaRegion, ...] = ()


Listener = Callable[[DmaChange], None]
Complaint = Callable[[str], object]


class DmaMessages(Protocol):
    """The way to memory without an fd: DMA_READ and DMA_WRITE over the connection."""

    def dma_read(self, address: int, count: int) -> bytes:
        """Return ``count`` bytes, or raise DmaError."""

    def dma_write(self, address: int, data: bytes) -> None:
        """Write ``data``, or raise DmaError."""


@dataclass(frozen=True, slots=True)
class _Span:
    """A part of an access that lies in one region without an fd."""

    address: int
    at: int
    length: int


class DmaMap:
    """The table of one client."""

    def __init__(
        self,
        memory: HostMemory | None = None,
        messages: DmaMessages | None = None,
        max_maps: int = DEFAULT_MAX_DMA_MAPS,
    ) -> None:
        """Start empty.

        Without ``messages``, regions without an fd are known but cannot be reached.
        """
        self.messages = messages
        self.max_maps = max_maps
        self.complain: Complaint = lambda _: None
        """Called when a client maps what cannot work, with a line for the user."""
        self._memory: HostMemory = memory or MappedMemory()
        self._lock = Lock()
        self._starts: list[int] = []
        self._regions: list[DmaRegion] = []
        self._with_fd = 0
        self._listeners: list[Listener] = []

    @property
    def regions(self) -> tuple[DmaRegion, ...]:
        """A copy of the table, sorted by IOVA."""
        with self._lock:
            return tuple(self._regions)

    @property
    def mapped(self) -> bool:
        """Whether any region came with an fd."""
        return self._with_fd > 0

    def on_change(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` at every change, before the client is answered; return what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def map(
        self, iova: int, size: int, protection: Protection, fd: int | None = None, offset: int = 0
    ) -> DmaRegion:
        """Add a region. The fd stays the caller's, to close.

        RequestRefused with the errno to answer.
        """
        if not size or iova + size > _SPACE_END:
            raise RequestRefused(errno.EINVAL, f"DMA_MAP of {iova:#x}+{size:#x}")
        if not protection:
            raise RequestRefused(errno.EINVAL, f"DMA_MAP of {iova:#x}: neither read nor write")
        at = bisect_right(self._starts, iova)
        if (at and self._regions[at - 1].end > iova) or (
            at < len(self._regions) and self._regions[at].iova < iova + size
        ):
            raise RequestRefused(errno.EEXIST, f"DMA_MAP of {iova:#x}+{size:#x} overlaps")
        if len(self._regions) >= self.max_maps:
            raise RequestRefused(errno.ENOSPC, f"more than {self.max_maps} DMA regions")
        address = None
        if fd is not None:
            try:
                address = self._memory.map(fd, offset, size, protection)
            except OSError as failed:
                number = failed.errno or errno.EINVAL
                raise RequestRefused(number, f"DMA_MAP of {iova:#x}: {failed}") from failed
        region = DmaRegion(iova, size, int(protection), address)
        with self._lock:
            self._with_fd += address is not None
            self._starts.insert(at, iova)
            self._regions.insert(at, region)
        self._announce(DmaChange(added=(region,)))
        return region

    def unmap(self, iova: int, size: int) -> tuple[DmaRegion, ...]:
        """Remove every region inside the range; return them.

        A range that holds none is no error (QEMU with a vIOMMU unmaps up to 2^59 bytes that were
        never mapped). A region only partly inside is refused with EINVAL and nothing is removed, as
        Linux' VFIO does.
        """
        if not size or iova + size > _SPACE_END:
            raise RequestRefused(errno.EINVAL, f"DMA_UNMAP of {iova:#x}+{size:#x}")
        end = iova + size
        first = bisect_right(self._starts, iova - 1)
        last = bisect_right(self._starts, end - 1)
        if (first and self._regions[first - 1].end > iova) or (
            last > first and self._regions[last - 1].end > end
        ):
            raise RequestRefused(errno.EINVAL, f"DMA_UNMAP of {iova:#x}+{size:#x} cuts a region")
        return self._remove(first, last)

    def clear(self) -> tuple[DmaRegion, ...]:
        """Remove every region; return them."""
        return self._remove(0, len(self._regions))

    def _remove(self, first: int, last: int) -> tuple[DmaRegion, ...]:
        with self._lock:
            removed = tuple(self._regions[first:last])
            self._with_fd -= sum(region.address is not None for region in removed)
            del self._regions[first:last]
            del self._starts[first:last]
        if removed:
            self._announce(DmaChange(removed=removed))
        for region in removed:
            if region.address is not None:
                self._memory.unmap(region.address)
        return removed

    def _announce(self, change: DmaChange) -> None:
        for listener in tuple(self._listeners):
            listener(change)

    def read(self, address: int, length: int) -> bytes:
        """Return ``length`` bytes at ``address``, which may cross adjacent regions.

        DmaError if any is not there.
        """
        with self._lock:
            at = bisect_right(self._starts, address) - 1
            if at >= 0:
                region = self._regions[at]
                into = address - region.iova
                if (
                    0 <= length <= region.size - into
                    and region.address is not None
                    and region.protection & _READ
                ):  # nearly always: one mapped region
                    return self._copy_out(region, address, length)
            parts: list[bytes] = []
            todo: list[_Span] = []
            for region, start, size in self._walk(address, length, _READ):
                if region.address is None:
                    todo.append(_Span(start, len(parts), size))
                    parts.append(b"")
                else:
                    parts.append(self._copy_out(region, start, size))
        for span in todo:  # the lock is free: the answer may need the thread that changes the table
            parts[span.at] = self._messages(address, length).dma_read(span.address, span.length)
        return b"".join(parts)

    def write(self, address: int, data: bytes) -> None:
        """Write ``data`` at ``address``, across adjacent regions.

        DmaError, and nothing written, if any is missing.
        """
        length = len(data)
        with self._lock:
            at = bisect_right(self._starts, address) - 1
            if at >= 0:
                region = self._regions[at]
                into = address - region.iova
                if length <= region.size - into and region.address is not None and region.protection & _WRITE:
                    self._copy_in(region, address, data)
                    return
            todo: list[_Span] = []
            for region, start, size in self._walk(address, length, _WRITE):
                if region.address is None:
                    todo.append(_Span(start, start - address, size))
                else:
                    part = data[start - address : start - address + size]
                    self._copy_in(region, start, part)
        for span in todo:
            part = data[span.at : span.at + span.length]
            self._messages(address, length).dma_write(span.address, part)

    def _copy_out(self, region: DmaRegion, address: int, length: int) -> bytes:
        """Copy out of one mapped region; DmaError when the client has cut its file short."""
        try:
            return self._memory.read((region.address or 0) + address - region.iova, length)
        except OSError as gone:
            raise DmaError(address, length, f"the client's file has become shorter: {gone}") from gone

    def _copy_in(self, region: DmaRegion, address: int, data: bytes) -> None:
        """Copy into one mapped region; DmaError as ``_copy_out``."""
        try:
            self._memory.write((region.address or 0) + address - region.iova, data)
        except OSError as gone:
            raise DmaError(address, len(data), f"the client's file has become shorter: {gone}") from gone

    def _messages(self, address: int, length: int) -> DmaMessages:
        if self.messages is None:
            raise DmaError(address, length, "the region has no fd and there is no connection")
        return self.messages

    def _walk(self, address: int, length: int, needed: int) -> list[tuple[DmaRegion, int, int]]:
        """Return (region, start, size) for each part of a range, or raise DmaError.

        The lock is held.
        """
        if length < 0 or address < 0 or address + length > _SPACE_END:
            raise DmaError(address, length, "outside the address space")
        found: list[tuple[DmaRegion, int, int]] = []
        at = bisect_right(self._starts, address) - 1
        start, end = address, address + length
        while start < end:
            if at < 0 or at >= len(self._regions) or not self._covers(at, start):
                raise DmaError(address, length)
            region = self._regions[at]
            if not region.protection & needed:
                raise DmaError(address, length, f"the region does not allow to {_VERBS[needed]}")
            size = min(end, region.end) - start
            found.append((region, start, size))
            start += size
            at += 1
        return found

    def _covers(self, at: int, address: int) -> bool:
        region = self._regions[at]
        return region.iova <= address < region.end
