"""Link messages between two cards of ours on a stream or datagram cable.

Such a cable carries frames and no link pulses: who powers its PHY down says nothing, and the other card goes
on seeing a partner. So our end says it, in a frame that is nothing to anybody else: an XON (a PAUSE frame of
0 quanta, IEEE 802.3 annex 31B) whose reserved bytes, which a receiver ignores, have a mark. Any MAC consumes
it; our end of the cable takes it out, and the card never sees it.

Nothing is sent while the link is as it is after power-on. While it is down the message is repeated: the far
end may have restarted, and a datagram may be lost. A frame that is no message says that the far end's link is
up: a card without a link sends none. It knows no socket and no thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from device.wire.frame import Frame
from device.wire.stage import Way

if TYPE_CHECKING:
    from collections.abc import Iterable

_XON: Final = bytes.fromhex("0180c2000001020000000000") + b"\x88\x08" + b"\0\x01" + b"\0\0"
_MARK: Final = b"Ringwalk link "
DOWN, UP = ((_XON + _MARK + word).ljust(60, b"\0") for word in (b"down", b"up"))
"""The messages, without their FCS."""
REPEAT_NS: Final = 500_000_000
UP_MESSAGES: Final = 3
"""How often a link that came up is announced, should no frame follow."""


class LinkNotices:
    """Both directions' link messages, as a stage next to the far end.

    Invariants: the pump's thread alone changes what is here but ``_wanted``, which ``offer`` may set at any
    time; ``_left`` messages about our link are still to be sent, None: without end.
    """

    def __init__(self) -> None:
        """Start with both links up, as two cards at power-on."""
        self.far_link = True
        """Whether the far end, if it is ours, has a link."""
        self._wanted = self._own = True
        self._left: int | None = 0
        self._due_ns = 0

    def offer(self, *, link: bool) -> bool:
        """Take note of our own link; True when that is news, which ``collect`` has."""
        news = link != self._wanted
        self._wanted = link
        return news

    def connected(self) -> None:
        """Start anew with a far end that knows nothing."""
        self.far_link, self._due_ns = True, 0

    def push(self, way: Way, frame: Frame, now_ns: int) -> Iterable[Frame]:  # noqa: ARG002 - no time here
        """Take a message out of what is received; the rest passes."""
        if way is Way.RECEIVE:
            self.far_link = frame.data != DOWN
            if frame.data in (DOWN, UP):
                return ()
        return (frame,)

    def collect(self, now_ns: int) -> Iterable[tuple[Way, Frame]]:
        """Return the message that is due."""
        wanted = self._wanted
        if wanted != self._own:
            self._own, self._due_ns = wanted, 0
            self._left = UP_MESSAGES if wanted else None
        if self._left == 0 or now_ns < self._due_ns:
            return ()
        self._due_ns = now_ns + REPEAT_NS
        if self._left is not None:
            self._left -= 1
        return ((Way.TRANSMIT, Frame(UP if self._own else DOWN)),)

    @property
    def next_due_ns(self) -> int | None:
        """When the next message is due."""
        if self._wanted != self._own:
            return 0
        return None if self._left == 0 else self._due_ns

    def close(self) -> None:
        """Nothing is held that needs it."""
