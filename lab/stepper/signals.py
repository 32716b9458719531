"""What Ctrl-C, SIGTERM and SIGHUP mean to a card under the stepper."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Final

from lab.machines.signals import end_soon

if TYPE_CHECKING:
    import threading
    from types import FrameType

    from lab.stepper.session import Session

UNANSWERED: Final = 3
"""So many Ctrl-C without a stop in between end everything: the card's thread is stuck in the user's code."""


class Interrupts:
    """Ctrl-C: the first stops the card; at the prompt two in a row end everything.

    They do so by KeyboardInterrupt in the main thread: the card's own may be waiting in ``input``.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._since = (-1, -1)
        self._times = 0

    def __call__(self, _number: int = signal.SIGINT, _frame: FrameType | None = None) -> None:
        """Take one Ctrl-C."""
        session = self._session
        since = (session.stops, session.lines)
        if self._since != since:
            self._since, self._times = since, 0
        self._times += 1
        if self._times >= (2 if session.stands else UNANSWERED):
            session.detach()
            raise KeyboardInterrupt
        if session.stands:
            sys.stderr.write("\nCtrl-C once more ends it, and so does `quit`; `help` lists the commands\n")
        else:
            session.pause()


def pause_on_interrupt(session: Session) -> None:
    """Let Ctrl-C stop the card."""
    signal.signal(signal.SIGINT, Interrupts(session))


class EndedError(KeyboardInterrupt):
    """A signal ended a card that stood at the prompt. No ``Exception``: nothing on the way may take it."""


def end_on_signals(session: Session, stop: threading.Event) -> None:
    """Let SIGTERM and SIGHUP set ``stop``, which ends a card that runs; one that stands, by EndedError.

    The prompt may be waiting in this very thread, where nothing but an exception wakes it.
    """

    def end(_number: int, _frame: FrameType | None) -> None:
        end_soon(stop)
        if session.stands:
            session.detach()
            raise EndedError

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGHUP, end)
