"""``bench record``: what recording costs a guest, what a frame costs the file, and how fast a replay is.

One guest has our card twice, on the native engine, one of them recorded. A round puts every load on both, in
turn; the ratios are of neighbours (``pairing``). Then the recording is replayed on the native
engine, which compares every outcome, and its time is held against the seconds for which the recorded card was
under load: the time between, in which the other card was loaded, does not count.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from device.trace import native_player
from device.trace.records import Kind
from lab.errors import UsageError
from lab.machines import guest_machine
from lab.machines.cards import LOCAL_MAC, CardSpec
from lab.machines.guest.session import GuestSpec
from lab.stepper import recording_file
from lab.trials.bench import loads
from lab.trials.bench.contract import Row, Target
from lab.trials.bench.pairing import Rotation, paired, spread

if TYPE_CHECKING:
    import argparse

    from lab.machines.guest_machine import Lab
    from lab.trials.bench.loads import Lane, Load
    from lab.trials.parts import Progress

NAME: Final = "record"
HELP: Final = "what recording costs, paired, and how fast the recording is replayed"
PLAIN: Final = "plain"
RECORDED: Final = "recorded"
LOADS: Final[dict[str, tuple[str, Load]]] = {
    "TCP guest→host": ("Mbit/s", loads.tcp_to_host),
    "TCP host→guest": ("Mbit/s", loads.tcp_to_guest),
    "pktgen 60 B": ("kpps", loads.pktgen),
}
ROUNDS: Final = 5
SECONDS: Final = 2.0
MEMORY_MIB: Final = 768
COST: Final = Target(0.85)
FASTER: Final = Target(10.0)


@dataclass(slots=True)
class Rounds:
    """What the rounds brought."""

    samples: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    cores: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    """Processor time of the card's process, where a load measures it."""
    loaded_s: float = 0.0
    """How long the recorded card was under load."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help=f"default {ROUNDS}")
    parser.add_argument("--seconds", type=float, default=SECONDS, metavar="S", help="of each load")
    parser.add_argument("--only", metavar="WORD", help="only the loads whose name has this word")
    parser.add_argument("--keep", metavar="FILE", type=Path, help="leave the recording there")
    parser.add_argument("--accel", choices=("auto", "kvm", "tcg"), default="auto")
    parser.add_argument("--offline", action="store_true", help="use only what is in the cache")


def run(args: argparse.Namespace, progress: Progress) -> list[Row]:
    """Boot, load, replay, and return the figures."""
    if args.rounds < 1 or args.seconds <= 0:
        raise UsageError("--rounds and --seconds: give at least one round, and more than no time")
    chosen = {name: load for name, load in LOADS.items() if args.only is None or args.only in name}
    if not chosen:
        raise UsageError(f"--only {args.only}: no such load; there are {', '.join(LOADS)}")
    with tempfile.TemporaryDirectory() as folder:
        path = args.keep or Path(folder) / "bench.rw"
        specs = [
            CardSpec(mac=LOCAL_MAC.format(1)),
            CardSpec(mac=LOCAL_MAC.format(2), options=("--record", str(path))),
        ]
        machine = GuestSpec(cpus=1, memory_mib=MEMORY_MIB, accel=args.accel, offline=args.offline)
        progress("booting a guest with two cards, one of them recorded")
        with guest_machine.booted(specs, machine) as lab:
            rounds = measure(lab, chosen, args.rounds, args.seconds, progress)
        progress("replaying")
        return [*costs(chosen, rounds), *replayed(path, rounds.loaded_s)]


def measure(
    lab: Lab, chosen: dict[str, tuple[str, Load]], count: int, seconds: float, progress: Progress
) -> Rounds:
    """Run the rounds."""
    lab.configure()
    lanes = []
    for name, fitted, interface in zip((PLAIN, RECORDED), lab.fitted, lab.interfaces(), strict=True):
        if fitted.far_end is None:
            raise UsageError("this wire's far end is not ours, nothing can be measured over it")
        lanes.append(loads.Lane(name, lab.guest, interface, fitted.far_end, fitted.pid))
    for lane in lanes:
        loads.start_server(lane)
    found = Rounds()
    order: Rotation[Lane] = Rotation(tuple(lanes))
    for number in range(count):
        for name, (unit, load) in chosen.items():
            said = []
            for lane in order.round(number):
                began = time.monotonic()
                sample = load(lane, seconds)
                found.loaded_s += (time.monotonic() - began) * (lane.name == RECORDED)
                found.samples.setdefault((name, lane.name), []).append(sample.value)
                if sample.cores is not None:
                    found.cores.setdefault((name, lane.name), []).append(sample.cores)
                said.append(f"{lane.name} {sample.value:.0f}")
            progress(f"round {number + 1}/{count}: {name}: {', '.join(said)} {unit}")
    return found


def costs(chosen: dict[str, tuple[str, Load]], rounds: Rounds) -> list[Row]:
    """Return recorded ÷ plain of each load."""
    rows = []
    for name, (unit, _) in chosen.items():
        ours, theirs = rounds.samples[name, RECORDED], rounds.samples[name, PLAIN]
        ratio = paired(ours, theirs)
        if ratio is not None:
            note = f"{spread(ours).median:.0f} against {spread(theirs).median:.0f} {unit}"
            mine, other = rounds.cores.get((name, RECORDED)), rounds.cores.get((name, PLAIN))
            if mine and other:
                note += f"; CPU {spread(mine).median:.2f} against {spread(other).median:.2f} core"
            what = f"{name}, recorded ÷ plain"
            rows.append(Row(NAME, what, ratio.median, "ratio", COST, (ratio.least, ratio.greatest), note))
    return rows


def replayed(path: Path, loaded_s: float) -> list[Row]:
    """Return what the file holds, and how much faster than the guest a checked replay is."""
    began = time.perf_counter()
    recording = recording_file.load(path)
    player = native_player.play(recording)
    took = time.perf_counter() - began
    if player.differences:
        raise UsageError(f"the replay differs: {player.differences[0]}")
    kinds: Counter[int] = Counter()
    payload = 0
    for _, record in recording.records():
        kinds[record.kind] += 1
        payload += len(record.data) * (record.kind == Kind.RECEIVE)
    frames = kinds[Kind.FRAME_SUM] + kinds[Kind.RECEIVE]
    size = path.stat().st_size
    about = f"{size / 1e6:.0f} MB, {frames} frames (one of TSO counts once)"
    return [
        Row(
            NAME,
            "replay, native, checked: faster than the guest",
            loaded_s / took,
            "×",
            FASTER,
            None,
            f"{took:.1f} s for {loaded_s:.0f} s of load, {player.turn} inputs",
        ),
        Row(
            NAME,
            "file beyond the frames received",
            (size - payload) / max(frames, 1),
            "B a frame",
            None,
            None,
            about,
        ),
    ]
