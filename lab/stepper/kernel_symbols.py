"""The guest kernel's own functions by address, from ``/proc/kallsyms``. Sans I/O: text in, names out."""

from __future__ import annotations

from bisect import bisect_right
from typing import Final, NamedTuple

TEXT_KINDS: Final = frozenset("tTwW")
FARTHEST: Final = 1 << 20
"""No function is longer: an address farther from the symbol before it is in none."""


class Place(NamedTuple):
    """An address within a function; ``start`` is the function's own address."""

    function: str
    offset: int
    start: int
    module: str = ""
    source: str = ""
    """File and line, where the debug information says so."""

    def __str__(self) -> str:
        """Say it as the kernel does."""
        module = f" [{self.module}]" if self.module else ""
        source = f"  {self.source}" if self.source else ""
        return f"{self.function}+{self.offset:#x}{module}{source}"


class KernelSymbols:
    """The kernel's text symbols; those of modules are passed over, since their addresses change."""

    def __init__(self, listing: str = "") -> None:
        """Read a listing as the kernel prints it: address, kind, name, and a module's name in brackets."""
        found = []
        for line in listing.splitlines():
            words = line.split()
            if len(words) == 3 and words[1] in TEXT_KINDS:
                found.append((int(words[0], 16), words[2]))
        found.sort()
        self._starts = [start for start, _ in found]
        self._names = [name for _, name in found]
        self.known = bool(found) and self._starts[-1] != 0
        """Whether there are addresses: without the right to see them the kernel prints zeros."""

    def find(self, address: int) -> Place | None:
        """Return the function that an address is in."""
        at = bisect_right(self._starts, address) - 1
        if not self.known or at < 0 or address - self._starts[at] >= FARTHEST:
            return None
        start = self._starts[at]
        return Place(self._names[at], address - start, start)

    def listing(self) -> str:
        """Return what ``__init__`` reads."""
        return "".join(
            f"{start:016x} t {name}\n" for start, name in zip(self._starts, self._names, strict=True)
        )
