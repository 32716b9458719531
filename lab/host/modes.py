"""The modes of our miniport: the version of NDIS that it asks for, and whether it is deserialized."""

from __future__ import annotations

from typing import Final

MODES: Final[dict[str, tuple[tuple[int, int], bool]]] = {
    "serialized": ((5, 1), False),
    "deserialized": ((5, 1), True),
    "ndis6": ((6, 0), True),
}
