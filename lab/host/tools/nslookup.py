"""``net nslookup``: a name's addresses, by DNS alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from lab.host.host import Upper

HELP = "a name's addresses, by DNS alone"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("host", metavar="NAME", help="the name")


def answer(host: Upper, args: argparse.Namespace) -> str:
    """Print it."""
    from lab.host import reports

    return reports.nslookup(host, args.host)
