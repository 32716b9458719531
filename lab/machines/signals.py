"""Signals that end a command, or ask something of it."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Final

from device.vfio_user.janitor import JANITOR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType

LEAVING_S: Final = 1.5
"""How long a process that was told to end may take, before a line says what it waits for and it is ended."""
_LAST_S: Final = 1.9
"""And how long before the kernel ends it, whatever holds the interpreter."""
_PIPE_BYTES: Final = 64
_NUDGES: Final = 5
_NUDGE_S: Final = 0.02
_NAME: Final = "signals"


def interrupt_on_signals() -> None:
    """Have SIGTERM and SIGHUP end this process as Ctrl-C does: every ``with`` on the way cleans up."""
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


class SignalThread:
    """Obeys signals in a thread, whatever the main thread does.

    Python runs a handler in the main thread, once that is back in the interpreter. A main thread that serves
    in C, or goes into a system call just after the signal came, may never be. But the interpreter also writes
    the number of each signal to a descriptor at once (``signal.set_wakeup_fd``), and that wakes this thread.

    A signal that somebody else gave a handler since (a stepper) is that handler's: the main thread is nudged
    out of its system call, so that the handler runs. One for a process; made in its main thread.
    """

    def __init__(self) -> None:
        """Start the thread; obey nothing yet."""
        self._actions: dict[int, Callable[[], None]] = {}
        signal.signal(signal.SIGURG, _note)  # by default it interrupts nothing
        self._read, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)  # one that finds it full was asked for already
        threading.Thread(target=self._obey, name=_NAME, daemon=True).start()

    def obey(self, numbers: Iterable[signal.Signals], action: Callable[[], None]) -> None:
        """Call ``action`` in the thread at each of these signals; it must not block. Main thread only."""
        for number in numbers:
            self._actions[number] = action
            signal.signal(number, _note)

    def end_on(self, numbers: Iterable[signal.Signals], stop: threading.Event) -> None:
        """Set ``stop`` at each of these signals; the process then ends within 2 s, one way or the other."""
        self.obey(numbers, lambda: end_soon(stop))

    def _obey(self) -> None:
        poll = select.poll()
        poll.register(self._read, select.POLLIN)
        while True:
            poll.poll()
            for number in os.read(self._read, _PIPE_BYTES):
                action = self._actions.get(number)
                if action is None:
                    continue
                if signal.getsignal(number) is _note:
                    action()
                else:
                    _nudge()


def _note(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: that the signal is handled at all has woken the thread."""


def _nudge() -> None:
    """Interrupt the main thread's system calls for a moment: one may begin between two of Python's looks."""
    main = threading.main_thread().ident
    for _ in range(_NUDGES):
        if main is not None:
            signal.pthread_kill(main, signal.SIGURG)
        time.sleep(_NUDGE_S)


def end_soon(stop: threading.Event) -> None:
    """Set ``stop``, and see to it that the process ends; any thread may call it, again too."""
    if not stop.is_set():
        signal.setitimer(signal.ITIMER_REAL, _LAST_S)  # SIGALRM, left at its default, needs no interpreter
        stop.set()
        last = threading.Timer(LEAVING_S, _end_now)
        last.daemon = True
        last.start()


def _end_now() -> None:
    """Say where the threads are, and end without waiting for them."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    places = [
        f"{names[ident]} in {frame.name} ({frame.filename}:{frame.lineno})"
        for ident, at in sys._current_frames().items()  # noqa: SLF001 - documented, for exactly this
        if names.get(ident, _NAME) != _NAME and ident != threading.get_ident()
        for frame in traceback.extract_stack(at)[-1:]
    ]
    print(
        f"ringwalk: told to end, and still here after {LEAVING_S:g} s: {'; '.join(places)}",
        file=sys.stderr,
        flush=True,
    )
    JANITOR.part()
    os._exit(1)
