"""``bench miniport``: cards under loops in C really take the frames, and ratios are of one round."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from lab.trials.bench.loop_cards import NativeCard, NullCards
from lab.trials.bench.miniport import (
    BURST,
    IXY_SHIMMED,
    Row,
    deserialized,
    frame,
    goals,
    one_thread,
    serialized,
)
from miniport.burst import Stop

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.trials.bench.miniport import Rings
    from miniport.burst import TxBurst

FRAMES = 3000


@pytest.mark.parametrize("card", [NullCards, NativeCard])
@pytest.mark.parametrize("lanes", [one_thread, serialized, deserialized])
def test_every_frame_of_every_thread_is_done_by_the_card(
    card: Callable[[], Rings], lanes: Callable[[Rings], list[TxBurst]]
) -> None:
    """More frames than a ring has slots can only be posted when the card gives slots back."""
    made = card()
    rings = lanes(made)

    threads = [
        threading.Thread(target=ring.run, args=(frame(60), BURST, FRAMES, Stop()), daemon=True)
        for ring in rings
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert not any(thread.is_alive() for thread in threads)
    for ring in set(rings):
        ring.reap()
        assert ring.posted == ring.reaped == FRAMES * rings.count(ring)
    made.close()


def test_modes_are_compared_round_by_round() -> None:
    """A machine that is slow for a round slows both modes: the ratio does not see it."""
    slow_and_fast = [1e6, 5e6, 2e6]
    rows = [
        Row("null", "loop", "serialized, 2 threads", 60, slow_and_fast),
        Row("null", "loop", "deserialized, 2 threads", 60, [2 * rate for rate in slow_and_fast]),
        *(
            Row("null", f"{path}/{BURST}", "one thread", 60, [IXY_SHIMMED[BURST] * 1e6])
            for path in ("python", "bytes", "batch")
        ),
    ]

    found = goals(rows)

    assert [goal.found.median for goal in found] == [1, 1, 1, 2]
    assert found[-1].found.least == found[-1].found.greatest == 2
