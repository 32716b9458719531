"""The states of a type 2 link, and one table: what each event does in each (after ISO/IEC 8802-2:1998, 7.9).

The standard's names are beside ours. Where the standard asks the user (reset), the link is reported down and,
at a SAP that listens, up again. The timers are IBM's three: T1 is also the standard's P, REJ and busy timer.
An event without an entry changes nothing in that state.
"""

from __future__ import annotations

import enum
from typing import Final, NamedTuple


class LinkState(enum.Enum):
    """Where a type 2 link of IEEE 802.2 is."""

    CLOSED = "ADM: no link"
    SETUP = "SABME was sent, UA is awaited"
    CROSSED = "SETUP with S_FLAG: both ends sent SABME, the peer's was answered"
    NORMAL = "I PDUs go both ways"
    BUSY = "we take no I PDUs: RNR was sent"
    REJECT = "an I PDU is missing: REJ was sent"
    AWAIT = "NORMAL, but a poll is out: no I PDU is sent until F comes"
    AWAIT_BUSY = "BUSY, and a poll is out"
    AWAIT_REJECT = "REJECT, and a poll is out"
    DISCONNECTING = "D_CONN: DISC was sent, UA or DM is awaited"
    ERROR = "FRMR was sent: only SABME, DISC or DM ends it"


class LinkEvent(enum.Enum):
    """What happens to a link: a request from above, a PDU (classified by the link's numbers), a timer."""

    CONNECT = enum.auto()
    DISCONNECT = enum.auto()
    UNBIND = enum.auto()
    BUSY_BEGINS = enum.auto()
    BUSY_ENDS = enum.auto()
    BUSY_ENDS_WITH_LOSS = enum.auto()
    SABME = enum.auto()
    SABME_AGAIN = enum.auto()
    SABME_UNWANTED = enum.auto()
    DISC = enum.auto()
    UA = enum.auto()
    DM = enum.auto()
    FRMR = enum.auto()
    BAD_PDU = enum.auto()
    OTHER_COMMAND = enum.auto()
    I_EXPECTED = enum.auto()
    I_AHEAD = enum.auto()
    I_DUPLICATE = enum.auto()
    REJ = enum.auto()
    FINAL = enum.auto()
    T1 = enum.auto()
    T1_SPENT = enum.auto()
    RESENDS_SPENT = enum.auto()
    T2 = enum.auto()
    TI = enum.auto()


class LinkAction(enum.Enum):
    """One thing that a link does in a transition. ACKNOWLEDGE sends RNR in a busy state, RR in the others."""

    RESET_NUMBERS = enum.auto()
    SEND_SABME = enum.auto()
    SEND_DISC = enum.auto()
    SEND_UA = enum.auto()
    SEND_DM = enum.auto()
    SEND_FRMR = enum.auto()
    SEND_POLL = enum.auto()
    START_T1 = enum.auto()
    ACKNOWLEDGE = enum.auto()
    SEND_REJ = enum.auto()
    ACKNOWLEDGE_LATER = enum.auto()
    DELIVER = enum.auto()
    DROP = enum.auto()
    RESEND = enum.auto()
    REPORT_UP = enum.auto()
    REPORT_CLOSED = enum.auto()
    REPORT_CLOSED_BY_PEER = enum.auto()
    REPORT_REFUSED = enum.auto()
    REPORT_RESET = enum.auto()
    REPORT_REJECTED = enum.auto()
    REPORT_PROTOCOL_ERROR = enum.auto()
    REPORT_NO_ANSWER = enum.auto()
    REPORT_UNBOUND = enum.auto()


class Step(NamedTuple):
    """A transition: the state after it, and what is done, in order."""

    after: LinkState
    actions: tuple[LinkAction, ...] = ()


OPEN: Final = (
    LinkState.NORMAL,
    LinkState.BUSY,
    LinkState.REJECT,
    LinkState.AWAIT,
    LinkState.AWAIT_BUSY,
    LinkState.AWAIT_REJECT,
)
"""The states of information transfer."""
POLLED: Final = {
    LinkState.NORMAL: LinkState.AWAIT,
    LinkState.BUSY: LinkState.AWAIT_BUSY,
    LinkState.REJECT: LinkState.AWAIT_REJECT,
}
"""Each open state, and the same while a poll is out."""

