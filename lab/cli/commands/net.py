"""``ringwalk net``: run an NT network stack over an emulated card, and ask a running one."""

from __future__ import annotations

import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import UsageError
from lab.host import saved_bindings as kept
from lab.host.control_socket import ask, choose
from lab.host.programs import run_program
from lab.host.reports import TOOLS
from lab.host.station import Station
from lab.host.tracing import trace_kernel_send, trace_send
from lab.host.web import WebServer

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

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
        choices=["up", "run", "trace", *TOOLS],
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
    if args.tool == "trace":
        with tempfile.TemporaryDirectory(prefix="ringwalk-") as folder:
            traces = [trace(Path(folder)) for trace in (trace_send, trace_kernel_send)]
        print("\n\n".join(one.describe() for one in traces))
        return 0 if all(one.good for one in traces) else 1
    if args.tool not in ("up", "run"):
        arguments = [*args.arguments, *(["-s"] if args.statistics else [])]
        print(ask(choose(args.name), args.tool, arguments).text, end="")
        return 0
    host_name = args.name or "ringwalk"
    args.name = args.name or "default"
    station = Station(args.wire, mac=args.mac, host_name=host_name, verify=args.verify, intermediates=args.im)
    try:
        try:
            station.configure(args.address, args.gateway, args.dns)
        except ValueError as error:
            raise UsageError(f"{error}; write addresses as in 10.0.0.1/24") from error
        with station.publish(args.name, f"net {args.tool}", _keep(args.bindings, station)):
            _program(args, station) if args.tool == "run" else _serve(args, station)
    finally:
        station.close()
    for report in station.reports:
        print(report, file=sys.stderr)
    return 1 if station.reports else 0


def _keep(path: Path | None, station: Station) -> Callable[[], None]:
    """Do the edits that were kept; return what keeps the next one."""
    if path is None:
        return lambda: None
    engine = station.host.loader.engine
    with station.host.executive.entry:
        kept.load(engine, path)
    return lambda: kept.save(engine, path)


def _program(args: argparse.Namespace, station: Station) -> None:
    if not args.arguments:
        raise UsageError("run what? give a Python file and its arguments behind --")
    try:
        run_program(station, args.arguments[0], args.arguments[1:])
    except KeyboardInterrupt:
        print(f"{args.arguments[0]} was interrupted")


def _serve(args: argparse.Namespace, station: Station) -> None:
    web = None
    if args.http is not None:
        web = WebServer(station.sockets, ("0.0.0.0", args.http), {"/": b"Ringwalk\n"})  # noqa: S104 - of the emulated card, not of this machine
        web.start()
    far = station.process.ready.peer_address
    there = f", the far end is {far}" if far else ""
    print(f"the stack {args.name} runs on {station.process.ready.wire}{there}; Ctrl-C ends it", flush=True)
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    try:
        over.wait()
    except KeyboardInterrupt:
        pass
    finally:
        if web is not None:
            web.stop()
