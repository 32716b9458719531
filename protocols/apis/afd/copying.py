"""When AFD must copy what is sent: memory that its owner may change before it has left."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ntos.io.irp import Memory


def keep(buffers: Sequence[Memory], *, steady: bool) -> tuple[list[Memory], int]:
    """Return buffers that will not change, and how many bytes were copied for that."""
    kept: list[Memory] = []
    copied = 0
    for buffer in buffers:
        if steady or isinstance(buffer, bytes):
            kept.append(buffer)
        else:
            kept.append(bytes(buffer))
            copied += len(buffer)
    return kept, copied
