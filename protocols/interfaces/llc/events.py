"""What a SAP is told, in the order in which it happened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from protocols.interfaces.llc.link import Link
    from protocols.interfaces.llc.parameters import DownReason
    from protocols.interfaces.llc.pdu import Kind


@dataclass(frozen=True, slots=True)
class LinkUp:
    """A link is up: the peer's or ours."""

    link: Link
    is_incoming: bool


@dataclass(frozen=True, slots=True)
class LinkDown:
    """A link is down. What was sent and not acknowledged may or may not have arrived."""

    link: Link
    reason: DownReason
    unacknowledged: int
    """I PDUs that were handed to ``send`` and not acknowledged."""


@dataclass(frozen=True, slots=True)
class DataReceived:
    """The information of one I PDU: each once, in order."""

    link: Link
    data: bytes


@dataclass(frozen=True, slots=True)
class DataAcknowledged:
    """The peer has the oldest ``count`` I PDUs that were not acknowledged yet."""

    link: Link
    count: int


@dataclass(frozen=True, slots=True)
class PduReceived:
    """A type 1 PDU: UI; an answer to XID or TEST of ours; an XID command, where the owner answers it."""

    kind: Kind
    source: bytes
    ssap: int
    is_command: bool
    pf: bool
    information: bytes


Event = LinkUp | LinkDown | DataReceived | DataAcknowledged | PduReceived
