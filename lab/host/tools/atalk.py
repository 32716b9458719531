"""``net atalk``: names, zones and echoes of AppleTalk, as the first card's node sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from lab.host.control_socket import Answer
    from lab.host.host import Upper

HELP = "AppleTalk: names, zones, an echo"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the three questions."""
    parts = parser.add_subparsers(dest="what", required=True, metavar="lookup|zones|echo")
    lookup = parts.add_parser("lookup", help="who has a name")
    lookup.add_argument(
        "name", nargs="?", default="=:=@*", metavar="OBJECT:TYPE@ZONE", help="(default =:=@*)"
    )
    parts.add_parser("zones", help="all zones, from the router")
    echo = parts.add_parser("echo", help="ask a node for an echo")
    echo.add_argument("address", metavar="NETWORK.NODE", help="as 65280.9")


def answer(host: Upper, args: argparse.Namespace) -> Answer:
    """Ask, and print it."""
    from lab.host import atalk_reports

    asked = {"lookup": "name", "echo": "address"}.get(args.what)
    return atalk_reports.REPORTS[args.what](host, getattr(args, asked) if asked else "")
