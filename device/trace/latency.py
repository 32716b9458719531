"""How long things took, and how many came at once: doorbell, write-back, interrupt, acknowledgement.

Sans I/O: events and times come in. In a replay all stages of one input have the time of that input.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from device.regs.nic import NIC
from device.trace import events as ev

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from device.trace.events import Event

_TAILS: Final = {NIC[f"TDT{queue}"].offset: queue for queue in (0, 1)}
_ACKNOWLEDGE: Final = {NIC[name].offset for name in ("ICR", "IMS", "IMC")}
_BUCKETS: Final = 40


_EIGHTHS: Final = 3
_LENGTHS: Final = {
    NIC[f"{kind}LEN{queue}"].offset: f"{name}{queue}"
    for kind, name in (("TD", "tx"), ("RD", "rx"))
    for queue in (0, 1)
}
_RING_TAILS: Final = {
    NIC[f"{kind}T{queue}"].offset: f"{name}{queue}"
    for kind, name in (("TD", "tx"), ("RD", "rx"))
    for queue in (0, 1)
}
MOST_SAMPLES: Final = 1024


def _eighth(value: int) -> int:
    """Return the number of the eighth of an octave that a value is in; small values are their own."""
    length = value.bit_length()
    if length <= _EIGHTHS:
        return value
    return (length - _EIGHTHS) << _EIGHTHS | (value >> (length - _EIGHTHS - 1)) & 7


def _end_of(bucket: int) -> int:
    """Return the largest value of an eighth."""
    octave, part = bucket >> _EIGHTHS, bucket & 7
    return bucket if octave == 0 else ((8 | part) + 1 << octave - 1) - 1


def amount(value: float, unit: str) -> str:
    """Return a value with its unit: nanoseconds as people say them."""
    if unit != "ns":
        return f"{value:.4g} {unit}"
    for size, name in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")):
        if value >= size:
            return f"{value / size:.3g} {name}"
    return f"{value:.3g} ns"


def span(low: int, high: int, unit: str) -> str:
    """Return a bucket's values, ``high`` not included: ``4 to 7 bytes``."""
    if high - low <= 1:
        return amount(low, unit)
    first, last = (
        (amount(low, unit), amount(high, unit)) if unit == "ns" else (str(low), f"{high - 1} {unit}")
    )
    return f"{first} to {last}"


class Occupancy:
    """How many slots of a ring the card owned, over time; thinned out as it grows."""

    def __init__(self) -> None:
        """Know nothing of the ring yet."""
        self.count = self.head = self.tail = 0
        self.samples: list[tuple[int, int]] = []
        """Card time in nanoseconds, and slots."""
        self._every = self._skipped = 0

    def sample(self, now_ns: int) -> None:
        """Take note of the present."""
        self._skipped += 1
        if not self.count or self._skipped <= self._every:
            return
        self._skipped = 0
        self.samples.append((now_ns, (self.tail - self.head) % self.count))
        if len(self.samples) >= MOST_SAMPLES:
            self.samples = self.samples[::2]
            self._every = self._every * 2 + 1


