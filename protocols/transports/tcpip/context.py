"""What every layer of one stack shares: the clock, the entropy source, counters, and settings."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from protocols.transports.tcpip.timers import MILLISECOND, SECOND, TimerQueue

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocols.transports.tcpip.classify import Classification


@dataclass(frozen=True, slots=True)
class StackConfig:
    """The settings of a stack. Times in nanoseconds, sizes in bytes."""

    forwarding: bool = False
    default_ttl: int = 128
    reassembly_bytes: int = 1 << 20  # all unfinished datagrams together
    reassembly_timeout: int = 30 * SECOND
    neighbour_entries: int = 1024
    icmp_errors_per_second: int = 100
    # TCP
    send_buffer: int = 1 << 20
    receive_buffer: int = 1 << 20
    congestion: str = "cubic"
    initial_rto: int = 1 * SECOND  # RFC 6298 2.1
    min_rto: int = 300 * MILLISECOND  # as Windows; RFC 6298 2.4 would have 1 s, Linux has 200 ms
    max_rto: int = 60 * SECOND
    delayed_ack: int = 40 * MILLISECOND  # RFC 9293 3.8.6.3 allows up to 500 ms
    syn_retries: int = 4
    data_retries: int = 8
    keepalive_idle: int = 2 * 3600 * SECOND
    keepalive_interval: int = 1 * SECOND
    keepalive_probes: int = 10
    msl: int = 30 * SECOND  # TIME-WAIT lasts twice this
    fin_wait_2: int = 60 * SECOND
    half_open_limit: int = 256  # per listener; beyond it SYN cookies answer
    connection_limit: int = 65536
    time_wait_limit: int = 4096
    window_scaling: bool = True
    timestamps: bool = True
    sack: bool = True
    # hosts
    ipv6: bool = True
    accept_router_adverts: bool = True
    dad_transmits: int = 1


class Context:
    """One stack's surroundings, handed to each layer.

    ``entropy(n)`` returns n unpredictable bytes; tests pass a seeded one. ``secret`` keys the
    hashes that make initial sequence numbers, ports and SYN cookies hard to guess.
    """

    def __init__(
        self,
        now: int,
        entropy: Callable[[int], bytes],
        config: StackConfig,
    ) -> None:
        """Draw the secret; the clock starts at ``now``."""
        self.timers = TimerQueue(now)
        self.entropy = entropy
        self.config = config
        self.counters: Counter[str] = Counter()
        self.secret = entropy(32)
        self.classification: Classification | None = None
        """The filtering engine that is asked at the classify points, if there is one."""

    @property
    def now(self) -> int:
        """The time of the call that is being served, in nanoseconds."""
        return self.timers.now

    def catch_up(self) -> None:
        """Begin a call from above: it is now what the clock says, not what it was at the last turn."""
        self.timers.catch_up()

    def random(self, bits: int) -> int:
        """Return a random integer of that many bits."""
        size = (bits + 7) // 8
        return int.from_bytes(self.entropy(size)) >> (size * 8 - bits)

    def hash32(self, *parts: bytes) -> int:
        """Return 32 bits of a keyed hash (RFC 6528 3, RFC 4987 3.6)."""
        digest = hashlib.blake2s(b"|".join(parts), key=self.secret, digest_size=4).digest()
        return int.from_bytes(digest)
