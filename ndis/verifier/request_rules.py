"""Rules about OID requests."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from ndis.events import Event, Kind
from ndis.oids import BY_NUMBER, MANDATORY, Oid, oid_name
from ndis.requests import Request, RequestKind
from ndis.status import Status
from ndis.verifier.rule import Rule, block

if TYPE_CHECKING:
    from ndis.verifier.rule import Watch

LIMIT_NS = 12_000_000_000


class OidCompletedTwice(Rule):
    """A completion that no request answers to."""

    NUMBER = "V15"
    TITLE = "OID request completed twice (0x91002)"
    KINDS = frozenset({Kind.REQUEST_COMPLETE})

    def see(self, event: Event) -> str | None:
        """Look whether the driver has a request."""
        return None if event.subject is not None else f"{event.name}, but no request pends"


class OidDouble(Rule):
    """NDIS_REQUEST belongs to NDIS until it is completed."""

    NUMBER = "V16"
    TITLE = "OID request issued while it, or another, pends"
    KINDS = frozenset({Kind.SUBMIT, Kind.REQUEST, Kind.REQUEST_COMPLETE})

    def __init__(self, verifier: Watch) -> None:
        """No driver has a request."""
        super().__init__(verifier)
        self._with_driver: dict[str, object] = {}

    def see(self, event: Event) -> str | None:
        """Catch a second use of a request, and a second request to a driver."""
        name = event.adapter
        if event.kind is Kind.SUBMIT:
            twice = isinstance(event.subject, Request) and event.details["pending"]
            return f"{event.subject!r} submitted again" if twice else None
        if event.kind is Kind.REQUEST_COMPLETE:
            self._with_driver.pop(name, None)
            return None
        other = self._with_driver.get(name)
        alone = other is None or other is not block(event).requests.current
        self._with_driver[name] = event.subject
        if alone or other is event.subject:
            return None
        return f"{event.subject!r} while {other!r} pends"


class OidTooLong(Rule):
    """A driver that forgets a request."""

    NUMBER = "V17"
    TITLE = "OID request takes longer than 12 s"
    KINDS = frozenset({Kind.TIMER_TICK})

    def __init__(self, verifier: Watch) -> None:
        super().__init__(verifier)
        self._said: set[object] = set()

    def see(self, event: Event) -> str | None:
        """Look at the age of the current request."""
        request = block(event).requests.current
        if request is None or request in self._said or event.at_ns - request.at_ns <= LIMIT_NS:
            return None
        self._said.add(request)
        return f"{request!r} since {request.at_ns / 1e9:.1f} s"


class BufferSizes(Rule):
    """BytesWritten, BytesNeeded and the end of InformationBuffer."""

    NUMBER = "V21"
    TITLE = "bad BytesNeeded or BytesWritten, or InformationBuffer overrun"
    KINDS = frozenset({Kind.REQUEST_COMPLETE})

    def see(self, event: Event) -> str | None:
        """Compare the numbers with the buffer and with the OID's size."""
        request = event.subject
        if not isinstance(request, Request):
            return None
        buffer = request.driver_buffer
        if not buffer.intact:
            return f"{request!r}: written past {buffer.length} bytes"
        if max(buffer.bytes_written, buffer.bytes_read) > buffer.length:
            return f"{request!r}: more bytes than the {buffer.length} of the buffer"
        if event.name == Status.INVALID_LENGTH.name and buffer.bytes_needed <= buffer.length:
            return f"{request!r}: {buffer.bytes_needed} needed, {buffer.length} given"
        row = BY_NUMBER.get(request.oid)
        answered = request.kind is RequestKind.QUERY and event.name == Status.SUCCESS.name
        allowed = {row.size, 4, 8} if row and row.size in {4, 8} else {row.size if row else 0}
        if answered and row and row.size and buffer.bytes_written not in allowed:
            return f"{request!r}: {buffer.bytes_written} bytes, {row.name} has {row.size}"
        return None


class SupportedList(Rule):
    """OID_GEN_SUPPORTED_LIST is the truth."""

    NUMBER = "V22"
    TITLE = "SUPPORTED_LIST differs from the answers, or lacks a mandatory OID"
    KINDS = frozenset({Kind.REQUEST_COMPLETE})

    def __init__(self, verifier: Watch) -> None:
        super().__init__(verifier)
        self._lists: dict[str, frozenset[int]] = {}

    def see(self, event: Event) -> str | None:
        """Remember the list, and compare each later answer with it."""
        request = event.subject
        if not isinstance(request, Request) or request.kind is not RequestKind.QUERY:
            return None
        done = event.name == Status.SUCCESS.name
        if request.oid == Oid.GEN_SUPPORTED_LIST and done:
            raw = request.driver_buffer.answer
            listed = frozenset(struct.unpack(f"<{len(raw) // 4}I", raw[: len(raw) // 4 * 4]))
            self._lists[event.adapter] = listed
            missing = MANDATORY - listed - {Oid.GEN_SUPPORTED_LIST}
            if missing and not block(event).ndis6:
                return "not listed: " + ", ".join(oid_name(n) for n in sorted(missing))
        elif event.adapter in self._lists:
            listed = self._lists[event.adapter]
            if done and request.oid not in listed:
                return f"{oid_name(request.oid)} is answered and not listed"
            if event.name == Status.NOT_SUPPORTED.name and request.oid in listed:
                return f"{oid_name(request.oid)} is listed and not supported"
        return None


REQUEST_RULES: tuple[type[Rule], ...] = (
    OidCompletedTwice,
    OidDouble,
    OidTooLong,
    BufferSizes,
    SupportedList,
)
