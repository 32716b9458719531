"""``ringwalk net``: run an NT network stack over an emulated card, and ask a running one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from lab.host import tools
from lab.host.control_socket import ask, choose

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
    "  ringwalk net up --transports atalk,nbf,dlc             LAN transports, too: net atalk, net dlc\n"
    "  ringwalk net up --im capture=all.pcapng --verify       an intermediate driver below TCP/IP\n"
    "  ringwalk ndis bindings                                 its binding tree (see ringwalk ndis)"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``up``, ``run`` and ``trace``, and the tools that ask a running stack."""
    sub = parser.add_subparsers(dest="tool", metavar="TOOL", required=True, parser_class=tools.ToolParser)
    up = sub.add_parser("up", help="run a stack until Ctrl-C")
    program = sub.add_parser("run", help="run a Python program over a stack")
    program.add_argument(
        "arguments", nargs="*", metavar="ARG", help="a Python file and its arguments; behind -- any"
    )
    for one in (up, program):
        _add_stack(one)
    sub.add_parser("trace", help="the layers of a program's and of a driver's send")
    for name in tools.names():
        _add_tool(sub, name)


def _add_tool(sub: argparse._SubParsersAction[tools.ToolParser], name: str) -> None:
    said = tools.tool(name).HELP
    tools.declare(name, sub.add_parser(name, help=said, description=said[0].upper() + said[1:] + "."))


def _add_stack(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", help="what the stack is called (default: default); its host name, too")
    parser.add_argument("--wire", metavar="SPEC", default="netns", help="the card's cable (default netns)")
    parser.add_argument("--mac", help="the card's address")
    parser.add_argument("--address", metavar="IP/BITS", help="a fixed address (default: DHCP)")
    parser.add_argument("--gateway", metavar="IP", help="the default gateway")
    parser.add_argument("--dns", metavar="IP", action="append", help="a resolver (repeatable)")
    parser.add_argument(
        "--im",
        action="append",
        default=[],
        metavar="DRIVER",
        help="a driver between card and TCP/IP: capture=FILE, vlans=N,N, span=N or team=MODE (repeatable)",
    )
    parser.add_argument(
        "--transports",
        default="",
        metavar="NAME,…",
        help="load these, too, beside TCP/IP: atalk, dlc, nbf",
    )
    parser.add_argument("--verify", action="store_true", help="watch every driver by NDIS's verifier")
    parser.add_argument(
        "--bindings", metavar="FILE", type=Path, help="keep edits of the bindings in this file"
    )
    parser.add_argument("--http", metavar="PORT", type=int, help="also serve HTTP (GET /, PUT anything)")


def run(args: argparse.Namespace) -> int:
    """Run a stack, or print what one answers."""
    if args.tool in tools.names():
        said = ask(choose(args.stack), args.tool, args.raw_words)
        print(json.dumps(said.data, indent=2) if args.as_json else said.text.removesuffix("\n"))
        return 0
    from lab.host import net_stack  # noqa: PLC0415 - a question to a stack that runs does not wait for it

    return net_stack.trace() if args.tool == "trace" else net_stack.run(args)
