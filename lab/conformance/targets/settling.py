"""When a card whose time is the world's has done what it was told.

Nobody says so: the server's threads, and the pumps of the cable on the way, run when the machine lets them.
What can be seen is what is owed. A transmit queue with descriptors left will move its head; descriptors that
were taken are frames on the cable; a frame on the cable will move a receive queue's head. So the bench waits
a moment after the last thing that moved, and a good deal longer while something is owed. What was owed in
vain (a frame that the filters drop, a ring that hostile registers keep still) is not waited for again.

It knows registers by name and no way to reach them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from device.regs.nic import NIC

if TYPE_CHECKING:
    from collections.abc import Callable

MOMENT_S: Final = 0.025
"""A server's threads have moved a frame by then; an overloaded machine takes longer."""
OWED_S: Final = 0.2
"""By then they have, on a machine with five times more to do than it has processors."""
MOST_S: Final = 5.0
"""A card that moves for so long does not come to rest."""

TCTL = NIC["TCTL"]
TX_HEADS = tuple(NIC[f"TDH{queue}"].offset for queue in range(2))
TX_TAILS = tuple(NIC[f"TDT{queue}"].offset for queue in range(2))
RX_HEADS = tuple(NIC[f"RDH{queue}"].offset for queue in range(2))


@dataclass(frozen=True, slots=True)
class Sight:
    """What can be seen of a card's work without changing it: reading these registers has no effect."""

    sends: bool
    """TCTL.EN."""
    tx_heads: tuple[int, ...]
    tx_tails: tuple[int, ...]
    rx_heads: tuple[int, ...]
    heard: int
    """Frames that came out of the cable so far."""
    told: int
    """Frames that were put into it so far."""

    @classmethod
    def of(cls, read: Callable[[int], int], heard: int, told: int) -> Sight:
        """Look through ``read``, which takes a register's offset in BAR0."""
        return cls(
            bool(read(TCTL.offset) & TCTL["EN"].mask),
            tuple(map(read, TX_HEADS)),
            tuple(map(read, TX_TAILS)),
            tuple(map(read, RX_HEADS)),
            heard,
            told,
        )

    def owes(self, before: Sight) -> bool:
        """Tell whether something is still to come, of what happened since an earlier sight."""
        unsent = self.sends and self.tx_heads != self.tx_tails
        unheard = self.tx_heads != before.tx_heads and self.heard == before.heard
        untaken = self.told != before.told and self.rx_heads == before.rx_heads
        return unsent or unheard or untaken


class Rest:
    """Waits until a card has come to rest, over and over."""

    def __init__(self, look: Callable[[], Sight]) -> None:
        """Look by ``look``, which also takes in the frames that came; not yet."""
        self._look = look
        self._settled: Sight | None = None

    def begin(self) -> None:
        """Owe nothing of what was before: the card was reset."""
        self._settled = self._look()

    def wait(self) -> None:
        """Return when nothing has moved for a moment, and nothing is owed that may still come."""
        sight, began = self._look(), time.monotonic()
        before, moved, now = self._settled or sight, began, began
        while now - began < MOST_S:
            time.sleep(MOMENT_S)
            last, sight, now = sight, self._look(), time.monotonic()
            if sight != last:
                moved = now
            elif sight == before or not sight.owes(before) or now - moved >= OWED_S:
                break
        self._settled = sight
