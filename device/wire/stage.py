"""What a pump may put between a card and a cable.

It knows nothing of descriptors or threads. Time comes in as nanoseconds of a clock that never goes
back.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Protocol

from device.wire.contract import MalformedFrame
from device.wire.frame import Frame
from device.wire.segmentation import segment

if TYPE_CHECKING:
    from collections.abc import Iterable


class Way(enum.Enum):
    """A direction, as the card sees it."""

    TRANSMIT = "transmit"
    RECEIVE = "receive"


class Stage(Protocol):
    """Frames in, frames out, at once or later."""

    def push(self, way: Way, frame: Frame, now_ns: int) -> Iterable[Frame]:
        """Take a frame; return what goes on at once."""

    def collect(self, now_ns: int) -> Iterable[tuple[Way, Frame]]:
        """Return what goes on now, of what was taken earlier."""

    @property
    def next_due_ns(self) -> int | None:
        """When ``collect`` next has something; None: only after another ``push``."""

    def close(self) -> None:
        """Give up what the stage holds."""


class CutReceived:
    """Cuts what arrives whole (GSO, partial checksums) into the frames a cable carries."""

    def __init__(self) -> None:
        """Count what cannot be cut from zero."""
        self.malformed = 0
        self.next_due_ns: int | None = None

    def push(self, way: Way, frame: Frame, now_ns: int) -> Iterable[Frame]:  # noqa: ARG002 - no time here
        """Cut a received frame; what is transmitted passes whole."""
        if way is Way.TRANSMIT or frame.gso is None:
            return (frame,)
        try:
            return [Frame(data) for data in segment(frame)]
        except MalformedFrame:
            self.malformed += 1
            return ()

    def collect(self, now_ns: int) -> Iterable[tuple[Way, Frame]]:  # noqa: ARG002 - keeps nothing
        """Nothing is kept."""
        return ()

    def close(self) -> None:
        """Nothing is held that needs it."""
