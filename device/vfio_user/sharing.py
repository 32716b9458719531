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
MOST_BYTES: Final = 256 << 20
"""How much of the memory is looked at for pages: a client may give a file of terabytes with a few of them."""
MOST_PAGES: Final = 1024
"""How many pages are looked at: firmware and boot loaders leave something in the first of them."""
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
    seen, left = 0, MOST_BYTES
    for region in regions:
        size, left = min(region.size, left), left - min(region.size, left)
        for iova in _existing(region, size):
            try:
                if dma.read(iova, mmap.PAGESIZE) != _ZEROS:
                    return False
            except DmaError:  # cut short, or unmapped meanwhile: another story
                return False
            seen += 1
            if seen == MOST_PAGES:
                return True
    return True


def _existing(region: DmaRegion, size: int) -> Iterator[int]:
    """Yield the IOVAs of the pages that the file has in a region's first ``size`` bytes, whole pages alone.

    By mincore(2), which asks the page cache; a mapping that it does not take shows none.
    """
    address = region.address or 0
    lead = -address % mmap.PAGESIZE
    length = max(size - lead, 0) // mmap.PAGESIZE * mmap.PAGESIZE
    pages = ctypes.create_string_buffer(length // mmap.PAGESIZE or 1)
    if not length or _LIBC.mincore(address + lead, length, pages):
        return
    found = pages.raw
    index = found.find(b"\1")
    while index >= 0:
        yield region.iova + lead + index * mmap.PAGESIZE
        index = found.find(b"\1", index + 1)
