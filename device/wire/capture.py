"""Captures in pcapng: both directions of a wire, or what is sent into one that leads nowhere.

A file that a crash cuts off is still whole blocks: each block is one append, and one that a full
disk cut short is taken back. It knows nothing of how the wire works.
"""

from __future__ import annotations

import os
import stat
import time
from collections import deque
from typing import TYPE_CHECKING

from device.wire.contract import Framing, MalformedFrame, WireError
from device.wire.port import Port
from device.wire.pump import Link, PumpedWire
from device.wire.segmentation import segment
from device.wire.stage import Way
from formats.pcapng import Direction, enhanced_packet, interface_description, section_header

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from device.wire.contract import Wire
    from device.wire.frame import Frame

_DIRECTION = {Way.TRANSMIT: Direction.OUTBOUND, Way.RECEIVE: Direction.INBOUND}


class CaptureFile:
    """A pcapng file with one interface, appended to a whole block at a time.

    After an error (a full disk, say) nothing more is written and ``error`` says why: a capture
    that fails must not take the cable down.
    """

    def __init__(self, path: str, interface: str, descriptor: int | None = None) -> None:
        """Create or empty ``path``, or take a descriptor over. Raises ``WireError``: it cannot be done."""
        self.path = path
        self.error: OSError | None = None
        self.frames = 0
        self.lacks = 0
        """Frames that came after the error."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        try:
            self._fd = os.open(path, flags, 0o644) if descriptor is None else descriptor
        except OSError as error:
            raise WireError(
                f"cannot write the capture {path}: {error.strerror}; name a file you may write"
            ) from error
        self._regular = stat.S_ISREG(os.fstat(self._fd).st_mode)  # a pipe cannot be cut back
        self._size = 0
        self._append(section_header("ringwalk"))
        self._append(interface_description(interface))
        if self.error is not None:
            self.close()
            raise WireError(f"cannot write the capture {path}: {self.error.strerror}; free some space")

    def write(self, data: bytes, time_ns: int, direction: Direction) -> None:
        """Append a frame; ``time_ns`` is since 1970."""
        self._append(enhanced_packet(data, time_ns, direction))
        self.frames += self.error is None
        self.lacks += self.error is not None

    def trouble(self) -> str | None:
        """Say what is missing in the file; None: nothing is."""
        if self.error is None:
            return None
        return (
            f"{self.path}: the capture ends after {self.frames} frames and lacks {self.lacks}:"
            f" {self.error.strerror}"
        )

    def close(self) -> None:
        """Close the file. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _append(self, block: bytes) -> None:
        if self.error is not None or self._fd < 0:
            return
        try:
            done = os.write(self._fd, block)
            while done < len(block):
                done += os.write(self._fd, block[done:])
            self._size += len(block)
        except OSError as error:
            self.error = error
            if self._regular:
                os.ftruncate(self._fd, self._size)


class CaptureStage:
    """Writes what passes to a capture file, cut as a cable would carry it."""

    def __init__(
        self,
        file: CaptureFile,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Write to ``file``, stamped by ``clock_ns`` (since 1970)."""
        self.file = file
        self.next_due_ns: int | None = None
        self._clock_ns = clock_ns
        self._asked: deque[CaptureFile | None] = deque()
        self._is_paused = False

    def become(self, file: CaptureFile | None) -> None:
        """Write to another file from the next frame on, or to none. Any thread may call it.

        The files become the stage's: it closes each when the next one comes, or at its own end.
        """
        self._asked.append(file)

    def push(self, way: Way, frame: Frame, now_ns: int) -> Iterable[Frame]:  # noqa: ARG002 - wall time
        """Write the frame and pass it on."""
        self._follow()
        if self._is_paused:
            return (frame,)
        try:
            pieces = segment(frame)
        except MalformedFrame:
            pieces = [frame.data]  # as it is: the reader may want to see what was wrong
        stamp_ns = self._clock_ns()
        for data in pieces:
            self.file.write(data, stamp_ns, _DIRECTION[way])
        return (frame,)

    def collect(self, now_ns: int) -> Iterable[tuple[Way, Frame]]:  # noqa: ARG002 - keeps nothing
        """Nothing is kept."""
        return ()

    def close(self) -> None:
        """Close the file, and those that came too late for a frame."""
        self._follow()
        self.file.close()

    def _follow(self) -> None:
        """Do what was asked since the last frame, in order."""
        while self._asked:
            following = self._asked.popleft()
            self._is_paused = following is None
            if following is not None:
                self.file.close()
                self.file = following


def troubles(wire: Wire) -> list[str]:
    """Return what the captures of a wire lack, each in a line; before or after it is closed."""
    found = []
    outer: object = wire
    while isinstance(outer, PumpedWire):
        files = [stage.file for stage in outer.pump.stages if isinstance(stage, CaptureStage)]
        found += [said for file in files if (said := file.trouble()) is not None]
        outer = outer.inner
    return found


def near_framing(framing: Framing) -> Framing:
    """Return what a pump offers the card for a wire of ``framing``: TSO passes if it can."""
    return Framing.VNET if framing is Framing.VNET else Framing.DATAGRAM


def link_to(wire: Wire) -> Link | None:
    """Return a far end that is ``wire``, which is closed with it."""
    if wire.framing is Framing.NONE:
        return None
    return Link(Port(wire.fd, wire.framing), wire.close)


def capture(wire: Wire, path: str, name: str = "") -> PumpedWire:
    """Return ``wire`` with both directions captured to ``path``; closing it closes ``wire``.

    ``name`` is the interface's in the file, by default the wire's specification. Raises
    ``WireError``.
    """
    stage = CaptureStage(CaptureFile(path, name or wire.spec))
    return PumpedWire(wire.spec, near_framing(wire.framing), link_to(wire), [stage], inner=wire)


def open_capture_wire(spec: str, path: str, *, started: bool = True) -> PumpedWire:
    """Return a wire that leads nowhere, with what is sent captured to ``path``."""
    return PumpedWire(spec, Framing.VNET, None, [CaptureStage(CaptureFile(path, spec))], started=started)
