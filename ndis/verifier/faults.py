"""Rule V14: a driver whose every resource call fails in turn loads cleanly afterwards.

Source: NDISTest's 1c_FaultHandling, whose fault numbers are those of ``ndis.hardware.Fault``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ndis.errors import NdisError
from ndis.hardware import Fault
from ndis.verifier.rule import Report
from ntos.errors import BugCheckError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ndis.adapter import MiniportAdapter

NUMBER = "V14"
TITLE = "fault injection: Initialize must fail cleanly, then load"


def inject_all(
    load: Callable[[Fault], MiniportAdapter],
    unload: Callable[[MiniportAdapter], None],
    faults: Iterable[Fault] = (*Fault, Fault.NONE),
) -> list[Report]:
    """Load with each fault, then without; return what went wrong.

    ``load`` adds an adapter with a fault injected (``Ndis.add_adapter``), ``unload`` removes it. A
    driver that does not use a resource loads in spite of its fault: that is allowed.
    """
    reports = []
    for fault in faults:
        what = _try(fault, load, unload)
        if what is not None:
            name = fault.name or "no fault"
            reports.append(Report(NUMBER, TITLE, name, what, 0, 0))
    return reports


def _try(
    fault: Fault,
    load: Callable[[Fault], MiniportAdapter],
    unload: Callable[[MiniportAdapter], None],
) -> str | None:
    try:
        unload(load(fault))
    except NdisError as error:
        return None if fault else f"does not load any more: {error}"
    except BugCheckError as error:
        return str(error)
    return None
