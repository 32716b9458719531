"""What ``ringwalk net up``, ``net run`` and ``net trace`` do: a stack of this process, over a card."""

from __future__ import annotations

import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import UsageError
from lab.host import saved_bindings, transports
from lab.host.programs import run_program
from lab.host.station import Station
from lab.host.tracing import trace_kernel_send, trace_send
from lab.host.web import WebServer
from protocols.transports.tcpip.addresses import Prefix, parse

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable


def trace() -> int:
    """Print the layers of a program's and of a driver's send; return the exit status."""
    with tempfile.TemporaryDirectory(prefix="ringwalk-") as folder:
        traces = [trace_one(Path(folder)) for trace_one in (trace_send, trace_kernel_send)]
    print("\n\n".join(one.describe() for one in traces))
    return 0 if all(one.good for one in traces) else 1


def run(args: argparse.Namespace) -> int:
    """Run a stack until it is interrupted, or a program over one; return the exit status. UsageError."""
    host_name = args.name or "ringwalk"
    args.name = args.name or "default"
    require_addresses(args.address, args.gateway, args.dns)
    station = Station(args.wire, mac=args.mac, host_name=host_name, verify=args.verify, intermediates=args.im)
    try:
        station.configure(args.address, args.gateway, args.dns)
        with station.host.executive.entry:
            transports.load(station.host.upper, [one for one in args.transports.split(",") if one])
        with station.publish(args.name, f"net {args.tool}", _keep(args.bindings, station)):
            _program(args, station) if args.tool == "run" else _serve(args, station)
    finally:
        station.close()
    for report in station.reports:
        print(report, file=sys.stderr)
    return 1 if station.reports else 0


def require_addresses(address: str | None, gateway: str | None, dns: list[str] | None) -> None:
    """Look at what was written for addresses, before anything starts. UsageError: one of them is none."""
    try:
        if address is not None:
            host, _, bits = address.partition("/")
            Prefix.of(parse(host), int(bits or 24))
        for one in [gateway, *(dns or ())]:
            if one is not None:
                parse(one)
    except ValueError as error:
        raise UsageError(f"{error}; write addresses as in 10.0.0.1/24") from error


def _keep(path: Path | None, station: Station) -> Callable[[], None]:
    """Do the edits that were kept; return what keeps the next one."""
    if path is None:
        return lambda: None
    engine = station.host.loader.engine
    with station.host.executive.entry:
        saved_bindings.load(engine, path)
    return lambda: saved_bindings.save(engine, path)


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
