"""``bench tcp --hops``: where the time of one question and its answer goes, from the peer and back to it.

The functions at the seams are wrapped while it looks, each notes when it was entered; the wire's instants are
those that the peer's kernel has stamped the frames with. A hop of a trip is from one seam to the next; what
is told is the median of many trips. Looking costs some microseconds a trip.
"""

from __future__ import annotations

import bisect
import itertools
import statistics
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from device.vfio_user import Client
from miniport import registers as r
from miniport.adapter import Adapter
from ndis.interrupts import Interrupt
from protocols.apis.afd.receiving import ReceivingEndpoint
from protocols.transports.tcpip.ndis_edge.link import NdisLink
from protocols.transports.tcpip.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lab.trials.bench.tcp_loads import Lane

TRIPS: Final = 1000
WARM_UP: Final = 100
"""Trips at the beginning that are not told of."""
TDT: Final = r.offset("TDT0")


@dataclass(frozen=True, slots=True, eq=False)
class Seam:
    """A place that each trip passes: the function whose entry is noted, None where another notes it."""

    name: str
    owner: type | None = None
    function: str = ""
    chosen: Callable[..., bool] | None = None
    """Of the function's arguments: whether this call is of interest."""


ASKED, QUESTION, HEARD = Seam("the peer sends"), Seam("the question is on the wire"), Seam("the peer has it")
RETURNED, ANSWER = Seam("the program's recv returns"), Seam("the answer is on the wire")
SEAMS: Final = (
    ASKED,
    QUESTION,
    Seam("the interrupt has woken the host", Interrupt, "service"),
    Seam("the miniport's DPC begins", Adapter, "handle_interrupt"),
    Seam("TCP/IP has the frame", Stack, "receive"),
    Seam("AFD has the data", ReceivingEndpoint, "data_arrived"),
    RETURNED,
    Seam("NDIS has the answer", NdisLink, "send"),
    Seam("TDT is written", Client, "post_write32", lambda _client, _bar, offset, _value: offset == TDT),
    ANSWER,
    HEARD,
)


class Trace:
    """What was noted: instants of ``time.perf_counter_ns`` by seam, in the order of time."""

    def __init__(self) -> None:
        self.at: dict[Seam, list[int]] = {seam: [] for seam in SEAMS}


@contextmanager
def wrapped(trace: Trace) -> Iterator[None]:
    """Have the seams' functions note their calls. Drivers that are made inside keep them."""
    before = [(seam, getattr(seam.owner, seam.function)) for seam in SEAMS if seam.owner is not None]
    try:
        for seam, function in before:
            setattr(seam.owner, seam.function, _noting(trace, seam, function))
        yield
    finally:
        for seam, function in before:
            setattr(seam.owner, seam.function, function)


def look(lane: Lane, trace: Trace) -> list[tuple[str, float]]:
    """Echo ``TRIPS`` single bytes; return each hop's name and its median in µs, and the whole trip last."""
    listener, port = lane.listen()
    number = lane.call("watch", port, TRIPS)
    connection = lane.accept(listener)
    connection.setsockopt(6, 1, 1)
    returned = trace.at[RETURNED]
    while data := connection.recv(1):
        returned.append(time.perf_counter_ns())
        connection.send(data)
    connection.close()
    listener.close()
    found: dict[str, Any] = lane.answer(number)
    trace.at[ASKED], trace.at[HEARD] = found["asked"], found["heard"]
    trace.at[QUESTION], trace.at[ANSWER] = found["questions"], found["answers"]
    return medians([trip for trip in trips(trace) if trip is not None][WARM_UP:])


def trips(trace: Trace) -> Iterator[list[int] | None]:
    """Return the instants of each trip in the order of ``SEAMS``; None for one that lacks a seam."""
    for asked, heard in zip(trace.at[ASKED], trace.at[HEARD], strict=True):
        found = [asked]
        for seam in SEAMS[1:-1]:
            times = trace.at[seam]
            place = bisect.bisect_left(times, found[-1])
            if place == len(times) or times[place] > heard:
                yield None
                break
            found.append(times[place])
        else:
            yield [*found, heard]


def medians(passed: Sequence[Sequence[int]]) -> list[tuple[str, float]]:
    """Return the median of each hop, and of the whole."""
    if not passed:
        return []
    hops = [
        (f"{one.name} → {two.name}", statistics.median(trip[n + 1] - trip[n] for trip in passed) / 1000)
        for n, (one, two) in enumerate(itertools.pairwise(SEAMS))
    ]
    return [*hops, ("the whole trip", statistics.median(trip[-1] - trip[0] for trip in passed) / 1000)]


def _noting(trace: Trace, seam: Seam, function: Callable[..., Any]) -> Callable[..., Any]:
    chosen, times = seam.chosen, trace.at[seam]

    def call(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - the function's own
        if chosen is None or chosen(*arguments):
            times.append(time.perf_counter_ns())
        return function(*arguments, **named)

    return call
