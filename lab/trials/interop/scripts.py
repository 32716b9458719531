"""Packet scripts played to Linux's TCP/IP and to ours: every answer compared, every difference explained.

Scripts and explanations are in ``lab.trials.tcpip.scripts``; docs/tcpip.md says each difference in words.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from lab.errors import UsageError
from lab.trials.interop.contract import Seen
from lab.trials.tcpip import script
from lab.trials.tcpip.namespace import Namespace, NamespaceError
from lab.trials.tcpip.script import LinuxTarget, OurTarget
from lab.trials.tcpip.scripts import DIFFERENCES, SCRIPTS
from protocols.transports.tcpip.link import Offload

if TYPE_CHECKING:
    import argparse

    from lab.trials.parts import Progress

NAME = "scripts"
HELP = "packet scripts played to Linux and to us: the same answers, or an explained difference"
TRIES = 3
"""A busy machine lets Linux answer late, which looks as if it had not answered."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare which scripts."""
    parser.add_argument("script", nargs="*", metavar="NAME", help="only these (default: all)")


def run(args: argparse.Namespace, progress: Progress) -> list[Seen]:
    """Play each script to both. UsageError for an unknown one, or where there is no Linux peer."""
    unknown = [name for name in args.script if name not in SCRIPTS]
    if unknown:
        raise UsageError(f"no script is called {unknown[0]}: choose of {', '.join(SCRIPTS)}")
    seen: list[Seen] = []
    for name in args.script or SCRIPTS:
        if not len(seen) % 10:
            progress(f"{len(seen)} played")
        seen.append(played(name))
    return seen


def played(name: str) -> Seen:
    """Play one script; Linux gets another try where it may have been slow."""
    ours = script.run(OurTarget(random.Random(1).randbytes, Offload()), SCRIPTS[name])  # noqa: S311 - seeded
    explained = DIFFERENCES[name].steps if name in DIFFERENCES else ()
    differing: list[int] = []
    for _ in range(TRIES):
        linux = by_linux(name)
        differing = [n for n, (a, b) in enumerate(zip(ours, linux, strict=True)) if a != b]
        if set(differing) <= set(explained):
            break
    steps = f"{len(ours)} steps"
    if not differing:
        return Seen(name, f"{steps}, the same answers")
    unexplained = sorted(set(differing) - set(explained))
    if unexplained:
        told = "; ".join(f"step {n}: ours {ours[n]}, Linux {linux[n]}" for n in unexplained)
        return Seen(name, f"{steps}, unexplained: {told}", good=False)
    which = ", ".join(map(str, differing))
    return Seen(name, f"{steps}, other answers at {which}", note=DIFFERENCES[name].why)


def by_linux(name: str) -> list[list[str]]:
    """Play a script to Linux in a namespace of its own. UsageError where that cannot be."""
    try:
        with Namespace() as namespace:
            target = LinuxTarget(namespace)
            answers = script.run(target, SCRIPTS[name])
            target.close()
    except NamespaceError as error:
        raise UsageError(f"no Linux peer: {error}") from error
    return answers
