"""``net ipconfig``: interfaces with their addresses, gateways and resolvers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from lab.host.host import Upper

HELP = "interfaces with their addresses, gateways and resolvers"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare nothing."""
    del parser


def answer(host: Upper, _args: argparse.Namespace) -> str:
    """Print it."""
    from lab.host import reports

    return reports.ipconfig(host)