@dataclass(slots=True)
class Histogram:
    """Counts by powers of two: bucket n holds values from 2**(n-1) up to 2**n (not included)."""

    title: str
    unit: str
    counts: list[int] = field(default_factory=lambda: [0] * _BUCKETS)
    total: int = 0
    number: int = 0
    largest: int = 0
    fine: dict[int, int] = field(default_factory=dict)
    """Counts by eighths of those buckets, for percentiles."""

    def add(self, value: int) -> None:
        """Count a value."""
        value = max(0, value)
        part = _eighth(value)
        self.fine[part] = self.fine.get(part, 0) + 1
        self.counts[min(value.bit_length(), _BUCKETS - 1)] += 1
        self.total += value
        self.number += 1
        self.largest = max(self.largest, value)

    @property
    def mean(self) -> float:
        """The mean; 0 of nothing."""
        return self.total / self.number if self.number else 0.0

    def percentile(self, part: float) -> int:
        """Return what that part of the values is below, to an eighth of it; the largest, of all of them."""
        wanted, seen = part * self.number, 0
        for bucket in sorted(self.fine):
            seen += self.fine[bucket]
            if seen >= wanted:
                return min(_end_of(bucket) + 1, self.largest)
        return 0

    def eighths(self) -> list[tuple[int, int, int]]:
        """Return (from, up to, count) of the eighths of octaves that have values."""
        return [
            (_end_of(bucket - 1) + 1 if bucket else 0, _end_of(bucket) + 1, count)
            for bucket, count in sorted(self.fine.items())
        ]

    def filled(self) -> list[tuple[int, int, int]]:
        """Return (from, up to, count) of the buckets from the first used to the last."""
        used = [bucket for bucket, count in enumerate(self.counts) if count]
        if not used:
            return []
        return [
            (1 << bucket - 1 if bucket else 0, 1 << bucket, self.counts[bucket])
            for bucket in range(used[0], used[-1] + 1)
        ]


