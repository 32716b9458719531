"""A station of IEEE 802.2: it routes PDUs to SAPs, and answers for itself at the null SAP.

Sans I/O: frames come in by ``receive`` and leave by ``outbox``; time is a parameter, ``next_deadline`` says
when ``advance`` is due. Whoever owns a network card has a station for it (``protocols.interfaces.llc.edge``).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from formats.ethernet import LARGEST_LENGTH
from formats.llc import GLOBAL_SAP, NULL_SAP, SNAP_SAP, LlcFrame
from protocols.interfaces.llc.parameters import LARGEST_WINDOW, LinkParameters, LlcError, LlcProblem
from protocols.interfaces.llc.pdu import LINKLESS, Kind, Pdu, control
from protocols.interfaces.llc.sap import CLASS_II, LINKS_LIMIT, Sap, is_individual, xid_information

if TYPE_CHECKING:
    from formats.checksum import Buffer

COUNTERS: Final = ("frames_in", "frames_out", "malformed", "no_sap", "from_group", "not_for_groups")


class Station:
    """All SAPs of one network card."""

    def __init__(self, mac: bytes, mtu: int = LARGEST_LENGTH, *, answers_null_sap: bool = True) -> None:
        """Have no SAP. ``mtu``: bytes above the Ethernet header; LLC uses 1500 at most.

        Where several stations share a card, one of them answers at the null SAP.
        """
        self.mac = mac
        self.mtu = min(mtu, LARGEST_LENGTH)
        self.saps: dict[int, Sap] = {}
        self.outbox: deque[LlcFrame] = deque()
        self.counters = dict.fromkeys(COUNTERS, 0)
        self._answers_null_sap = answers_null_sap

    def open_sap(
        self,
        value: int,
        *,
        listens: bool = False,
        parameters: LinkParameters | None = None,
        links_limit: int = LINKS_LIMIT,
        answers_xid: bool = False,
    ) -> Sap:
        """Open an individual SAP. ``answers_xid``: its owner answers XID. LlcError: none, or open."""
        if not is_individual(value) or value == SNAP_SAP:
            raise LlcError(LlcProblem.BAD_SAP)
        if value in self.saps:
            raise LlcError(LlcProblem.SAP_OPEN)
        made = Sap(
            value,
            self._transmit,
            parameters or LinkParameters(),
            mtu=self.mtu,
            listens=listens,
            links_limit=min(links_limit, LINKS_LIMIT),
            answers_xid=answers_xid,
        )
        self.saps[value] = made
        return made

    def receive(self, frame: Buffer, now_ns: int) -> None:
        """Take a frame, from its destination address on."""
        found = LlcFrame.parse(frame)
        if found is None:
            self.counters["malformed"] += 1
            return
        self.counters["frames_in"] += 1
        pdu = Pdu.of(found)
        if pdu.source[0] & 1:
            self.counters["from_group"] += 1
        elif found.destination[0] & 1 and pdu.kind not in LINKLESS:
            self.counters["not_for_groups"] += 1
        elif pdu.dsap == NULL_SAP:
            self._receive_for_station(pdu)
        elif pdu.is_group:
            self._receive_for_group(pdu)
        else:
            self._receive_for_sap(pdu, now_ns)

    def advance(self, now_ns: int) -> None:
        """Let time pass for all links."""
        for sap in list(self.saps.values()):
            sap.advance(now_ns)
            self._forget_closed(sap)

    def next_deadline(self) -> int | None:
        """Return when ``advance`` is due, in ns; None: not without an event."""
        due = (sap.next_deadline() for sap in self.saps.values())
        return min((one for one in due if one is not None), default=None)

    def unbind(self, now_ns: int) -> None:
        """Close all SAPs at once and send nothing more: the card goes. Their events can still be taken."""
        for sap in self.saps.values():
            sap.unbind(now_ns)
        self.saps.clear()
        self.outbox.clear()

    def close_sap(self, sap: Sap, now_ns: int) -> None:
        """Close a SAP; it is gone when its links are."""
        sap.close(now_ns)
        self._forget_closed(sap)

    def _receive_for_sap(self, pdu: Pdu, now_ns: int) -> None:
        sap = self.saps.get(pdu.dsap)
        if sap is None:
            self.counters["no_sap"] += 1
        elif pdu.kind is not None and pdu.kind in LINKLESS:
            sap.receive_linkless(pdu, pdu.kind)
        else:
            sap.receive(pdu, now_ns)
            self._forget_closed(sap)

    def _receive_for_group(self, pdu: Pdu) -> None:
        """UI for all SAPs goes to each; XID and TEST are answered by the station alone, once."""
        if pdu.dsap != GLOBAL_SAP or pdu.kind not in LINKLESS:
            self.counters["not_for_groups"] += 1
        elif pdu.kind is Kind.UI:
            for sap in self.saps.values():
                sap.receive_linkless(pdu, pdu.kind)
        else:
            self._receive_for_station(pdu)

    def _receive_for_station(self, pdu: Pdu) -> None:
        if not pdu.is_command or pdu.kind not in (Kind.XID, Kind.TEST) or not self._answers_null_sap:
            self.counters["no_sap"] += 1
            return
        information = xid_information(CLASS_II, LARGEST_WINDOW) if pdu.kind is Kind.XID else pdu.information
        self._transmit(pdu.source, pdu.ssap, NULL_SAP | 1, control(pdu.kind, pf=pdu.pf), information)

    def _transmit(self, destination: bytes, dsap: int, ssap: int, field: int, information: bytes) -> None:
        self.counters["frames_out"] += 1
        self.outbox.append(LlcFrame(destination, self.mac, dsap, ssap, field, information))

    def _forget_closed(self, sap: Sap) -> None:
        if sap.is_closing and not sap.links:
            self.saps.pop(sap.value, None)
