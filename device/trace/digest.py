"""XXH64 with seed 0, by the C core: a block's checksum, and what is kept of bytes that follow from others.

The algorithm is xxHash's (doc/xxhash_spec.md there), so that readers of other makes have it, too.
"""

from __future__ import annotations

from device.engine._core import ffi, lib


def digest_of(data: bytes | memoryview) -> int:
    """Return the 64-bit digest of some bytes."""
    view = memoryview(data)
    return int(lib.rw_digest_of(ffi.from_buffer(view), view.nbytes))
