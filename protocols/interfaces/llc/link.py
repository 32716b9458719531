"""One type 2 link of IEEE 802.2: numbers, windows, timers, around the table of states.

Sans I/O. PDUs come in by ``receive`` and leave by ``transmit``; time is a parameter. Invariants::

    _frames:  |<-- _sent (out, not acknowledged) -->|<-- never sent -->|
              V(A)         V(S) = V(A) + _next

``_next <= _sent <= window``; ``_next < _sent`` only while PDUs are sent again.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from protocols.interfaces.llc.events import DataAcknowledged, DataReceived, LinkDown, LinkUp
from protocols.interfaces.llc.parameters import (
    LARGEST_WINDOW,
    BusyReason,
    DownReason,
    LinkParameters,
    LlcError,
    LlcProblem,
)
from protocols.interfaces.llc.pdu import MODULUS, NUMBERED, WITH_INFORMATION, Kind, Pdu, control
from protocols.interfaces.llc.states import OPEN, POLLED, TABLE, LinkAction, LinkEvent, LinkState

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocols.interfaces.llc.events import Event

_BUSY: Final = frozenset({LinkState.BUSY, LinkState.AWAIT_BUSY})
_AWAITING: Final = frozenset(POLLED.values())
_NEEDS_FINAL: Final = frozenset({LinkState.SETUP, LinkState.CROSSED, LinkState.DISCONNECTING})
"""Their command had P, so that UA and DM without F answer something else."""
_EVENTS: Final = {
    Kind.DISC: LinkEvent.DISC,
    Kind.UA: LinkEvent.UA,
    Kind.DM: LinkEvent.DM,
    Kind.FRMR: LinkEvent.FRMR,
}
_FAULT_W, _FAULT_X, _FAULT_Y, _FAULT_Z = 1, 2, 4, 8
"""FRMR says: undefined control; information where none may be; too much of it; N(R) outside the window."""
COUNTERS: Final = (
    "i_sent",
    "i_resent",
    "i_received",
    "i_dropped",
    "duplicates",
    "rejects_sent",
    "polls",
    "unexpected",
)


class LinkOwner(Protocol):
    """The SAP of a link, as the link sees it."""

    value: int
    listens: bool
    """Whether a peer that begins anew gets a new link."""

    def transmit(self, destination: bytes, dsap: int, ssap: int, field: int, information: bytes) -> None:
        """Send a PDU; ``field`` is its control field."""

    def told(self, event: Event) -> None:
        """Take what has happened to the link."""


class Link:
    """A link between our SAP and a peer's. Made by a SAP, which hands it to its owner."""

    def __init__(self, owner: LinkOwner, peer: bytes, peer_sap: int, parameters: LinkParameters) -> None:
        self.local_sap, self.peer, self.peer_sap = owner.value, peer, peer_sap
        self.parameters = parameters
        self.state = LinkState.CLOSED
        self.counters = dict.fromkeys(COUNTERS, 0)
        self.peer_is_busy = False
        self.is_incoming = True
        self._owner = owner
        self._busy_for: set[BusyReason] = set()
        self._frames: deque[bytes] = deque()
        self._next = self._sent = 0
        self._va = self._vr = 0
        self._taken = 0
        """I PDUs taken since the last acknowledgment."""
        self._is_missing = False
        """Whether an I PDU was dropped that REJ has to ask for."""
        self._is_up = False
        self._tries = self._resends = 0
        self._t1: int | None = None
        self._t2: int | None = None
        self._ti: int | None = None
        self._now = 0
        self._answering: Pdu | None = None
        """The command with P to which no F was sent yet."""
        self._rejected = b""
        """FRMR's information."""
        self._information = b""
        """What the PDU that is being taken carries."""
        self._actions = self._bind_actions()

    # Requests from above

    @property
    def is_up(self) -> bool:
        """Whether data can be sent."""
        return self._is_up

    @property
    def outstanding(self) -> int:
        """I PDUs that were handed to ``send`` and not acknowledged."""
        return len(self._frames)

    def connect(self, now_ns: int) -> None:
        """DL-CONNECT request: send SABME. LinkUp or LinkDown tells what became of it."""
        self._now, self.is_incoming = now_ns, False
        self._dispatch(LinkEvent.CONNECT)

    def disconnect(self, now_ns: int) -> None:
        """DL-DISCONNECT request: what waits is not sent. LinkDown follows, unless the link was down."""
        self._now = now_ns
        self._dispatch(LinkEvent.DISCONNECT)

    def unbind(self, now_ns: int) -> None:
        """End the link without a word to the peer: there is no card any more."""
        self._now = now_ns
        self._dispatch(LinkEvent.UNBIND)

    def send(self, data: bytes, now_ns: int) -> None:
        """DL-DATA request: one I PDU. LlcError: the link is not up, it is too long, too many wait."""
        if not self._is_up or self.state not in OPEN:
            raise LlcError(LlcProblem.NOT_CONNECTED)
        if len(data) > self.parameters.n1:
            raise LlcError(LlcProblem.TOO_LONG)
        if len(self._frames) >= self.parameters.queue_limit:
            raise LlcError(LlcProblem.QUEUE_FULL)
        self._now = now_ns
        self._frames.append(data)
        self._settle()

    def set_busy(self, reason: BusyReason, now_ns: int) -> None:
        """Take no I PDUs (RNR) until ``clear_busy`` was called for each reason."""
        self._now = now_ns
        if not self._busy_for:
            self._dispatch(LinkEvent.BUSY_BEGINS)
        if self.state in _BUSY:
            self._busy_for.add(reason)

    def clear_busy(self, reason: BusyReason, now_ns: int) -> None:
        """Take I PDUs again, unless another reason is left."""
        self._now = now_ns
        if reason in self._busy_for:
            self._busy_for.remove(reason)
            if not self._busy_for:
                is_loss = self._is_missing
                self._dispatch(LinkEvent.BUSY_ENDS_WITH_LOSS if is_loss else LinkEvent.BUSY_ENDS)

    # From below

    def receive(self, pdu: Pdu, now_ns: int) -> None:
        """Take a PDU that the peer sent over this link."""
        self._now = now_ns
        self._information = pdu.information
        self._answering = pdu if pdu.is_command and pdu.pf else None
        if self.state in OPEN:
            self._ti = now_ns + self.parameters.ti_ns
        fault = self._fault(pdu)
        if fault:
            self._refuse(pdu, fault)
        elif pdu.kind in NUMBERED and self.state in OPEN:
            self._take_numbered(pdu)
        else:
            self._take_unnumbered(pdu)
        if self._answering is not None and self.state in OPEN:
            self._acknowledge()
        self._answering = None
        self._settle()

    def next_deadline(self) -> int | None:
        """Return when ``advance`` is due, in ns."""
        return min((t for t in (self._t1, self._t2, self._ti) if t is not None), default=None)

    def advance(self, now_ns: int) -> None:
        """Let the timers run out that are due."""
        self._now = now_ns
        if self._t2 is not None and self._t2 <= now_ns:
            self._dispatch(LinkEvent.T2)
        if self._t1 is not None and self._t1 <= now_ns:
            self._t1 = None
            self._tries += self.state not in POLLED
            is_spent = self._tries >= self.parameters.n2
            self._dispatch(LinkEvent.T1_SPENT if is_spent else LinkEvent.T1)
        if self._ti is not None and self._ti <= now_ns:
            self._ti = now_ns + self.parameters.ti_ns
            if self._t1 is None:
                self._dispatch(LinkEvent.TI)

    # What a PDU is to the link

    def _fault(self, pdu: Pdu) -> int:
        if pdu.kind is None:
            return _FAULT_W
        if pdu.information and pdu.kind not in WITH_INFORMATION:
            return _FAULT_W | _FAULT_X
        if self.state not in OPEN:
            return 0
        if pdu.kind is Kind.I and len(pdu.information) > self.parameters.n1:
            return _FAULT_Y
        if pdu.kind in NUMBERED and (pdu.nr - self._va) % MODULUS > self._sent:
            return _FAULT_Z
        return 0

    def _refuse(self, pdu: Pdu, fault: int) -> None:
        if self.state in OPEN:
            vs = (self._va + self._next) % MODULUS
            numbers = bytes((vs << 1, self._vr << 1 | (not pdu.is_command), fault))
            self._rejected = pdu.control.to_bytes(2, "little") + numbers
            self._dispatch(LinkEvent.BAD_PDU)
        else:
            self._take_other(pdu)

    def _take_other(self, pdu: Pdu) -> None:
        """Take what the state has no event for: DM answers a command with P; FRMR, in ERROR, any command."""
        if pdu.is_command and (pdu.pf or self.state is LinkState.ERROR):
            self._dispatch(LinkEvent.OTHER_COMMAND)
        else:
            self.counters["unexpected"] += 1

    def _take_unnumbered(self, pdu: Pdu) -> None:
        if pdu.kind is Kind.SABME:
            self._dispatch(self._classify_sabme())
            return
        event = _EVENTS.get(pdu.kind) if pdu.kind is not None else None
        if event is None:
            self._take_other(pdu)
        elif (self.state, event) not in TABLE or (
            self.state in _NEEDS_FINAL and not pdu.is_command and not pdu.pf
        ):
            self.counters["unexpected"] += 1
        else:
            self._dispatch(event)

    def _classify_sabme(self) -> LinkEvent:
        """While nothing has come over a link, its UA may be what was lost; later, the peer began anew."""
        if self.state in OPEN and self._va == self._vr == 0:
            return LinkEvent.SABME_AGAIN
        is_unwanted = (self.state in OPEN or self.state is LinkState.ERROR) and not self._owner.listens
        return LinkEvent.SABME_UNWANTED if is_unwanted else LinkEvent.SABME

    def _take_numbered(self, pdu: Pdu) -> None:
        self._take_acknowledgment(pdu.nr)
        if pdu.kind is Kind.I:
            self._dispatch(self._place(pdu.ns))
        else:
            self.peer_is_busy = pdu.kind is Kind.RNR
            if pdu.kind is Kind.REJ:
                self._dispatch_resend(LinkEvent.REJ)
        if not pdu.is_command and pdu.pf and self.state in _AWAITING:
            self._t1 = None
            self._dispatch_resend(LinkEvent.FINAL)

    def _place(self, ns: int) -> LinkEvent:
        ahead = (ns - self._vr) % MODULUS
        if not ahead:
            return LinkEvent.I_EXPECTED
        if ahead <= LARGEST_WINDOW:
            return LinkEvent.I_AHEAD
        self.counters["duplicates"] += 1
        return LinkEvent.I_DUPLICATE

    def _take_acknowledgment(self, nr: int) -> None:
        count = (nr - self._va) % MODULUS
        if count:
            for _ in range(count):
                self._frames.popleft()
            self._va = nr
            self._sent -= count
            self._next = max(0, self._next - count)
            self._resends = 0
            if self.state in POLLED:
                self._t1 = None
            self._owner.told(DataAcknowledged(self, count))

    def _dispatch_resend(self, event: LinkEvent) -> None:
        """REJ and F have I PDUs sent again: N2 times without progress at most."""
        if self._sent and not self.peer_is_busy and (self.state, event) in TABLE:
            self._resends += 1
            if self._resends > self.parameters.n2:
                event = LinkEvent.RESENDS_SPENT
        self._dispatch(event)

    # The table

    def _dispatch(self, event: LinkEvent) -> None:
        step = TABLE.get((self.state, event))
        if step is None:
            return
        if step.after is not self.state and not (step.after in _AWAITING and self.state in _AWAITING):
            self._tries = 0
            if step.after not in OPEN:
                self._t1 = self._t2 = self._ti = None
        self.state = step.after
        for action in step.actions:
            self._actions[action]()
        self._settle()

    def _settle(self) -> None:
        """Send what may be sent, and have T1 run exactly while something is awaited."""
        state = self.state
        if state in POLLED and self._is_up:
            while not self.peer_is_busy and self._next < min(len(self._frames), self.parameters.window):
                self._send_next()
            if not self._sent and not (self.peer_is_busy and self._frames):
                self._t1 = None
            elif self._t1 is None:
                self._start_t1()

    def _bind_actions(self) -> dict[LinkAction, Callable[[], None]]:
        down = {
            LinkAction.REPORT_CLOSED: DownReason.CLOSED,
            LinkAction.REPORT_CLOSED_BY_PEER: DownReason.CLOSED_BY_PEER,
            LinkAction.REPORT_REFUSED: DownReason.REFUSED,
            LinkAction.REPORT_RESET: DownReason.RESET,
            LinkAction.REPORT_REJECTED: DownReason.REJECTED,
            LinkAction.REPORT_PROTOCOL_ERROR: DownReason.PROTOCOL_ERROR,
            LinkAction.REPORT_NO_ANSWER: DownReason.NO_ANSWER,
            LinkAction.REPORT_UNBOUND: DownReason.UNBOUND,
        }
        return {
            LinkAction.RESET_NUMBERS: self._reset_numbers,
            LinkAction.SEND_SABME: partial(self._send_polling, Kind.SABME),
            LinkAction.SEND_DISC: partial(self._send_polling, Kind.DISC),
            LinkAction.SEND_UA: partial(self._send_response, Kind.UA),
            LinkAction.SEND_DM: partial(self._send_response, Kind.DM),
            LinkAction.SEND_FRMR: self._send_frmr,
            LinkAction.SEND_POLL: self._send_poll,
            LinkAction.START_T1: self._start_t1,
            LinkAction.ACKNOWLEDGE: self._acknowledge,
            LinkAction.SEND_REJ: self._send_rej,
            LinkAction.ACKNOWLEDGE_LATER: self._acknowledge_later,
            LinkAction.DELIVER: self._deliver,
            LinkAction.DROP: self._drop,
            LinkAction.RESEND: self._resend,
            LinkAction.REPORT_UP: self._report_up,
            **{action: partial(self._report_down, reason) for action, reason in down.items()},
        }

    # Actions

    def _reset_numbers(self) -> None:
        self._frames.clear()
        self._next = self._sent = self._va = self._vr = self._taken = self._resends = 0
        self._is_missing = self.peer_is_busy = False
        self._busy_for.clear()
        self._t1 = self._t2 = None

    def _report_up(self) -> None:
        self._is_up = True
        self._t1 = None
        self._ti = self._now + self.parameters.ti_ns
        self._owner.told(LinkUp(self, self.is_incoming))

    def _report_down(self, reason: DownReason) -> None:
        """Once a life: a link that was reported down is not again when DISC is answered."""
        was_asked_for = not self.is_incoming or self._is_up
        if was_asked_for:
            self._owner.told(LinkDown(self, reason, len(self._frames)))
        self._is_up, self.is_incoming = False, True
        self._frames.clear()
        self._next = self._sent = 0

    def _deliver(self) -> None:
        self._vr = (self._vr + 1) % MODULUS
        self._is_missing = False
        self.counters["i_received"] += 1
        self._owner.told(DataReceived(self, self._information))
        self._taken += 1
        if self._taken >= self.parameters.n3:
            self._acknowledge()
        else:
            self._acknowledge_later()

    def _drop(self) -> None:
        self._is_missing = True
        self.counters["i_dropped"] += 1

    def _acknowledge_later(self) -> None:
        if self._t2 is None:
            self._t2 = self._now + self.parameters.t2_ns

    def _acknowledge(self) -> None:
        self._send_supervisory(Kind.RNR if self.state in _BUSY else Kind.RR)

    def _send_rej(self) -> None:
        self._is_missing = True
        self.counters["rejects_sent"] += 1
        self._send_supervisory(Kind.REJ)

    def _resend(self) -> None:
        self._next = 0

    def _send_next(self) -> None:
        ns = (self._va + self._next) % MODULUS
        self.counters["i_resent" if self._next < self._sent else "i_sent"] += 1
        data = self._frames[self._next]
        self._next += 1
        self._sent = max(self._sent, self._next)
        self._acknowledged()
        self._emit(control(Kind.I, ns=ns, nr=self._vr), data, is_command=True)

    def _send_poll(self) -> None:
        self.counters["polls"] += 1
        self._start_t1()
        kind = Kind.RNR if self.state in _BUSY else Kind.RR
        self._acknowledged()
        self._emit(control(kind, pf=True, nr=self._vr), is_command=True)

    def _send_supervisory(self, kind: Kind) -> None:
        self._acknowledged()
        self._emit(control(kind, pf=self._final(), nr=self._vr))

    def _send_polling(self, kind: Kind) -> None:
        self._start_t1()
        self._emit(control(kind, pf=True), is_command=True)

    def _send_response(self, kind: Kind) -> None:
        self._emit(control(kind, pf=self._final()))

    def _send_frmr(self) -> None:
        self._start_t1()
        self._emit(control(Kind.FRMR, pf=self._final()), self._rejected)

    def _acknowledged(self) -> None:
        """N(R) leaves: nothing is held back any more."""
        self._taken, self._t2 = 0, None

    def _final(self) -> bool:
        is_final, self._answering = self._answering is not None, None
        return is_final

    def _start_t1(self) -> None:
        self._t1 = self._now + self.parameters.t1_ns

    def _emit(self, field: int, information: bytes = b"", *, is_command: bool = False) -> None:
        self._owner.transmit(self.peer, self.peer_sap, self.local_sap | (not is_command), field, information)
