"""LACP: the port of an 802.3ad (IEEE 802.1AX) link aggregation, sans I/O.

::

destination 01-80-C2-00-00-02, type 0x8809, subtype 1, version 1 TLV 1 (actor, 20 bytes) TLV 2
(partner, 20) TLV 3 (collector, 16) TLV 0, padding to 110 bytes

Receive, periodic and (coupled) mux machines of section 6.4; selection: ports whose partner is the
same system and key aggregate. Time comes in, frames go out.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass, replace

from ntos.executive.contract import SECOND

DESTINATION = bytes.fromhex("0180c2000002")
SLOW_PROTOCOLS = b"\x88\x09"
_INFO = struct.Struct(">BBH6sHHHB3x")
_COLLECTOR = struct.Struct(">BBH12x")
FAST_NS, SLOW_NS = SECOND, 30 * SECOND
SHORT_TIMEOUT_NS = 3 * SECOND
WAIT_NS = 2 * SECOND  # Aggregate_Wait_Time
MAX_TX_PER_SECOND = 3


class Bits(enum.IntFlag):
    """Actor_State and Partner_State."""

    NONE = 0
    ACTIVITY = 0x01
    TIMEOUT = 0x02  # short
    AGGREGATION = 0x04
    SYNCHRONIZATION = 0x08
    COLLECTING = 0x10
    DISTRIBUTING = 0x20
    DEFAULTED = 0x40
    EXPIRED = 0x80


@dataclass(frozen=True, slots=True)
class Info:
    """One side of a link: system, key, port, state."""

    system: bytes = bytes(6)
    key: int = 0
    port: int = 0
    state: Bits = Bits.NONE
    system_priority: int = 0xFFFF
    port_priority: int = 0xFF

    def emit(self, kind: int) -> bytes:
        """Return the TLV, ``kind`` 1 for the actor, 2 for the partner."""
        head = (kind, 20, self.system_priority, self.system)
        return _INFO.pack(*head, self.key, self.port_priority, self.port, self.state)

    @classmethod
    def parse(cls, raw: bytes) -> Info:
        """Read a TLV."""
        _kind, _length, priority, system, key, port_priority, port, state = _INFO.unpack(raw)
        return cls(system, key, port, Bits(state), priority, port_priority)

    def same_port(self, other: Info) -> bool:
        """Whether both describe one port, and agree that it may aggregate."""
        mine, theirs = ((i.system, i.key, i.port, i.state & Bits.AGGREGATION) for i in (self, other))
        return mine == theirs


class Receive(enum.Enum):
    """States of the receive machine."""

    DISABLED = enum.auto()
    EXPIRED = enum.auto()
    DEFAULTED = enum.auto()
    CURRENT = enum.auto()


class Mux(enum.Enum):
    """States of the coupled mux machine."""

    DETACHED = enum.auto()
    WAITING = enum.auto()
    ATTACHED = enum.auto()
    COLLECTING_DISTRIBUTING = enum.auto()


def lacpdu(source: bytes, actor: Info, partner: Info) -> bytes:
    """Return a whole frame."""
    body = b"\x01\x01" + actor.emit(1) + partner.emit(2) + _COLLECTOR.pack(3, 16, 0)
    return DESTINATION + source + SLOW_PROTOCOLS + body.ljust(110, b"\0")


def parse_lacpdu(frame: bytes) -> tuple[Info, Info] | None:
    """Return actor and partner of a LACPDU; None for any other frame."""
    body = frame[14:]
    if frame[:6] != DESTINATION or frame[12:14] != SLOW_PROTOCOLS or body[:1] != b"\x01":
        return None
    if len(body) < 42 or body[2:4] != b"\x01\x14" or body[22:24] != b"\x02\x14":
        return None
    return Info.parse(body[2:22]), Info.parse(body[22:42])


class LacpPort:
    """One port.

    ``step`` is called at least once a second, and after every frame or link change.

    Invariant: the actor's COLLECTING and DISTRIBUTING bits are set exactly in
    COLLECTING_DISTRIBUTING.
    """

    def __init__(self, system: bytes, key: int, port: int, source: bytes) -> None:
        """Start with the link down; the port is active and asks for short timeouts."""
        state = Bits.ACTIVITY | Bits.TIMEOUT | Bits.AGGREGATION
        self.actor = Info(system, key, port, state)
        self.partner = Info()
        self.receive_state = Receive.DISABLED
        self.mux = Mux.DETACHED
        self.selected = False
        self._source = source
        self._expires_ns = 0
        self._waits_ns = 0
        self._periodic_ns = 0
        self._ntt = False
        self._sent_ns: list[int] = []

    @property
    def distributing(self) -> bool:
        """Whether frames may be sent and received by this port."""
        return self.mux is Mux.COLLECTING_DISTRIBUTING

    def link(self, now_ns: int, *, up: bool) -> None:
        """Take a change of the link."""
        if not up:
            self.receive_state = Receive.DISABLED
            self.partner = replace(self.partner, state=self.partner.state & ~Bits.SYNCHRONIZATION)
            self.selected = False
        elif self.receive_state is Receive.DISABLED:
            self._expire(now_ns)

    def received(self, frame: bytes, now_ns: int) -> bool:
        """Take a frame; True when it was a LACPDU."""
        parsed = parse_lacpdu(frame)
        if parsed is None:
            return False
        if self.receive_state is Receive.DISABLED:
            return True
        actor, view = parsed
        if not actor.same_port(self.partner):
            self.selected = False
        synchronized = view.same_port(self.actor) or not actor.state & Bits.AGGREGATION
        keeps = bool(actor.state & Bits.SYNCHRONIZATION) and synchronized
        state = actor.state if keeps else actor.state & ~Bits.SYNCHRONIZATION
        self.partner = replace(actor, state=state)
        self._set(Bits.DEFAULTED | Bits.EXPIRED, on=False)
        told = Bits.ACTIVITY | Bits.TIMEOUT | Bits.AGGREGATION | Bits.SYNCHRONIZATION
        if not view.same_port(self.actor) or (view.state ^ self.actor.state) & told:
            self._ntt = True
        self.receive_state = Receive.CURRENT
        self._expires_ns = now_ns + SHORT_TIMEOUT_NS
        return True

    def step(self, now_ns: int) -> list[bytes]:
        """Run all machines; return the frames that leave now."""
        self._run_receive(now_ns)
        self._run_mux(now_ns)
        return self._transmit(now_ns)

    def _run_receive(self, now_ns: int) -> None:
        if self.receive_state is Receive.DISABLED or now_ns < self._expires_ns:
            return
        if self.receive_state is Receive.CURRENT:
            self._expire(now_ns)
        elif self.receive_state is Receive.EXPIRED:
            self.receive_state = Receive.DEFAULTED
            self.partner = Info()
            self.selected = False
            self._set(Bits.EXPIRED, on=False)
            self._set(Bits.DEFAULTED, on=True)

    def _expire(self, now_ns: int) -> None:
        self.receive_state = Receive.EXPIRED
        state = (self.partner.state & ~Bits.SYNCHRONIZATION) | Bits.TIMEOUT
        self.partner = replace(self.partner, state=state)
        self._expires_ns = now_ns + SHORT_TIMEOUT_NS
        self._set(Bits.EXPIRED, on=True)

    def _run_mux(self, now_ns: int) -> None:
        before = self.mux
        in_sync = bool(self.partner.state & Bits.SYNCHRONIZATION)
        if not self.selected:
            self.mux = Mux.DETACHED
        elif self.mux is Mux.DETACHED:
            self.mux = Mux.WAITING
            self._waits_ns = now_ns + WAIT_NS
        elif self.mux is Mux.WAITING and now_ns >= self._waits_ns:
            self.mux = Mux.ATTACHED
        elif self.mux is Mux.ATTACHED and in_sync:
            self.mux = Mux.COLLECTING_DISTRIBUTING
        elif self.mux is Mux.COLLECTING_DISTRIBUTING and not in_sync:
            self.mux = Mux.ATTACHED
        attached = self.mux in {Mux.ATTACHED, Mux.COLLECTING_DISTRIBUTING}
        self._set(Bits.SYNCHRONIZATION, on=attached)
        self._set(Bits.COLLECTING | Bits.DISTRIBUTING, on=self.distributing)
        self._ntt = self._ntt or self.mux is not before

    def _transmit(self, now_ns: int) -> list[bytes]:
        if self.receive_state is Receive.DISABLED:
            return []
        if now_ns >= self._periodic_ns:
            fast = bool(self.partner.state & Bits.TIMEOUT)
            self._periodic_ns = now_ns + (FAST_NS if fast else SLOW_NS)
            self._ntt = True
        self._sent_ns = [at for at in self._sent_ns if at > now_ns - SECOND]
        if not self._ntt or len(self._sent_ns) >= MAX_TX_PER_SECOND:
            return []
        self._ntt = False
        self._sent_ns.append(now_ns)
        return [lacpdu(self._source, self.actor, self.partner)]

    def _set(self, bits: Bits, *, on: bool) -> None:
        state = self.actor.state | bits if on else self.actor.state & ~bits
        self.actor = replace(self.actor, state=state)


def select(ports: list[LacpPort]) -> None:
    """Select: ports with the partner of the first that has one aggregate.

    The others do not.
    """
    current = [p for p in ports if p.receive_state in {Receive.CURRENT, Receive.EXPIRED}]
    known = [p for p in current if p.partner.state & Bits.AGGREGATION and any(p.partner.system)]
    group = (known[0].partner.system, known[0].partner.key) if known else None
    for port in ports:
        port.selected = port in known and (port.partner.system, port.partner.key) == group
