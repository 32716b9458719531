"""A thread of a serving card: how it ends is known. Knows no card.

A thread that dies of an error ends the card with that error: nothing goes on half alive. Whoever ends a
thread waits for it, but never without a bound.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

LEAVING_S: Final = 2.0
"""How long a thread may take to end: an observer may stand in it and wait for its user."""


class StuckError(RuntimeError):
    """A thread was told to end and did not."""

    def __init__(self, name: str, waited_s: float) -> None:
        super().__init__(f"the {name} thread has not ended in {waited_s:g} s")
        self.name = name


class Worker:
    """One thread, which somebody else tells to end."""

    def __init__(self, name: str, body: Callable[[], object], failed: Callable[[], None]) -> None:
        """Run ``body`` once started; ``failed`` is called in the thread when it raises."""
        self.name = name
        self._body = body
        self._failed = failed
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread; once."""
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it has begun, and not ended."""
        return self._thread.is_alive()

    def end(self) -> bool:
        """Wait for the thread, ``LEAVING_S`` at most; False: it still runs. Raises what it died of."""
        if self._thread.ident is not None:
            self._thread.join(LEAVING_S)
        if self._failure is not None:
            raise self._failure
        return not self.running

    def end_surely(self) -> None:
        """Wait as ``end``. StuckError: the thread still runs, so nothing that it uses may be freed."""
        if not self.end():
            raise StuckError(self.name, LEAVING_S)

    def _run(self) -> None:
        try:
            self._body()
        except BaseException as failure:  # noqa: BLE001 - kept for ``end``, which raises it
            self._failure = failure
            self._failed()
