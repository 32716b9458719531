"""Ring index arithmetic: heads, tails and who owns what. Pure numbers; a driver and a card share it."""

from __future__ import annotations

DESCRIPTOR_SIZE = 16


def count(length_bytes: int) -> int:
    """Return how many descriptors a ring of that many bytes holds."""
    return length_bytes // DESCRIPTOR_SIZE


def pending(head: int, tail: int, size: int) -> int:
    """Return how many descriptors from ``head`` up to ``tail`` (not included) the device owns.

    A head or a tail outside the ring owns nothing: the guest programmed garbage, and the queue
    stands still until both are inside (ethtool's self-test writes such values with RCTL.EN set).
    """
    if not (0 <= head < size and 0 <= tail < size):
        return 0
    return (tail - head) % size


def advance(index: int, size: int) -> int:
    """Return the index after this one; the ring wraps."""
    return index + 1 if index + 1 < size else 0


def base(low: int, high: int) -> int:
    """Return the ring's bus address from its two base registers."""
    return (high << 32) | (low & 0xFFFF_FFF0)
