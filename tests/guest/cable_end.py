"""The end of a card's cable that a test holds: frames out, frames in, nothing else on the cable."""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING

from device.wire.frame import Frame
from device.wire.port import Port

if TYPE_CHECKING:
    from collections.abc import Callable

    from device.wire.contract import Wire

PATIENCE_S = 20.0
"""Far more than a guest needs to answer: machines may be busy."""


class CableEnd:
    """Sends and collects whole frames on a wire, which it owns."""

    def __init__(self, wire: Wire) -> None:
        """Use ``wire``; nothing is read yet."""
        self._wire = wire
        self._port = Port(wire.fd, wire.framing)

    def send(self, *frames: bytes) -> None:
        """Put frames on the cable, waiting while it can take none."""
        for frame in frames:
            while not self._port.write(Frame(frame)):
                select.select([], [self._wire.fd], [], 0.2)

    def drain(self) -> list[bytes]:
        """Return what has come until now."""
        found = []
        while (frame := self._port.read()) is not None:
            found.append(frame.data)
        return found

    def wait(self, wanted: Callable[[bytes], bool], patience_s: float = PATIENCE_S) -> bytes | None:
        """Return the next frame that is ``wanted``, dropping the others; None when none comes in time."""
        deadline = time.monotonic() + patience_s
        while (left := deadline - time.monotonic()) > 0:
            select.select([self._wire.fd], [], [], min(left, 0.2))
            while (frame := self._port.read()) is not None:
                if wanted(frame.data):
                    return frame.data
        return None

    def close(self) -> None:
        """Give the wire up."""
        self._wire.close()
