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


@dataclass(slots=True)
class Histogram:
    """Counts by powers of two: bucket n holds values from 2**(n-1) up to 2**n (not included)."""

    title: str
    unit: str
    counts: list[int] = field(default_factory=lambda: [0] * _BUCKETS)
    total: int = 0
    number: int = 0
    largest: int = 0

    def add(self, value: int) -> None:
        """Count a value."""
        value = max(0, value)
        self.counts[min(value.bit_length(), _BUCKETS - 1)] += 1
        self.total += value
        self.number += 1
        self.largest = max(self.largest, value)

    @property
    def mean(self) -> float:
        """The mean; 0 of nothing."""
        return self.total / self.number if self.number else 0.0

    def percentile(self, part: float) -> int:
        """Return the upper bound of the bucket in which that part of the values ends."""
        wanted, seen = part * self.number, 0
        for bucket, count in enumerate(self.counts):
            seen += count
            if count and seen >= wanted:
                return min(1 << bucket, self.largest)
        return 0

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
        """Start with nothing counted."""
        self.doorbell_to_writeback = Histogram("doorbell to write-back", "ns")
        self.writeback_to_interrupt = Histogram("write-back to interrupt", "ns")
        self.interrupt_to_acknowledge = Histogram("interrupt to acknowledgement", "ns")
        self.batch = Histogram("descriptors a doorbell", "descriptors")
        self.between_interrupts = Histogram("time between interrupts", "ns")
        self.sizes = Histogram("frame sizes", "bytes")
        self.counts: dict[str, int] = {}
        self.rates: dict[int, dict[str, int]] = {}
        """Second of card time -> counts of frames and interrupts in it."""
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
            ev.FrameCompleted: lambda e: self._frame("tx", len(e.data)),
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
        if isinstance(event, ev.RegisterWritten) and place in _TAILS:
            queue = _TAILS[place]
            self._end_batch(queue)
            self._doorbell[queue] = self._now

    def _end_batch(self, queue: int) -> None:
        fetched = self._fetched.pop(queue, 0)
        if fetched:
            self.batch.add(fetched)

    def _fetch(self, event: ev.DescriptorFetched) -> None:
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

    def _frame(self, way: str, length: int) -> None:
        self.sizes.add(length)
        self._rate(f"{way} frames")

    def _rate(self, what: str) -> None:
        second = (self._now - (self._began or 0)) // 1_000_000_000
        counts = self.rates.setdefault(second, {})
        counts[what] = counts.get(what, 0) + 1

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
                    f"{one.title} ({one.unit}): {one.number} values, mean {one.mean:.1f}, 50 % below"
                    f" {one.percentile(0.5)}, 99 % below {one.percentile(0.99)}, most {one.largest}"
                )
                most = max(one.counts)
                for low, high, count in one.filled():
                    bar = "#" * max(1, count * 40 // most) if count else ""
                    out.append(f"  {low:>12} .. {high:<12} {bar:40} {count}")
        return out
