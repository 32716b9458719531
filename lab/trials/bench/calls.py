"""``bench tcp --calls``: how many Python functions one question and its answer enter, by folder.

A count, not a time. The profiler of the thread that carries the whole stack counts while it answers; what a
trip costs is mostly this number, because each call comes to its code and its objects after the processor has
slept. On a busy machine the host's own thread takes the interrupt of some trips: those are left out.
"""

from __future__ import annotations

import statistics
import sys
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from lab.host.systems import TOP, declarations, osi_map, places
from ndis.interrupts import Interrupt

if TYPE_CHECKING:
    from types import FrameType

    from lab.trials.bench.tcp_loads import Lane

TRIPS: Final = 500
WARM_UP: Final = 50
"""Trips at the beginning that are not told of."""
ROOMS: Final = ("ntos/io/", "ntos/executive/", "ntos/", "ndis/", "miniport/", "device/", "lab/")
"""Folders that are counted besides those of the declared systems."""
ELSEWHERE: Final = "Python's own"
"""The standard library, and what dataclasses have written."""
WHOLE: Final = "the whole trip"
WITNESS: Final = Interrupt.service.__code__
"""Who has entered it has carried the question up himself."""


class Counting:
    """Counts the Python functions that this thread enters, by folder, from ``next_trip`` to the next."""

    def __init__(self) -> None:
        self.trips: list[Counter[str]] = []
        self.interrupted: set[int] = set()
        """The numbers of the trips that have served an interrupt."""
        self._folders: dict[str, str] = {}

    def next_trip(self) -> None:
        """Begin another count."""
        self.trips.append(Counter())
        sys.setprofile(self._seen)

    def stop(self) -> None:
        """Look away."""
        sys.setprofile(None)

    def _seen(self, frame: FrameType, event: str, _argument: object) -> None:
        if event == "call":
            if frame.f_code is WITNESS:
                self.interrupted.add(len(self.trips) - 1)
            file = frame.f_code.co_filename
            folder = self._folders.get(file)
            if folder is None:
                folder = self._folders[file] = folder_of(file)
            self.trips[-1][folder] += 1


@cache
def folders() -> tuple[str, ...]:
    """Return the folders in the order of the way down: those of the declared components, then the rooms."""
    height = {part.name: at for at, part in enumerate(osi_map())}
    ordered = sorted(places(), key=lambda one: height[one[1]])
    declared = [path for path, _name in ordered if path.endswith("/")]
    homes = [f"{package.folder.resolve().relative_to(TOP).as_posix()}/" for package, _ in declarations()]
    return tuple(dict.fromkeys([*declared, *homes, *ROOMS]))


def folder_of(file: str) -> str:
    """Return which of ``folders`` a source file is in: the innermost."""
    path = file.removeprefix(f"{TOP}/")
    return max((folder for folder in folders() if path.startswith(folder)), key=len, default=ELSEWHERE)


def look(lane: Lane) -> list[tuple[str, float]]:
    """Echo ``TRIPS`` single bytes; return the median of the calls in each folder, and of the whole, last."""
    listener, port = lane.listen()
    number = lane.call("ask", port, TRIPS)
    connection = lane.accept(listener)
    connection.setsockopt(6, 1, 1)
    counting = Counting()
    try:
        counting.next_trip()
        while data := connection.recv(1):
            connection.send(data)
            counting.next_trip()
    finally:
        counting.stop()
    connection.close()
    listener.close()
    lane.answer(number)
    whole = [counting.trips[number] for number in sorted(counting.interrupted) if WARM_UP <= number < TRIPS]
    return medians(whole)


def medians(trips: list[Counter[str]]) -> list[tuple[str, float]]:
    """Return the medians by folder in the order of the way down, and of the whole, last."""
    if not trips:
        return []
    names: list[Any] = [*folders(), ELSEWHERE]
    found = [(name, statistics.median(trip[name] for trip in trips)) for name in names]
    return [*((n, v) for n, v in found if v), (WHOLE, statistics.median(trip.total() for trip in trips))]
