"""Strings of AppleTalk: a length of one byte in front."""

from __future__ import annotations


def take_string(data: bytes, at: int) -> tuple[bytes, int] | None:
    """Return a string, and where it ends; None when it is cut."""
    if at >= len(data) or at + 1 + data[at] > len(data):
        return None
    end = at + 1 + data[at]
    return data[at + 1 : end], end
