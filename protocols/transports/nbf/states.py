"""The states of a name, of a session and of its sending half. An event without an entry changes nothing."""

from __future__ import annotations

import enum
from typing import Final


class NameState(enum.Enum):
    """Where a name of ours is."""

    REGISTERING = "ADD_NAME_QUERY is out: nobody has objected so far"
    REGISTERED = "it is ours"
    CONFLICT = "another station has it, too: no new session and no datagram goes by it"
    GONE = "released, or never had"


class NameEvent(enum.Enum):
    """What happens to a name."""

    UNCONTESTED = enum.auto()
    CONTESTED = enum.auto()
    CONFLICTED = enum.auto()
    RELEASED = enum.auto()


class SessionState(enum.Enum):
    """Where a session is."""

    FINDING = "NAME_QUERY is out"
    LINKING = "the name was recognized: the link to its station is being made"
    INITIALIZING = "SESSION_INITIALIZE was sent"
    OFFERED = "NAME_RECOGNIZED was sent: SESSION_INITIALIZE is awaited"
    OPEN = "data goes both ways"
    DRAINING = "we hang up when what was sent is acknowledged"
    CLOSED = "there is no session"


class SessionEvent(enum.Enum):
    """What happens to a session."""

    RECOGNIZED = enum.auto()
    LINK_UP = enum.auto()
    CONFIRMED = enum.auto()
    INITIALIZED = enum.auto()
    HANG_UP = enum.auto()
    DRAINED = enum.auto()
    END = enum.auto()


class SendState(enum.Enum):
    """Where the message is that a session sends."""

    IDLE = "no message"
    SENDING = "its frames go as the link takes them"
    AWAIT_CONTINUE = "RECEIVE_CONTINUE was asked for"
    STOPPED = "NO_RECEIVE has come: RECEIVE_OUTSTANDING is awaited"
    AWAIT_ACK = "all was sent: DATA_ACK is awaited"


class SendEvent(enum.Enum):
    """What happens to the message."""

    BEGIN = enum.auto()
    CONTINUE_ASKED = enum.auto()
    RECEIVE_CONTINUE = enum.auto()
    NO_RECEIVE = enum.auto()
    RECEIVE_OUTSTANDING = enum.auto()
    LAST_SENT = enum.auto()
    DATA_ACK = enum.auto()


_N, _S, _E, _T = NameState, SessionState, SessionEvent, SendState

NAME_TRANSITIONS: Final[dict[tuple[NameState, NameEvent], NameState]] = {
    (_N.REGISTERING, NameEvent.UNCONTESTED): _N.REGISTERED,
    (_N.REGISTERING, NameEvent.CONTESTED): _N.GONE,
    (_N.REGISTERED, NameEvent.CONFLICTED): _N.CONFLICT,
    (_N.REGISTERING, NameEvent.RELEASED): _N.GONE,
    (_N.REGISTERED, NameEvent.RELEASED): _N.GONE,
    (_N.CONFLICT, NameEvent.RELEASED): _N.GONE,
}
SESSION_TRANSITIONS: Final[dict[tuple[SessionState, SessionEvent], SessionState]] = {
    (_S.FINDING, _E.RECOGNIZED): _S.LINKING,
    (_S.LINKING, _E.LINK_UP): _S.INITIALIZING,
    (_S.INITIALIZING, _E.CONFIRMED): _S.OPEN,
    (_S.OFFERED, _E.INITIALIZED): _S.OPEN,
    (_S.OPEN, _E.HANG_UP): _S.DRAINING,
    (_S.DRAINING, _E.DRAINED): _S.CLOSED,
    (_S.FINDING, _E.END): _S.CLOSED,
    (_S.LINKING, _E.END): _S.CLOSED,
    (_S.INITIALIZING, _E.END): _S.CLOSED,
    (_S.OFFERED, _E.END): _S.CLOSED,
    (_S.OPEN, _E.END): _S.CLOSED,
    (_S.DRAINING, _E.END): _S.CLOSED,
}
SEND_TRANSITIONS: Final[dict[tuple[SendState, SendEvent], SendState]] = {
    (_T.IDLE, SendEvent.BEGIN): _T.SENDING,
    (_T.SENDING, SendEvent.CONTINUE_ASKED): _T.AWAIT_CONTINUE,
    (_T.AWAIT_CONTINUE, SendEvent.RECEIVE_CONTINUE): _T.SENDING,
    (_T.SENDING, SendEvent.LAST_SENT): _T.AWAIT_ACK,
    (_T.SENDING, SendEvent.NO_RECEIVE): _T.STOPPED,
    (_T.AWAIT_CONTINUE, SendEvent.NO_RECEIVE): _T.STOPPED,
    (_T.AWAIT_ACK, SendEvent.NO_RECEIVE): _T.STOPPED,
    (_T.STOPPED, SendEvent.RECEIVE_OUTSTANDING): _T.SENDING,
    (_T.AWAIT_ACK, SendEvent.DATA_ACK): _T.IDLE,
}
