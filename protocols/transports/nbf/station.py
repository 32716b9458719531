"""A NetBIOS station: one network card with its names, links and sessions. Sans I/O.

It owns SAP F0 of the card's LLC station. Frames and time come in by ``serve``; all that it sends goes through
the SAP. What its client asks for is done at once, or told later by the callable that came with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from formats.llc import NETBIOS_SAP
from protocols.interfaces.llc import (
    DataAcknowledged,
    DataReceived,
    DownReason,
    Kind,
    LinkDown,
    LinkUp,
    LlcError,
    PduReceived,
)
from protocols.transports.nbf.frame import (
    CANNOT,
    GROUP,
    NO_LISTEN,
    NO_NAME,
    STATUS_LARGER_THAN_BUFFER,
    STATUS_LARGER_THAN_FRAME,
    STATUS_LENGTH,
    Command,
    NameFrame,
    SessionFrame,
)
from protocols.transports.nbf.names import NameTable
from protocols.transports.nbf.parameters import (
    BROADCAST_NAME,
    FUNCTIONAL_ADDRESS,
    LARGEST_DATAGRAM,
    EndReason,
    NbfError,
    NbfParameters,
)
from protocols.transports.nbf.queries import Queries
from protocols.transports.nbf.session import Session
from protocols.transports.nbf.states import SessionState
from protocols.transports.nbf.status import ENTRY_BYTES, HEAD_BYTES, Status, entries

if TYPE_CHECKING:
    from protocols.interfaces.llc import Event, Link, Sap
    from protocols.interfaces.llc import Station as LlcStation
    from protocols.transports.nbf.session import SessionClient

COUNTERS: Final = (
    "frames_in",
    "frames_out",
    "malformed",
    "unasked",
    "unknown_session",
    "no_name",
    "datagrams_in",
    "datagrams_lost",
    "conflicts",
    "offers_refused",
    "offers_expired",
    "links_overrun",
    "queries_again",
)


class StationClient(Protocol):
    """Who takes calls and datagrams: TDI's address objects, by name."""

    def listens(self, name: bytes) -> bool:
        """Whether somebody would take a call to a name now."""

    def accept(self, name: bytes, caller: bytes, session: Session) -> SessionClient | None:
        """Take a call; None refuses it."""

    def datagram(self, name: bytes, source: bytes, data: bytes) -> None:
        """Take a datagram to a name of ours, or to all (``BROADCAST_NAME``)."""


