"""What a request's end may be told by: an event, an APC, a packet in a completion port.

Sources: CreateEvent, QueueUserAPC and alertable waits, CreateIoCompletionPort.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntos.io.status import NtStatus


class Waiter(Protocol):
    """How a thread waits: tests move a virtual clock, a running host sleeps."""

    def now_ns(self) -> int:
        """Return the time in nanoseconds."""

    def wait(self, until: Callable[[], bool], timeout_ns: int | None) -> bool:
        """Let things happen until the condition holds; False when the time is over."""

    def kick(self) -> None:
        """Have what was asked of the stack carried out soon."""


class Event:
    """KEVENT: a notification event (``manual``) or a synchronization event."""

    def __init__(self, *, manual: bool = True, signalled: bool = False) -> None:
        """Make it."""
        self.manual = manual
        self.signalled = signalled

    def set(self) -> None:
        """SetEvent."""
        self.signalled = True

    def reset(self) -> None:
        """ResetEvent."""
        self.signalled = False

    def consume(self) -> None:
        """End a wait: an auto-reset event releases one waiter only."""
        if not self.manual:
            self.signalled = False


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
