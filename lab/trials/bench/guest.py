"""``bench guest``: our card against QEMU's e1000e and virtio-net, in one guest, in turn.

One boot has all three cards, each with a TAP in a network namespace of its own. A round puts every load on
every card, the cards right after one another and in an order that rotates; the ratios are of neighbours
(``pairing``). So kernel, boot, page cache and the machine's mood are the same for all three; a card
that is not loaded costs the guest nothing but its driver's watchdog every two seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lab.errors import UsageError
from lab.machines import guest_machine
from lab.machines.cards import LOCAL_MAC, CardSpec
from lab.machines.guest.session import GuestSpec
from lab.trials.bench import loads
from lab.trials.bench.contract import Row, Target
from lab.trials.bench.pairing import Rotation, Spread, paired, spread

if TYPE_CHECKING:
    import argparse

    from lab.trials.bench.loads import Lane, Load, Sample
    from lab.trials.parts import Progress

NAME: Final = "guest"
HELP: Final = "our card against QEMU's e1000e and virtio-net, in interleaved rounds"
OURS: Final = "82574l"
RIVALS: Final = {"e1000e": "qemu-e1000e", "virtio-net": "virtio-net"}
ROUNDS: Final = 5
SECONDS: Final = 2.0
QUICK_ROUNDS: Final = 2
QUICK_SECONDS: Final = 1.0
MEMORY_MIB: Final = 768
CPU_TARGET: Final = Target(0.25, ceiling=True)


@dataclass(frozen=True, slots=True)
class Metric:
    """A load, the unit of its figure, and what the ratio to each rival is to reach."""

    name: str
    unit: str
    load: Load
    targets: dict[str, Target]
    cpu: bool = False
    """Whether the card's processor time is a figure too."""


METRICS: Final = (
    Metric("ping RTT", "µs", loads.ping, {"e1000e": Target(1.0, ceiling=True)}),
    Metric(
        "TCP guest→host",
        "Mbit/s",
        loads.tcp_to_host,
        {"e1000e": Target(1.25), "virtio-net": Target(1.0)},
        cpu=True,
    ),
    Metric(
        "TCP host→guest",
        "Mbit/s",
        loads.tcp_to_guest,
        {"e1000e": Target(1.25), "virtio-net": Target(0.7)},
        cpu=True,
    ),
    Metric("UDP 60 B guest→host", "kpps", loads.udp_to_host, {"e1000e": Target(1.0)}),
    Metric("pktgen 60 B", "kpps", loads.pktgen, {"e1000e": Target(1.25)}),
    Metric("flood 60 B host→guest", "kpps", loads.flood_to_guest, {"e1000e": Target(1.2)}),
)

Samples = dict[tuple[str, str], list["Sample"]]
"""By metric and card, one a round."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--rounds", type=int, metavar="N", help=f"rounds (default {ROUNDS})")
    parser.add_argument("--seconds", type=float, metavar="S", help=f"of each load (default {SECONDS:g})")
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"{QUICK_ROUNDS} rounds of {QUICK_SECONDS:g} s: a glance, no proof",
    )
    parser.add_argument("--only", metavar="WORD", help="only the loads whose name has this word")
    parser.add_argument("--engine", choices=("native", "reference"), default="native")
    parser.add_argument("--accel", choices=("auto", "kvm", "tcg"), default="auto")
    parser.add_argument("--offline", action="store_true", help="use only what is in the cache")


def run(args: argparse.Namespace, progress: Progress) -> list[Row]:
    """Boot, load, and return the figures."""
    rounds = args.rounds or (QUICK_ROUNDS if args.quick else ROUNDS)
    seconds = args.seconds or (QUICK_SECONDS if args.quick else SECONDS)
    metrics = [m for m in METRICS if args.only is None or args.only.lower() in m.name.lower()]
    if rounds < 1 or seconds <= 0:
        raise UsageError("--rounds and --seconds: give at least one round, and more than no time")
    if not metrics:
        raise UsageError(f"--only {args.only}: no such load; there are {', '.join(m.name for m in METRICS)}")
    kinds = {OURS: OURS, **RIVALS}
    specs = [
        CardSpec(kind, "netns", LOCAL_MAC.format(n + 1), args.engine) for n, kind in enumerate(kinds.values())
    ]
    machine = GuestSpec(cpus=1, memory_mib=MEMORY_MIB, accel=args.accel, offline=args.offline)
    progress("booting a guest with three cards")
    with guest_machine.booted(specs, machine) as lab:
        lab.configure()
        lanes = []
        for name, fitted, interface in zip(kinds, lab.fitted, lab.interfaces(), strict=True):
            if fitted.far_end is None:
                raise UsageError(f"{name}: this wire's far end is not ours, nothing can be measured over it")
            lanes.append(loads.Lane(name, lab.guest, interface, fitted.far_end, fitted.pid))
        for lane in lanes:
            loads.start_server(lane)
        samples = measure(tuple(lanes), metrics, rounds, seconds, progress)
        about = (
            f"{lab.guest.choice.accelerator}, 1 vCPU, {args.engine} engine, {rounds} rounds of {seconds:g} s"
        )
    progress(about)
    return [row for metric in metrics for row in rows(metric, samples)]


def measure(
    lanes: tuple[Lane, ...], metrics: list[Metric], rounds: int, seconds: float, progress: Progress
) -> Samples:
    """Run the rounds."""
    samples: Samples = {(metric.name, lane.name): [] for metric in metrics for lane in lanes}
    order = Rotation(lanes)
    for number in range(rounds):
        for metric in metrics:
            for lane in order.round(number):
                samples[metric.name, lane.name].append(metric.load(lane, seconds))
            latest = ", ".join(
                f"{lane.name} {samples[metric.name, lane.name][-1].value:.0f}" for lane in lanes
            )
            progress(f"round {number + 1}/{rounds}: {metric.name}: {latest} {metric.unit}")
    return samples


def rows(metric: Metric, samples: Samples) -> list[Row]:
    """Return a metric's figures: ours, and ours ÷ each rival's."""
    ours = samples[metric.name, OURS]
    values = [sample.value for sample in ours]
    absolute = spread(values)
    found = [_row(metric.name, absolute, metric.unit)]
    for rival in RIVALS:
        theirs = [sample.value for sample in samples[metric.name, rival]]
        ratio = paired(values, theirs)
        if ratio is not None:
            note = f"{absolute.median:.0f} against {spread(theirs).median:.0f} {metric.unit}"
            found.append(_row(f"{metric.name} ÷ {rival}", ratio, "ratio", metric.targets.get(rival), note))
    cores = [sample.cores for sample in ours if sample.cores is not None]
    if metric.cpu and cores:
        found.append(_row(f"CPU of the card, {metric.name}", spread(cores), "core", CPU_TARGET))
    return found


def _row(what: str, of: Spread, unit: str, target: Target | None = None, note: str = "") -> Row:
    return Row(NAME, what, of.median, unit, target, (of.least, of.greatest), note)