class NbfStation:
    """A station. ``client`` is called from within ``serve``."""

    def __init__(
        self, llc: LlcStation, client: StationClient, parameters: NbfParameters | None = None
    ) -> None:
        self.parameters = parameters or NbfParameters()
        self.mac = llc.mac
        self.permanent = bytes(10) + llc.mac
        self.now_ns = 0
        self.counters = dict.fromkeys(COUNTERS, 0)
        self.sap: Sap = llc.open_sap(NETBIOS_SAP, listens=True, parameters=self.parameters.link)
        self.names = NameTable(self)
        self.queries = Queries(self)
        self.sessions: dict[int, Session] = {}
        self._client = client
        self._correlator = 0
        self._last_number = 0
        self._idle: dict[Link, int] = {}
        """Links without a session, and until when they are kept."""
        self._commands = {
            Command.ADD_GROUP_NAME_QUERY: self.names.asked,
            Command.ADD_NAME_QUERY: self.names.asked,
            Command.ADD_NAME_RESPONSE: lambda _source, frame: self.names.objected(frame),
            Command.NAME_IN_CONFLICT: lambda _source, frame: self.names.in_conflict(frame),
            Command.NAME_QUERY: self._take_name_query,
            Command.NAME_RECOGNIZED: self._take_recognized,
            Command.STATUS_QUERY: self._take_status_query,
            Command.STATUS_RESPONSE: lambda _source, frame: self.queries.status_came(frame),
            Command.DATAGRAM: self._take_datagram,
            Command.DATAGRAM_BROADCAST: self._take_datagram,
        }

    # Requests from above

    def call(self, local: bytes, remote: bytes, client: SessionClient) -> Session:
        """CALL: find a name and open a session with its station. NbfError: our table is full."""
        session = self._new_session(local, remote, SessionState.FINDING)
        session.client = client
        session.correlator = self.next_correlator()
        self._ask(session)
        return session

    def send_datagram(self, source: bytes, destination: bytes, data: bytes) -> None:
        """Send a datagram to a name, or to all. NbfError(CANNOT): it is too long."""
        if len(data) > LARGEST_DATAGRAM:
            raise NbfError(EndReason.CANNOT)
        is_broadcast = destination == BROADCAST_NAME
        command = Command.DATAGRAM_BROADCAST if is_broadcast else Command.DATAGRAM
        self.send_to_all(NameFrame(command, NO_NAME if is_broadcast else destination, source, data=data))
        if is_broadcast or self.names.is_ours(destination):
            self._client.datagram(destination, source, data)

    def status(self) -> Status:
        """Return what STATUS_RESPONSE says."""
        return Status(
            self.mac,
            self.counters["frames_out"],
            self.counters["frames_in"],
            sum(link.counters["polls"] for link in self.sap.links.values()),
            len(self.sessions),
            self.parameters.sessions_limit,
            LARGEST_DATAGRAM,
            self.sap.parameters.n1,
            tuple(entries(sorted(self.names.names.values(), key=lambda one: one.number))),
        )

    def stop(self, reason: EndReason = EndReason.UNBOUND) -> None:
        """End all: the card goes."""
        for session in list(self.sessions.values()):
            session.end(reason)
        self.names.stop(reason)
        self.queries.stop()

    # Time and frames

    def serve(self, now_ns: int) -> None:
        """Take what has come over LLC, and let time pass."""
        self.now_ns = now_ns
        for event in self.sap.take(now_ns):
            self._take(event)
        self.names.advance()
        self.queries.advance()
        for session in [
            one for one in self.sessions.values() if one.deadline is not None and one.deadline <= now_ns
        ]:
            self._fire(session)
        for link in [one for one, until in self._idle.items() if until <= now_ns]:
            del self._idle[link]
            link.disconnect(now_ns)

    def next_deadline(self) -> int | None:
        """Return when ``serve`` is due, in ns."""
        due = [one.deadline for one in self.sessions.values() if one.deadline is not None]
        due += [one for one in (self.names.next_deadline(), self.queries.next_deadline()) if one is not None]
        due += self._idle.values()
        return min(due, default=None)

    # For names, queries and sessions

    def next_correlator(self) -> int:
        """Return 1 to FFFF, round and round."""
        self._correlator = self._correlator % 0xFFFF + 1
        return self._correlator

    def send_to_all(self, frame: NameFrame) -> None:
        """Send UI to the functional address."""
        self.send_to(FUNCTIONAL_ADDRESS, frame)

    def send_to(self, station: bytes, frame: NameFrame) -> None:
        """Send UI to one station."""
        if not self.sap.is_closing:
            self.counters["frames_out"] += 1
            self.sap.send_ui(station, NETBIOS_SAP, frame.emit())

    def send_on_link(self, link: Link, frame: SessionFrame) -> None:
        """Send an I PDU. A peer that lets so much wait that the link takes no more loses it."""
        try:
            link.send(frame.emit(), self.now_ns)
        except LlcError:
            self.counters["links_overrun"] += link.is_up
            link.disconnect(self.now_ns)
            return
        self.counters["frames_out"] += 1

    def session_over(self, session: Session) -> None:
        """Forget a session; its link, when it was the last, is kept for a while."""
        self.sessions.pop(session.number, None)
        link = session.link
        if link is not None and link.is_up and not any(one.link is link for one in self.sessions.values()):
            self._idle[link] = self.now_ns + self.parameters.link_idle_ns

    # What LLC tells

    def _take(self, event: Event) -> None:
        match event:
            case PduReceived(kind=Kind.UI, source=source, information=raw):
                self._take_name_frame(source, raw)
            case DataReceived(link, raw):
                self._take_session_frame(link, raw)
            case LinkUp(link):
                self._idle[link] = self.now_ns + self.parameters.link_idle_ns
                for session in self._linking(link):
                    self._begin(session, link)
            case LinkDown(link, reason):
                self._idle.pop(link, None)
                lost = [one for one in self.sessions.values() if one.link is link]
                for session in lost + [one for one in self._linking(link) if one not in lost]:
                    session.end(_DOWN.get(reason, EndReason.LINK_LOST))
            case DataAcknowledged(link):
                for session in [one for one in self.sessions.values() if one.link is link]:
                    session.pump()
            case PduReceived():
                self.counters["unasked"] += 1

    def _take_name_frame(self, source: bytes, raw: bytes) -> None:
        frame = NameFrame.parse(raw)
        if frame is None:
            self.counters["malformed"] += 1
            return
        self.counters["frames_in"] += 1
        method = self._commands.get(frame.command)
        if method is not None and source != self.mac:
            method(source, frame)

    def _take_session_frame(self, link: Link, raw: bytes) -> None:
        frame = SessionFrame.parse(raw)
        if frame is None:
            self.counters["malformed"] += 1
            return
        self.counters["frames_in"] += 1
        session = self.sessions.get(frame.destination)
        is_peers = session is not None and session.peer == link.peer
        if session is None or not is_peers or frame.source != session.remote_number:
            self.counters["unknown_session"] += 1
        elif frame.command is Command.SESSION_INITIALIZE:
            self._take_initialize(session, link, frame)
        elif session.link is not link:
            self.counters["unknown_session"] += 1
        else:
            session.receive(frame)

    # Calls that go out

    def _ask(self, session: Session) -> None:
        session.tries += 1
        session.deadline = self.now_ns + self.parameters.name_query_ns
        number = session.number
        query = NameFrame(
            Command.NAME_QUERY, session.remote, session.local, data2=number, response=session.correlator
        )
        self.send_to_all(query)

    def _take_recognized(self, source: bytes, frame: NameFrame) -> None:
        if self.queries.recognized(source, frame):
            return
        session = next(
            (
                one
                for one in self.sessions.values()
                if one.state is SessionState.FINDING
                and (one.correlator, one.remote) == (frame.transmit, frame.source)
            ),
            None,
        )
        if session is None:
            self.counters["unasked"] += 1
            return
        number = frame.data2 & 0xFF
        if number in _REFUSALS:
            if not frame.data2 >> 8 & GROUP:  # of a group, another station may listen
                session.end(_REFUSALS[number])
            return
        session.recognized(source, number, frame.response)
        session.deadline = None
        link = self.sap.links.get((source, NETBIOS_SAP))
        if link is not None and link.is_up:
            self._begin(session, link)
        elif link is None:
            self._connect(session, source)

    def _connect(self, session: Session, station: bytes) -> None:
        try:
            session.link = self.sap.connect(station, NETBIOS_SAP, self.now_ns)
        except LlcError:
            session.end(EndReason.CANNOT)

    def _begin(self, session: Session, link: Link) -> None:
        self._idle.pop(link, None)
        session.link = link
        session.deadline = self.now_ns + self.parameters.general_ns * self.parameters.general_retries
        session.initialize()

    def _linking(self, link: Link) -> list[Session]:
        return [
            one
            for one in self.sessions.values()
            if one.state is SessionState.LINKING and one.peer == link.peer
        ]

    # Calls that come in

    def _take_name_query(self, source: bytes, frame: NameFrame) -> None:
        """NAME_QUERY: say whether we have the name, and offer a session number to a call."""
        asked, name = frame.data2 & 0xFF, frame.destination
        if not self.names.is_ours(name):
            self.counters["no_name"] += 1
            return
        found = self.names.usable(name)
        kind = GROUP << 8 if found is not None and found.is_group else 0
        session = self._offer(source, frame, asked) if asked else None
        number, response = NO_LISTEN, 0
        if session is not None:
            number, response = session.number, session.correlator
        elif asked and self._client.listens(name):
            number = CANNOT
            self.counters["offers_refused"] += 1
        self.send_to(
            source,
            NameFrame(
                Command.NAME_RECOGNIZED,
                frame.source,
                name,
                data2=kind | number,
                transmit=frame.response,
                response=response,
            ),
        )

    def _offer(self, source: bytes, frame: NameFrame, asked: int) -> Session | None:
        offers = [one for one in self.sessions.values() if one.state is SessionState.OFFERED]
        for one in offers:
            if (one.peer, one.remote_number, one.local) == (source, asked, frame.destination):
                self.counters["queries_again"] += 1
                return one
        if not self._client.listens(frame.destination) or len(offers) >= self.parameters.offers_limit:
            return None
        try:
            made = self._new_session(frame.destination, frame.source, SessionState.OFFERED)
        except NbfError:
            return None
        made.peer, made.remote_number = source, asked
        made.correlator = self.next_correlator()
        limits = self.parameters.link
        made.deadline = self.now_ns + limits.t1_ns * limits.n2  # the caller has a link to make
        return made

    def _take_initialize(self, session: Session, link: Link, frame: SessionFrame) -> None:
        if session.state is not SessionState.OFFERED or frame.transmit != session.correlator:
            self.counters["unasked"] += 1
            return
        session.link = link
        self._idle.pop(link, None)
        client = self._client.accept(session.local, session.remote, session) if frame.data2 else None
        if client is None:
            refusal = SessionFrame(Command.SESSION_END, frame.source, session.number, data2=1)
            self.send_on_link(link, refusal)
            session.end(EndReason.REFUSED)
        else:
            session.confirm(link, frame, client)

    # The rest

    def _take_status_query(self, source: bytes, frame: NameFrame) -> None:
        if not self.names.is_ours(frame.destination):
            self.counters["no_name"] += 1
            return
        raw = self.status().emit()
        if frame.data1 > 1:  # the names that the asker has
            raw = raw[HEAD_BYTES + frame.data1 * ENTRY_BYTES :]
        most = self.sap.parameters.n1 - len(NameFrame(Command.STATUS_RESPONSE).emit())
        room, flags = min(frame.data2, most, STATUS_LENGTH), 0
        if len(raw) > room:
            flags = STATUS_LARGER_THAN_BUFFER if frame.data2 <= most else STATUS_LARGER_THAN_FRAME
            raw = raw[: _whole(room, is_first=frame.data1 <= 1)]
        names = (len(raw) - HEAD_BYTES * (frame.data1 <= 1)) // ENTRY_BYTES + frame.data1 * (frame.data1 > 1)
        self.send_to(
            source,
            NameFrame(
                Command.STATUS_RESPONSE,
                frame.source,
                frame.destination,
                data1=min(max(names, 0), 0xFF),
                data2=flags | len(raw),
                transmit=frame.response,
                data=raw,
            ),
        )

    def _take_datagram(self, source: bytes, frame: NameFrame) -> None:
        del source
        is_broadcast = frame.command is Command.DATAGRAM_BROADCAST
        name = BROADCAST_NAME if is_broadcast else frame.destination
        if is_broadcast or self.names.is_ours(name):
            self.counters["datagrams_in"] += 1
            self._client.datagram(name, frame.source, frame.data)
        else:
            self.counters["datagrams_lost"] += 1

    def _fire(self, session: Session) -> None:
        """Do what is due: ask for the name again, give the setup up, or ask a quiet session's link."""
        session.deadline = None
        if session.state is SessionState.FINDING:
            if session.tries < self.parameters.name_query_retries:
                self._ask(session)
            else:
                session.end(EndReason.NAME_NOT_FOUND)
        elif session.state is SessionState.OFFERED:
            self.counters["offers_expired"] += 1
            session.end(EndReason.TIMED_OUT)
        elif session.state is SessionState.INITIALIZING:
            session.abort(EndReason.TIMED_OUT)
        else:
            session.fire()

    def _new_session(self, local: bytes, remote: bytes, state: SessionState) -> Session:
        """Return a session with the next free number after the last that was given. NbfError."""
        if len(self.sessions) >= self.parameters.sessions_limit:
            raise NbfError(EndReason.TABLE_FULL)
        number = self._last_number % 254 + 1
        while number in self.sessions:  # ends: 254 numbers, fewer sessions
            number = number % 254 + 1
        self._last_number = number
        made = self.sessions[number] = Session(self, number, local, remote, state)
        return made


_DOWN: Final = {DownReason.UNBOUND: EndReason.UNBOUND}
_REFUSALS: Final = {NO_LISTEN: EndReason.NO_LISTEN, CANNOT: EndReason.CANNOT}


def _whole(room: int, *, is_first: bool) -> int:
    """Return how many of ``room`` bytes hold whole entries."""
    head = HEAD_BYTES if is_first else 0
    return head + max(0, room - head) // ENTRY_BYTES * ENTRY_BYTES
