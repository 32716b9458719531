"""``net wfp``: the filtering platform: show what there is, block and unblock traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from lab.host.control_socket import Answer
    from lab.host.host import Upper

HELP = "the filtering platform: show filters, state or netevents; block and unblock traffic"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the sentence."""
    parser.add_argument("action", choices=("show", "block", "unblock"), help="what to do")
    parser.add_argument(
        "words",
        nargs="+",
        metavar="WORD",
        help="filters, state or netevents; or a rule: tcp to 10.0.0.9 port 80, udp from 10.0.0.0/8, icmp",
    )


def answer(host: Upper, args: argparse.Namespace) -> Answer:
    """Do it."""
    from lab.host import filtering

    return filtering.answer(host, args.action, args.words)
