"""What a request's end may be told by, besides an event: an APC, a packet in a completion port.

Sources: QueueUserAPC and alertable waits, CreateIoCompletionPort.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntos.io.status import NtStatus


@dataclass(frozen=True, slots=True)
class CompletionPacket:
    """What GetQueuedCompletionStatus returns."""

    key: object
    overlapped: object
    status: NtStatus
    information: int


class CompletionPort:
    """IoCompletion: packets in the order of completion."""

    def __init__(self) -> None:
        """Make an empty port."""
        self.packets: deque[CompletionPacket] = deque()

    def post(self, packet: CompletionPacket) -> None:
        """PostQueuedCompletionStatus."""
        self.packets.append(packet)

    def take(self, most: int = 1) -> list[CompletionPacket]:
        """Remove up to ``most`` packets."""
        return [self.packets.popleft() for _ in range(min(most, len(self.packets)))]


class ApcQueue:
    """A thread's user APCs: they run only while the thread waits alertably."""

    def __init__(self) -> None:
        """Make an empty queue."""
        self._queue: deque[Callable[[], None]] = deque()

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._queue)

    def queue(self, routine: Callable[[], None]) -> None:
        """QueueUserAPC."""
        self._queue.append(routine)

    def deliver(self) -> int:
        """Run those that wait, and those that they queue; return how many ran."""
        ran = 0
        while self._queue:
            self._queue.popleft()()
            ran += 1
        return ran
