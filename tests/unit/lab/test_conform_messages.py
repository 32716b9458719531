"""What a check hears of interrupts: on a bench whose time is the world's, what is awaited may come late."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import pytest

from lab.conformance.bench import Bench, Capability
from lab.conformance.subject import SOON_STEPS, Subject


@dataclass
class Late:
    """The part of a bench that tells of messages: those of ``coming``, one set a look."""

    capabilities: Capability
    dma: range = range(0x1000, 0x2000)
    coming: list[frozenset[int]] = field(default_factory=list)
    settled: int = 0

    def messages(self) -> frozenset[int]:
        """Return what came since the last look."""
        return self.coming.pop(0) if self.coming else frozenset()

    def settle(self) -> None:
        """Count."""
        self.settled += 1

    def reset(self) -> None:
        """Do nothing: there is no card."""

    def memory_write(self, address: int, data: bytes) -> None:
        """Refuse what is not memory."""
        assert self.dma.start <= address <= self.dma.stop - len(data)

    def frames(self) -> list[bytes]:
        """Return none."""
        return []


def heard(bench: Late, *wanted: int) -> frozenset[int]:
    """Return what a check on this bench hears."""
    return Subject(cast("Bench", bench)).messages(*wanted)


def test_a_late_message_is_waited_for() -> None:
    """And no longer than it takes; one that nobody expected is heard, too."""
    bench = Late(Capability.NONE, coming=[frozenset(), frozenset({3}), frozenset({1})])

    assert heard(bench, 1) == {1, 3}
    assert bench.settled == 2


@pytest.mark.parametrize(
    ("capabilities", "settled"), [(Capability.NONE, SOON_STEPS), (Capability.CLOCK, 0)], ids=["world", "ours"]
)
def test_a_message_that_never_comes_is_not_heard(capabilities: Capability, settled: int) -> None:
    """Where the time is ours, one look is enough: what was to come has come."""
    bench = Late(capabilities, coming=[frozenset({3})])

    assert heard(bench, 1) == {3}
    assert bench.settled == settled


def test_who_awaits_nothing_looks_once() -> None:
    """A check that nothing comes lets its time pass before."""
    bench = Late(Capability.NONE)

    assert heard(bench) == frozenset()
    assert bench.settled == 0
