"""Stream editing: shows callouts the data of a connection, in order, until each byte is decided.

In line: a callout blocks bytes and injects others while it is asked; they take their place. Out of band: it
blocks (absorbs) and injects later. Sources: "Stream Inspection", FWPS_STREAM_CALLOUT_IO_PACKET0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from protocols.wfp.callout import Incoming, StreamIo
from protocols.wfp.values import layer_of
from protocols.wfp.verifier import Rule

if TYPE_CHECKING:
    from protocols.transports.tcpip.classify import Subject
    from protocols.wfp.arbitration import Verdict
    from protocols.wfp.layers import Layer
    from protocols.wfp.verifier import ContractVerifier

MOST_KEPT = 65_536
"""Bytes that wait for more; with as many, the callout must decide (the default of NEED_MORE_DATA)."""
SHOWN = 16_384
"""Bytes that are shown at once, unless a callout needs more."""


class Asks(Protocol):
    """The engine."""

    verifier: ContractVerifier

    def flow_of(self, subject: Subject) -> int:
        """Return a flow's number."""

    def ask(
        self, layer: Layer, subject: Subject, *, stream: StreamIo | None = None
    ) -> tuple[Incoming, Verdict]:
        """Arbitrate."""


@dataclass(slots=True)
class Showing:
    """The flow and direction that is being shown, and what goes on of it."""

    flow: int
    is_inbound: bool


class StreamEditor:
    """Both directions of all flows of a host."""

    def __init__(self, engine: Asks) -> None:
        self._engine = engine
        self._kept: dict[tuple[object, ...], tuple[Subject, bytes]] = {}
        self._showing: Showing | None = None
        self._injected = bytearray()

    def takes(self, flow: int, data: bytes, *, is_inbound: bool) -> bool:
        """Take data that are injected where the stream stands; False: nobody is being asked about it."""
        showing = self._showing
        if showing is None or (showing.flow, showing.is_inbound) != (flow, is_inbound):
            return False
        self._injected += data
        return True

    def edit(self, subject: Subject) -> bytes | None:
        """Return what goes on; None: the connection is reset."""
        key = (subject.local, subject.local_port, subject.remote, subject.remote_port, subject.is_inbound)
        _subject, kept = self._kept.pop(key, (subject, b""))
        data = kept + bytes(subject.data)
        if not data and not subject.is_last:
            return data
        layer, passed, at, window = layer_of(subject), bytearray(), 0, SHOWN
        while True:  # each turn decides on a byte at least, or doubles the window
            shown = data[at : at + window]
            is_whole = at + len(shown) == len(data)
            stream = StreamIo(shown, is_inbound=subject.is_inbound, is_last=subject.is_last and is_whole)
            verdict = self._show(layer, replace(subject, data=shown), stream)
            if stream.drops_connection or _is_plain_block(verdict):
                return None
            if stream.needs_more and not stream.is_last and len(shown) < MOST_KEPT:
                if is_whole:
                    self._kept[key] = replace(subject, data=b""), shown
                    return bytes(passed)
                window *= 2
                continue
            count = self._enforced(stream, verdict)
            if not verdict.blocks:
                passed += shown[:count]
            passed += self._injected
            at, window = at + count, SHOWN
            if at == len(data):
                return bytes(passed)

    def kept(self) -> list[Subject]:
        """Return the streams of which something waits for more, without the data."""
        return [subject for subject, _data in self._kept.values()]

    def forget(self, subject: Subject) -> None:
        """Drop what is kept of a connection that is gone."""
        name = (subject.local, subject.local_port, subject.remote, subject.remote_port)
        for is_inbound in (False, True):
            self._kept.pop((*name, is_inbound), None)

    def _show(self, layer: Layer, subject: Subject, stream: StreamIo) -> Verdict:
        self._injected = bytearray()
        self._showing = Showing(self._engine.flow_of(subject), subject.is_inbound)
        try:
            _incoming, verdict = self._engine.ask(layer, subject, stream=stream)
        finally:
            self._showing = None
        return verdict

    def _enforced(self, stream: StreamIo, verdict: Verdict) -> int:
        """Return for how many bytes the decision is: at least one, so that there is an end."""
        count = stream.enforced
        if count is None or stream.needs_more or not stream.data:
            return len(stream.data)
        if not 0 < count <= len(stream.data):
            name = verdict.filter.name if verdict.filter is not None else ""
            self._engine.verifier.report(Rule.BAD_STREAM_COUNT, name, f"{count} of {len(stream.data)}")
            return len(stream.data)
        return count


def _is_plain_block(verdict: Verdict) -> bool:
    """Tell whether a filter blocks, no callout: nobody can put anything in the data's place."""
    return verdict.blocks and verdict.filter is not None and not verdict.filter.action.is_callout
