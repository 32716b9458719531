"""The calls above a place, found on the stack without frame pointers or unwind tables.

A word on the stack is a return address if a call stands before it. A direct call must be to the function that
was found last: so what lies on the stack from earlier calls is not taken for one that runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lab.stepper.kernel_symbols import Place

WORD: Final = 8
MOST_CALLS: Final = 24
NEAR: Final = 5
"""The length of a direct near call, E8 and a 32-bit displacement."""
_DIRECT: Final = 0xE8
_INDIRECT_LENGTHS: Final = (2, 3, 6, 7)
"""Lengths of an indirect call, FF /2, with and without a displacement."""
_THUNKS: Final = ("__x86_indirect_", "__x86_return_", "__SCT__", "__traceiter_")


class Unreadable(Exception):  # noqa: N818 - it is an answer and no error
    """Memory that cannot be read."""


class Names(Protocol):
    """Who knows functions by address."""

    def find(self, address: int) -> Place | None:
        """Return the function that an address is in."""


def called(return_address: int, before: bytes, names: Names) -> int | None:
    """Return what the call before a return address calls: an address, 0 for an indirect call, None: no call.

    ``before`` are the eight bytes before the return address.
    """
    if before[-NEAR] == _DIRECT:
        distance = int.from_bytes(before[-4:], "little", signed=True)
        target = (return_address + distance) & 0xFFFF_FFFF_FFFF_FFFF
        place = names.find(target)
        if place is None:
            return None
        return 0 if place.function.startswith(_THUNKS) else target
    for length in _INDIRECT_LENGTHS:
        if before[-length] == 0xFF and before[-length + 1] >> 3 & 7 == 2:
            return 0
    return None


def calls(
    at: int, stack: Sequence[int], read: Callable[[int, int], bytes], names: Names, most: int = MOST_CALLS
) -> list[Place]:
    """Return the function at an address and those that called it, innermost first.

    ``stack`` are the words from the stack pointer upwards; ``read`` reads the guest's virtual memory.
    """
    here = names.find(at)
    if here is None:
        return []
    found = [here]
    for word in stack:
        if len(found) >= most:
            break
        place = names.find(word - 1)
        if place is None:
            continue
        try:
            target = called(word, read(word - WORD, WORD), names)
        except Unreadable:
            continue
        if target is None:
            continue
        if target == 0 or target == found[-1].start:
            found.append(place._replace(offset=place.offset + 1))
    return found
