"""What can be asked of an event: its name, and named facts that breakpoints, hooks and texts share.

It knows the events, the register bank and the descriptor formats; no engine, and nobody who listens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from device.regs.nic import NIC
from device.rings.receive import RxStatus
from device.rings.transmit import ContextTx, DataTx, TxCommand
from device.rings.transmit import parse as parse_tx
from device.trace import events as ev
from device.trace.packets import dissect

if TYPE_CHECKING:
    from collections.abc import Callable

    from device.trace.events import Event

Value = int | str | bool | frozenset[str]
Facts = dict[str, Value]

NAMES: Final[dict[type, str]] = {
    ev.RegisterRead: "read",
    ev.RegisterWritten: "write",
    ev.DescriptorFetched: "fetch",
    ev.DataFetched: "data",
    ev.FrameCompleted: "frame",
    ev.FrameDropped: "drop",
    ev.FrameArrived: "arrive",
    ev.FrameFiltered: "filter",
    ev.FrameBuffered: "buffer",
    ev.FrameUnbuffered: "unbuffer",
    ev.DataStored: "store",
    ev.DescriptorWrittenBack: "writeback",
    ev.CausesRaised: "cause",
    ev.InterruptSent: "irq",
    ev.LineMoved: "line",
    ev.TimerFired: "timer",
    ev.DmaFaulted: "fault",
}
"""The word for each kind of event, in commands and in lists."""

_DOORBELLS: Final = {NIC[f"{kind}T{queue}"].offset for kind in ("TD", "RD") for queue in (0, 1)}
_CAUSES: Final = NIC["ICR"].fields


def causes(value: int) -> frozenset[str]:
    """Return the names of the bits of ICR that are set."""
    return frozenset(field.name for field in _CAUSES if value & field.mask)


def is_doorbell(event: Event) -> bool:
    """Tell whether the event is a write of a tail."""
    return isinstance(event, ev.RegisterWritten) and NIC.canonical(event.offset) in _DOORBELLS


def register_name(offset: int) -> str:
    """Return the canonical name of the register at an offset, alias or not."""
    place = NIC.canonical(offset)
    return NIC.name_of(offset if place is None else place)


def _register(event: ev.RegisterRead | ev.RegisterWritten) -> Facts:
    name = register_name(event.offset)
    facts: Facts = {"reg": name, "value": event.value, "offset": event.offset}
    found = NIC.find(event.offset)
    if found is not None:
        facts["flag"] = frozenset(f.name for f in found[0].fields if event.value & f.mask)
        facts |= {f.name.lower(): f.get(event.value) for f in found[0].fields}
    return facts


def descriptor(ring: str, raw: bytes) -> Facts:
    """Return the facts of a descriptor as a driver wrote it."""
    if ring == "rx":
        return {
            "type": "rx",
            "address": int.from_bytes(raw[:8], "little"),
            "flag": frozenset(f.name or "" for f in RxStatus if raw[8] & f and f)
            if len(raw) == 16
            else frozenset(),
        }
    parsed = parse_tx(raw)
    if isinstance(parsed, ContextTx):
        flags = frozenset(f.name or "" for f in TxCommand if parsed.command & f and f)
        return {
            "type": "context",
            "mss": parsed.mss,
            "hdrlen": parsed.hdrlen,
            "length": parsed.paylen,
            "flag": flags,
        }
    flags = frozenset(f.name or "" for f in TxCommand if parsed.command & f and f)
    facts: Facts = {"address": parsed.address, "length": parsed.length}
    if isinstance(parsed, DataTx):
        if parsed.command & TxCommand.IC:
            flags = flags - {"IC"} | {"TSE"}
        flags |= {f.name or "" for f in type(parsed.options) if parsed.options & f and f}
    facts["type"] = "data" if isinstance(parsed, DataTx) else "legacy"
    facts["flag"] = flags
    return facts


def _fetched(event: ev.DescriptorFetched) -> Facts:
    facts: Facts = {"ring": event.ring, "queue": event.queue, "index": event.place}
    return facts | descriptor(event.ring, event.raw)


def _written_back(event: ev.DescriptorWrittenBack) -> Facts:
    return {
        "ring": event.ring,
        "queue": event.queue,
        "index": event.place,
        "address": event.address,
        "length": len(event.raw),
    }


def _frame(data: bytes) -> Facts:
    facts: Facts = {"len": len(data)}
    facts |= dissect(data).facts
    return facts


_ASKED: Final[dict[type, Callable[..., Facts]]] = {
    ev.RegisterRead: _register,
    ev.RegisterWritten: _register,
    ev.DescriptorFetched: _fetched,
    ev.DescriptorWrittenBack: _written_back,
    ev.DataFetched: lambda e: {"queue": e.queue, "address": e.address, "len": len(e.data)},
    ev.FrameCompleted: lambda e: {"ring": "tx", "queue": e.queue, "looped": e.looped} | _frame(e.data),
    ev.FrameDropped: lambda e: {"ring": e.ring, "queue": e.queue, "reason": e.reason},
    ev.FrameArrived: lambda e: {"ring": "rx", "looped": e.looped} | _frame(e.data),
    ev.FrameFiltered: lambda e: {"accepted": e.accepted, "reason": e.reason},
    ev.FrameBuffered: lambda e: {"ring": "rx", "len": e.length, "held": e.held},
    ev.FrameUnbuffered: lambda e: {"ring": "rx", "len": e.length, "held": e.held},
    ev.DataStored: lambda e: {"queue": e.queue, "address": e.address, "len": len(e.data)},
    ev.CausesRaised: lambda e: {"value": e.causes, "flag": causes(e.causes)},
    ev.InterruptSent: lambda e: {"vector": e.vector},
    ev.LineMoved: lambda e: {"asserted": e.asserted},
    ev.TimerFired: lambda e: {"name": e.name},
    ev.DmaFaulted: lambda e: {"address": e.address, "length": e.length, "write": e.write},
}


_REGISTER_KEYS: Final = frozenset({"reg", "value", "offset", "flag"})
_FETCH_KEYS: Final = frozenset(
    {"ring", "queue", "index", "type", "address", "length", "flag", "mss", "hdrlen"}
)
_FRAME_KEYS: Final = frozenset(
    {
        "ring",
        "looped",
        "len",
        "type",
        "mac",
        "src",
        "dst",
        "vlan",
        "host",
        "proto",
        "port",
        "sport",
        "dport",
        "tcp",
    }
)
KEYS: Final[dict[str, frozenset[str]]] = {
    "read": _REGISTER_KEYS,
    "write": _REGISTER_KEYS,
    "fetch": _FETCH_KEYS,
    "data": frozenset({"queue", "address", "len"}),
    "frame": _FRAME_KEYS | {"queue"},
    "drop": frozenset({"ring", "queue", "reason"}),
    "arrive": _FRAME_KEYS,
    "filter": frozenset({"accepted", "reason"}),
    "store": frozenset({"queue", "address", "len"}),
    "writeback": frozenset({"ring", "queue", "index", "address", "length"}),
    "cause": frozenset({"value", "flag"}),
    "irq": frozenset({"vector"}),
    "line": frozenset({"asserted"}),
    "timer": frozenset({"name"}),
    "fault": frozenset({"address", "length", "write"}),
}
"""What an event of each name may be asked for; registers also for their fields, in lower case.

