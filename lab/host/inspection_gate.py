"""When a question may look at a stack: with its lock held, or between two crossings of its own thread.

A desk serves one question at a time, and what it calls sees a stack that stands still.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from lab.host.control_socket import QuestionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from ndis.events import Event

T = TypeVar("T")
PATIENCE_S = 20.0
LOOK_S = 0.05


class Desk(Protocol):
    """Where questions are asked."""

    at_rest: bool
    """Whether the stack is outside all of its drivers then: only so may it be asked or changed."""

    def serve(self, question: Callable[[], T]) -> T:
        """Call ``question`` when the stack stands still; return what it returns, raise what it raises."""


class LockDesk:
    """For a stack whose thread holds a lock while it works."""

    at_rest = True

    def __init__(self, lock: AbstractContextManager[Any]) -> None:
        """Take this lock for each question."""
        self._lock = lock

    def serve(self, question: Callable[[], T]) -> T:
        """Call it with the lock held."""
        with self._lock:
            return question()


class _Waiting:
    """A question in the queue."""

    def __init__(self, question: Callable[[], Any]) -> None:
        self.question = question
        self.over = threading.Event()
        self.result: Any = None
        self.error: QuestionError | None = None


class EventDesk:
    """For a stack without a lock: an observer that serves on the stack's own thread, at its next crossing."""

    at_rest = False

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        """Wait at most so long for a crossing."""
        self._patience_s = patience_s
        self._questions: queue.SimpleQueue[_Waiting] = queue.SimpleQueue()

    def __call__(self, event: Event) -> None:
        """Serve who waits."""
        del event
        self._serve_waiting()

    def _serve_waiting(self) -> None:
        while not self._questions.empty():
            one = self._questions.get()
            try:
                one.result = one.question()
            except QuestionError as error:
                one.error = error
            one.over.set()

    def refuse(self) -> None:
        """Send away who waits: the stack is about to end."""
        while not self._questions.empty():
            one = self._questions.get()
            one.error = QuestionError("the stack ended before anything crossed a driver's border: ask again")
            one.over.set()

    def serve(self, question: Callable[[], T]) -> T:
        """Wait for the next crossing. QuestionError when none comes."""
        waiting = _Waiting(question)
        self._questions.put(waiting)
        if not self._wait(waiting):
            raise QuestionError(f"nothing crossed a driver's border for {self._patience_s:g} s: ask again")
        if waiting.error is not None:
            raise waiting.error
        result: T = waiting.result
        return result

    def _wait(self, waiting: _Waiting) -> bool:
        return waiting.over.wait(self._patience_s)


class StopDesk(EventDesk):
    """For a stack that is stepped: it serves at crossings, and whenever the stepper has stopped it."""

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        """Start with the stack running."""
        super().__init__(patience_s)
        self._running = threading.Lock()
        self._running.acquire()

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Let questions be answered meanwhile: the stack's thread waits for its user."""
        self._running.release()
        try:
            yield
        finally:
            self._running.acquire()

    def _wait(self, waiting: _Waiting) -> bool:
        end_s = time.monotonic() + self._patience_s
        while not waiting.over.wait(LOOK_S):
            if self._running.acquire(blocking=False):
                try:
                    self._serve_waiting()
                finally:
                    self._running.release()
            if time.monotonic() > end_s:
                return False
        return True
