"""``bench tcp``: the whole path, from a socket call of ours through every layer to the cable, and back.

Winsock, AFD, TDI, TCP/IP, NDIS, the miniport, a card behind a vfio-user socket, a wire. At its other end:
Linux in a namespace, or another stack of ours behind another card on a switch. Rounds of all lanes are
interleaved; a figure is the median of its rounds.
"""

from __future__ import annotations

import contextlib
import cProfile
import io
import os
import pstats
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lab.errors import UsageError
from lab.host.station import Station
from lab.host.vfio_user_card import Driver
from lab.machines.peer import PeerError
from lab.trials.bench import calls, hops, tcp_loads
from lab.trials.bench.contract import Row, Target
from lab.trials.bench.pairing import Rotation, paired, spread
from lab.trials.bench.tcp_loads import ADDRESS, Lane
from lab.trials.tcpip import speed
from lab.trials.tcpip.tap import TAP_OFFLOAD

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from lab.trials.bench.tcp_loads import Load
    from lab.trials.parts import Progress

NAME: Final = "tcp"
HELP: Final = "TCP through our whole stack and card: to Linux, and to another stack of ours"
ROUNDS: Final = 2
SECONDS: Final = 0.3
QUICK_SECONDS: Final = 0.5
PROFILE_LINES: Final = 16
ALONE_BYTES: Final = 200 << 20


@dataclass(frozen=True, slots=True)
class Offloads:
    """What of the card's offloads the stack uses."""

    name: str
    checksums: bool = True
    segments: bool = True
    """Large sends down, coalescing up."""


ALL: Final = Offloads("LSO, RSC, checksums")
CHECKSUMS: Final = Offloads("checksums", segments=False)
NONE: Final = Offloads("no offload", checksums=False, segments=False)


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to put a stack together, and where its traffic goes."""

    far: str
    driver: Driver
    offloads: Offloads

    @property
    def name(self) -> str:
        """What the table calls it."""
        return f"{self.far}, {self.driver.name.lower()}, {self.offloads.name}"

    @property
    def is_best(self) -> bool:
        """Whether the targets are of this one."""
        return self.far == LINUX and self.offloads is ALL


LINUX: Final = "Linux"
OURS: Final = "our stack"
KINDS: Final = (
    *(Kind(LINUX, driver, how) for driver in (Driver.SERIALIZED, Driver.DESERIALIZED) for how in (ALL, NONE)),
    Kind(LINUX, Driver.SERIALIZED, CHECKSUMS),
    Kind(OURS, Driver.SERIALIZED, ALL),
    Kind(OURS, Driver.SERIALIZED, NONE),
    Kind(OURS, Driver.DESERIALIZED, ALL),
)


@dataclass(frozen=True, slots=True)
class Metric:
    """A load, its figures by the load's own names, and what they are to reach at best."""

    name: str
    load: Load
    figures: tuple[tuple[str, Target | None], ...]


METRICS: Final = (
    Metric("transmit", tcp_loads.transmit, (("Mbit/s", Target(1000)),)),
    Metric("receive", tcp_loads.receive, (("Mbit/s", Target(500)),)),
    Metric(
        "request and response", tcp_loads.round_trips, (("p50", Target(300, ceiling=True)), ("p99", None))
    ),
    Metric("interactive beside bulk", tcp_loads.interactive, (("p50", None), ("p99", None))),
)

PAIRS: Final = tuple(
    (metric, kind)
    for kind in KINDS
    for metric in METRICS
    # Somebody's typing says nothing where two stacks, two cards and a switch share the processors already.
    if not (kind.far == OURS and metric.load is tcp_loads.interactive)
)
Samples = dict[tuple[Metric, Kind], list[dict[str, float]]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help=f"rounds (default {ROUNDS})")
    parser.add_argument("--seconds", type=float, default=SECONDS, metavar="S", help="of each load")
    parser.add_argument("--quick", action="store_true", help=f"one round of {QUICK_SECONDS:g} s: a glance")
    parser.add_argument("--only", metavar="WORD", help="only the rows whose name has this word")
    parser.add_argument("--engine", choices=("native", "reference"), default="native")
    parser.add_argument("--profile", action="store_true", help="show where the time of one round goes")
    parser.add_argument(
        "--hops", action="store_true", help="show each hop of a question to Linux's own and its answer"
    )
    parser.add_argument(
        "--calls", action="store_true", help="count the Python calls of a question and its answer, by folder"
    )


def run(args: argparse.Namespace, progress: Progress) -> list[Row]:
    """Start the stacks, load them in turn, and return the figures."""
    rounds, seconds = (1, QUICK_SECONDS) if args.quick else (args.rounds, args.seconds)
    if rounds < 1 or seconds <= 0:
        raise UsageError("--rounds and --seconds: give at least one round, and more than no time")
    word = (args.only or "").lower()
    wanted = [pair for pair in PAIRS if word in " ".join(one.name for one in pair).lower()]
    if not wanted and word not in ALONE:
        raise UsageError(f"--only {args.only}: no such row")
    if args.hops or args.calls:
        far = _to_linux(wanted)
        return [
            *(hop_rows(far, args.engine) if args.hops else ()),
            *(call_rows(far, args.engine) if args.calls else ()),
        ]
    samples: Samples = {pair: [] for pair in wanted}
    with contextlib.ExitStack() as held:
        kinds = tuple(dict.fromkeys(kind for _, kind in wanted))
        lanes = {kind: held.enter_context(lane(kind, args.engine)) for kind in kinds}
        if args.profile:
            profile(wanted, lanes, seconds, progress)
        for number in range(rounds):
            for metric in METRICS:
                for kind in Rotation(kinds).round(number) if kinds else ():
                    if (metric, kind) in samples:
                        found = load(metric, kind, lanes[kind], seconds)
                        samples[metric, kind].append(found)
                        told = ", ".join(f"{name} {value:.0f}" for name, value in found.items())
                        progress(f"round {number + 1}/{rounds}: {metric.name}, {kind.name}: {told}")
    rows = [row for metric, kind in wanted for row in _rows(metric, kind, samples)]
    rows += _modes(samples)
    return rows + (alone(progress) if not args.quick and word in ALONE else [])


