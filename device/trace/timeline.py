"""A timeline of what the card did, for Perfetto and Chrome: tracks, slices, instants, flows.

Sans I/O: events and times come in, ``Item`` s are kept, two renderers make bytes of them. A flow joins a
doorbell with the fetches, the frame, the write-back and the interrupt that followed. Where a recording gives
all stages of one input the same instant, each stage is set ``STAGE_NS`` after the one before: order is true,
durations below that are not.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, NamedTuple

from device.regs.nic import NIC
from device.trace import events as ev
from device.trace.facts import name_of, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from device.trace.events import Event

STAGE_NS: Final = 100
_TAILS: Final = {
    NIC[f"{kind}T{queue}"].offset: f"{ring} queue {queue}"
    for kind, ring in (("TD", "tx"), ("RD", "rx"))
    for queue in (0, 1)
}
TRACKS: Final = (
    "registers",
    "tx queue 0",
    "tx queue 1",
    "rx queue 0",
    "rx queue 1",
    "wire",
    "interrupts",
    "faults",
)
"""The tracks, in the order they are shown."""

# Varints and field numbers of perfetto's protos/perfetto/trace/trace_packet.proto and track_event.proto.
_TRACE_PACKET, _TIMESTAMP, _SEQUENCE, _TRACK_EVENT, _TRACK_DESCRIPTOR = 1, 8, 10, 11, 60
_TYPE, _TRACK_UUID, _NAME, _FLOWS, _CATEGORIES, _ANNOTATIONS = 9, 11, 23, 47, 22, 4
_SLICE_BEGIN, _SLICE_END, _INSTANT = 1, 2, 3
_UUID, _TRACK_NAME, _PARENT = 1, 2, 5
_ANNOTATION_NAME, _ANNOTATION_STRING = 10, 6


class Item(NamedTuple):
    """One thing on a track; ``flow`` 0 belongs to none."""

    track: str
    start_ns: int
    length_ns: int
    name: str
    text: str
    flow: int


class Timeline:
    """Collects items from events."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self._now = 0
        self._last = -1
        self._flow = 0
        self._queue: dict[str, int] = {}
        self._tracks: dict[type, Callable[..., str]] = {
            ev.RegisterRead: lambda _: "registers",
            ev.RegisterWritten: lambda e: _TAILS.get(NIC.canonical(e.offset) or -1, "registers"),
            ev.DescriptorFetched: lambda e: f"{e.ring} queue {e.queue}",
            ev.DescriptorWrittenBack: lambda e: f"{e.ring} queue {e.queue}",
            ev.DataFetched: lambda e: f"tx queue {e.queue}",
            ev.DataStored: lambda e: f"rx queue {e.queue}",
            ev.FrameCompleted: lambda _: "wire",
            ev.FrameArrived: lambda _: "wire",
            ev.FrameFiltered: lambda _: "wire",
            ev.FrameBuffered: lambda _: "wire",
            ev.FrameUnbuffered: lambda _: "wire",
            ev.FrameDropped: lambda _: "faults",
            ev.DmaFaulted: lambda _: "faults",
        }

    def observe(self, now_ns: int, event: Event) -> None:
        """Take an event and the card's time."""
        at = max(now_ns, self._last + STAGE_NS)
        self._last = at
        which = self._tracks.get(type(event))
        track = "interrupts" if which is None else which(event)
        self.items.append(Item(track, at, STAGE_NS, _title(event), say(event), self._flow_of(event, track)))

    def _flow_of(self, event: Event, track: str) -> int:
        """Return the flow: a doorbell or a frame off the wire begins one, what follows belongs to it."""
        if isinstance(event, (ev.FrameArrived, ev.FrameUnbuffered)) or (
            isinstance(event, ev.RegisterWritten) and track.startswith("tx")
        ):
            self._flow += 1
            if track.startswith("tx"):
                self._queue[track] = self._flow
            return self._flow
        if isinstance(event, (ev.RegisterRead, ev.RegisterWritten, ev.TimerFired)):
            return 0
        return self._queue.get(track, self._flow) if track.startswith("tx") else self._flow

    # -- rendering --------------------------------------------------------------------------------------

    def chrome(self) -> str:
        """Return the Trace Event Format (JSON), times in microseconds."""
        numbers = {track: number for number, track in enumerate(TRACKS, 1)}
        out: list[dict[str, object]] = [
            {"ph": "M", "pid": 1, "tid": n, "name": "thread_name", "args": {"name": t}}
            for t, n in numbers.items()
        ]
        out += [{"ph": "M", "pid": 1, "name": "process_name", "args": {"name": "82574L"}}]
        started: set[int] = set()
        for item in self.items:
            where = {"pid": 1, "tid": numbers[item.track], "ts": item.start_ns / 1000}
            out.append(
                {
                    "ph": "X",
                    "name": item.name,
                    "cat": item.track,
                    "dur": item.length_ns / 1000,
                    "args": {"what": item.text},
                }
                | where
            )
            if item.flow:
                phase = "t" if item.flow in started else "s"
                started.add(item.flow)
                out.append({"ph": phase, "id": item.flow, "name": "way", "cat": "flow", "bp": "e"} | where)
        return json.dumps({"traceEvents": out, "displayTimeUnit": "ns"})

    def perfetto(self) -> bytes:
        """Return Perfetto's own format."""
        return b"".join(self._packets())

    def _packets(self) -> Iterator[bytes]:
        uuids = {track: number for number, track in enumerate(TRACKS, 2)}
        yield _packet(_message(_TRACK_DESCRIPTOR, _number(_UUID, 1) + _text(_TRACK_NAME, "82574L")))
        for track, uuid in uuids.items():
            told = _number(_UUID, uuid) + _text(_TRACK_NAME, track) + _number(_PARENT, 1)
            yield _packet(_message(_TRACK_DESCRIPTOR, told))
        for item in self.items:
            told = _message(
                _ANNOTATIONS, _text(_ANNOTATION_NAME, "what") + _text(_ANNOTATION_STRING, item.text)
            )
            begin = _number(_TYPE, _SLICE_BEGIN) + _number(_TRACK_UUID, uuids[item.track])
            begin += _text(_CATEGORIES, item.track) + _text(_NAME, item.name) + told
            if item.flow:
                begin += _fixed64(_FLOWS, item.flow)
            yield _packet(_number(_TIMESTAMP, item.start_ns) + _message(_TRACK_EVENT, begin))
            end = _number(_TYPE, _SLICE_END) + _number(_TRACK_UUID, uuids[item.track])
            yield _packet(_number(_TIMESTAMP, item.start_ns + item.length_ns) + _message(_TRACK_EVENT, end))


def _title(event: Event) -> str:
    text = say(event)[10:]
    return f"{name_of(event)} {text.split(' ')[0]}"


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _fixed64(field: int, value: int) -> bytes:
    return _varint(field << 3 | 1) + value.to_bytes(8, "little")


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _text(field: int, text: str) -> bytes:
    return _message(field, text.encode())


def _packet(content: bytes) -> bytes:
    return _message(_TRACE_PACKET, content + _number(_SEQUENCE, 1))
