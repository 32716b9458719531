"""What ``ringwalk ndis`` takes. The work, and all that it loads, is ``lab.cli.commands.ndis``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from lab.host.modes import MODES
from lab.host.views import LINES, NAMES, WATCH_S
from lab.machines.kinds import ENGINES

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "ndis"
HELP = "look inside a running NDIS stack: adapters, opens, bindings, what pends, OIDs, the log"
EXAMPLES = (
    "  ringwalk ndis stacks                                   who runs\n"
    "  ringwalk ndis adapters                                 of the only one that runs\n"
    "  ringwalk ndis log --seconds 2 --stack default --json\n"
    "  ringwalk ndis bindings --disable 'Tcpip>{1}'           unbind it, live\n"
    "  ringwalk ndis bindings card.inf tcpip.inf --linkage    what INF files make of each other\n"
    "  ringwalk ndis packet 1021 --demo\n"
    "  ringwalk ndis rules                                    what --verify watches for"
)
STACKS, BINDINGS, RULES_VIEW = "stacks", "bindings", "rules"
MEANINGS = {
    "enable": "switch a binding on",
    "disable": "switch it off, and keep it off",
    "bind": "bind, for as long as the stack runs",
    "unbind": "unbind, for as long as the stack runs",
    "first": "give it top priority",
    "up": "give it the next higher priority",
    "down": "give it the next lower priority",
}


class _Edit(argparse.Action):
    """Collects edits of all kinds in the order of the command line."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[object] | None,
        option_string: str | None = None,
    ) -> None:
        """Add one."""
        del parser
        done = getattr(namespace, self.dest) or []
        setattr(namespace, self.dest, [*done, f"{(option_string or '').lstrip('-')}={values}"])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("view", choices=[*NAMES, STACKS, RULES_VIEW], help="what to show")
    parser.add_argument("what", nargs="*", help="for bindings: INF files; for packet: its number")
    parser.add_argument("--stack", metavar="NAME", help="which stack (default: the only one that runs)")
    parser.add_argument("--json", action="store_true", help="the same as data")
    log = parser.add_argument_group("for log")
    log.add_argument("--lines", type=int, default=LINES, help=f"how much of it ({LINES})")
    log.add_argument(
        "--seconds",
        type=float,
        default=WATCH_S,
        help=f"how long to watch a stack that keeps no log because it runs without --verify ({WATCH_S:g})",
    )
    edit = parser.add_argument_group("for bindings")
    for name, meaning in MEANINGS.items():
        edit.add_argument(f"--{name}", action=_Edit, dest="edits", metavar="UPPER>LOWER", help=meaning)
    edit.add_argument("--linkage", action="store_true", help="also print the Linkage values")
    edit.add_argument("--services", action="store_true", help="also print the order of loading")
    demo = parser.add_argument_group("a stack of the command's own")
    demo.add_argument("--demo", action="store_true", help="start a small one, with packets under way")
    demo.add_argument("--mode", choices=MODES, default="serialized", help="its kind of driver")
    demo.add_argument("--engine", choices=ENGINES, default="reference", help="its card's engine")