_S, _E, _A = LinkState, LinkEvent, LinkAction
_UP = (_A.RESET_NUMBERS, _A.SEND_UA, _A.REPORT_UP)

_OUTSIDE: Final = {
    (_S.CLOSED, _E.CONNECT): Step(_S.SETUP, (_A.RESET_NUMBERS, _A.SEND_SABME)),
    (_S.CLOSED, _E.SABME): Step(_S.NORMAL, _UP),
    (_S.CLOSED, _E.DISC): Step(_S.CLOSED, (_A.SEND_DM,)),
    (_S.CLOSED, _E.OTHER_COMMAND): Step(_S.CLOSED, (_A.SEND_DM,)),
    (_S.SETUP, _E.UA): Step(_S.NORMAL, (_A.REPORT_UP,)),
    (_S.SETUP, _E.SABME): Step(_S.CROSSED, (_A.SEND_UA, _A.START_T1)),
    (_S.SETUP, _E.DM): Step(_S.CLOSED, (_A.REPORT_REFUSED,)),
    (_S.SETUP, _E.DISC): Step(_S.CLOSED, (_A.SEND_DM, _A.REPORT_REFUSED)),
    (_S.SETUP, _E.DISCONNECT): Step(_S.DISCONNECTING, (_A.SEND_DISC,)),
    (_S.SETUP, _E.T1): Step(_S.SETUP, (_A.SEND_SABME,)),
    (_S.SETUP, _E.T1_SPENT): Step(_S.CLOSED, (_A.REPORT_NO_ANSWER,)),
    (_S.CROSSED, _E.UA): Step(_S.NORMAL, (_A.REPORT_UP,)),
    (_S.CROSSED, _E.SABME): Step(_S.CROSSED, (_A.SEND_UA,)),
    (_S.CROSSED, _E.DM): Step(_S.CLOSED, (_A.REPORT_REFUSED,)),
    (_S.CROSSED, _E.DISC): Step(_S.CLOSED, (_A.SEND_DM, _A.REPORT_REFUSED)),
    (_S.CROSSED, _E.DISCONNECT): Step(_S.DISCONNECTING, (_A.SEND_DISC,)),
    (_S.CROSSED, _E.T1): Step(_S.NORMAL, (_A.REPORT_UP,)),
    (_S.CROSSED, _E.T1_SPENT): Step(_S.NORMAL, (_A.REPORT_UP,)),
    (_S.DISCONNECTING, _E.UA): Step(_S.CLOSED, (_A.REPORT_CLOSED,)),
    (_S.DISCONNECTING, _E.DM): Step(_S.CLOSED, (_A.REPORT_CLOSED,)),
    (_S.DISCONNECTING, _E.SABME): Step(_S.CLOSED, (_A.SEND_DM, _A.REPORT_CLOSED)),
    (_S.DISCONNECTING, _E.DISC): Step(_S.DISCONNECTING, (_A.SEND_UA,)),
    (_S.DISCONNECTING, _E.T1): Step(_S.DISCONNECTING, (_A.SEND_DISC,)),
    (_S.DISCONNECTING, _E.T1_SPENT): Step(_S.CLOSED, (_A.REPORT_CLOSED,)),
    (_S.ERROR, _E.SABME): Step(_S.NORMAL, _UP),
    (_S.ERROR, _E.SABME_UNWANTED): Step(_S.CLOSED, (_A.SEND_DM,)),
    (_S.ERROR, _E.DISC): Step(_S.CLOSED, (_A.SEND_UA,)),
    (_S.ERROR, _E.DM): Step(_S.CLOSED),
    (_S.ERROR, _E.FRMR): Step(_S.CLOSED),
    (_S.ERROR, _E.OTHER_COMMAND): Step(_S.ERROR, (_A.SEND_FRMR,)),
    (_S.ERROR, _E.DISCONNECT): Step(_S.DISCONNECTING, (_A.SEND_DISC,)),
    (_S.ERROR, _E.T1): Step(_S.ERROR, (_A.SEND_FRMR,)),
    (_S.ERROR, _E.T1_SPENT): Step(_S.CLOSED),
}

