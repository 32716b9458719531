"""What ``ringwalk fuzz`` takes. The work, and all that it loads, is ``lab.cli.commands.fuzz``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lab.cli.arguments import count
from lab.machines.kinds import ENGINES
from lab.trials.fuzz import corpus

if TYPE_CHECKING:
    import argparse

NAME = "fuzz"
HELP = "send malformed messages and hostile ring programs; nothing may crash, hang, leak or differ"
EXAMPLES = (
    "  ringwalk fuzz                                    a minute\n"
    "  ringwalk fuzz --minutes 60                       a long run\n"
    "  ringwalk fuzz --messages 1000000 --programs 0    malformed vfio-user messages only\n"
    "  ringwalk fuzz --programs 1 --seed 363            one program again\n"
    "  ringwalk fuzz --kills 1000 --messages 0 --programs 0\n"
    "  ringwalk fuzz --libfuzzer --minutes 10           the C core, by clang's coverage; fetched if need be\n"
    "  ringwalk fuzz --coverage                         what of the C core those targets reach\n"
    "  ringwalk fuzz --table                            what broke other models, and what our tests say of it"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--minutes", type=float, metavar="N", help="how long in all (default 1, or no limit with counts)"
    )
    parser.add_argument(
        "--messages", type=count, metavar="N", help="malformed messages for each engine's server"
    )
    parser.add_argument("--programs", type=count, metavar="N", help="hostile ring programs for both engines")
    parser.add_argument(
        "--kills", type=count, metavar="N", help="clients killed in the middle of traffic, each engine"
    )
    parser.add_argument("--seed", type=count, default=1, metavar="S", help="the first seed (default 1)")
    parser.add_argument(
        "--engine", choices=(*ENGINES, "both"), default="both", help="whose server is attacked"
    )
    parser.add_argument(
        "--table", action="store_true", help="instead: run the fault table's tests and print it, in Markdown"
    )
    parser.add_argument(
        "--libfuzzer",
        action="store_true",
        help="instead: the C core's libFuzzer targets under ASan and UBSan; keeps what reaches new code",
    )
    parser.add_argument(
        "--coverage",
        action="store_true",
        help="instead: what of the C core those targets reach; prints docs/reference/fuzz-coverage.md",
    )
    parser.add_argument(
        "--corpus",
        type=Path,
        default=corpus.FOLDER,
        metavar="FOLDER",
        help="where --libfuzzer keeps inputs (default: the checkout's tests/fuzz/corpus)",
    )
    parser.add_argument("--json", action="store_true", help="print the results as data")
