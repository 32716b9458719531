"""What is agreed on or set for links and stations, and how a link ends."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from formats.ethernet import LARGEST_LENGTH
from ntos.executive.contract import MILLISECOND

LARGEST_WINDOW: Final = 63
"""I PDUs that may be out: under half the modulus, so that an old PDU is told from one that lies ahead."""
NUMBERED_HEADER_BYTES: Final = 4
"""DSAP, SSAP and the control field of I and S PDUs."""
LARGEST_I: Final = LARGEST_LENGTH - NUMBERED_HEADER_BYTES


@dataclass(frozen=True, slots=True)
class LinkParameters:
    """A link's timers (ns) and limits, with IBM's names.

    ValueError: a limit that no link can work with.
    """

    t1_ns: int = 400 * MILLISECOND
    """How long an answer or acknowledgment is awaited."""
    t2_ns: int = 100 * MILLISECOND
    """How long an acknowledgment may be held back. Less than the peer's T1."""
    ti_ns: int = 30_000 * MILLISECOND
    """After so long without a PDU the peer is polled."""
    n1: int = LARGEST_I
    """The most bytes of information in an I PDU, both ways."""
    n2: int = 8
    """Tries without an answer, or resends without progress, after which the link is lost."""
    n3: int = 4
    """I PDUs taken before they are acknowledged at once (IBM's maxin)."""
    window: int = 8
    """I PDUs that may be out (k, IBM's maxout)."""
    queue_limit: int = 256
    """I PDUs that wait or are out, at most."""

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        limits = (
            (self.t1_ns, 1, None),
            (self.t2_ns, 1, self.t1_ns),
            (self.ti_ns, 1, None),
            (self.n1, 1, LARGEST_I),
            (self.n2, 1, 255),
            (self.n3, 1, LARGEST_WINDOW),
            (self.window, 1, LARGEST_WINDOW),
            (self.queue_limit, self.window, None),
        )
        if any(value < least or (most is not None and value > most) for value, least, most in limits):
            msg = f"impossible link parameters: {self}"
            raise ValueError(msg)


class DownReason(enum.Enum):
    """Why a link is not there any more."""

    CLOSED = "we disconnected"
    CLOSED_BY_PEER = "the peer sent DISC or DM"
    REFUSED = "the peer answered SABME by DM"
    RESET = "the peer sent SABME in the middle of a link: it began anew"
    REJECTED = "the peer sent FRMR"
    PROTOCOL_ERROR = "the peer broke the protocol: FRMR was sent"
    NO_ANSWER = "N2 tries were not answered"
    UNBOUND = "the network card was unbound"


class BusyReason(enum.Enum):
    """Why a link takes no I PDUs."""

    USER = "the SAP's owner said so"
    EVENTS = "the SAP's owner does not take its events"


class LlcError(Exception):
    """A request from above that cannot be met; ``problem`` says which."""

    def __init__(self, problem: LlcProblem) -> None:
        super().__init__(problem.value)
        self.problem = problem


class LlcProblem(enum.Enum):
    """What is wrong with a request."""

    BAD_SAP = "no individual SAP"
    SAP_OPEN = "the SAP is open already"
    SAP_CLOSED = "the SAP is closed"
    LINK_EXISTS = "there is a link between these SAPs already"
    TOO_MANY_LINKS = "the SAP has as many links as it may"
    NOT_CONNECTED = "the link is not up"
    TOO_LONG = "the information is longer than a PDU's"
    QUEUE_FULL = "too much waits to be acknowledged"
    BAD_ADDRESS = "no individual station address"
