"""What a driver in this process is asked to do: lines of verbs, from a file or the built-in one.

::

    send 3 1514       three frames of 1514 bytes in one call of NdisSendPackets
    large 4000        one TCP segment of 4000 payload bytes, which the card cuts (LSO)
    receive 4 60      four frames come off the cable
    unplug, plug      the cable
    reset             NdisReset
    wait 2000         2000 ms pass: timers, CheckForHang
    # a comment

It knows the verbs and their arguments; who does them is ``Station``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

DEFAULT: Final = """
send 1
receive 1
send 3 1514
large 4000
receive 4 600
wait 2000
"""
SHORTEST_BYTES, LONGEST_BYTES = 14, 9000
MOST_FRAMES = 10_000


class ScenarioError(ValueError):
    """A line that cannot be understood; the message has its number and what would do."""


class Station(Protocol):
    """Who can do the verbs."""

    def send(self, count: int, length: int) -> None:
        """Send frames in one call."""

    def large(self, length: int) -> None:
        """Send one large segment."""

    def receive(self, count: int, length: int) -> None:
        """Let frames arrive."""

    def plug(self, *, present: bool) -> None:
        """Plug the cable in or out."""

    def reset(self) -> None:
        """Reset the adapter."""

    def wait(self, duration_ms: int) -> None:
        """Let time pass."""


@dataclass(frozen=True, slots=True)
class Act:
    """One line: a verb and its numbers."""

    verb: str
    numbers: tuple[int, ...]

    def do(self, station: Station) -> None:
        """Have it done."""
        _VERBS[self.verb].run(station, *self.numbers)


@dataclass(frozen=True, slots=True)
class _Number:
    name: str
    least: int
    most: int
    default: int


@dataclass(frozen=True, slots=True)
class _Verb:
    numbers: tuple[_Number, ...]
    run: Callable[..., None]


_COUNT = _Number("N", 1, MOST_FRAMES, 1)
_LENGTH = _Number("BYTES", SHORTEST_BYTES, LONGEST_BYTES, 60)
_VERBS: Final = {
    "send": _Verb((_COUNT, _LENGTH), lambda station, count, length: station.send(count, length)),
    "large": _Verb((_Number("BYTES", 1, 60_000, 4000),), lambda station, length: station.large(length)),
    "receive": _Verb((_COUNT, _LENGTH), lambda station, count, length: station.receive(count, length)),
    "plug": _Verb((), lambda station: station.plug(present=True)),
    "unplug": _Verb((), lambda station: station.plug(present=False)),
    "reset": _Verb((), lambda station: station.reset()),
    "wait": _Verb((_Number("MS", 1, 3_600_000, 1000),), lambda station, ms: station.wait(ms)),
}
USAGE: Final = ", ".join(
    " ".join((name, *(f"[{n.name}]" for n in verb.numbers))) for name, verb in _VERBS.items()
)


def parse(lines: Iterable[str]) -> list[Act]:
    """Read a scenario. ScenarioError."""
    return list(_acts(lines))


def _acts(lines: Iterable[str]) -> Iterator[Act]:
    for at, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        verb = _VERBS.get(words[0])
        if verb is None or len(words) - 1 > len(verb.numbers):
            raise ScenarioError(f"line {at}: `{line.strip()}` is nothing to do; these are: {USAGE}")
        given = dict(zip(verb.numbers, words[1:], strict=False))
        yield Act(words[0], tuple(_read(at, number, given.get(number)) for number in verb.numbers))


def _read(at: int, number: _Number, word: str | None) -> int:
    if word is None:
        return number.default
    if not word.isdecimal() or not number.least <= int(word) <= number.most:
        raise ScenarioError(f"line {at}: {word}: give {number.name} from {number.least} to {number.most}")
    return int(word)
