"""What ``!ndiskd`` shows of a stack: adapters, opens, what pends, one packet, OIDs, the log. Text from state.

It looks and changes nothing, but ``oids``, which asks the driver.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from ndis.oids import BY_NUMBER, Oid, oid_name
from ndis.requests import InformationBuffer, Request, RequestKind
from ndis.status import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ndis.adapter import MiniportAdapter
    from ndis.events import Event
    from ndis.packet import Packet
    from ndis.wrapper import Ndis

LOG_LINES = 200
ANSWER_BYTES = 1024
SHOWN_BYTES = 24


class Log:
    """An observer that keeps the last events, and hands each on."""

    def __init__(self, lines: int = LOG_LINES) -> None:
        """Keep ``lines`` events."""
        self.events: deque[Event] = deque(maxlen=lines)

    def __call__(self, event: Event) -> None:
        """Take an event."""
        self.events.append(event)


def adapters(ndis: Ndis) -> Iterator[str]:
    """Return a block of lines for each adapter."""
    for adapter in ndis.adapters:
        generation = "NDIS 6" if adapter.ndis6 else "NDIS 5.1"
        mode = "serialized" if adapter.serialized else "deserialized"
        yield f"{adapter.name}: {generation}, {mode}, {adapter.state.name}, power {adapter.power.name}"
        link = "up" if adapter.media_connected else "down"
        yield f"  address {adapter.filter.address.hex(':')}, link {link}"
        yield f"  packet filter {adapter.filter.packet_filter!r}, {len(adapter.filter.multicast)} groups"
        held: dict[str, int] = {}
        for resource in adapter.resources.held:
            held[resource.kind] = held.get(resource.kind, 0) + 1
        yield "  holds " + (", ".join(f"{n} {kind}" for kind, n in sorted(held.items())) or "nothing")
        yield (
            f"  {len(adapter.sends.outstanding)} sends with the driver, {len(adapter.sends.queued)} queued, "
            f"{len(adapter.receives.taken)} receive packets out, {adapter.resets.count} resets"
        )


def opens(ndis: Ndis) -> Iterator[str]:
    """Return a line for each binding."""
    for adapter in ndis.adapters:
        for open_ in adapter.opens:
            mine = adapter.filter.of(open_)
            yield (
                f"{open_.protocol} -> {adapter.name}: {open_.state.name}, filter {mine.packet_filter!r}, "
                f"lookahead {mine.lookahead}"
            )


def pending(ndis: Ndis) -> Iterator[str]:
    """Return a line for everything that is under way."""
    for adapter in ndis.adapters:
        now_us = adapter.executive.now_us()
        for packet, since_us in adapter.sends.outstanding.items():
            yield f"{adapter.name}: send of {packet!r} with the driver for {(now_us - since_us) / 1e6:.3f} s"
        for packet in adapter.sends.queued:
            yield f"{adapter.name}: send of {packet!r} in NDIS's queue"
        for packet in adapter.receives.taken:
            yield f"{adapter.name}: {packet!r} with {packet.references} references of transports"
        current = adapter.requests.current
        if current is not None:
            yield f"{adapter.name}: {current!r} with the driver"
        for request in adapter.requests.waiting:
            yield f"{adapter.name}: {request!r} waits"
        if adapter.resets.active:
            yield f"{adapter.name}: reset, {adapter.resets.phase.name}"


def packet(ndis: Ndis, number: int, events: list[Event]) -> Iterator[str]:
    """Return what is known of the packets with this number, and their history."""
    for pool in ndis.pools:
        for one in pool.busy:
            if one.number == number:
                yield from _describe(one)
    for event in events:
        if getattr(event.subject, "number", None) == number:
            yield f"  {event.at_us / 1e6:.6f} s {event.adapter} {event.kind.name} {event.name}"


def _describe(one: Packet) -> Iterator[str]:
    raw = one.snapshot()
    yield f"{one!r}: {len(raw)} bytes, status {one.status.name}, {one.references} references"
    if one.info:
        yield "  " + ", ".join(f"{key.name}={value}" for key, value in one.info.items())
    yield f"  {raw[:SHOWN_BYTES].hex(' ')}{' ...' if len(raw) > SHOWN_BYTES else ''}"


def oids(adapter: MiniportAdapter) -> Iterator[str]:
    """Ask for everything that the driver lists; return a line for each answer."""
    listed = adapter.ask(Oid.GEN_SUPPORTED_LIST, ANSWER_BYTES) or b""
    for at in range(0, len(listed), 4):
        number = int.from_bytes(listed[at : at + 4], "little")
        row = BY_NUMBER.get(number)
        if row is not None and not row.query:
            yield f"{oid_name(number)}: set only"
            continue
        status, answer = _ask(adapter, number)
        text = answer.hex(" ") if len(answer) <= SHOWN_BYTES else f"{answer[:SHOWN_BYTES].hex(' ')} ..."
        yield f"{oid_name(number)}: {text if status is Status.SUCCESS else status.name}"


def _ask(adapter: MiniportAdapter, number: int) -> tuple[Status, bytes]:
    done: list[Status] = []
    buffer = InformationBuffer(ANSWER_BYTES)
    adapter.requests.submit_urgent(
        Request(RequestKind.QUERY, number, buffer, lambda _request, status: done.append(status))
    )
    adapter.executive.wait(lambda: bool(done), oid_name(number))
    return done[0], buffer.answer


def log(events: list[Event]) -> Iterator[str]:
    """Return a line for each event."""
    for event in events:
        subject = "" if event.subject is None else f" {event.subject!r}"
        if isinstance(event.subject, bytes | bytearray):
            subject = f" {len(event.subject)} bytes"
        yield f"{event.at_us / 1e6:.6f} s {event.irql.name:8} {event.kind.name:16} {event.name}{subject}"
