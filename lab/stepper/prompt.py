"""The plain prompt: lines in, text out. For terminals with completion, for scripts, for pipes."""

from __future__ import annotations

import os
import sys
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from lab.stepper.command import CommandError, CommandFront, GoOn
from lab.stepper.commands import execute
from lab.stepper.completion import complete
from lab.stepper.view_commands import driver_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lab.stepper.session import Session, Stop

PROMPT: Final = "(ringwalk) "


class Prompt(CommandFront):
    """A front end that reads commands from lines.

    Without more lines the card goes on freely: a script's end, or Ctrl-D.
    """

    def __init__(
        self,
        lines: Iterable[str] | None = None,
        out: TextIO | None = None,
        *,
        echo: bool = False,
    ) -> None:
        """Read ``lines``, or the terminal; ``echo`` shows the commands of a script as they are done."""
        super().__init__()
        self._out = out or sys.stdout
        self._echo = echo
        self._lines: Iterator[str] = iter(lines) if lines is not None else _typed()
        self.failed: list[str] = []
        """The commands of a script that failed, with their reasons."""
        self._last = ""
        self._interactive = lines is None
        self._greeted = self._started = False

    def say(self, text: str) -> None:
        """Print, if there is anything."""
        if text:
            self._out.write(text + "\n")
            self._out.flush()

    def stopped(self, session: Session, stop: Stop) -> None:
        """Do commands until one lets the card go on."""
        context = self.context(session)
        session.note = self.say
        self.say("\n".join([*self._greeting(session), str(stop), *driver_line(session)]))
        for line in chain(session.take_commands(), self._start_up(), self._lines):
            session.lines += 1
            text = line.strip()
            if self._interactive:
                text = self._last = text or self._last  # an empty line does the last command again
            elif self._echo and text:
                self.say(PROMPT + text)
            try:
                self.say(execute(context, self._whole(text)))
            except GoOn:
                return
            except CommandError as error:
                self.failed.append(f"{text}: {error}")
                self.say(f"error: {error}")
        session.detach()

    def _greeting(self, session: Session) -> list[str]:
        """Say once what this is and how to find out more."""
        if self._greeted or not self._interactive:
            return []
        self._greeted = True
        return [f"stepping through {session.about}: `help` lists the commands, `continue` runs, `quit` ends"]

    def _start_up(self) -> list[str]:
        """Return the lines of the user's start-up file, once."""
        if self._started or not self._interactive:
            return []
        self._started = True
        try:
            return start_up_file().read_text().splitlines()
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            self.say(f"{start_up_file()}: {error}")
            return []

    def _whole(self, text: str) -> str:
        """Return a command with the lines that belong to it: ``commands N`` goes on up to ``end``."""
        words = text.split()
        if len(words) != 2 or words[0] != "commands":
            return text
        more: list[str] = []
        for line in self._lines:
            if line.strip() == "end":
                break
            more.append(line.strip())
        return f"{text} {'; '.join(more)}"


def start_up_file() -> Path:
    """Return where a user keeps commands for every session (XDG Base Directory Specification)."""
    named = os.environ.get("XDG_CONFIG_HOME", "")
    folder = Path(named) if named.startswith("/") else Path(os.environ.get("HOME", "/")) / ".config"
    return folder / "ringwalk" / "stepper"


def _typed() -> Iterator[str]:
    """Yield what a user types; with completion where it is a terminal."""
    if sys.stdin.isatty():
        _completion()
    while True:
        try:
            yield input(PROMPT if sys.stdin.isatty() else "")
        except EOFError:
            return


def _completion() -> None:
    """Let Tab complete commands, kinds and registers, where this Python has readline."""
    try:
        import readline  # noqa: PLC0415 - it is missing in some Pythons, and changes the terminal
    except ImportError:
        return

    def completer(_: str, state: int) -> str | None:
        found = complete(readline.get_line_buffer())
        if state >= len(found):
            return None
        return found[state] if found[state].endswith(("=", ".", "(")) else f"{found[state]} "

    readline.set_completer(completer)
    readline.set_completer_delims(" ")
    readline.parse_and_bind("tab: complete")
