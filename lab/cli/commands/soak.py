"""``ringwalk soak``: a long mixed load on a live card; memory, descriptors and rates have to stay flat."""

from __future__ import annotations

import json
import shutil
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from device.vfio_user import TransportError
from lab.machines import scratch
from lab.machines.card_process import start_card
from lab.machines.peer import PeerError
from lab.trials.soak import measure
from lab.trials.soak.load import Load

if TYPE_CHECKING:
    import argparse

    from lab.machines.card_process import CardProcess

SAMPLES = 60
LEAST_INTERVAL_S = 0.5


def run(args: argparse.Namespace) -> int:
    """Load and sample; 1 when something failed or is not flat."""
    folder = scratch.make()
    card = start_card(folder / "card", "loopback", engine=args.engine)
    samples: list[measure.Sample] = []
    failure = None
    if not args.json:
        print(
            measure.table_row(measure.HEADINGS) if sys.stdout.isatty() else "\t".join(measure.COLUMNS),
            flush=True,
        )
    try:
        soak(card, args.minutes * 60, args.seed, samples, quiet=args.json)
    except (OSError, TransportError, PeerError, AssertionError) as error:  # TimeoutError is an OSError
        failure = f"{error!r}; the card's process {'lives' if card.running else 'is dead'}"
    finally:
        card.close()
        shutil.rmtree(folder, ignore_errors=True)
    found = ([failure] if failure else []) + measure.verdict(samples)
    if args.json:
        print(json.dumps({"flat": not found, "found": found, "samples": [asdict(one) for one in samples]}))
    else:
        print(
            "# " + ("not flat: " + "; ".join(found) if found else "flat: memory, descriptors, threads, rate")
        )
    return int(bool(found))


def soak(
    card: CardProcess, seconds: float, seed: int, samples: list[measure.Sample], *, quiet: bool = False
) -> None:
    """Run the load for ``seconds`` and append about ``SAMPLES`` samples. Raises what the load raises."""
    load = Load(card.ready.socket, seed)
    began = last = time.monotonic()
    interval = max(LEAST_INTERVAL_S, seconds / SAMPLES)
    frames = 0
    try:
        while (now := time.monotonic()) - began < seconds:
            load.step()
            if now - last < interval:
                continue
            tally, process = load.tally, measure.sample(card.ready.pid, card.descriptors())
            one = measure.Sample(
                seconds=now - began,
                resident_kib=process.resident_kib,
                fds=process.fds,
                threads=process.threads,
                cpu_seconds=process.cpu_seconds,
                frames=tally.frames,
                frames_per_second=(tally.frames - frames) / (now - last),
                interrupts=tally.interrupts,
                resets=tally.resets,
                map_changes=tally.map_changes,
                connections=tally.connections,
            )
            samples.append(one)
            frames, last = tally.frames, now
            if not quiet:
                print(
                    measure.table_row(measure.cells(one)) if sys.stdout.isatty() else measure.row(one),
                    flush=True,
                )
    finally:
        load.close()
