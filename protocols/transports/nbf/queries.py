"""Questions to the LAN: where a name is (FIND.NAME), and what a station's status is. Sans I/O."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from protocols.transports.nbf.frame import (
    GROUP,
    STATUS_LARGER_THAN_BUFFER,
    STATUS_LARGER_THAN_FRAME,
    STATUS_LENGTH,
    Command,
    NameFrame,
)
from protocols.transports.nbf.parameters import EndReason, NbfError
from protocols.transports.nbf.status import ENTRY_BYTES, HEAD_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocols.transports.nbf.names import NameSender

STATIONS_LIMIT: Final = 64
"""Stations that one FIND.NAME reports."""
ANSWERED_LIMIT: Final = 64
STATUS_VERSION: Final = 1
"""DATA1 of the first STATUS_QUERY; of those that follow, the names that were received so far."""


@dataclass(frozen=True, slots=True)
class Found:
    """A station that has a name."""

    station: bytes
    is_group: bool


@dataclass(slots=True)
class Query:
    """A question that is out."""

    name: bytes
    source: bytes
    command: Command
    done: Callable[[list[Found], bytes, bool], None]
    """Called with the stations; the status that came; whether there is more of it than the buffer takes."""
    period_ns: int
    retries: int
    room: int = 0
    tries: int = 0
    deadline: int = 0
    stations: dict[bytes, Found] = field(default_factory=dict)
    status: bytes = b""


class Queries:
    """The questions that are out, by correlator."""

    def __init__(self, sender: NameSender) -> None:
        self._sender = sender
        self._queries: dict[int, Query] = {}
        self._answered: OrderedDict[int, tuple[bytes, bytes, bool]] = OrderedDict()
        """Who has answered NAME_QUERY first, so that a second owner of a unique name is seen."""

    def find(self, name: bytes, source: bytes, done: Callable[[list[Found]], None]) -> None:
        """FIND.NAME: ask as often as there are tries, and tell who has answered. NbfError."""
        limits = self._sender.parameters
        period, retries = limits.name_query_ns, limits.name_query_retries
        self._begin(
            Query(name, source, Command.NAME_QUERY, lambda found, _s, _m: done(found), period, retries)
        )

    def ask_status(self, name: bytes, room: int, done: Callable[[bytes, bool], None]) -> None:
        """ADAPTER.STATUS of a station that has ``name``, at most ``room`` bytes, none if none answers."""
        limits = self._sender.parameters
        period, retries = limits.general_ns, limits.general_retries
        query = Query(
            name,
            self._sender.permanent,
            Command.STATUS_QUERY,
            lambda _f, raw, more: done(raw, more),
            period,
            retries,
        )
        query.room = min(max(room, HEAD_BYTES), STATUS_LENGTH)
        self._begin(query)

    def recognized(self, source: bytes, frame: NameFrame) -> bool:
        """Take NAME_RECOGNIZED; False: it answers none of these questions."""
        is_group = bool(frame.data2 >> 8 & GROUP)
        self.check_owner(source, frame, is_group=is_group)
        query = self._queries.get(frame.transmit)
        if query is None or query.command is not Command.NAME_QUERY or frame.source != query.name:
            return False
        if len(query.stations) < STATIONS_LIMIT:
            query.stations[source] = Found(source, is_group)
        if not is_group:
            self._end(frame.transmit, query)
        return True

    def check_owner(self, source: bytes, frame: NameFrame, *, is_group: bool) -> None:
        """Tell two stations of a unique name that they are two: NAME_IN_CONFLICT."""
        first = self._answered.get(frame.transmit)
        if first is None:
            self._answered[frame.transmit] = frame.source, source, is_group
            if len(self._answered) > ANSWERED_LIMIT:
                self._answered.popitem(last=False)
        elif first[0] == frame.source and first[1] != source and not (is_group and first[2]):
            conflict = NameFrame(Command.NAME_IN_CONFLICT, frame.source, self._sender.permanent)
            self._sender.send_to(source, conflict)

    def status_came(self, frame: NameFrame) -> None:
        """STATUS_RESPONSE: take it, and ask for the names that are left."""
        query = self._queries.get(frame.transmit)
        length = frame.data2 & STATUS_LENGTH
        is_answer = query is not None and query.command is Command.STATUS_QUERY and frame.source == query.name
        if (
            query is None
            or not is_answer
            or length > len(frame.data)
            or (not query.status and length < HEAD_BYTES)
        ):
            self._sender.counters["unasked"] += 1
            return
        came = frame.data[:length]
        query.status += came[: query.room - len(query.status)]
        is_more = bool(frame.data2 & STATUS_LARGER_THAN_BUFFER)
        if frame.data2 & STATUS_LARGER_THAN_FRAME and came and len(query.status) < query.room:
            query.tries = 0
            self._ask(frame.transmit, query)
        else:
            self._end(frame.transmit, query, is_more=is_more)

    def next_deadline(self) -> int | None:
        """Return when ``advance`` is due."""
        return min((one.deadline for one in self._queries.values()), default=None)

    def advance(self) -> None:
        """Ask again, or give up."""
        now = self._sender.now_ns
        for correlator, query in [item for item in self._queries.items() if item[1].deadline <= now]:
            if query.tries < query.retries:
                self._ask(correlator, query)
            else:
                self._end(correlator, query)

    def stop(self) -> None:
        """End all: the card goes."""
        for correlator, query in list(self._queries.items()):
            self._end(correlator, query)

    def _begin(self, query: Query) -> None:
        if len(self._queries) >= self._sender.parameters.queries_limit:
            raise NbfError(EndReason.TABLE_FULL)
        correlator = self._sender.next_correlator()
        self._queries[correlator] = query
        self._ask(correlator, query)

    def _ask(self, correlator: int, query: Query) -> None:
        query.tries += 1
        query.deadline = self._sender.now_ns + query.period_ns
        data1 = data2 = 0
        if query.command is Command.STATUS_QUERY:
            names = (len(query.status) - HEAD_BYTES) // ENTRY_BYTES
            data1, data2 = max(names, STATUS_VERSION), query.room - len(query.status)
        self._sender.send_to_all(
            NameFrame(query.command, query.name, query.source, data1, data2, response=correlator)
        )

    def _end(self, correlator: int, query: Query, *, is_more: bool = False) -> None:
        del self._queries[correlator]
        query.done(list(query.stations.values()), query.status, is_more)