class Statistics:
    """The histograms and counts of one card."""

    def __init__(self) -> None:
        self.doorbell_to_writeback = Histogram("doorbell to write-back", "ns")
        self.writeback_to_interrupt = Histogram("write-back to interrupt", "ns")
        self.interrupt_to_acknowledge = Histogram("interrupt to acknowledgement", "ns")
        self.batch = Histogram("descriptors a doorbell", "descriptors")
        self.between_interrupts = Histogram("time between interrupts", "ns")
        self.sizes = Histogram("frame sizes", "bytes")
        self.counts: dict[str, int] = {}
        self.rates: dict[int, dict[str, int]] = {}
        """Second of card time -> counts of frames and interrupts in it."""
        self.occupancy: dict[str, Occupancy] = {}
        """Ring name -> how full it was."""
        self._began: int | None = None
        self._now = 0
        self._doorbell: dict[int, int] = {}
        self._fetched: dict[int, int] = {}
        self._written: int | None = None
        self._interrupt: int | None = None
        self._signalled: int | None = None
        self._causes: dict[str, int] = {}
        self._rules: dict[type, Callable[..., None]] = {
            ev.RegisterWritten: self._register,
            ev.RegisterRead: self._register,
            ev.DescriptorFetched: self._fetch,
            ev.DescriptorWrittenBack: self._write_back,
            ev.InterruptSent: lambda e: self._sent(f"vector {e.vector}"),
            ev.LineMoved: lambda e: self._sent("INTx") if e.asserted else None,
            ev.FrameCompleted: lambda e: self._frame(
                "tx", len(e.data), e.offload.frames(len(e.data)) if e.offload else 1
            ),
            ev.FrameArrived: lambda e: self._frame("rx", len(e.data)),
        }

    @property
    def histograms(self) -> tuple[Histogram, ...]:
        """Every histogram, in the order of a frame's way."""
        return (
            self.batch,
            self.doorbell_to_writeback,
            self.writeback_to_interrupt,
            self.interrupt_to_acknowledge,
            self.between_interrupts,
            self.sizes,
        )

    @property
    def within_an_input(self) -> tuple[Histogram, ...]:
        """Those that measure from one stage to another of one input: all have one time in a replay."""
        return (self.doorbell_to_writeback, self.writeback_to_interrupt)

    @property
    def seconds(self) -> float:
        """Card time seen, in seconds."""
        return 0.0 if self._began is None else (self._now - self._began) / 1e9

    def observe(self, now_ns: int, event: Event) -> None:
        """Take an event and the card's time."""
        if self._began is None:
            self._began = now_ns
        self._now = now_ns
        name = type(event).__name__
        self.counts[name] = self.counts.get(name, 0) + 1
        rule = self._rules.get(type(event))
        if rule is not None:
            rule(event)

    def capture(self) -> Mapping[str, object]:
        """Return what has been counted, as values that later events do not touch."""
        return {name: copy.deepcopy(value) for name, value in vars(self).items() if name != "_rules"}

    def restore(self, captured: Mapping[str, object]) -> None:
        """Go back to what ``capture`` returned, any number of times."""
        vars(self).update(copy.deepcopy(dict(captured)))

    def _register(self, event: ev.RegisterRead | ev.RegisterWritten) -> None:
        place = NIC.canonical(event.offset)
        if place in _ACKNOWLEDGE and self._interrupt is not None:
            self.interrupt_to_acknowledge.add(self._now - self._interrupt)
            self._interrupt = None
        if isinstance(event, ev.RegisterWritten):
            self._laid_out(event, place)
        if isinstance(event, ev.RegisterWritten) and place in _TAILS:
            queue = _TAILS[place]
            self._end_batch(queue)
            self._doorbell[queue] = self._now

    def _laid_out(self, event: ev.RegisterWritten, place: int | None) -> None:
        if place in _LENGTHS:
            self.occupancy.setdefault(_LENGTHS[place], Occupancy()).count = event.value // 16
        ring = self.occupancy.get(_RING_TAILS.get(place or 0, ""))
        if ring is not None:
            ring.tail = event.value
            ring.sample(self._now)

    def _end_batch(self, queue: int) -> None:
        fetched = self._fetched.pop(queue, 0)
        if fetched:
            self.batch.add(fetched)

    def _fetch(self, event: ev.DescriptorFetched) -> None:
        ring = self.occupancy.get(f"{event.ring}{event.queue}")
        if ring is not None and ring.count:
            ring.head = (event.place + 1) % ring.count
            ring.sample(self._now)
        if event.ring == "tx":
            self._fetched[event.queue] = self._fetched.get(event.queue, 0) + 1

    def _write_back(self, event: ev.DescriptorWrittenBack) -> None:
        if event.ring == "tx" and event.queue in self._doorbell:
            self.doorbell_to_writeback.add(self._now - self._doorbell[event.queue])
        if self._written is None:
            self._written = self._now

    def _sent(self, name: str) -> None:
        self._causes[name] = self._causes.get(name, 0) + 1
        if self._written is not None:
            self.writeback_to_interrupt.add(self._now - self._written)
            self._written = None
        if self._signalled is not None:
            self.between_interrupts.add(self._now - self._signalled)
        self._signalled = self._now
        if self._interrupt is None:
            self._interrupt = self._now
        self._rate("interrupts")

    def _frame(self, way: str, length: int, frames: int = 1) -> None:
        self.sizes.add(length)
        self._rate(f"{way} frames", frames)

    def _rate(self, what: str, number: int = 1) -> None:
        second = (self._now - (self._began or 0)) // 1_000_000_000
        counts = self.rates.setdefault(second, {})
        counts[what] = counts.get(what, 0) + number

    def interrupt_lines(self) -> list[str]:
        """Return how often each vector was signalled, and how long acknowledgements took."""
        sent = ", ".join(f"{name} {count}" for name, count in sorted(self._causes.items()))
        return [f"signalled {sent or 'nothing yet'}"]

    def lines(self) -> list[str]:
        """Return the statistics as text."""
        for queue in list(self._fetched):
            self._end_batch(queue)
        out = [f"card time seen {self.seconds:.6f} s"]
        out += [f"  {name:24} {count}" for name, count in sorted(self.counts.items())]
        for one in self.histograms:
            if one.number:
                out.append(
                    f"{one.title}: {one.number} values, mean {amount(one.mean, one.unit)},"
                    f" 50 % below {amount(one.percentile(0.5), one.unit)},"
                    f" 99 % below {amount(one.percentile(0.99), one.unit)},"
                    f" most {amount(one.largest, one.unit)}"
                )
                most = max(one.counts)
                for low, high, count in one.filled():
                    if count:
                        bar = "#" * max(1, count * 40 // most)
                        out.append(f"  {span(low, high, one.unit):>22}  {bar:40} {count}")
        return out
