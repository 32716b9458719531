"""Which components a send really passes on a running host: seen, not told.

Each component hands a send on by a function called as in ``HANDS_ON``; the profiler of the two threads that
carry it (the caller's, and the host's own) tells when the first such function of each folder is entered. The
card and its wire are in another process: their own counts tell. It costs the host its speed while it looks.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Self

from lab.host.systems import TOP, component_at

if TYPE_CHECKING:
    from types import FrameType

    from lab.host.station import Station

HANDS_ON = frozenset({"send", "send_to", "send_datagram", "send_packets", "send_net_buffer_lists"})
COUNTS = (("descriptors", "82574l"), ("frames_sent", "wire"))
"""What the card counts when a send passes it."""
PATIENCE_S = 5.0


class HopRecorder:
    """Notes components in the order in which a send first enters them."""

    def __init__(self, station: Station) -> None:
        """Look at a running station, where nothing else is sent meanwhile."""
        self.hops: list[str] = []
        self._station = station
        self._before: dict[str, int] = {}
        self._profile: Any = None
        self._over = False

    def __enter__(self) -> Self:
        """Look at the calling thread and the host's."""
        self._before = self._station.process.account()
        executive = self._station.host.executive
        executive.queue_dpc("hops", lambda: sys.setprofile(self._seen))
        self._profile = sys.getprofile()
        sys.setprofile(self._seen)
        return self

    def __exit__(self, *_error: object) -> None:
        """Wait for the card to have sent, and look away."""
        sys.setprofile(self._profile)
        end = time.monotonic() + PATIENCE_S
        while (found := self._card()) != [name for _, name in COUNTS] and time.monotonic() < end:
            time.sleep(0.01)
        self._over = True
        self.hops += found

    def _card(self) -> list[str]:
        now = self._station.process.account()
        return [name for count, name in COUNTS if now.get(count, 0) > self._before.get(count, 0)]

    def _seen(self, frame: FrameType, event: str, _argument: object) -> None:
        if self._over:
            sys.setprofile(None)  # of the host's thread, which nobody else can do
            return
        code = frame.f_code
        if event != "call" or code.co_name not in HANDS_ON:
            return
        path = code.co_filename.removeprefix(f"{TOP}/")
        name = component_at(path)
        if name and name not in self.hops:
            self.hops.append(name)
