"""``net ping``: four echo requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from lab.host.host import Upper

HELP = "four echo requests"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("host", metavar="HOST", help="a name or an address")


def answer(host: Upper, args: argparse.Namespace) -> str:
    """Print it."""
    from lab.host import reports

    return reports.ping(host, args.host)
