"""Notices a client that gives files it does not use: memory that is private to it.

QEMU passes the descriptor of a memory-backend-memfd without ``share=on``, too (hw/vfio-user/container.c of
QEMU 11.1 asks memory_region_get_fd, which does not look whether the mapping is shared). Its guest then writes
to copies of its own, and the device reads zeros for ever. No error is to be seen on either side; but a guest
that lets a device do DMA has run before, and what it shares is not all zeros. Knows no protocol.
"""

from __future__ import annotations

import ctypes
import mmap
from typing import TYPE_CHECKING, Final

from .errors import DmaError
from .protocol import Protection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .dma import DmaMap, DmaRegion

LEAST_BYTES: Final = 64 << 20
"""Less than this is no guest's RAM: a small client may well not have written to its memory yet."""
MOST_PAGES: Final = 4096
"""How many pages are looked at: firmware and boot loaders leave something in the first of them."""
_CHUNK_BYTES: Final = 256 << 20
_ZEROS: Final = bytes(mmap.PAGESIZE)
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_LIBC.mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p)


def private(dma: DmaMap) -> bool:
    """Tell whether what came with descriptors is a guest's RAM, and yet holds nothing.

    Only pages that exist are looked at, so that none is made by looking.
    """
    regions = [one for one in dma.regions if one.address is not None and one.protection & Protection.READ]
    if sum(region.size for region in regions) < LEAST_BYTES:
        return False
    seen = 0
    for region in regions:
        for iova in _existing(region):
            try:
                if dma.read(iova, mmap.PAGESIZE) != _ZEROS:
                    return False
            except DmaError:  # cut short, or unmapped meanwhile: another story
                return False
            seen += 1
            if seen == MOST_PAGES:
                return True
    return True


def _existing(region: DmaRegion) -> Iterator[int]:
    """Yield the IOVAs of a region's whole pages that the file has: mincore(2), which asks the page cache."""
    size = region.size - region.size % mmap.PAGESIZE
    for at in range(0, size, _CHUNK_BYTES):
        length = min(_CHUNK_BYTES, size - at)
        pages = ctypes.create_string_buffer(length // mmap.PAGESIZE)
        if _LIBC.mincore((region.address or 0) + at, length, pages):
            raise OSError(ctypes.get_errno(), f"mincore of {region.iova + at:#x}")
        found = pages.raw
        index = found.find(b"\1")
        while index >= 0:
            yield region.iova + at + index * mmap.PAGESIZE
            index = found.find(b"\1", index + 1)
