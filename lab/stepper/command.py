"""What a command of the stepper is, and what may come of one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.stepper.session import Session, Stop
    from lab.stepper.tools import Tools

RINGS: Final = ("tx0", "tx1", "rx0", "rx1")


class GoOn(Exception):  # noqa: N818 - it is a command's outcome and no error
    """The card shall go on."""


class CommandError(ValueError):
    """A command that cannot be done; the message says why and what would do."""


class AssertionFailedError(CommandError):
    """A script's ``assert`` did not hold."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a command works on."""

    session: Session
    tools: Tools


class CommandFront(ABC):
    """What every front end that takes commands is: it is given its tools before the first stop."""

    def __init__(self) -> None:
        self.tools: Tools | None = None

    @abstractmethod
    def stopped(self, session: Session, stop: Stop) -> None:
        """Look and command; return when the card shall go on."""

    def context(self, session: Session) -> Context:
        """Return what commands work on."""
        if self.tools is None:
            raise AssertionError("a front end without tools")
        return Context(session, self.tools)


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its names, its arguments and what it is for, who does it, what may follow it."""

    names: tuple[str, ...]
    arguments: str
    help: str
    run: Callable[[Context, str], str]
    completions: tuple[str, ...] = ()


def number(text: str, what: str) -> int:
    """Read a number, in any base. CommandError."""
    try:
        return int(text, 0)
    except ValueError:
        raise CommandError(f"{text} is no {what}") from None
