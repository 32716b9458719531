"""The terminal that a command runs at: its settings, its width, and pages of Markdown as it shows them."""

from __future__ import annotations

import re
import shutil
import sys
import termios
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from formats.columns import WIDTH, columns, hanging

if TYPE_CHECKING:
    from collections.abc import Iterator


_RULE: Final = re.compile(r"\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*")
_SEPARATOR: Final = re.compile(r"(?<!\\)\|")


def width() -> int:
    """Return how wide a page may be: the terminal's columns, or what is usual where there is no terminal."""
    return shutil.get_terminal_size((WIDTH, 24)).columns if sys.stdout.isatty() else WIDTH


def page(markdown: str) -> str:
    """Return a page of Markdown as it is, or with its tables as columns where a terminal shows it."""
    return plain(markdown, width()) if sys.stdout.isatty() else markdown


def plain(markdown: str, most: int) -> str:
    """Return a page whose tables are columns of text, none wider than ``most``."""
    lines: list[str] = []
    rows: list[list[str]] = []
    right: set[int] = set()
    for line in [*markdown.splitlines(), ""]:
        if line.startswith("|"):
            if _RULE.fullmatch(line):
                right = {n for n, cell in enumerate(_cells(line)) if cell.endswith(":")}
            else:
                rows.append(
                    [cell.replace("<br>", "\n").replace("`", "").replace("\\|", "|") for cell in _cells(line)]
                )
            continue
        lines += columns(rows, most, right)
        rows = []
        lines += hanging("", line, most)
    return "\n".join(lines).rstrip("\n") + ("\n" if markdown.endswith("\n") else "")


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in _SEPARATOR.split(line.strip())[1:-1]]


@contextmanager
def terminal_restored() -> Iterator[None]:
    """Give the terminal its settings back: QEMU makes it raw, and may be killed."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
