"""The neighbour cache of one interface: who has which MAC (RFC 4861 7.3; ARP by the same rules).

ARP and neighbour discovery each supply ``solicit``; the states, timers and limits are here.
"""

from __future__ import annotations

import enum
from collections import deque
from typing import TYPE_CHECKING

from protocols.transports.tcpip.timers import SECOND, Timer

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocols.transports.tcpip.context import Context
    from protocols.transports.tcpip.link import TxFrame

MAX_WAITING = 32  # frames kept for one unresolved neighbour (RFC 4861 7.2.2 asks for at least 1)
MAX_SOLICITS = 3
RETRANS_TIME = 1 * SECOND
REACHABLE_TIME = 30 * SECOND
DELAY_FIRST_PROBE = 5 * SECOND


class Reachability(enum.Enum):
    """The states of RFC 4861 7.3.2, and one for a static entry."""

    INCOMPLETE = enum.auto()
    REACHABLE = enum.auto()
    STALE = enum.auto()
    DELAY = enum.auto()
    PROBE = enum.auto()
    PERMANENT = enum.auto()


class Neighbour:
    """One entry."""

    __slots__ = (
        "address",
        "mac",
        "solicits",
        "state",
        "timer",
        "waiting",
    )

    def __init__(self, address: bytes, timer: Timer) -> None:
        self.address = address
        self.mac: bytes | None = None
        self.state = Reachability.INCOMPLETE
        self.timer = timer
        self.solicits = 0
        self.waiting: deque[tuple[int, TxFrame]] = deque(maxlen=MAX_WAITING)


class NeighbourCache:
    """Entries by address; the oldest resolved one is pushed out when there are too many."""

    def __init__(
        self,
        context: Context,
        solicit: Callable[[bytes, bytes | None], None],
        emit: Callable[[bytes, int, TxFrame], None],
        unreachable: Callable[[list[TxFrame]], None],
    ) -> None:
        """``solicit(address, mac or None)`` asks, ``emit(mac, ethertype, frame)`` sends."""
        self._context = context
        self._solicit = solicit
        self._emit = emit
        self._unreachable = unreachable
        self.entries: dict[bytes, Neighbour] = {}

    def send(self, address: bytes, ethertype: int, frame: TxFrame) -> None:
        """Send a frame to a neighbour now, or when its MAC is known."""
        entry = self.entries.get(address)
        if entry is None:
            entry = self._create(address)
            entry.waiting.append((ethertype, frame))
            self._probe(entry)
            return
        if entry.mac is None:
            entry.waiting.append((ethertype, frame))
            return
        if entry.state is Reachability.STALE:
            entry.state = Reachability.DELAY
            entry.timer.start(DELAY_FIRST_PROBE)
        self._emit(entry.mac, ethertype, frame)

    def add_permanent(self, address: bytes, mac: bytes) -> None:
        """Pin an entry (``arp -s``)."""
        entry = self.entries.get(address) or self._create(address)
        entry.timer.stop()
        self._learn(entry, mac, Reachability.PERMANENT)

    def remove(self, address: bytes) -> None:
        """Forget an entry and what waits for it."""
        entry = self.entries.pop(address, None)
        if entry is not None:
            entry.timer.stop()

    def heard(self, address: bytes, mac: bytes) -> None:
        """Take a MAC from a request or solicitation: known, but not proven reachable."""
        entry = self.entries.get(address) or self._create(address)
        if entry.state is Reachability.PERMANENT:
            return
        if entry.mac != mac:
            self._learn(entry, mac, Reachability.STALE)

    def refresh(self, address: bytes, mac: bytes) -> None:
        """Like ``heard``, but make no new entry (gratuitous and overheard announcements)."""
        if address in self.entries:
            self.heard(address, mac)

    def answered(self, address: bytes, mac: bytes) -> None:
        """Take a MAC from a solicited answer: reachable. Unsolicited first contact is ignored."""
        entry = self.entries.get(address)
        if entry is None or entry.state is Reachability.PERMANENT:
            return
        self._learn(entry, mac, Reachability.REACHABLE)
        entry.timer.start(REACHABLE_TIME)

    def confirm(self, address: bytes) -> None:
        """Take a hint of forward progress from TCP (RFC 4861 7.3.1)."""
        entry = self.entries.get(address)
        if entry is None or entry.mac is None or entry.state is Reachability.PERMANENT:
            return
        entry.state = Reachability.REACHABLE
        entry.timer.start(REACHABLE_TIME)

    def _create(self, address: bytes) -> Neighbour:
        limit = self._context.config.neighbour_entries
        while len(self.entries) >= limit:
            victim = next((a for a, e in self.entries.items() if e.state is not Reachability.PERMANENT), None)
            if victim is None:
                break
            self._context.counters["neighbour.evicted"] += 1
            self.remove(victim)
        entry = Neighbour(address, self._context.timers.timer(lambda: self._expire(address)))
        self.entries[address] = entry
        return entry

    def _learn(self, entry: Neighbour, mac: bytes, state: Reachability) -> None:
        entry.mac = mac
        entry.state = state
        entry.solicits = 0
        entry.timer.stop()
        waiting, entry.waiting = entry.waiting, deque(maxlen=MAX_WAITING)
        for ethertype, frame in waiting:
            self._emit(mac, ethertype, frame)

    def _probe(self, entry: Neighbour) -> None:
        entry.solicits += 1
        entry.timer.start(RETRANS_TIME)
        self._solicit(entry.address, entry.mac)

    def _expire(self, address: bytes) -> None:
        entry = self.entries.get(address)
        if entry is None:
            return
        if entry.state is Reachability.REACHABLE:
            entry.state = Reachability.STALE
            return
        if entry.state is Reachability.DELAY:
            entry.state = Reachability.PROBE
            entry.solicits = 0
        if entry.solicits < MAX_SOLICITS:
            self._probe(entry)
            return
        del self.entries[address]
        self._context.counters["neighbour.failed"] += 1
        if entry.waiting:
            self._unreachable([frame for _, frame in entry.waiting])
