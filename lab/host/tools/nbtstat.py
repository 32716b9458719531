"""``net nbtstat``: NetBIOS names: ours, or another host's."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from lab.host.control_socket import Answer
    from lab.host.host import Upper

HELP = "NetBIOS names: ours, or another host's"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("host", metavar="HOST", nargs="?", help="another host (default: this one)")


def answer(host: Upper, args: argparse.Namespace) -> Answer:
    """Print it."""
    from lab.host import reports

    return reports.nbtstat(host, args.host)
