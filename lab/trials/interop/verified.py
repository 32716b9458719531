"""``--verify``: the verifiers of NDIS and of the I/O system watch the stack, and what they report is bad."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lab.host.station import Station
from lab.trials.interop.contract import Seen

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

MOST_SHOWN = 5


def add_verify(parser: argparse.ArgumentParser) -> None:
    """Declare ``--verify``."""
    parser.add_argument(
        "--verify",
        action="store_true",
        help="have NDIS's and the I/O system's verifiers watch; a report is bad (slower)",
    )


@contextmanager
def watched(wire: str, seen: list[Seen], *, verify: bool, **options: Any) -> Iterator[Station]:  # noqa: ANN401 - Station's
    """Give a station; add to ``seen`` what the verifiers say when it is closed. UsageError as ``Station``."""
    station = Station(wire, verify=verify, **options)
    try:
        yield station
    finally:
        station.close()
    if verify:
        seen.append(verdict(station))


def verdict(station: Station) -> Seen:
    """Tell what both verifiers have seen and reported; nothing seen is no proof."""
    irp_verifier = station.host.upper.verifier
    reports, irps = station.reports, irp_verifier.completions
    events = station.verifier.events if station.verifier is not None else 0
    result = (
        f"{events:,} NDIS events and {irps:,} IRPs seen to complete, {len(reports) or 'nothing'} reported"
    )
    return Seen("verifiers", result, bool(events and irps) and not reports, "; ".join(reports[:MOST_SHOWN]))
