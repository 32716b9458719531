"""The options by which ``ringwalk conform`` asks for the suites of the NDIS side. It loads none of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.host.modes import MODES

if TYPE_CHECKING:
    import argparse

SUITES = ("card", "ndis", "schedules")
SCHEDULES = 10_000
MINIPORTS = ("sample", "82574l")
BUS_NAMES = ("inprocess", "qtest", "vfio_user")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the two suites."""
    group = parser.add_argument_group("the suites of the NDIS side")
    group.add_argument(
        "--suite",
        choices=SUITES,
        default="card",
        help="card: a model of the 82574L; ndis: a miniport; schedules: NDIS under seeded interleavings",
    )
    group.add_argument("--miniport", choices=MINIPORTS, default="sample", help="for --suite ndis (sample)")
    group.add_argument(
        "--bus", action="append", choices=BUS_NAMES, default=[], help="for the 82574l: repeatable (inprocess)"
    )
    group.add_argument("--mode", action="append", choices=MODES, default=[], help="repeatable (all)")
    group.add_argument(
        "--count",
        type=int,
        default=SCHEDULES,
        metavar="N",
        help=f"schedules of each mode ({SCHEDULES}); they run at this process's priority: see nice(1)",
    )
    group.add_argument("--seed", type=int, default=0, metavar="S", help="the first schedule's seed (0)")
    group.add_argument("--jobs", type=int, metavar="N", help="processes for schedules (one a core)")
