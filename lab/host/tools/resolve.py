"""``net resolve``: what getaddrinfo finds for a name, by all namespace providers in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from lab.host.host import Upper

HELP = "what getaddrinfo finds for a name, by all namespace providers in their order"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("host", metavar="NAME", help="the name")


def answer(host: Upper, args: argparse.Namespace) -> str:
    """Print it."""
    from lab.host import reports

    return reports.resolve(host, args.host)