_UNBOUND: Final = {
    (before, _E.UNBIND): Step(_S.CLOSED, (_A.REPORT_UNBOUND,)) for before in _S if before is not _S.CLOSED
}
_WHEN_OPEN: Final = {
    (before, event): Step(after or before, actions)
    for before in OPEN
    for event, after, actions in (
        (_E.SABME, _S.NORMAL, (_A.REPORT_RESET, *_UP)),
        (_E.SABME_UNWANTED, _S.CLOSED, (_A.SEND_DM, _A.REPORT_RESET)),
        (_E.SABME_AGAIN, None, (_A.SEND_UA,)),
        (_E.DISC, _S.CLOSED, (_A.SEND_UA, _A.REPORT_CLOSED_BY_PEER)),
        (_E.DM, _S.CLOSED, (_A.REPORT_CLOSED_BY_PEER,)),
        (_E.FRMR, _S.DISCONNECTING, (_A.REPORT_REJECTED, _A.SEND_DISC)),
        (_E.BAD_PDU, _S.ERROR, (_A.SEND_FRMR, _A.REPORT_PROTOCOL_ERROR)),
        (_E.DISCONNECT, _S.DISCONNECTING, (_A.SEND_DISC,)),
        (_E.RESENDS_SPENT, _S.DISCONNECTING, (_A.REPORT_NO_ANSWER, _A.SEND_DISC)),
        (_E.T1_SPENT, _S.DISCONNECTING, (_A.REPORT_NO_ANSWER, _A.SEND_DISC)),
        (_E.I_DUPLICATE, None, (_A.ACKNOWLEDGE_LATER,)),
        (_E.T2, None, (_A.ACKNOWLEDGE,)),
    )
}
_TIMED: Final = {
    key: step
    for before, after in POLLED.items()
    for key, step in (
        ((before, _E.T1), Step(after, (_A.SEND_POLL,))),
        ((before, _E.TI), Step(after, (_A.SEND_POLL,))),
        ((after, _E.T1), Step(after, (_A.SEND_POLL,))),
        ((after, _E.FINAL), Step(before, (_A.RESEND,))),
        ((before, _E.REJ), Step(before, (_A.RESEND,))),
    )
}
_RECEIVING: Final = {
    (_S.NORMAL, _E.I_EXPECTED): Step(_S.NORMAL, (_A.DELIVER,)),
    (_S.NORMAL, _E.I_AHEAD): Step(_S.REJECT, (_A.SEND_REJ,)),
    (_S.NORMAL, _E.BUSY_BEGINS): Step(_S.BUSY, (_A.ACKNOWLEDGE,)),
    (_S.REJECT, _E.I_EXPECTED): Step(_S.NORMAL, (_A.DELIVER,)),
    (_S.REJECT, _E.I_AHEAD): Step(_S.REJECT, (_A.DROP,)),
    (_S.REJECT, _E.BUSY_BEGINS): Step(_S.BUSY, (_A.ACKNOWLEDGE,)),
    (_S.BUSY, _E.I_EXPECTED): Step(_S.BUSY, (_A.DROP, _A.ACKNOWLEDGE)),
    (_S.BUSY, _E.I_AHEAD): Step(_S.BUSY, (_A.DROP, _A.ACKNOWLEDGE)),
    (_S.BUSY, _E.BUSY_ENDS): Step(_S.NORMAL, (_A.ACKNOWLEDGE,)),
    (_S.BUSY, _E.BUSY_ENDS_WITH_LOSS): Step(_S.REJECT, (_A.SEND_REJ,)),
}
TABLE: Final = {
    **_OUTSIDE,
    **_UNBOUND,
    **_WHEN_OPEN,
    **_TIMED,
    **_RECEIVING,
    **{(POLLED[s], e): Step(POLLED[step.after], step.actions) for (s, e), step in _RECEIVING.items()},
}
"""What each event does in each state."""
LINK_TRANSITIONS: Final[dict[tuple[LinkState, LinkEvent], LinkState]] = {
    key: step.after for key, step in TABLE.items()
}
"""The table without its actions, as it is drawn."""
