"""A service access point: its links by peer, what its owner is told, type 1 PDUs."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from formats.llc import GROUP_BIT, HEADER_BYTES
from protocols.interfaces.llc.events import DataAcknowledged, PduReceived
from protocols.interfaces.llc.link import Link
from protocols.interfaces.llc.parameters import (
    LARGEST_WINDOW,
    NUMBERED_HEADER_BYTES,
    BusyReason,
    LinkParameters,
    LlcError,
    LlcProblem,
)
from protocols.interfaces.llc.pdu import Kind, Pdu, control
from protocols.interfaces.llc.states import LinkState

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocols.interfaces.llc.events import Event

EVENTS_LIMIT: Final = 1024
"""Events that wait for the owner; beyond, links are busy and type 1 PDUs are lost."""
LINKS_LIMIT: Final = 255
"""IBM's most link stations of a SAP."""
XID_FORMAT: Final = 0x81
"""IEEE's XID information: format, classes, receive window in the upper seven bits (8802-2, 5.4.1.1.2)."""
CLASS_I, CLASS_II = 1, 3
COUNTERS: Final = ("pdus_lost", "links_refused", "xids_answered", "tests_answered", "commands_refused")


class Sap:
    """An open SAP. Made by ``Station.open_sap``. Its owner takes events by ``take``."""

    def __init__(
        self,
        value: int,
        transmit: Callable[[bytes, int, int, int, bytes], None],
        parameters: LinkParameters,
        *,
        mtu: int,
        listens: bool,
        links_limit: int,
        answers_xid: bool,
    ) -> None:
        """Have no link. ``links_limit`` 0 makes it a SAP of class I."""
        self.value = value
        self.listens = listens
        """Whether SABME of any peer makes a link."""
        self.is_closing = False
        self._mtu = mtu
        self.parameters = self._fitted(parameters)
        self.links: dict[tuple[bytes, int], Link] = {}
        self.counters = dict.fromkeys(COUNTERS, 0)
        self.transmit = transmit
        self._links_limit = links_limit
        self._answers_xid = answers_xid
        self._events: deque[Event] = deque()

    # Requests from above

    def take(self, now_ns: int) -> list[Event]:
        """Return what has happened, oldest first; links that were busy for want of room take data again."""
        events = list(self._events)
        self._events.clear()
        for link in self.links.values():
            link.clear_busy(BusyReason.EVENTS, now_ns)
        return events

    def connect(
        self, peer: bytes, peer_sap: int, now_ns: int, parameters: LinkParameters | None = None
    ) -> Link:
        """Begin a link. LlcError: an impossible address, one exists, too many, the SAP is closing."""
        if self.is_closing:
            raise LlcError(LlcProblem.SAP_CLOSED)
        if len(peer) != 6 or peer[0] & 1:
            raise LlcError(LlcProblem.BAD_ADDRESS)
        if not is_individual(peer_sap):
            raise LlcError(LlcProblem.BAD_SAP)
        if (peer, peer_sap) in self.links:
            raise LlcError(LlcProblem.LINK_EXISTS)
        if len(self.links) >= self._links_limit:
            raise LlcError(LlcProblem.TOO_MANY_LINKS)
        link = self._add(peer, peer_sap, self._fitted(parameters or self.parameters))
        link.connect(now_ns)
        return link

    def send_ui(self, destination: bytes, dsap: int, information: bytes) -> None:
        """DL-UNITDATA request. The destination and its SAP may be groups. LlcError: closing, too long."""
        self._send_command(Kind.UI, destination, dsap, information, pf=False)

    def send_test(self, destination: bytes, dsap: int, information: bytes = b"", *, pf: bool = True) -> None:
        """DL-TEST request; the answer comes as PduReceived."""
        self._send_command(Kind.TEST, destination, dsap, information, pf=pf)

    def send_xid(self, destination: bytes, dsap: int, information: bytes = b"", *, pf: bool = True) -> None:
        """DL-XID request, by default with IEEE's information; the answer comes as PduReceived."""
        self._send_command(Kind.XID, destination, dsap, information or self.xid, pf=pf)

    def answer_xid(self, command: PduReceived, information: bytes) -> None:
        """Answer an XID command that the SAP was told of, since it answers them itself."""
        field = control(Kind.XID, pf=command.pf)
        self.transmit(command.source, command.ssap, self.value | 1, field, information)

    def close(self, now_ns: int) -> None:
        """End all links; the station forgets the SAP when the last is gone."""
        self.is_closing, self.listens = True, False
        for link in self.links.values():
            link.disconnect(now_ns)

    def unbind(self, now_ns: int) -> None:
        """End all links at once: the card goes."""
        self.is_closing, self.listens = True, False
        for link in self.links.values():
            link.unbind(now_ns)
        self.links.clear()

    @property
    def xid(self) -> bytes:
        """What we are, as IEEE's XID information."""
        return xid_information(CLASS_II, LARGEST_WINDOW) if self._links_limit else xid_information(CLASS_I, 0)

    # From below

    def receive_linkless(self, pdu: Pdu, kind: Kind) -> None:
        """Take UI, XID or TEST: ``kind``."""
        if pdu.is_command and kind is Kind.TEST:
            self.counters["tests_answered"] += 1
            self._respond(pdu, Kind.TEST, pdu.information)
        elif pdu.is_command and kind is Kind.XID and not self._answers_xid:
            self.counters["xids_answered"] += 1
            self._respond(pdu, Kind.XID, self.xid)
        elif len(self._events) >= EVENTS_LIMIT:
            self.counters["pdus_lost"] += 1
        else:
            told = (kind, pdu.source, pdu.ssap, pdu.is_command, pdu.pf, pdu.information)
            self._events.append(PduReceived(*told))

    def receive(self, pdu: Pdu, now_ns: int) -> None:
        """Take a type 2 PDU: for a link, to make a link, or to be refused."""
        key = pdu.source, pdu.ssap
        link = self.links.get(key)
        is_full = len(self._events) >= EVENTS_LIMIT
        if pdu.kind is Kind.SABME and is_full:
            self.counters["links_refused"] += 1  # its owner does not look: the peer tries again
            return
        if link is None:
            self._receive_without_link(pdu, now_ns)
            return
        if is_full and pdu.kind is Kind.I:
            link.set_busy(BusyReason.EVENTS, now_ns)
        link.receive(pdu, now_ns)
        self._forget_closed(key)

    def advance(self, now_ns: int) -> None:
        """Let time pass for all links."""
        for key, link in list(self.links.items()):
            link.advance(now_ns)
            self._forget_closed(key)

    def next_deadline(self) -> int | None:
        """Return when ``advance`` is due, in ns."""
        due = (link.next_deadline() for link in self.links.values())
        return min((one for one in due if one is not None), default=None)

    def _receive_without_link(self, pdu: Pdu, now_ns: int) -> None:
        has_room = self.listens and len(self.links) < self._links_limit
        if pdu.kind is Kind.SABME and not pdu.information and has_room:
            self._add(pdu.source, pdu.ssap, self.parameters).receive(pdu, now_ns)
        elif pdu.is_command and (pdu.pf or pdu.kind in (Kind.SABME, Kind.DISC)):
            is_sabme = pdu.kind is Kind.SABME
            self.counters["links_refused" if is_sabme else "commands_refused"] += 1
            self._respond(pdu, Kind.DM, b"")

    def _respond(self, pdu: Pdu, kind: Kind, information: bytes) -> None:
        self.transmit(pdu.source, pdu.ssap, self.value | 1, control(kind, pf=pdu.pf), information)

    def _send_command(
        self, kind: Kind, destination: bytes, dsap: int, information: bytes, *, pf: bool
    ) -> None:
        if self.is_closing:
            raise LlcError(LlcProblem.SAP_CLOSED)
        if len(destination) != 6:
            raise LlcError(LlcProblem.BAD_ADDRESS)
        if len(information) > self._mtu - HEADER_BYTES:
            raise LlcError(LlcProblem.TOO_LONG)
        self.transmit(destination, dsap, self.value, control(kind, pf=pf), information)

    def _add(self, peer: bytes, peer_sap: int, parameters: LinkParameters) -> Link:
        made = Link(self, peer, peer_sap, parameters)
        self.links[peer, peer_sap] = made
        return made

    def told(self, event: Event) -> None:
        """Keep an event of a link. Bounded: a full SAP is busy for I PDUs; acknowledgments are added up."""
        last = self._events[-1] if self._events else None
        if (
            isinstance(event, DataAcknowledged)
            and isinstance(last, DataAcknowledged)
            and last.link is event.link
        ):
            self._events[-1] = DataAcknowledged(event.link, last.count + event.count)
        else:
            self._events.append(event)

    def _fitted(self, parameters: LinkParameters) -> LinkParameters:
        """Return them with an N1 that fits the card."""
        return replace(parameters, n1=min(parameters.n1, self._mtu - NUMBERED_HEADER_BYTES))

    def _forget_closed(self, key: tuple[bytes, int]) -> None:
        if self.links[key].state is LinkState.CLOSED:
            del self.links[key]


def is_individual(sap: int) -> bool:
    """Whether a SAP is one that links may have: not the null SAP, no group."""
    return 0 < sap <= 0xFF and not sap & GROUP_BIT


def xid_information(classes: int, window: int) -> bytes:
    """Return IEEE's XID information."""
    return bytes((XID_FORMAT, classes, window << 1))
