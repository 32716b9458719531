"""What a running stack looks like, as ``!ndiskd`` shows it: values made from live objects.

Each view is a list of frozen records; ``table`` makes text of them, ``dataclasses.asdict`` data. Looking
changes nothing, but for ``ask_oids``, which asks the driver. Printing, and the way into another process, are
the caller's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import astuple, dataclass, fields
from typing import TYPE_CHECKING

from formats.columns import WIDTH, columns, hanging
from ndis.events import Kind
from ndis.hardware import RegisterAccess
from ndis.oid_text import meaning
from ndis.oids import BY_NUMBER, Oid, oid_name
from ndis.requests import InformationBuffer, Request, RequestKind
from ndis.status import Status
from ntos.executive.contract import expect

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ndis.adapter import MiniportAdapter
    from ndis.events import Event
    from ndis.journal import Journal
    from ndis.packet import Packet
    from ndis.verifier.core import Verifier
    from ndis.wrapper import Ndis

ANSWER_BYTES = 1024
Register = Callable[[RegisterAccess], str]
SHOWN_BYTES = 4
MOST_COLUMNS = 8


class HexBytes(str):
    """Bytes as hexadecimal text: whole as data, cut where a table of them is printed."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class AdapterView:
    """One adapter: ``!ndiskd.miniport``."""

    adapter: str
    driver: str
    ndis: str
    mode: str
    state: str
    power: str
    address: str
    link: str
    filter: str
    groups: int
    sends: int  # with the driver
    queued: int  # in NDIS's queue
    receives: int  # packets that transports keep
    resets: int
    holds: str


@dataclass(frozen=True, slots=True)
class OpenView:
    """One binding of a protocol: ``!ndiskd.mopen``."""

    protocol: str
    adapter: str
    state: str
    filter: str
    lookahead: int
    groups: str


@dataclass(frozen=True, slots=True)
class PendingView:
    """One thing that is under way, where it is, and for how long."""

    adapter: str
    what: str
    where: str
    age_s: float | None


@dataclass(frozen=True, slots=True)
class PacketView:
    """One packet that is out of its pool: ``!ndiskd.pkt``."""

    number: int
    owner: str
    status: str
    bytes: int
    references: int
    info: str
    start: str


@dataclass(frozen=True, slots=True)
class OidView:
    """One OID and what the driver answers, or who waits for an answer."""

    adapter: str
    oid: str
    state: str
    answer: str
    """In words where they are known, else the bytes."""
    raw: str = HexBytes()


@dataclass(frozen=True, slots=True)
class LogView:
    """One crossing of a driver's border."""

    time_s: float
    level: str
    adapter: str
    kind: str
    what: str
    subject: str


@dataclass(frozen=True, slots=True)
class ReportView:
    """One report of the verifier."""

    rule: str
    title: str
    adapter: str
    time_s: float
    what: str
    history: tuple[str, ...]


def adapters(ndis: Ndis) -> list[AdapterView]:
    """Return every adapter, in the order they were added."""
    return [_adapter(one) for one in ndis.adapters]


def _adapter(one: MiniportAdapter) -> AdapterView:
    held = Counter(resource.kind for resource in one.resources.held)
    return AdapterView(
        one.name,
        one.characteristics.name,
        ".".join(map(str, one.characteristics.version)),
        "serialized" if one.serialized else "deserialized",
        one.state.name,
        one.power.name,
        one.filter.address.hex(":"),
        "up" if one.media_connected else "down",
        _flags(one.filter.packet_filter),
        len(one.filter.multicast),
        len(one.sends.outstanding),
        len(one.sends.queued),
        len(one.receives.taken),
        one.resets.count,
        ", ".join(f"{count} {kind}" for kind, count in sorted(held.items())),
    )


def opens(ndis: Ndis) -> list[OpenView]:
    """Return every open, in the order of the adapters."""
    found = []
    for adapter in ndis.adapters:
        for open_ in adapter.opens:
            mine = adapter.filter.of(open_)
            groups = " ".join(group.hex(":") for group in mine.multicast)
            asked = _flags(mine.packet_filter)
            found.append(
                OpenView(open_.protocol, adapter.name, open_.state.name, asked, mine.lookahead, groups)
            )
    return found


def pending(ndis: Ndis) -> list[PendingView]:
    """Return sends queued and with drivers, receives with protocols, requests, and resets under way."""
    return [view for adapter in ndis.adapters for view in _pending(adapter)]


def _pending(adapter: MiniportAdapter) -> Iterator[PendingView]:
    now_ns = adapter.executive.now_ns()

    def view(what: object, where: str, since_ns: int | None = None) -> PendingView:
        age_s = None if since_ns is None else (now_ns - since_ns) / 1e9
        return PendingView(adapter.name, what if isinstance(what, str) else repr(what), where, age_s)

    for packet, since_ns in list(adapter.sends.outstanding.items()):
        yield view(packet, "send, with the driver", since_ns)
    for packet in list(adapter.sends.queued):
        yield view(packet, "send, in NDIS's queue")
    for packet, since_ns in list(adapter.receives.taken.items()):
        yield view(packet, f"receive, {packet.references} references of transports", since_ns)
    current = adapter.requests.current
    if current is not None:
        yield view(current, "request, with the driver", current.at_ns)
    for request in adapter.requests.waiting:
        yield view(request, "request, waits", request.at_ns)
    if adapter.resets.active:
        yield view("reset", adapter.resets.phase.name)


