"""Rules about what a driver holds.

And about the life of adapters, filters, opens, pools and circuits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ndis.events import Event, Kind
from ndis.lwf import FilterState
from ndis.packet import Owner
from ndis.status import Status
from ndis.verifier.rule import Rule, block
from ntos.executive.contract import SECOND

if TYPE_CHECKING:
    from ndis.nblpath import ListSends
    from ndis.verifier.rule import Watch

FILTER_LIMIT_NS = 30 * SECOND


class HaltHolds(Rule):
    """After Halt the driver's code is gone."""

    NUMBER = "V12"
    TITLE = "Halt with something outstanding"
    KINDS = frozenset({Kind.EXIT})

    def see(self, event: Event) -> str | None:
        """Look into all accounts when Halt returns."""
        if event.name not in {"halt", "halt_ex"}:
            return None
        adapter = block(event)
        held = [f"{r.kind}" for r in adapter.resources.held]
        if adapter.sends.outstanding or adapter.lists.outstanding_lists:
            held.append("sends")
        if adapter.receives.taken or adapter.lists.indicated:
            held.append("receive packets")
        held += self.verifier.locks.get(event.context, [])
        return ", ".join(sorted(held)) or None


class InitializeLeaks(Rule):
    """A driver that fails leaves nothing behind."""

    NUMBER = "V13"
    TITLE = "failed Initialize leaks"
    KINDS = frozenset({Kind.EXIT})

    def see(self, event: Event) -> str | None:
        """Look into the account of resources when Initialize returns a failure."""
        if event.name not in {"initialize", "initialize_ex"}:
            return None
        result = event.details["result"]
        status = result[0] if isinstance(result, tuple) else result
        if status is Status.SUCCESS:
            return None
        return ", ".join(sorted(r.kind for r in block(event).resources.held)) or None


class FilterTimes(Rule):
    """A filter that holds up the stack."""

    NUMBER = "V20"
    TITLE = "filter keeps a send, a receive, a request or a pause longer than 30 s"
    KINDS = frozenset({Kind.TIMER_TICK, Kind.STATE})

    def __init__(self, verifier: Watch) -> None:
        super().__init__(verifier)
        self._pausing_ns: dict[object, int] = {}
        self._said: set[object] = set()

    def see(self, event: Event) -> str | None:
        """Look at the ages of requests and lists that are with a filter (lists: NDIS's), and of pauses."""
        if event.kind is Kind.STATE:
            if event.name == "filter pause":
                self._pausing_ns[event.subject] = event.at_ns
            elif event.name == "filter paused":
                self._pausing_ns.pop(event.subject, None)
            return None
        lists = block(event).lists
        held = lists.stack.requests.held if lists.stack is not None else ()
        for request in (one for one in held if one not in self._said):
            if event.at_ns - request.at_ns > FILTER_LIMIT_NS:
                self._said.add(request)
                return f"a request, {request!r}, since {request.at_ns / 1e9:.1f} s"
        return self._old_list(event, lists) or self._old_pause(event)

    def _old_list(self, event: Event, lists: ListSends) -> str | None:
        for what, account in (("send", lists.outstanding_lists), ("receive", lists.indicated)):
            for nbl, since_ns in account.items():
                late = event.at_ns - since_ns > FILTER_LIMIT_NS
                if late and nbl.owner is Owner.NDIS and nbl not in self._said:
                    self._said.add(nbl)
                    return f"a {what} since {since_ns / 1e9:.1f} s"
        return None

    def _old_pause(self, event: Event) -> str | None:
        for module, since_ns in list(self._pausing_ns.items()):
            late = event.at_ns - since_ns > FILTER_LIMIT_NS
            if late and getattr(module, "state", None) is FilterState.PAUSING:
                del self._pausing_ns[module]
                return f"a pause since {since_ns / 1e9:.1f} s"
        return None


class DmaOutside(Rule):
    """A bus master may only reach what is mapped for it."""

    NUMBER = "V28"
    TITLE = "DMA address outside every mapping, or after unmapping"
    KINDS = frozenset({Kind.DMA})

    def see(self, event: Event) -> str | None:
        """Compare the range with the mappings at this moment."""
        address, length = event.details["address"], event.details["length"]
        for start, size in event.details["mapped"]:
            if start <= address and address + length <= start + size:
                return None
        return f"{address:#x}+{length:#x}"


