"""Frames with what the card did for them: a comment for each frame of a pcapng file.

Sans I/O: events and times come in, blocks of bytes go out by ``write``. A frame's comment is complete only
when its last descriptor was written back and its interrupt left; so a frame is held until the next begins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from device.trace import events as ev
from device.trace.facts import causes
from formats.pcapng import Direction, enhanced_packet, interface_description, section_header

if TYPE_CHECKING:
    from collections.abc import Callable

    from device.trace.events import Event


class AnnotatedCapture:
    """Writes a pcapng section: an interface, and a packet with a comment for each frame."""

    def __init__(self, write: Callable[[bytes], object], epoch_ns: int = 0) -> None:
        """Write the headers; ``epoch_ns`` is the wall clock at card time 0."""
        self._write = write
        self._epoch = epoch_ns
        self._slots: list[int] = []
        self._notes: list[str] = []
        self._held: tuple[bytes, int, Direction] | None = None
        self.frames = 0
        write(section_header("Ringwalk") + interface_description("82574L"))
        self._rules: dict[type, Callable[..., None]] = {
            ev.DescriptorFetched: self._fetched,
            ev.DescriptorWrittenBack: self._written,
            ev.FrameFiltered: self._filtered,
            ev.FrameDropped: self._dropped,
            ev.FrameBuffered: self._buffered,
            ev.FrameUnbuffered: lambda _: self._emit(),
            ev.CausesRaised: lambda e: self._note(f"causes {' '.join(sorted(causes(e.causes)))}"),
            ev.InterruptSent: lambda e: self._note(f"interrupt vector {e.vector}"),
            ev.LineMoved: lambda e: self._note("interrupt INTx") if e.asserted else None,
        }

    def observe(self, now_ns: int, event: Event) -> None:
        """Take an event and the card's time."""
        if isinstance(event, ev.FrameCompleted):
            self._emit()
            self._completed(event, now_ns)
        elif isinstance(event, ev.FrameArrived):
            self._emit()
            self._slots = []
            self._held = (bytes(event.data), now_ns, Direction.INBOUND)
        else:
            rule = self._rules.get(type(event))
            if rule is not None:
                rule(event)

    def _completed(self, event: ev.FrameCompleted, now_ns: int) -> None:
        self._notes = [f"tx queue {event.queue} descriptors {_runs(self._slots)}"]
        self._slots = []
        if event.offload is not None:
            work = event.offload
            told = [f"checksum at {work.csum_start}+{work.csum_offset}"] if work.needs_csum else []
            told += [f"segments of {work.gso_size}"] if work.gso else []
            self._notes.append("left to the wire: " + ", ".join(told))
        self._held = (bytes(event.data), now_ns, Direction.OUTBOUND)

    def _fetched(self, event: ev.DescriptorFetched) -> None:
        if event.ring == "rx":
            self._note(f"rx queue {event.queue} descriptor {event.place}")
        else:
            self._slots.append(event.place)

    def _written(self, event: ev.DescriptorWrittenBack) -> None:
        self._note(f"written back {event.ring}[{event.queue}].desc[{event.place}]")

    def _filtered(self, event: ev.FrameFiltered) -> None:
        self._note(f"{'accepted' if event.accepted else 'refused'} by {event.reason}")
        if not event.accepted:
            self._emit()

    def _dropped(self, event: ev.FrameDropped) -> None:
        """Nothing that happens from now on is this frame's doing."""
        self._note(f"dropped: {event.reason}")
        if event.ring == "rx":
            self._emit()

    def _buffered(self, event: ev.FrameBuffered) -> None:
        """Whoever lets it out of the buffer has other frames in between."""
        self._note(f"waits for descriptors in the packet buffer, which holds {event.held} bytes")
        self._emit()

    def _note(self, text: str) -> None:
        if self._held is not None and text not in self._notes:
            self._notes.append(text)

    def _emit(self) -> None:
        if self._held is not None:
            data, now, direction = self._held
            comment = "; ".join(self._notes)
            self._write(enhanced_packet(data, self._epoch + now, direction, comment=comment))
            self.frames += 1
        self._held = None
        self._notes = []

    def finish(self) -> None:
        """Write the last frame."""
        self._emit()


def _runs(slots: list[int]) -> str:
    """Return ``3-5`` for 3, 4, 5; a ring's wrap shows as it is."""
    if not slots:
        return "none"
    return str(slots[0]) if len(slots) == 1 else f"{slots[0]}-{slots[-1]}"