def load(metric: Metric, kind: Kind, through: Lane, seconds: float) -> dict[str, float]:
    """Do one load once. UsageError that names it when the traffic stalls, or a connection is lost."""
    try:
        return metric.load(through, seconds)
    except (OSError, PeerError) as error:
        raise UsageError(f"{metric.name}, {kind.name}: {error}") from error


@contextlib.contextmanager
def lane(kind: Kind, engine: str) -> Iterator[Lane]:
    """Start a stack with its card, and find somebody for its far end. UsageError."""
    wire = "netns" if kind.far == LINUX else f"switch:bench{os.getpid()}-{KINDS.index(kind)}"
    station = Station(
        wire,
        engine=engine,
        driver=kind.driver,
        large_sends=kind.offloads.segments,
        checksums=kind.offloads.checksums,
        coalescing=kind.offloads.segments,
    )
    local = None
    try:
        station.configure(f"{ADDRESS}/24")
        if kind.far == LINUX:
            if station.process.peer is None:
                raise UsageError("this wire has nobody at its far end")
            yield Lane(station, station.process.peer)
        else:
            local = tcp_loads.local_peer()
            yield Lane(station, local, wire)
    finally:
        if local is not None:
            local.close()
        station.close()


def hop_rows(kinds: list[Kind], engine: str) -> Iterator[Row]:
    """Return the hops of a question and its answer, of each stack."""
    for kind in kinds:
        trace = hops.Trace()
        with hops.wrapped(trace), lane(kind, engine) as through:
            for name, took_us in hops.look(through, trace):
                yield Row(NAME, f"{kind.name}: {name}", took_us, "µs")


def call_rows(kinds: list[Kind], engine: str) -> Iterator[Row]:
    """Return how many Python functions a question and its answer enter, of each stack."""
    for kind in kinds:
        with lane(kind, engine) as through:
            for name, count in calls.look(through):
                yield Row(NAME, f"{kind.name}: {name}", count, "calls")


def profile(
    wanted: list[tuple[Metric, Kind]], lanes: dict[Kind, Lane], seconds: float, progress: Progress
) -> None:
    """Show where the calling thread's time goes: it runs the whole stack while it sends or waits."""
    for metric, kind in wanted:
        if metric.load is tcp_loads.interactive:
            continue
        profiler = cProfile.Profile()
        profiler.runcall(metric.load, lanes[kind], seconds)
        text = io.StringIO()
        pstats.Stats(profiler, stream=text).sort_stats("tottime").print_stats(PROFILE_LINES)
        progress(f"profile of {metric.name}, {kind.name}:\n{text.getvalue().rstrip()}")


def _to_linux(wanted: list[tuple[Metric, Kind]]) -> list[Kind]:
    """Return the stacks whose questions and answers to Linux are wanted. UsageError when none is."""
    kinds = [kind for metric, kind in wanted if metric.load is tcp_loads.round_trips and kind.far == LINUX]
    if not kinds:
        raise UsageError(
            "--hops, --calls: look at request and response to and from Linux; --only leaves none"
        )
    return kinds


def _rows(metric: Metric, kind: Kind, samples: Samples) -> list[Row]:
    found = []
    for name, target in metric.figures:
        of = spread([sample[name] for sample in samples[metric, kind]])
        percentile = name if name.startswith("p") else ""
        what = " ".join(filter(None, (f"{kind.name}: {metric.name}", percentile)))
        aim = target if kind.is_best else None
        found.append(Row(NAME, what, of.median, "µs" if percentile else name, aim, (of.least, of.greatest)))
    return found


def _modes(samples: Samples) -> list[Row]:
    """Return deserialized ÷ serialized, round by round."""
    found = []
    for metric in METRICS[:2]:
        one, other = (
            samples.get((metric, Kind(LINUX, driver, ALL)), [])
            for driver in (Driver.DESERIALIZED, Driver.SERIALIZED)
        )
        if one and len(one) == len(other):
            ratio = paired([s["Mbit/s"] for s in one], [s["Mbit/s"] for s in other])
            if ratio is not None:
                what = f"deserialized ÷ serialized: {metric.name}"
                found.append(Row(NAME, what, ratio.median, "ratio", None, (ratio.least, ratio.greatest)))
    return found


ALONE: Final = "tcp/ip alone on a tap"


def alone(progress: Progress) -> list[Row]:
    """Return what TCP/IP does by itself, on a TAP, with no card, NDIS or Winsock: the bound from above."""
    progress("TCP/IP alone, on a TAP")
    return [
        Row(NAME, f"TCP/IP alone on a {one.what}", one.mbit, "Mbit/s", note="no card, NDIS or Winsock")
        for one in speed.through_tap("offload", ALONE_BYTES, TAP_OFFLOAD)
    ]
