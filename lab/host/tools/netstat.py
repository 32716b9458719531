"""``net netstat``: connections and open ports, or the counters."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from lab.host.control_socket import Answer
    from lab.host.host import Upper

HELP = "connections and open ports, or the counters"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("-s", "--statistics", action="store_true", help="the counters")


def answer(host: Upper, args: argparse.Namespace) -> Answer:
    """Print it."""
    from lab.host import reports

    return reports.netstat(host, statistics=args.statistics)
