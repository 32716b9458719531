"""What ``ringwalk net`` asks of a running stack: a tool a module, found by its being here.

Each module has the names of ``Tool``. The process that asks imports it for its arguments alone; the process
of the stack calls ``answer``, which imports what it needs.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
from typing import TYPE_CHECKING, NoReturn, Protocol, cast

from lab.host.control_socket import Answer, QuestionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.host.host import Upper


class Tool(Protocol):
    """What a module of this package provides."""

    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the tool's own arguments."""

    def answer(self, host: Upper, args: argparse.Namespace) -> str | Answer:
        """Return what is printed, and data for ``--json``; the host's lock is held. QuestionError."""


class ToolParser(argparse.ArgumentParser):
    """Reads a tool's arguments, and keeps the words they were, which are what the stack is sent."""

    def parse_known_args(  # type: ignore[override]  # typeshed's overloads are for callers
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse; the result has ``raw_words``."""
        found, rest = super().parse_known_args(args, namespace)
        found.raw_words = list(args or ())
        return found, rest


class _AskedParser(argparse.ArgumentParser):
    """Reads what came over the control socket: a mistake is the asker's."""

    def error(self, message: str) -> NoReturn:
        """Tell the asker."""
        raise QuestionError(message)


def names() -> list[str]:
    """Return the names of all tools, in order, without importing any."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def tool(name: str) -> Tool:
    """Return a tool by its name."""
    return cast("Tool", importlib.import_module(f"{__name__}.{name}"))


def declare(name: str, parser: argparse.ArgumentParser) -> None:
    """Declare a tool's arguments, and those that every tool has."""
    tool(name).add_arguments(parser)
    parser.add_argument("--name", dest="stack", help="which stack (default: the only one)")
    parser.add_argument("--json", dest="as_json", action="store_true", help="print data instead of a table")


def answer(name: str, host: Upper, words: Sequence[str]) -> Answer:
    """Answer the question that these words are. QuestionError: it cannot be answered."""
    parser = _AskedParser(prog=name, add_help=False)
    declare(name, parser)
    said = tool(name).answer(host, parser.parse_args(list(words)))
    return said if isinstance(said, Answer) else Answer(said, said.splitlines())