A test holds this against ``facts_of``.
"""


def name_of(event: Event) -> str:
    """Return the word for the event's kind."""
    return NAMES[type(event)]


def facts_of(event: Event) -> Facts:
    """Return what a condition may ask of the event."""
    return _ASKED[type(event)](event)


def _hexdigits(value: int) -> str:
    return f"{value:#x}"


def _say_register(event: ev.RegisterRead | ev.RegisterWritten) -> str:
    name = register_name(event.offset)
    arrow = "->" if isinstance(event, ev.RegisterRead) else "<-"
    found = NIC.find(event.offset)
    fields = (
        []
        if found is None
        else [
            f.name if f.low == f.high else f"{f.name}={f.get(event.value)}"
            for f in found[0].fields
            if event.value & f.mask
        ]
    )
    return f"{name} {arrow} {_hexdigits(event.value)}" + (f"  {' '.join(fields)}" if fields else "")


def _say_fetched(event: ev.DescriptorFetched) -> str:
    facts = descriptor(event.ring, event.raw)
    flags = facts.get("flag", frozenset())
    parts = [f"{event.ring}[{event.queue}].desc[{event.place}]", str(facts["type"])]
    if "address" in facts:
        parts.append(f"buffer {facts['address']:#x}")
    if "length" in facts:
        parts.append(f"{facts['length']} bytes")
    if isinstance(flags, frozenset) and flags:
        parts.append("|".join(sorted(flags)))
    return " ".join(parts)


_SAID: Final[dict[type, Callable[..., str]]] = {
    ev.RegisterRead: _say_register,
    ev.RegisterWritten: _say_register,
    ev.DescriptorFetched: _say_fetched,
    ev.DataFetched: lambda e: f"tx[{e.queue}] {len(e.data)} bytes from {e.address:#x}",
    ev.FrameCompleted: lambda e: (
        f"tx[{e.queue}] {'looped' if e.looped else 'to the wire'}: {dissect(e.data).summary}"
    ),
    ev.FrameDropped: lambda e: f"{e.ring}[{e.queue}] {e.reason}" if e.queue >= 0 else f"{e.ring} {e.reason}",
    ev.FrameArrived: lambda e: f"{'looped' if e.looped else 'from the wire'}: {dissect(e.data).summary}",
    ev.FrameFiltered: lambda e: f"{'accepted by' if e.accepted else 'refused by'} {e.reason}",
    ev.FrameBuffered: lambda e: f"{e.length} bytes wait in the packet buffer, which holds {e.held}",
    ev.FrameUnbuffered: lambda e: f"{e.length} bytes out of the packet buffer, which held {e.held}",
    ev.DataStored: lambda e: f"rx[{e.queue}] {len(e.data)} bytes to {e.address:#x}",
    ev.DescriptorWrittenBack: lambda e: (
        f"{e.ring}[{e.queue}].desc[{e.place}] {len(e.raw)} bytes at {e.address:#x}: {e.raw.hex()}"
    ),
    ev.CausesRaised: lambda e: f"ICR |= {e.causes:#x}  {' '.join(sorted(causes(e.causes)))}",
    ev.InterruptSent: lambda e: f"vector {e.vector}",
    ev.LineMoved: lambda e: f"INTx {'asserted' if e.asserted else 'released'}",
    ev.TimerFired: lambda e: f"{e.name} ran out",
    ev.DmaFaulted: lambda e: (
        f"nothing is mapped at {e.address:#x}+{e.length:#x} ({'write' if e.write else 'read'})"
    ),
}


def say(event: Event) -> str:
    """Return the event in one line, its kind first."""
    return f"{name_of(event):9} {_SAID[type(event)](event)}"
