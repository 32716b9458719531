"""``ringwalk bench``: how fast the parts are on this machine, now. Its parts: ``lab.trials.bench``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import lab.trials.bench
from lab.cli.terminal import page
from lab.trials.bench import report
from lab.trials.parts import add_parts, run_part

if TYPE_CHECKING:
    import argparse

NAME = "bench"
HELP = "measure how fast the card is, against memcpy and against QEMU's cards"
EXAMPLES = (
    "  ringwalk bench engine                 descriptors a second on host memory\n"
    "  ringwalk bench doorbell               from the doorbell to the write-back\n"
    "  ringwalk bench guest --rounds 10      against QEMU's e1000e and virtio-net, in turn\n"
    "  ringwalk bench guest --quick --json"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare each part's arguments, and those of all."""
    add_parts(parser, lab.trials.bench, "print the rows as data")


def run(args: argparse.Namespace) -> int:
    """Measure and print; 0 also when a target is missed: a noisy machine is no failure."""
    rows = run_part(args)
    if rows is None:
        return 1
    print(json.dumps(report.data(rows), ensure_ascii=False) if args.json else page(report.markdown(rows)))
    return 0
