"""PPP, the little that a session needs.

LCP and IPCP by one automaton, PAP when it is asked for. Sans I/O.

Frames begin with the two bytes of the protocol number. Source: RFC 1661 (4, 5), RFC 1332, RFC
1334.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass, field

LCP, IPCP, PAP, IP = 0xC021, 0x8021, 0xC023, 0x0021
MRU, AUTHENTICATION, MAGIC = 1, 3, 5
ADDRESS = 3
PPPOE_MRU = 1492
REJECT_HEAD_BYTES = 4
"""Of the information field, before the rejected packet: code, identifier, length."""


class Code(enum.IntEnum):
    """Codes of LCP and IPCP."""

    CONFIGURE_REQUEST = 1
    CONFIGURE_ACK = 2
    CONFIGURE_NAK = 3
    CONFIGURE_REJECT = 4
    TERMINATE_REQUEST = 5
    TERMINATE_ACK = 6
    CODE_REJECT = 7
    PROTOCOL_REJECT = 8
    ECHO_REQUEST = 9
    ECHO_REPLY = 10


Options = dict[int, bytes]


def options(raw: bytes) -> Options | None:
    """Cut options apart; None when they are malformed."""
    found: Options = {}
    while raw:
        if len(raw) < 2 or not 2 <= raw[1] <= len(raw):
            return None
        found[raw[0]] = raw[2 : raw[1]]
        raw = raw[raw[1] :]
    return found


def emit(chosen: Options) -> bytes:
    """Put options together."""
    return b"".join(bytes([kind, len(value) + 2]) + value for kind, value in chosen.items())


@dataclass(slots=True)
class Layer:
    """One negotiation: what we ask for, and whether each side has acknowledged the other.

    ``known`` are the options that the peer may ask for; others are rejected.
    """

    protocol: int
    wanted: Options
    known: frozenset[int]
    acked: bool = False  # the peer has our options
    acking: bool = False  # we have the peer's
    peer: Options = field(default_factory=dict)
    identifier: int = 0

    @property
    def opened(self) -> bool:
        """Whether this layer is up."""
        return self.acked and self.acking

    def request(self) -> bytes:
        """Return a Configure-Request."""
        self.identifier = (self.identifier + 1) & 0xFF
        return self._frame(Code.CONFIGURE_REQUEST, self.identifier, emit(self.wanted))

    def take(self, code: int, identifier: int, body: bytes) -> list[bytes]:
        """Take one packet of this layer; return the answers."""
        if code == Code.CONFIGURE_REQUEST:
            return self._requested(identifier, body)
        if identifier != self.identifier:
            return []
        if code == Code.CONFIGURE_ACK:
            self.acked = True
        elif code in {Code.CONFIGURE_NAK, Code.CONFIGURE_REJECT}:
            return self._corrected(code, body)
        return []

    def _requested(self, identifier: int, body: bytes) -> list[bytes]:
        asked = options(body)
        if asked is None:
            return []
        unknown = {kind: value for kind, value in asked.items() if kind not in self.known}
        if unknown:
            return [self._frame(Code.CONFIGURE_REJECT, identifier, emit(unknown))]
        self.peer, self.acking = asked, True
        return [self._frame(Code.CONFIGURE_ACK, identifier, body)]

    def _corrected(self, code: int, body: bytes) -> list[bytes]:
        for kind, value in (options(body) or {}).items():
            if code == Code.CONFIGURE_REJECT:
                self.wanted.pop(kind, None)
            elif kind in self.wanted:
                self.wanted[kind] = value
        return [self.request()]

    def _frame(self, code: int, identifier: int, body: bytes) -> bytes:
        head = struct.pack(">HBBH", self.protocol, code, identifier, len(body) + 4)
        return head + body


class Phase(enum.Enum):
    """Phases of RFC 1661, 3.2."""

    ESTABLISH = enum.auto()
    AUTHENTICATE = enum.auto()
    NETWORK = enum.auto()
    OPENED = enum.auto()
    TERMINATED = enum.auto()


class PppSession:
    """The client's end.

    ``receive`` and ``tick`` return the frames to send; ``phase`` says how far it is.
    """

    def __init__(self, magic: bytes, user: str = "", password: str = "") -> None:
        """Negotiate with these; ``magic`` is four bytes that differ from the peer's."""
        self.phase = Phase.ESTABLISH
        self.address = b""
        self._rejects = 0
        self._credentials = (user.encode(), password.encode())
        self.lcp = Layer(
            LCP,
            {MRU: PPPOE_MRU.to_bytes(2, "big"), MAGIC: magic},
            frozenset({MRU, AUTHENTICATION, MAGIC}),
        )
        self.ipcp = Layer(IPCP, {ADDRESS: bytes(4)}, frozenset({ADDRESS}))

    def tick(self) -> list[bytes]:
        """Send again what is not answered: called at the start, and every three seconds."""
        if self.phase is Phase.ESTABLISH:
            return [] if self.lcp.acked else [self.lcp.request()]
        if self.phase is Phase.AUTHENTICATE:
            return [self._pap()]
        if self.phase is Phase.NETWORK and not self.ipcp.acked:
            return [self.ipcp.request()]
        return []

    def terminate(self) -> list[bytes]:
        """Hang up."""
        self.phase = Phase.TERMINATED
        return [struct.pack(">HBBH", LCP, Code.TERMINATE_REQUEST, 1, 4)]

    def receive(self, frame: bytes) -> list[bytes]:
        """Take one control frame."""
        if len(frame) < 6:
            return []
        protocol, code, identifier, length = struct.unpack_from(">HBBH", frame)
        body = frame[6 : 2 + length]
        if len(frame) < 2 + length or length < 4:
            return []
        answers: list[bytes] = []
        if protocol == LCP:
            answers = self._lcp(code, identifier, body)
        elif protocol == PAP and self.phase is Phase.AUTHENTICATE:
            self.phase = Phase.NETWORK if code == Code.CONFIGURE_ACK else Phase.TERMINATED
            answers = self.tick()
        elif protocol == IPCP:
            if self.phase in {Phase.NETWORK, Phase.OPENED}:
                answers = self.ipcp.take(code, identifier, body)
        elif protocol != PAP and self.lcp.opened:
            answers = [self._reject(frame)]
        if self.phase is Phase.NETWORK and self.ipcp.opened:
            self.phase = Phase.OPENED
            self.address = self.ipcp.wanted.get(ADDRESS, b"")
        return answers

    def _lcp(self, code: int, identifier: int, body: bytes) -> list[bytes]:
        if code == Code.ECHO_REQUEST:
            magic = self.lcp.wanted.get(MAGIC, bytes(4))
            reply = struct.pack(">HBBH", LCP, Code.ECHO_REPLY, identifier, len(body) + 4)
            return [reply + magic + body[4:]]
        if code == Code.TERMINATE_REQUEST:
            self.phase = Phase.TERMINATED
            return [struct.pack(">HBBH", LCP, Code.TERMINATE_ACK, identifier, 4)]
        answers = self.lcp.take(code, identifier, body)
        if self.phase is Phase.ESTABLISH and self.lcp.opened:
            pap = self.lcp.peer.get(AUTHENTICATION) == PAP.to_bytes(2, "big")
            self.phase = Phase.AUTHENTICATE if pap else Phase.NETWORK
            answers += self.tick()
        return answers

    def _reject(self, frame: bytes) -> bytes:
        """Return a Protocol-Reject (RFC 1661, 5.7): IPV6CP and CCP are asked for until they are rejected."""
        self._rejects = (self._rejects + 1) & 0xFF
        body = frame[: PPPOE_MRU - REJECT_HEAD_BYTES]
        return struct.pack(">HBBH", LCP, Code.PROTOCOL_REJECT, self._rejects, len(body) + 4) + body

    def _pap(self) -> bytes:
        body = b"".join(bytes([len(part)]) + part for part in self._credentials)
        return struct.pack(">HBBH", PAP, Code.CONFIGURE_REQUEST, 1, len(body) + 4) + body
