"""What a driver does wrong, seen from the card: rules over the events, each with its evidence.

Sans I/O: events, their numbers and the card's time come in; findings are asked for. It looks at registers by
``peek`` and never at guest memory, so that it costs the same on a recording and on a running guest.

The rules that need patience (an interrupt nobody acknowledges, a ring that stands) are judged by the card's
time, when the next event comes.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from device.interrupts import OTHER, RXQ, TXQ
from device.regs.bank import Access
from device.regs.nic import NIC
from device.rings.transmit import DD, ContextTx, TxCommand, parse
from device.trace import events as ev
from device.trace.facts import causes, register_name, say
from device.trace.rules import RULES, Rule, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from device.trace.events import Event

PATIENCE_NS: Final = 1_000_000_000
_LOOK_NS: Final = 10_000_000  # how often patience is looked at: six registers a queue
_KEPT: Final = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that was broken: where first, how often, and what was seen."""

    rule: Rule
    position: int
    time_ns: int
    evidence: tuple[str, ...]
    count: int

    def __str__(self) -> str:
        """Say it in a paragraph."""
        times = "" if self.count == 1 else f", {self.count} times"
        lines = [f"{self.rule.severity.value}: {self.rule.name}: {self.rule.text} (#{self.position}{times})"]
        lines += [f"    {one}" for one in self.evidence]
        lines.append(f"    see {self.rule.source}")
        return "\n".join(lines)


class _Broken:
    def __init__(self, position: int, time_ns: int) -> None:
        self.position, self.time_ns = position, time_ns
        self.evidence: list[str] = []
        self.count = 0


class _TxQueue:
    """What the rules remember of a transmit queue."""

    def __init__(self) -> None:
        self.since_report = 0
        self.fetched = 0
        """Descriptors since the ring was laid out."""
        self.unreported: int | None = None
        """How many of them came before the first frame without RS."""
        self.used_up = False
        """Whether it was told that every slot is used."""
        self.open_since: int | None = None
        self.moved = 0
        self.stalled: int | None = None

    def laid_out(self) -> None:
        """Forget the slots: the driver begins again."""
        self.fetched, self.unreported, self.used_up = 0, None, False


def _offset(name: str) -> int:
    return NIC[name].offset


_TAILS: Final = {_offset(f"{kind}T{queue}"): (kind, queue) for kind in ("TD", "RD") for queue in (0, 1)}
_BASES: Final = {_offset(f"{kind}BAL{queue}") for kind in ("TD", "RD") for queue in (0, 1)}
_TX_HEADS: Final = {_offset(f"TDH{queue}"): queue for queue in (0, 1)}
_LENGTHS: Final = {_offset(f"{kind}LEN{queue}") for kind in ("TD", "RD") for queue in (0, 1)}
_LAYOUT: Final = {
    _offset(f"{kind}{what}{queue}"): (kind, queue)
    for kind in ("TD", "RD")
    for what in ("BAL", "BAH", "LEN", "H")
    for queue in (0, 1)
}
_ENABLE: Final = {
    "TD": (_offset("TCTL"), NIC["TCTL"]["EN"].mask),
    "RD": (_offset("RCTL"), NIC["RCTL"]["EN"].mask),
}
_FIXED: Final = frozenset({"_peek", "_rules"})
"""Attributes of the lint that are no state."""
_ACKNOWLEDGE: Final = {_offset(name) for name in ("ICR", "IMS", "IMC", "ICS")}
_STATUS, _LINK_UP = _offset("STATUS"), NIC["STATUS"]["LU"].mask
_UNWRITABLE: Final = frozenset({Access.RO, Access.RC, Access.RC64L, Access.RC64H})
_ROUTED: Final = (
    (RXQ[0], "RXQ0"),
    (RXQ[1], "RXQ1"),
    (TXQ[0], "TXQ0"),
    (TXQ[1], "TXQ1"),
    (OTHER, "OTHER"),
)


