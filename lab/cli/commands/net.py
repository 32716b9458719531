"""``ringwalk net``: run an NT network stack over an emulated card, and ask a running one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lab.host.control_socket import ask, choose
from lab.host.tool_names import NET_TOOLS

if TYPE_CHECKING:
    import argparse

NAME = "net"
HELP = "run an NT stack over an emulated card, and ask a running one (ipconfig, netstat, ping, ...)"
EXAMPLES = (
    "  ringwalk net up --wire netns --address 10.82.57.9/24   run a stack; Ctrl-C ends it\n"
    "  ringwalk net ipconfig                                  ask it, from another terminal\n"
    "  ringwalk net ping 10.82.57.1\n"
    "  ringwalk net netstat -s\n"
    "  ringwalk net run server.py 80 --address 10.82.57.9/24  an ordinary Python program, on a stack\n"
    "  ringwalk net trace                                     the layers of a program's and a driver's send\n"
    "  ringwalk net up --im capture=all.pcapng --verify       an intermediate driver below TCP/IP\n"
    "  ringwalk ndis bindings                                 its binding tree (see ringwalk ndis)"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "tool",
        choices=["up", "run", "trace", *NET_TOOLS],
        help="up: run a stack; run: a program over one; trace: the layers of a send",
    )
    parser.add_argument(
        "arguments", nargs="*", metavar="ARG", help="the tool's own: a host; a Python file and its arguments"
    )
    parser.add_argument("-s", "--statistics", action="store_true", help="netstat: the counters")
    parser.add_argument(
        "--name", help="which stack (default: the only one; for up: default); its host name too"
    )
    up = parser.add_argument_group("for up and run")
    up.add_argument("--wire", metavar="SPEC", default="netns", help="the card's cable (default netns)")
    up.add_argument("--mac", help="the card's address")
    up.add_argument("--address", metavar="IP/BITS", help="a fixed address (default: DHCP)")
    up.add_argument("--gateway", metavar="IP", help="the default gateway")
    up.add_argument("--dns", metavar="IP", action="append", help="a resolver (repeatable)")
    up.add_argument(
        "--im",
        action="append",
        default=[],
        metavar="DRIVER",
        help="a driver between card and TCP/IP: capture=FILE, vlans=N,N, span=N or team=MODE (repeatable)",
    )
    up.add_argument("--verify", action="store_true", help="watch every driver by NDIS's verifier")
    up.add_argument("--bindings", metavar="FILE", type=Path, help="keep edits of the bindings in this file")
    up.add_argument("--http", metavar="PORT", type=int, help="also serve HTTP (GET /, PUT anything)")


def run(args: argparse.Namespace) -> int:
    """Run a stack, or print what one answers."""
    if args.tool in NET_TOOLS:
        arguments = [*args.arguments, *(["-s"] if args.statistics else [])]
        print(ask(choose(args.name), args.tool, arguments).text, end="")
        return 0
    from lab.host import net_stack  # noqa: PLC0415 - a question to a stack that runs does not wait for it

    return net_stack.trace() if args.tool == "trace" else net_stack.run(args)
