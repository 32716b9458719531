"""The command line: finds the subcommands in ``lab.cli.commands`` and runs one, which alone is imported.

Where a subcommand's work loads much, what it takes is declared apart, in ``lab.cli.declared``.

It knows nothing of what they do. A ``UsageError`` from any of them becomes one line and exit status 2.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, cast

import lab.cli.commands
import lab.cli.declared
from lab import logs
from lab.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

SYSTEM_PROGRAMS: Final = ("/usr/sbin", "/sbin")
_SUMMARY: Final = re.compile(r'^HELP = ("(?:[^"\\]|\\.)*"|\([^()]*\))$', re.MULTILINE)


_DECLARED: Final = Path(lab.cli.declared.__path__[0])


class Declaration(Protocol):
    """What a module of ``lab.cli.declared`` provides, or of ``lab.cli.commands`` where it loads little."""

    NAME: str
    HELP: str
    EXAMPLES: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the subcommand's arguments."""


class Command(Protocol):
    """What a module of ``lab.cli.commands`` provides."""

    def run(self, args: argparse.Namespace) -> int:
        """Do the work; return the exit status."""


class _Version(argparse.Action):
    """Prints the version and ends: it is looked up only then."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        from importlib.metadata import version  # noqa: PLC0415 - every other start would wait for it

        print(f"ringwalk {version('ringwalk')}, Python {sys.version.split()[0]}")
        parser.exit()


def summaries() -> dict[str, str]:
    """Return the subcommands with their ``HELP``, by name, without importing any."""
    found = {}
    for command in sorted(Path(lab.cli.commands.__path__[0]).glob("[!_]*.py")):
        declared = _DECLARED / command.name
        path = declared if declared.exists() else command
        literal = _SUMMARY.search(path.read_text())
        if literal is None:
            raise AssertionError(f"{path} has no HELP that is a plain string")
        found[path.stem] = str(ast.literal_eval(literal[1]))
    return found


def parser(only: str | None = None) -> argparse.ArgumentParser:
    """Return the command line's parser, with the arguments of all subcommands, or of one."""
    top = argparse.ArgumentParser(
        prog="ringwalk",
        description="An emulated Intel 82574L and the driver stack that drives it.",
        epilog="examples:\n  ringwalk boot\n  ringwalk test\n  ringwalk doctor",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    top.add_argument("--log-level", choices=logs.LEVELS, default="warning", help="events from this level on")
    top.add_argument("--log-format", choices=logs.FORMATS, default="console", help="how events are written")
    sub = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in summaries().items():
        if only is not None and only != name:
            sub.add_parser(name, help=summary)
            continue
        command = declaration(name)
        one = sub.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            epilog="examples:\n" + command.EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_arguments(one)
        one.set_defaults(subcommand=name)
    return top


def declaration(name: str) -> Declaration:
    """Return what a subcommand takes; its work is imported only where both are one module."""
    apart = (_DECLARED / f"{name}.py").exists()
    return cast(
        "Declaration", importlib.import_module(f"lab.cli.{'declared' if apart else 'commands'}.{name}")
    )


def _command(words: Sequence[str]) -> str:
    """Return the first word that is no option and no option's value; empty when there is none."""
    rest = iter(words)
    for word in rest:
        if word in {"--log-level", "--log-format"}:
            next(rest, None)
        elif not word.startswith("-"):
            return word
    return ""


def with_system_programs(path: str) -> str:
    """Return a PATH that has chroot's, ip's and tcpdump's folders: an ordinary user's lacks them."""
    have = [folder for folder in path.split(os.pathsep) if folder]
    return os.pathsep.join([*have, *(folder for folder in SYSTEM_PROGRAMS if folder not in have)])


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status. Without arguments it is help that is wanted."""
    words = list(sys.argv[1:] if argv is None else argv)
    os.environ["PATH"] = with_system_programs(os.environ.get("PATH", ""))
    top = parser(_command(words))
    if not words:
        top.print_help()
        return 0
    args = top.parse_args(words)
    logs.configure(args.log_level, args.log_format)
    command = cast("Command", importlib.import_module(f"lab.cli.commands.{args.subcommand}"))
    try:
        return command.run(args)
    except UsageError as error:
        print(f"ringwalk: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
