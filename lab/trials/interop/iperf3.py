"""The real iperf3, in Linux, against our small one on our stack: as client and as server, TCP and UDP."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lab.errors import UsageError
from lab.machines import fetch
from lab.machines.fetch import prefix
from lab.machines.peer import PeerError
from lab.trials.interop.contract import Seen
from lab.trials.interop.iperf3_peer import Outcome, Server, run_client
from lab.trials.interop.iperf3_protocol import PORT, Parameters, ProtocolError
from lab.trials.interop.verified import add_verify, watched

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from lab.machines.peer import Finished, Peer
    from lab.trials.parts import Progress

NAME = "iperf3"
HELP = "the real iperf3 as client and as server of ours: TCP and UDP, both directions, parallel"
OURS, LINUX = "10.82.57.9", "10.82.57.1"
SECONDS = 3
SLACK_S = 40.0
UDP_BITS = 2_000_000
UDP_LENGTH = 1448


@dataclass(frozen=True, slots=True)
class Case:
    """One test: what it is called, and its parameters."""

    name: str
    parameters: Parameters


def cases(seconds: int) -> list[Case]:
    """Return what is tried, each with their client and with their server."""
    tcp = Parameters(time=seconds)
    udp = replace(tcp, udp=True, length=UDP_LENGTH, bandwidth=UDP_BITS, counters_64bit=True)
    return [
        Case("TCP", tcp),
        Case("TCP reverse", replace(tcp, reverse=True)),
        Case("TCP, 4 streams", replace(tcp, parallel=4)),
        Case("TCP reverse, 4 streams", replace(tcp, parallel=4, reverse=True)),
        Case("UDP", udp),
        Case("UDP reverse", replace(udp, reverse=True)),
        Case("UDP, 2 streams", replace(udp, parallel=2)),
    ]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the time and the wire."""
    add_verify(parser)
    parser.add_argument("--seconds", type=int, default=SECONDS, metavar="N", help="of each test (default 3)")
    parser.add_argument("--wire", default="netns", help="the cable to Linux's end (default netns)")


def run(args: argparse.Namespace, progress: Progress) -> list[Seen]:
    """Run all cases both ways round."""
    fetch.ensure(["guest"])
    program = prefix.command(fetch.tree("guest"), "usr/bin/iperf3")
    seen: list[Seen] = []
    with watched(args.wire, seen, verify=args.verify) as station:
        peer = station.process.peer
        if peer is None:
            raise UsageError(f"--wire {args.wire} has no far end of ours: use netns")
        station.configure(f"{OURS}/24")
        server = Server(station.sockets, OURS)
        try:
            for case in cases(args.seconds):
                progress(f"iperf3's client, our server: {case.name}")
                seen.append(their_client(peer, program, server, case))
        finally:
            server.close()
        for case in cases(args.seconds):
            progress(f"our client, iperf3's server: {case.name}")
            seen.append(their_server(peer, program, station.sockets, case))
    return seen


def their_client(peer: Peer, program: Sequence[str], server: Server, case: Case) -> Seen:
    """Have iperf3 connect to our server; judge by its own JSON report."""
    wanted = case.parameters
    argv = [*program, "-c", OURS, "-J", "-t", str(wanted.time), "-P", str(wanted.parallel)]
    argv += ["-R"] if wanted.reverse else []
    argv += ["-u", "-b", str(wanted.bandwidth), "-l", str(wanted.length)] if wanted.udp else []
    end = peer.finish(peer.start(argv), wanted.time + SLACK_S)
    what = f"iperf3 client, our server: {case.name}"
    try:
        outcome = server.outcome()
    except ProtocolError as error:
        return Seen(what, f"{complaint(end)}; ours: {error}", good=False)
    return judge(what, report(end), outcome, we_send=wanted.reverse)


def their_server(peer: Peer, program: Sequence[str], sockets: Any, case: Case) -> Seen:  # noqa: ANN401 - a module
    """Connect to iperf3's server with our client; judge by its own JSON report."""
    what = f"our client, iperf3 server: {case.name}"
    number = peer.start([*program, "-s", "-1", "-J"])
    try:
        outcome = connected(sockets, case.parameters)
    except (ProtocolError, OSError) as error:
        return Seen(what, str(error), good=False)
    told = report(peer.finish(number, SLACK_S))
    return judge(what, told, outcome, we_send=not case.parameters.reverse)


def connected(sockets: Any, wanted: Parameters) -> Outcome:  # noqa: ANN401 - a module
    """Run our client as soon as their server listens."""
    end = time.monotonic() + SLACK_S
    while True:
        try:
            return run_client(sockets, LINUX, wanted, PORT)
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def report(end: Finished) -> dict[str, Any]:
    """Return iperf3's JSON. PeerError when it printed none."""
    try:
        told: dict[str, Any] = json.loads(end.out)
    except ValueError as error:
        raise PeerError(f"iperf3 printed no report: {end.err.strip() or end.out.strip()}") from error
    return told


def complaint(end: Finished) -> str:
    """Return iperf3's own words for what went wrong."""
    try:
        return str(json.loads(end.out).get("error", ""))
    except ValueError:
        return end.err.strip()


def judge(what: str, told: dict[str, Any], outcome: Outcome, *, we_send: bool) -> Seen:
    """Compare their figures with ours: no error, all streams told of, something came, and no more than went.

    iperf3 cancels its sending threads asynchronously, inside a write at times (``iperf_client_worker_run``),
    so each of its streams may have sent a block that it did not count.
    How much, and what UDP lost, is the machine's and the hour's: it is told and not judged.
    """
    if "error" in told:
        return Seen(what, told["error"], good=False)
    ours = sum(one.bytes for one in outcome.ours)
    theirs = sum(int(one["bytes"]) for one in outcome.theirs)
    streams = len(outcome.theirs) == len(outcome.ours) == outcome.parameters.parallel
    sent, received = (ours, theirs) if we_send else (theirs, ours)
    rate = received * 8 / outcome.seconds / 1e6
    if outcome.parameters.udp:
        lost, packets, jitter = line_of(outcome, we_send=we_send)
        result = f"{rate:.1f} Mbit/s, {lost} of {packets} lost, jitter {jitter * 1000:.3f} ms"
        return Seen(what, result, streams and lost < packets)
    result = f"{rate:.0f} Mbit/s, sent {sent:,}, received {received:,}"
    uncounted = 0 if we_send else outcome.parameters.parallel * outcome.parameters.length
    return Seen(what, result, streams and 0 < received <= sent + uncounted)


def line_of(outcome: Outcome, *, we_send: bool) -> tuple[int, int, float]:
    """Return lost and all datagrams, and the worst jitter in seconds, as the receiver counted."""
    if we_send:
        told = [(int(o["errors"]), int(o["packets"]), float(o["jitter"])) for o in outcome.theirs]
    else:
        told = [(one.errors, one.packets, one.jitter) for one in outcome.ours]
    lost, packets, jitters = zip(*told, strict=True)
    return sum(lost), sum(packets), max(jitters)
