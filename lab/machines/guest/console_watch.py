"""Looks at a guest's console while something is awaited: panics, oopses, hangs. It only reads a file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MOST_NOTICES: Final = 20
"""So many complaints are told as they come; the console has the rest."""
READ_BYTES: Final = 1 << 20
END_OF_PANIC: Final = "---[ end Kernel panic"


@dataclass(frozen=True, slots=True)
class Sign:
    """What a kernel writes when something is wrong."""

    pattern: re.Pattern[str]
    means: str
    fatal: bool = False
    """Whether nothing can come after it."""


SIGNS: Final = (
    Sign(re.compile(r"Kernel panic - not syncing: .*"), "the guest's kernel panicked", fatal=True),
    Sign(re.compile(r"(?:watchdog: )?BUG: soft lockup .*"), "the guest hangs"),
    Sign(re.compile(r"INFO: rcu_\w+ (?:self-)?detected stalls? .*"), "the guest hangs"),
    Sign(re.compile(r"INFO: task \S+ blocked for more than .*"), "a task of the guest's hangs"),
    Sign(re.compile(r"(?:BUG: |Oops: |Unable to handle |general protection fault|kernel BUG at ).*"), "oops"),
)
"""What is looked for, the worst first; see Linux, kernel/panic.c, kernel/watchdog.c, arch/x86/mm/fault.c."""


class ConsoleWatch:
    """Reads what was written since it looked last."""

    def __init__(self, path: Path, notice: Callable[[str], object]) -> None:
        """``notice`` is told of each complaint, once."""
        self._path = path
        self._notice = notice
        self._read = 0
        self._rest = ""
        self.complaints = 0
        """How often the kernel complained."""
        self.panic = ""
        """Why nothing can come any more; empty while something may."""
        self.panic_ended = False
        """Whether the kernel has said all of it."""

    def look(self) -> None:
        """Read on, and tell what is new."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._read)
                piece = file.read(READ_BYTES)
        except FileNotFoundError:
            return
        self._read += len(piece)
        *lines, self._rest = (self._rest + piece.decode(errors="replace")).split("\n")
        self._rest = self._rest[-READ_BYTES:]
        for line in lines:
            self._judge(line)

    def _judge(self, line: str) -> None:
        if END_OF_PANIC in line:
            self.panic_ended = True
            return
        for sign in SIGNS:
            found = sign.pattern.search(line)
            if found is None:
                continue
            self.complaints += 1
            said = f"{sign.means}: {found[0].strip()}"
            if sign.fatal:
                self.panic = self.panic or said
            elif self.complaints <= MOST_NOTICES:
                self._notice(said)
            return
