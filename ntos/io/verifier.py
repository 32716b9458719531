"""Rules for requests, checked as they pass: the I/O half of a checked build.

I01 completed twice. I02 completed with status PENDING. I03 completed while a cancel routine is set.
I04 marked pending, but PENDING not returned. I05 PENDING returned, but not marked. I06 forwarded after
completion. I07 a status other than PENDING returned for a request that was not completed.
I08 a file closed while requests of it were outstanding. I09 never completed (``finish``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ntos.io.irp import Irp


@dataclass(frozen=True, slots=True)
class IrpReport:
    """A broken rule."""

    rule: str
    what: str

    def __str__(self) -> str:
        """Return it on one line."""
        return f"{self.rule}: {self.what}"


class IrpVerifier:
    """Keeps what was issued and what was completed. ``reports`` grows; nothing is stopped."""

    def __init__(self) -> None:
        """Start with no request seen."""
        self.reports: list[IrpReport] = []
        self.completions = 0
        self.alive: dict[int, str] = {}

    def report(self, rule: str, irp: Irp, what: str) -> None:
        """Write a broken rule down."""
        self.reports.append(IrpReport(rule, f"IRP {irp.number} {describe(irp)}: {what}"))

    def began(self, irp: Irp) -> None:
        """See a request issued."""
        self.alive[irp.number] = describe(irp)

    def ended(self, irp: Irp) -> None:
        """See a request's last completion routine over."""
        self.completions += 1
        self.alive.pop(irp.number, None)

    def finish(self) -> list[IrpReport]:
        """Return all reports, with what was never completed (I09)."""
        never = [IrpReport("I09", f"IRP {n} {what} was never completed") for n, what in self.alive.items()]
        return self.reports + never


def describe(irp: Irp) -> str:
    """Name what a request asks of whom."""
    location = irp.locations[-1]
    minor = f"/{getattr(location.minor, 'name', location.minor)}" if location.minor is not None else ""
    device = location.device.name if location.device else "?"
    return f"{location.major.name}{minor} to {device}"
