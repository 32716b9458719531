"""The mixed load: traffic both ways, interrupts, resets of three kinds, mappings that change, new clients.

Drawn from a seed; knows no measurement.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from device.regs.nic import NIC
from lab.trials.loopback_driver import Exerciser

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_S: Final = 30.0
LEAST_LOOKS: Final = 1000
"""Before frames are called lost: a machine that was suspended shows its clock first, and the frames then."""
_WEIGHTS: Final = (90, 3, 3, 2, 1, 1)
_BURSTS: Final = 20
_FRAMES: Final = 32


@dataclass(slots=True)
class Tally:
    """What was done so far."""

    frames: int = 0
    interrupts: int = 0
    resets: int = 0
    map_changes: int = 0
    connections: int = 0


class Load:
    """One client after the other that does this and that."""

    def __init__(self, path: str, seed: int) -> None:
        self._path = path
        self._rng = random.Random(seed)  # noqa: S311 - repeatable
        self.tally = Tally()
        self._actions: tuple[Callable[[], None], ...] = (
            self._traffic,
            self._remap,
            self._software_reset,
            self._device_reset,
            self._reconnect,
            self._map_many,
        )
        self._connect()

    def step(self) -> None:
        """Do one thing. OSError, TransportError, TimeoutError, AssertionError: the card failed."""
        self._rng.choices(self._actions, _WEIGHTS)[0]()

    def _connect(self) -> None:
        self._exerciser = Exerciser(self._path).start()
        self._exerciser.wait_link()
        self.tally.connections += 1

    def _traffic(self) -> None:
        one = self._exerciser
        before = one.interrupts
        length = self._rng.choice((60, 200, 500))
        for _ in range(_BURSTS):
            one.post(self._rng.randrange(1, _FRAMES), length)
            self.tally.frames += one.reap()
        self._settle()
        self.tally.interrupts += one.interrupts - before

    def _settle(self) -> None:
        """Wait until every frame of ours is back."""
        one = self._exerciser
        until, looks = time.monotonic() + PATIENCE_S, 0
        while one.under_way or one.received < one.sent:
            arrived = one.reap()
            self.tally.frames += arrived
            if not arrived:
                one.read("STATUS")
                looks += 1
                if time.monotonic() > until and looks > LEAST_LOOKS:
                    raise TimeoutError(f"{one.sent - one.received} frames did not come back")

    def _remap(self) -> None:
        """Take all memory away in the middle of a burst and give it back; what was under way is lost."""
        one = self._exerciser
        one.post(_FRAMES)
        one.unmap()
        one.map()
        self.tally.map_changes += 2
        self._anew()

    def _software_reset(self) -> None:
        one = self._exerciser
        one.post(_FRAMES)
        one.write("CTRL", NIC["CTRL"]["RST"].mask)
        self._anew()

    def _device_reset(self) -> None:
        one = self._exerciser
        one.post(_FRAMES)
        one.client.reset()
        self._anew()

    def _anew(self) -> None:
        self._exerciser.restart()
        self.tally.resets += 1

    def _reconnect(self) -> None:
        self._exerciser.post(_FRAMES)
        self._exerciser.close()
        self._connect()
        time.sleep(0.05)
        self._anew()

    def _map_many(self) -> None:
        """Map and unmap two hundred pages elsewhere."""
        one = self._exerciser
        base = 1 << 40
        for page in range(200):
            one.client.map_dma(base + page * 8192, memoryview(one.memory)[:4096], fd=one.fd)
        one.client.unmap_dma(base, 200 * 8192)
        self.tally.map_changes += 201

    def close(self) -> None:
        """Hang up."""
        self._exerciser.close()
