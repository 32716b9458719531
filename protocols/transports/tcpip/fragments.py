"""Reassembly of IP datagrams, for both versions, in bounded memory.

Rules: fragments that overlap discard the whole datagram (RFC 5722; for IPv4 the same, as Linux does
since CVE-2018-5391); an exact duplicate is ignored; nothing may reach beyond 65535 bytes; all
unfinished datagrams together are charged against one budget, and the oldest pays first.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from formats.checksum import Buffer
    from protocols.transports.tcpip.context import Context
    from protocols.transports.tcpip.packet import Packet
    from protocols.transports.tcpip.timers import Timer

MAX_DATAGRAM = 65535
FRAGMENT_OVERHEAD = 256  # what keeping one fragment costs besides its bytes
QUOTED_BYTES = 1280  # of the first fragment are kept: no ICMP error quotes more (RFC 4443 2.4 c)


class FragmentKey(NamedTuple):
    """What makes fragments belong together (RFC 791 3.2, RFC 8200 4.5)."""

    source: bytes
    destination: bytes
    identification: int
    protocol: int


@dataclass(slots=True)
class Partial:
    """A datagram with holes. ``starts`` is sorted and parallel to ``parts``."""

    timer: Timer
    starts: list[int] = field(default_factory=list)
    parts: list[bytes] = field(default_factory=list)
    total: int | None = None
    charged: int = 0
    held: int = 0
    first: Packet | None = None  # the first fragment as it came, for Time Exceeded
    poisoned: bool = False  # overlapped: eat what else comes


class Reassembler:
    """Keeps fragments until their datagram is whole, late, or pushed out."""

    def __init__(
        self,
        context: Context,
        timeout: int,
        expired: Callable[[Packet], None],
    ) -> None:
        """``expired`` is called with the first fragment, if that has come, when a datagram is late."""
        self._context = context
        self._timeout = timeout
        self._expired = expired
        self._partials: dict[FragmentKey, Partial] = {}
        self.charged = 0

    def __len__(self) -> int:
        """Return how many datagrams are unfinished."""
        return len(self._partials)

    def add(self, key: FragmentKey, packet: Packet, offset: int, data: Buffer, *, more: bool) -> bytes | None:
        """Take the fragment ``data`` of ``packet``; return the datagram's payload when it completes that."""
        count = self._context.counters
        count["ip.reassembly_required"] += 1
        partial = self._partials.get(key)
        if partial is None:
            partial = Partial(self._context.timers.timer(lambda: self._late(key)))
            self._partials[key] = partial
            partial.timer.start(self._timeout)
        if partial.poisoned:
            return None
        end = offset + len(data)
        if end > MAX_DATAGRAM or not self._fits(partial, offset, end, more=more):
            count["ip.reassembly_failures"] += 1
            self._poison(partial)
            return None
        at = bisect.bisect_left(partial.starts, offset)
        if not data or (at < len(partial.starts) and partial.starts[at] == offset):
            return None  # a duplicate: _fits has compared its end
        self._charge(partial, len(data) + FRAGMENT_OVERHEAD)
        if offset == 0:
            partial.first = packet.quotation(QUOTED_BYTES)
        partial.starts.insert(at, offset)
        partial.parts.insert(at, bytes(data))
        partial.held += len(data)
        if not more:
            partial.total = end
        if partial.held == partial.total:
            self._drop(key)
            count["ip.reassembly_ok"] += 1
            return b"".join(partial.parts)
        self._evict()
        return None

    @staticmethod
    def _fits(partial: Partial, offset: int, end: int, *, more: bool) -> bool:
        if partial.total is not None and (end > partial.total or (not more and end != partial.total)):
            return False
        at = bisect.bisect_left(partial.starts, offset)
        if at < len(partial.starts):
            if partial.starts[at] == offset:
                return offset + len(partial.parts[at]) == end
            if partial.starts[at] < end:
                return False
            if not more:
                return False  # a last fragment with data behind it
        return not at or partial.starts[at - 1] + len(partial.parts[at - 1]) <= offset

    def _charge(self, partial: Partial, size: int) -> None:
        partial.charged += size
        self.charged += size

    def _poison(self, partial: Partial) -> None:
        self.charged -= partial.charged
        partial.starts.clear()
        partial.parts.clear()
        partial.poisoned = True
        partial.charged = 0
        self._charge(partial, FRAGMENT_OVERHEAD)
        self._evict()

    def _evict(self) -> None:
        while self.charged > self._context.config.reassembly_bytes:
            self._context.counters["ip.reassembly_evicted"] += 1
            self._drop(next(iter(self._partials)))

    def _drop(self, key: FragmentKey) -> Partial:
        partial = self._partials.pop(key)
        partial.timer.stop()
        self.charged -= partial.charged
        return partial

    def _late(self, key: FragmentKey) -> None:
        self._context.counters["ip.reassembly_failures"] += 1
        partial = self._drop(key)
        if not partial.poisoned and partial.first is not None:
            self._expired(partial.first)
