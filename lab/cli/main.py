"""The command line: finds the subcommands in ``lab.cli.commands`` and runs one.

It knows nothing of what they do. A ``UsageError`` from any of them becomes one line and exit status 2.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from typing import TYPE_CHECKING, Protocol, cast

import lab.cli.commands
from lab.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence


class Command(Protocol):
    """What a module of ``lab.cli.commands`` provides."""

    NAME: str
    HELP: str
    EXAMPLES: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the subcommand's arguments."""

    def run(self, args: argparse.Namespace) -> int:
        """Do the work; return the exit status."""


def commands() -> list[Command]:
    """Return the subcommands, by name."""
    names = sorted(m.name for m in pkgutil.iter_modules(lab.cli.commands.__path__))
    return [cast("Command", importlib.import_module(f"lab.cli.commands.{name}")) for name in names]


def parser() -> argparse.ArgumentParser:
    """Return the whole command line's parser."""
    top = argparse.ArgumentParser(
        prog="ringwalk",
        description="An emulated Intel 82574L and the driver stack that drives it.",
        epilog="examples:\n  ringwalk boot\n  ringwalk test\n  ringwalk doctor",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sub = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in commands():
        one = sub.add_parser(
            command.NAME,
            help=command.HELP,
            description=command.HELP[0].upper() + command.HELP[1:] + ".",
            epilog="examples:\n" + command.EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_arguments(one)
        one.set_defaults(run=command.run)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    args = parser().parse_args(argv)
    try:
        return int(args.run(args))
    except UsageError as error:
        print(f"ringwalk: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