def packets(ndis: Ndis, number: int) -> list[PacketView]:
    """Return the packets of this number that are out of their pools, or under way without (0: of lists)."""
    there = [one for pool in ndis.pools for one in pool.busy]
    for adapter in ndis.adapters:
        there += [*adapter.sends.outstanding, *adapter.sends.queued, *adapter.receives.taken]
    return [_packet(one) for one in dict.fromkeys(there) if one.number == number]


def _packet(one: Packet) -> PacketView:
    raw = one.snapshot()
    info = ", ".join(f"{key.name}={value}" for key, value in one.info.items())
    return PacketView(
        one.number, one.owner.name, one.status.name, len(raw), one.references, info, _shown(raw)
    )


def ask_oids(ndis: Ndis) -> list[OidView]:
    """Ask every driver for all that its SUPPORTED_LIST has; requests that pend come first."""
    found = _requests(ndis)
    for adapter in ndis.adapters:
        listed = adapter.ask(Oid.GEN_SUPPORTED_LIST, ANSWER_BYTES) or b""
        for at in range(0, len(listed), 4):
            number = int.from_bytes(listed[at : at + 4], "little")
            row = BY_NUMBER.get(number)
            if row is not None and not row.query:
                found.append(OidView(adapter.name, oid_name(number), "set only", ""))
                continue
            status, answer = _ask(adapter, number)
            found.append(_oid(adapter.name, number, status, answer))
    return found


def seen_oids(ndis: Ndis, journal: Journal) -> list[OidView]:
    """Return what drivers answered last, of a stack that may not be asked now; what pends comes first."""
    return _requests(ndis) + [
        _oid(adapter, oid, status, answer) for (adapter, oid), (status, answer) in journal.answers.items()
    ]


def _oid(adapter: str, number: int, status: Status, answer: bytes) -> OidView:
    raw = _shown(answer) if status is Status.SUCCESS else HexBytes()
    return OidView(adapter, oid_name(number), status.name, meaning(number, answer) if raw else "", raw)


def _requests(ndis: Ndis) -> list[OidView]:
    found = []
    for adapter in ndis.adapters:
        current = [adapter.requests.current] if adapter.requests.current is not None else []
        places = [(r, "with the driver") for r in current] + [(r, "waits") for r in adapter.requests.waiting]
        found += [OidView(adapter.name, oid_name(r.oid), f"{r.kind.value} {at}", "") for r, at in places]
    return found


def _ask(adapter: MiniportAdapter, number: int) -> tuple[Status, bytes]:
    done: list[Status] = []
    buffer = InformationBuffer(ANSWER_BYTES)
    adapter.requests.submit_urgent(
        Request(RequestKind.QUERY, number, buffer, lambda _request, status: done.append(status))
    )
    expect(adapter.executive, lambda: bool(done), oid_name(number))
    return done[0], buffer.answer


def log(journal: Journal, lines: int, register: Register = repr) -> list[LogView]:
    """Return the last crossings, oldest first; ``register`` puts a register access into words."""
    return told(list(journal.events)[-lines:] if lines else [], register)


def history(journal: Journal, number: int) -> list[LogView]:
    """Return the crossings of the packets with this number."""
    return told(e for e in list(journal.events) if getattr(e.subject, "number", None) == number)


def told(events: Iterable[Event], register: Register = repr) -> list[LogView]:
    """Return events as they are shown; ``register`` puts a register access into words."""
    return [
        LogView(e.at_ns / 1e9, e.irql.name, e.adapter, e.kind.name, e.name, _subject(e, register))
        for e in events
    ]


def reports(verifier: Verifier) -> list[ReportView]:
    """Return what the verifier has found."""
    return [
        ReportView(r.rule, r.title, r.adapter, r.at_ns / 1e9, r.what, r.history)
        for r in list(verifier.reports)
    ]


def table(views: Sequence[object], width: int = WIDTH) -> str:
    """Return records of one kind as columns under their fields' names, or as a block each when they are many.

    Empty for none.
    """
    if not views:
        return ""
    heading = tuple(field.name for field in fields(views[0]))  # type: ignore[arg-type]  # a view is a dataclass
    rows = [heading, *(tuple(map(_cell, astuple(view))) for view in views)]  # type: ignore[call-overload]  # the same
    if len(heading) > MOST_COLUMNS:
        left = max(map(len, heading))
        blocks = []
        for row in rows[1:]:
            pairs = zip(heading, row, strict=True)
            lines = (line for name, cell in pairs for line in hanging(f"{name.ljust(left)}  ", cell, width))
            blocks.append("".join(f"{line}\n" for line in lines))
        return "\n".join(blocks)
    return "\n".join(columns(rows, width)) + "\n"


def _cell(value: object) -> str:
    if isinstance(value, HexBytes):
        return value if len(value) < 3 * SHOWN_BYTES else f"{value[: 3 * SHOWN_BYTES - 1]} ..."
    if isinstance(value, float):
        return f"{value:.6f}"
    if isinstance(value, tuple):
        return "; ".join(map(str, value))
    return "" if value is None else str(value)


def _flags(value: object) -> str:
    names: Iterable[object] = value  # type: ignore[assignment]  # an IntFlag is iterable
    return "|".join(str(getattr(one, "name", one)) for one in names) or "NONE"


def _shown(raw: bytes) -> HexBytes:
    return HexBytes(raw.hex(" "))


def _subject(event: Event, register: Register) -> str:
    subject, details = event.subject, event.details
    if event.kind is Kind.DMA:
        return f"{details['length']} bytes at {details['address']:#x}"
    if subject is None:
        return ""
    if isinstance(subject, RegisterAccess):
        return register(subject)
    return f"{len(subject)} bytes" if isinstance(subject, bytes | bytearray) else repr(subject)
