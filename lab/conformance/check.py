"""What a check is: an id, a sentence, a source, and a function over a ``Subject``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.conformance.bench import Capability

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lab.conformance.subject import Subject

    Body = Callable[[Subject], None]

SDM = "Intel's Software Developer's Manual of the PCI/PCI-X family"
"""The manual of the card's ancestors, for what they share with it."""

ID = re.compile(r"[A-Z0-9]+(-[A-Z0-9_]+)+\Z")


class MismatchError(Exception):
    """The card did something else than it must."""

    def __init__(self, what: str, got: object, want: object) -> None:
        """Say what was looked at, what was seen and what is right."""
        super().__init__(f"{what}: {_difference(got, want)}")
        self.what = what
        self.got = got
        self.want = want


def expect(what: str, got: object, want: object) -> None:
    """Raise ``MismatchError`` unless the two are equal."""
    if got != want:
        raise MismatchError(what, got, want)


def is_true(what: str, got: object) -> None:
    """Raise ``MismatchError`` unless it holds."""
    if not got:
        raise MismatchError(what, got, want=True)


def is_false(what: str, got: object) -> None:
    """Raise ``MismatchError`` if it holds."""
    if got:
        raise MismatchError(what, got, want=False)


AROUND = 8
"""Bytes that are shown on either side of the first one that differs."""


def _difference(got: object, want: object) -> str:
    """Say what differs: of bytes, where they part and what stands there."""
    if isinstance(got, bytes) and isinstance(want, bytes):
        at = next((n for n, (one, other) in enumerate(zip(got, want, strict=False)) if one != other), None)
        at = min(len(got), len(want)) if at is None else at
        start = max(0, at - AROUND)
        part = slice(start, at + AROUND)
        sizes = f"{len(got)} bytes" if len(got) == len(want) else f"{len(got)} bytes in place of {len(want)}"
        before, behind = "…" if start else "", "…"
        shown = [
            f"{before}{one[part].hex(' ')}{behind if len(one) > at + AROUND else ''}" for one in (got, want)
        ]
        return f"{sizes}, first different at byte {at}: got {shown[0]}, want {shown[1]}"
    return f"got {_show(got)}, want {_show(want)}"


def _show(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, int):
        return f"{value:#x}"
    if isinstance(value, bytes):
        shown = value[:48].hex()
        return f"{len(value)} bytes {shown}{'…' if len(value) > 48 else ''}"
    if isinstance(value, list | tuple):
        inside = ", ".join(_show(one) for one in value[:6])
        return f"{len(value)} [{inside}{', …' if len(value) > 6 else ''}]"
    return repr(value)


@dataclass(frozen=True, slots=True)
class Check:
    """One behaviour. ``destructive``: may disturb what else hangs on the machine's bus or the card's NVM."""

    id: str
    summary: str
    source: str
    body: Body
    needs: Capability = Capability.NONE
    destructive: bool = False

    def __post_init__(self) -> None:
        """Refuse an id that ``-k`` could not name, and a check without a source."""
        if not ID.match(self.id):
            raise ValueError(f"{self.id!r} is no check id")
        if not self.source or not self.summary:
            raise ValueError(f"{self.id} needs a sentence and a source")


class Topic:
    """The checks of one subject; ``source`` is where its rules are from unless a check says better."""

    def __init__(self, name: str, source: str) -> None:
        self.name = name
        self.source = source
        self._checks: list[Check] = []

    def __iter__(self) -> Iterator[Check]:
        """Iterate in the order of declaration."""
        return iter(self._checks)

    def add(self, check: Check) -> None:
        """Take a check that was made from data."""
        self._checks.append(check)

    def check(
        self,
        name: str,
        source: str = "",
        *,
        needs: Capability = Capability.NONE,
        destructive: bool = False,
    ) -> Callable[[Body], Body]:
        """Declare the function below as a check; its docstring's first line is the sentence."""

        def declare(body: Body) -> Body:
            summary = (body.__doc__ or "").split("\n")[0]
            self.add(Check(name, summary, source or self.source, body, needs, destructive))
            return body

        return declare
