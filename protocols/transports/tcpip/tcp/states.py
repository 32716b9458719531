"""The connection states and their transitions (RFC 9293 3.3.2, figure 5), as a table.

LISTEN is a state of a ``Listener``, which has no connection; the table has it for completeness
and for the diagram.
"""

from __future__ import annotations

import enum


class State(enum.Enum):
    """The states of RFC 9293 3.3.2."""

    # Looked up in the sets below with every segment: Enum's own hash, of the name, is a Python function.
    __hash__ = object.__hash__

    CLOSED = enum.auto()
    LISTEN = enum.auto()
    SYN_SENT = enum.auto()
    SYN_RECEIVED = enum.auto()
    ESTABLISHED = enum.auto()
    FIN_WAIT_1 = enum.auto()
    FIN_WAIT_2 = enum.auto()
    CLOSE_WAIT = enum.auto()
    CLOSING = enum.auto()
    LAST_ACK = enum.auto()
    TIME_WAIT = enum.auto()


class Event(enum.Enum):
    """What moves a connection from state to state."""

    PASSIVE_OPEN = enum.auto()
    ACTIVE_OPEN = enum.auto()
    RECEIVED_SYN = enum.auto()
    RECEIVED_SYN_ACK = enum.auto()
    SYN_ACKED = enum.auto()
    CLOSE = enum.auto()
    RECEIVED_FIN = enum.auto()
    FIN_ACKED = enum.auto()
    TIMED_OUT = enum.auto()
    DELETED = enum.auto()  # reset, aborted, given up


S, E = State, Event
TRANSITIONS: dict[tuple[State, Event], State] = {
    (S.CLOSED, E.PASSIVE_OPEN): S.LISTEN,
    (S.CLOSED, E.ACTIVE_OPEN): S.SYN_SENT,
    (S.LISTEN, E.RECEIVED_SYN): S.SYN_RECEIVED,
    (S.LISTEN, E.ACTIVE_OPEN): S.SYN_SENT,
    (S.LISTEN, E.CLOSE): S.CLOSED,
    (S.SYN_SENT, E.RECEIVED_SYN): S.SYN_RECEIVED,
    (S.SYN_SENT, E.RECEIVED_SYN_ACK): S.ESTABLISHED,
    (S.SYN_SENT, E.CLOSE): S.CLOSED,
    (S.SYN_RECEIVED, E.SYN_ACKED): S.ESTABLISHED,
    (S.SYN_RECEIVED, E.CLOSE): S.FIN_WAIT_1,
    (S.SYN_RECEIVED, E.RECEIVED_FIN): S.CLOSE_WAIT,
    (S.ESTABLISHED, E.CLOSE): S.FIN_WAIT_1,
    (S.ESTABLISHED, E.RECEIVED_FIN): S.CLOSE_WAIT,
    (S.FIN_WAIT_1, E.SYN_ACKED): S.FIN_WAIT_1,  # closed before the handshake was over
    (S.FIN_WAIT_1, E.FIN_ACKED): S.FIN_WAIT_2,
    (S.FIN_WAIT_1, E.RECEIVED_FIN): S.CLOSING,
    (S.FIN_WAIT_2, E.RECEIVED_FIN): S.TIME_WAIT,
    (S.CLOSE_WAIT, E.CLOSE): S.LAST_ACK,
    (S.CLOSING, E.FIN_ACKED): S.TIME_WAIT,
    (S.LAST_ACK, E.FIN_ACKED): S.CLOSED,
    (S.TIME_WAIT, E.TIMED_OUT): S.CLOSED,
} | {(state, E.DELETED): S.CLOSED for state in State}

SYNCHRONIZED = frozenset(
    (
        S.ESTABLISHED,
        S.FIN_WAIT_1,
        S.FIN_WAIT_2,
        S.CLOSE_WAIT,
        S.CLOSING,
        S.LAST_ACK,
        S.TIME_WAIT,
    )
)
MAY_RECEIVE = frozenset((S.ESTABLISHED, S.FIN_WAIT_1, S.FIN_WAIT_2))
MAY_SEND = frozenset((S.ESTABLISHED, S.CLOSE_WAIT))
HAS_CLOSED = frozenset((S.FIN_WAIT_1, S.CLOSING, S.LAST_ACK))  # a FIN of ours is on its way


def advance(state: State, event: Event) -> State:
    """Return the next state; ValueError for a transition that RFC 9293 does not have."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise ValueError(f"{event.name} is impossible in {state.name}") from None
