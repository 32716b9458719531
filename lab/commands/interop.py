"""``ringwalk interop``: foreign programs and stacks against ours. Its parts: modules of ``lab.interop``."""

from __future__ import annotations

import json
import signal
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from lab.guest.session import GuestError
from lab.interop.contract import text
from lab.interop.parts import parts
from lab.peer import PeerError
from lab.qemu.process import QemuError

if TYPE_CHECKING:
    import argparse
    from types import FrameType

NAME = "interop"
HELP = "have foreign programs and stacks talk to ours over an emulated card: Wine, curl, iperf3, Linux"
EXAMPLES = (
    "  ringwalk interop wine        Winsock programs in C under Wine: echoes, and every error code compared\n"
    "  ringwalk interop curl        100 MB from a web server on our stack, and back\n"
    "  ringwalk interop iperf3      the real iperf3 as client and as server\n"
    "  ringwalk interop impaired    transfers over bad cables, the same way bad each time\n"
    "  ringwalk interop prompt      keystrokes echoed while a bulk transfer runs\n"
    "  ringwalk interop scripts     51 packet scripts, played to Linux and to us"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare each part's arguments, and those of all."""
    sub = parser.add_subparsers(dest="interop_part", metavar="PART", required=True)
    for part in parts():
        one = sub.add_parser(
            part.NAME, help=part.HELP, description=part.HELP[0].upper() + part.HELP[1:] + "."
        )
        part.add_arguments(one)
        one.add_argument("--json", action="store_true", help="print what was seen as data")
        one.set_defaults(interop_run=part.run)


def run(args: argparse.Namespace) -> int:
    """Do the part and tell what was seen; 1 when something is not as it must be."""
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    began = time.monotonic()

    def progress(words: str) -> None:
        print(f"[{time.monotonic() - began:6.1f} s] {words}", file=sys.stderr, flush=True)

    try:
        seen = args.interop_run(args, progress)
    except (GuestError, PeerError, QemuError) as error:
        print(f"ringwalk: {error}", file=sys.stderr)
        return 1
    bad = sum(not one.good for one in seen)
    if args.json:
        print(json.dumps({"passed": not bad, "seen": [asdict(one) for one in seen]}, ensure_ascii=False))
    else:
        print(text(seen))
        print(f"{len(seen)} seen, {bad} bad" if bad else f"{len(seen)} seen, all as they must be")
    return 1 if bad else 0


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """End as by Ctrl-C: every ``with`` on the way cleans up."""
    raise KeyboardInterrupt
