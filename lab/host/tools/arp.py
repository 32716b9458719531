"""``net arp``: the neighbours of both IP versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from lab.host.control_socket import Answer
    from lab.host.host import Upper

HELP = "the neighbours of both IP versions"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare nothing."""
    del parser


def answer(host: Upper, _args: argparse.Namespace) -> Answer:
    """Print it."""
    from lab.host import reports

    return reports.arp(host)