class RegisterAccess(Rule):
    """Registers that are there, and in an ISR only those that are for it."""

    NUMBER = "V29"
    TITLE = "register access outside the BAR, or not allowed in an ISR"
    KINDS = frozenset({Kind.MMIO})

    def see(self, event: Event) -> str | None:
        """Compare the offset with the BAR, and with the ISR's registers when they are given."""
        offset, length = event.details["offset"], event.details["length"]
        if not 0 <= offset <= length - 4:
            return f"{event.name} at {offset:#x}, the BAR has {length:#x} bytes"
        allowed = self.verifier.isr_registers
        inside = self.verifier.handlers(event.context)
        if allowed is not None and inside and inside[-1] == "isr" and offset not in allowed:
            return f"{event.name} at {offset:#x} in the ISR"
        return None


class CloseBusy(Rule):
    """A transport closes after its last packet is home."""

    NUMBER = "V31"
    TITLE = "close with requests, sends or receive packets outstanding"
    KINDS = frozenset({Kind.RETAINED, Kind.RETURN, Kind.CLOSE})

    def __init__(self, verifier: Watch) -> None:
        super().__init__(verifier)
        self._held: dict[object, list[object]] = {}

    def see(self, event: Event) -> str | None:
        """Follow what each open holds."""
        if event.kind is Kind.RETAINED:
            if not event.details["resources"]:
                self._held.setdefault(event.details["open"], []).append(event.subject)
            return None
        if event.kind is Kind.RETURN:
            held = self._held.get(event.details.get("open"), [])
            if event.subject in held:
                held.remove(event.subject)
            return None
        pending = [k for k in ("sends", "lists", "requests") if event.details[k]]
        if any(p in block(event).receives.taken for p in self._held.get(event.subject, [])):
            pending.append("receive packets")
        return f"{event.subject!r}: {', '.join(pending)}" if pending else None


class PausedBusy(Rule):
    """Paused means drained."""

    NUMBER = "V32"
    TITLE = "pause completed with lists outstanding"
    KINDS = frozenset({Kind.STATE})

    def see(self, event: Event) -> str | None:
        """Look at what the event carries."""
        if event.name != "pause complete":
            return None
        sends, receives = event.details["sends"], event.details["receives"]
        if sends or receives:
            return f"{len(sends)} sends and {len(receives)} receives are out"
        return None


class Storm(Rule):
    """An ISR that claims interrupts without doing anything about them."""

    NUMBER = "V34"
    TITLE = "interrupt storm"
    KINDS = frozenset(
        {
            Kind.INTERRUPT,
            Kind.SEND_COMPLETE,
            Kind.INDICATE,
            Kind.STATUS,
            Kind.SEND,
            Kind.REQUEST_COMPLETE,
        }
    )

    def __init__(self, verifier: Watch) -> None:
        super().__init__(verifier)
        self._row: dict[str, int] = {}

    def see(self, event: Event) -> str | None:
        """Count claimed interrupts since the driver last did something."""
        if event.kind is not Kind.INTERRUPT:
            self._row[event.adapter] = 0
            return None
        if not event.details["recognized"]:
            return None
        row = self._row[event.adapter] = self._row.get(event.adapter, 0) + 1
        if row == self.verifier.storm_limit + 1:
            return f"{row} interrupts claimed, nothing done"
        return None


class Circuits(Rule):
    """A circuit is created, activated, used, deactivated, deleted: in that order."""

    NUMBER = "V35"
    TITLE = "virtual circuit deleted while active, used while inactive, or activated twice"
    KINDS = frozenset({Kind.VC})
    ALLOWED = (
        ("activate", "CREATED"),
        ("deactivate", "ACTIVE"),
        ("send", "ACTIVE"),
        ("indicate", "ACTIVE"),
        ("delete", "CREATED"),
    )

    def see(self, event: Event) -> str | None:
        """Compare the operation with the circuit's state before it."""
        state = event.details["state"]
        if event.name == "create" or (event.name, state) in self.ALLOWED:
            return None
        return f"{event.name} while {state}"


class PoolLeaks(Rule):
    """Packets that never came home."""

    NUMBER = "V36"
    TITLE = "packets of a pool leaked"
    KINDS = frozenset({Kind.POOL})

    def see(self, event: Event) -> str | None:
        """Look at what is still out."""
        leaked = event.details["leaked"]
        return ", ".join(repr(p) for p in leaked) or None


LIFE_RULES: tuple[type[Rule], ...] = (
    HaltHolds,
    InitializeLeaks,
    FilterTimes,
    DmaOutside,
    RegisterAccess,
    CloseBusy,
    PausedBusy,
    Storm,
    Circuits,
    PoolLeaks,
)
