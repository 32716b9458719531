"""``ringwalk bench``: how fast the parts are on this machine, now. They are modules of ``lab.bench``."""

from __future__ import annotations

import json
import signal
import sys
import time
from typing import TYPE_CHECKING

from lab.bench import report
from lab.bench.parts import parts
from lab.guest.session import GuestError
from lab.peer import PeerError
from lab.qemu.process import QemuError

if TYPE_CHECKING:
    import argparse
    from types import FrameType

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
    sub = parser.add_subparsers(dest="bench_part", metavar="PART", required=True)
    for part in parts():
        one = sub.add_parser(
            part.NAME, help=part.HELP, description=part.HELP[0].upper() + part.HELP[1:] + "."
        )
        part.add_arguments(one)
        one.add_argument("--json", action="store_true", help="print the rows as data")
        one.set_defaults(bench_run=part.run)


def run(args: argparse.Namespace) -> int:
    """Measure and print; 0 also when a target is missed: a noisy machine is no failure."""
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    began = time.monotonic()

    def progress(words: str) -> None:
        print(f"[{time.monotonic() - began:6.1f} s] {words}", file=sys.stderr, flush=True)

    try:
        rows = args.bench_run(args, progress)
    except (GuestError, PeerError, QemuError) as error:
        print(f"ringwalk: {error}", file=sys.stderr)
        return 1
    print(json.dumps(report.data(rows), ensure_ascii=False) if args.json else report.markdown(rows))
    return 0


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """End as by Ctrl-C: every ``with`` on the way cleans up."""
    raise KeyboardInterrupt