class Lint:
    """The rules, on one card."""

    def __init__(self, peek: Callable[[int], int]) -> None:
        """Look at registers by ``peek``."""
        self._peek = peek
        self._broken: dict[str, _Broken] = {}
        self._position = self._now = self._waited = 0
        self._written_back: dict[tuple[str, int, int], tuple[int, bytes]] = {}
        self._tx = (_TxQueue(), _TxQueue())
        self._signalled: tuple[int, str] | None = None
        self._messages = False
        self._laid_out: set[tuple[str, int]] = set()
        """Rings whose base, length or head was written since their tail."""
        self._rules: dict[type, Callable[..., None]] = {
            ev.RegisterWritten: self._written,
            ev.RegisterRead: self._read,
            ev.DescriptorFetched: self._fetched,
            ev.DescriptorWrittenBack: self._wrote_back,
            ev.FrameCompleted: self._completed,
            ev.DmaFaulted: self._faulted,
            ev.InterruptSent: self._sent,
            ev.LineMoved: self._line,
            ev.CausesRaised: self._caused,
        }

    def observe(self, position: int, now_ns: int, event: Event) -> None:
        """Take an event, its number and the card's time."""
        self._position, self._now = position, now_ns
        if now_ns - self._waited >= _LOOK_NS:
            self._waited = now_ns
            self._wait()
        rule = self._rules.get(type(event))
        if rule is not None:
            rule(event)

    def capture(self) -> Mapping[str, object]:
        """Return what has been found and is remembered, as values that later events do not touch."""
        return {name: copy.deepcopy(value) for name, value in vars(self).items() if name not in _FIXED}

    def restore(self, captured: Mapping[str, object]) -> None:
        """Go back to what ``capture`` returned, any number of times."""
        vars(self).update(copy.deepcopy(dict(captured)))

    def findings(self) -> list[Finding]:
        """Return what was found, errors first."""
        found = [
            Finding(RULES[name], one.position, one.time_ns, tuple(one.evidence), one.count)
            for name, one in self._broken.items()
        ]
        return sorted(found, key=lambda f: (f.rule.severity is not Severity.ERROR, f.position))

    def _report(self, name: str, evidence: str) -> None:
        one = self._broken.setdefault(name, _Broken(self._position, self._now))
        one.count += 1
        if len(one.evidence) < _KEPT:
            one.evidence.append(f"#{self._position} {evidence}")

    # -- registers ------------------------------------------------------------------------------------

    def _written(self, event: ev.RegisterWritten) -> None:
        place = NIC.canonical(event.offset)
        found = NIC.find(event.offset)
        if place is None or found is None:
            self._report("reserved-register", say(event))
            return
        if found[0].access in _UNWRITABLE:
            self._report("write-to-read-only", say(event))
        if place in _TAILS:
            self._tail(event, *_TAILS[place])
        if place in _BASES and event.value & 0xF:
            self._report("unaligned-ring", f"{say(event)}: its low four bits are to be 0")
        if place in _LENGTHS and event.value & 0x7F:
            self._report("unaligned-ring", f"{say(event)}: a length is a multiple of 128 bytes")
        if place in _LAYOUT:
            self._touched(event, *_LAYOUT[place])
        if place in _TX_HEADS:
            self._tx[_TX_HEADS[place]].laid_out()
        if place in _ACKNOWLEDGE:
            self._signalled = None

    def _tail(self, event: ev.RegisterWritten, kind: str, queue: int) -> None:
        count = self._peek(_offset(f"{kind}LEN{queue}")) // 16
        if event.value >= count:
            if event.value or count:
                self._report("tail-beyond-ring", f"{say(event)}: the ring has {count} descriptors")
            return
        control, enabled = _ENABLE[kind]
        laid_out = (kind, queue) in self._laid_out  # Linux does so with the direction on already
        self._laid_out.discard((kind, queue))
        if self._peek(control) & enabled and not laid_out and event.value == self._peek(event.offset):
            self._report("tail-not-moved", say(event))

    def _touched(self, event: ev.RegisterWritten, kind: str, queue: int) -> None:
        self._laid_out.add((kind, queue))
        control, enabled = _ENABLE[kind]
        if not self._peek(control) & enabled:
            return
        head, tail = self._peek(_offset(f"{kind}H{queue}")), self._peek(_offset(f"{kind}T{queue}"))
        if head != tail and self._peek(_offset(f"{kind}LEN{queue}")):
            self._report(
                "touched-while-enabled",
                f"{say(event)} with head {head}, tail {tail}, {register_name(control)}.EN set",
            )

    def _read(self, event: ev.RegisterRead) -> None:
        if NIC.canonical(event.offset) in _ACKNOWLEDGE:
            self._signalled = None

    # -- descriptors ------------------------------------------------------------------------------------

    def _fetched(self, event: ev.DescriptorFetched) -> None:
        left = self._written_back.get((event.ring, event.queue, event.address))
        if left is not None:
            at, raw = left
            skip = len(event.raw) - len(raw) if event.ring == "rx" else 12
            if event.raw[skip : skip + len(raw)] == raw and raw != bytes(len(raw)):
                self._report("stale-descriptor", f"{say(event)}, unchanged since its write-back #{at}")
        if event.ring == "tx":
            self._transmits(event)

    def _transmits(self, event: ev.DescriptorFetched) -> None:
        queue = self._tx[event.queue]
        queue.moved, queue.stalled = self._now, None
        descriptor = parse(event.raw)
        every = self._peek(_offset("IVAR")) & NIC["IVAR"]["TX_EVERY_WB"].mask
        if descriptor.command & TxCommand.RS or every:
            queue.since_report = 0
        else:
            if queue.unreported is None and descriptor.command & TxCommand.EOP:
                queue.unreported = queue.fetched
            queue.since_report += 1
            count = self._peek(_offset(f"TDLEN{event.queue}")) // 16
            if queue.since_report == max(1, count - 1):
                self._report(
                    "missing-rs", f"{queue.since_report} descriptors without RS, the last: {say(event)}"
                )
        queue.fetched += 1
        queue.used_up = False
        if not isinstance(descriptor, ContextTx) and not descriptor.command & TxCommand.EOP:
            if queue.open_since is None:
                queue.open_since = self._now
        elif not isinstance(descriptor, ContextTx):
            queue.open_since = None

    def _wrote_back(self, event: ev.DescriptorWrittenBack) -> None:
        first = event.address if event.ring == "tx" and len(event.raw) != 1 else event.address & ~0xF
        if event.ring == "rx":
            first = event.address if len(event.raw) >= 16 else event.address - (16 - len(event.raw))
        if event.ring == "rx" or (event.raw[:1] and event.raw[0] & DD):
            self._written_back[event.ring, event.queue, first] = (self._position, event.raw)

    def _completed(self, event: ev.FrameCompleted) -> None:
        if event.queue in (0, 1):
            self._tx[event.queue].open_since = None

    def _faulted(self, event: ev.DmaFaulted) -> None:
        self._report("unmapped-dma", say(event))

    # -- interrupts ----------------------------------------------------------------------------------------

    def _sent(self, event: ev.InterruptSent) -> None:
        self._messages = True
        if self._peek(_offset("EIAC")) == 0 and self._signalled is None:
            self._signalled = (self._now, f"#{self._position} {say(event)}")

    def _line(self, event: ev.LineMoved) -> None:
        self._messages = False
        self._signalled = (self._now, f"#{self._position} {say(event)}") if event.asserted else None

    def _caused(self, event: ev.CausesRaised) -> None:
        """Look for a vector: MSI-X is on as soon as IVAR is used; without it nothing says so here."""
        ivar, ims = self._peek(_offset("IVAR")), self._peek(_offset("IMS"))
        if not ivar or not ims:
            return
        for mask, name in _ROUTED:
            if event.causes & ims & mask and not NIC["IVAR"][name].get(ivar) & 8:
                self._report(
                    "interrupt-goes-nowhere",
                    f"{'|'.join(sorted(causes(event.causes & mask)))} is raised and enabled,"
                    f" IVAR {ivar:#010x} has no valid entry for {name}",
                )

    # -- patience ------------------------------------------------------------------------------------------

    def _wait(self) -> None:
        if self._signalled is not None and self._now - self._signalled[0] > PATIENCE_NS:
            since, what = self._signalled
            self._signalled = None
            self._report("unacknowledged-interrupt", f"{what}, {(self._now - since) / 1e9:.1f} s ago")
        for number, queue in enumerate(self._tx):
            if queue.open_since is not None and self._now - queue.open_since > PATIENCE_NS:
                waited = (self._now - queue.open_since) / 1e9
                queue.open_since = None
                self._report("unfinished-frame", f"tx[{number}] has gathered for {waited:.1f} s")
            self._stands(number, queue)
            self._used_up(number, queue)

    def _used_up(self, number: int, queue: _TxQueue) -> None:
        """Report a driver that has used every slot, and waits for one whose DD never comes."""
        count = self._peek(_offset(f"TDLEN{number}")) // 16
        head, tail = self._peek(_offset(f"TDH{number}")), self._peek(_offset(f"TDT{number}"))
        if queue.unreported is None or not count or head != tail or "missing-rs" in self._broken:
            return
        if queue.fetched != count - 1 + queue.unreported:
            return
        if not queue.used_up and self._now - queue.moved > PATIENCE_NS:
            slot = queue.unreported % count
            self._report(
                "waits-without-rs", f"tx[{number}] head {head}, tail {tail}: slot {slot} was sent without RS"
            )
            queue.used_up = True  # told once, until it goes on

    def _stands(self, number: int, queue: _TxQueue) -> None:
        """Report a head that waits behind a tail while the transmitter is on."""
        control, enabled = _ENABLE["TD"]
        count = self._peek(_offset(f"TDLEN{number}")) // 16
        head, tail = self._peek(_offset(f"TDH{number}")), self._peek(_offset(f"TDT{number}"))
        ready = self._peek(control) & enabled and head != tail and head < count and tail < count
        if not ready:
            queue.stalled = None
        elif queue.stalled is None:
            queue.stalled = self._now
        elif queue.stalled >= 0 and self._now - queue.stalled > PATIENCE_NS:
            down = not self._peek(_STATUS) & _LINK_UP
            why = "; the link is down (STATUS.LU is 0)" if down else ""
            self._report("head-of-line-stall", f"tx[{number}] head {head}, tail {tail}{why}")
            queue.stalled = -1  # told once, until it moves
