"""The module ``select`` of a program over the stack: ``select`` and ``poll`` of sockets and descriptors.

``epoll`` is left out: it is the machine's own object and can hold no socket of the stack.
``selectors.DefaultSelector`` is then made of ``poll``.
"""

from __future__ import annotations

import errno
import functools
import os
import select as standard
import types
from typing import TYPE_CHECKING, Any

from protocols.apis.winsock.constants import PollFlag
from protocols.apis.winsock.pysocket import FIRST_FILENO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

READ_EVENTS = standard.POLLIN | standard.POLLRDNORM
WRITE_EVENTS = standard.POLLOUT | standard.POLLWRNORM
ALWAYS = standard.POLLERR | standard.POLLHUP | standard.POLLNVAL
SELECTED = (
    (standard.POLLIN, standard.POLLIN | standard.POLLHUP | standard.POLLERR),
    (standard.POLLOUT, standard.POLLOUT | standard.POLLERR),
    (standard.POLLPRI, standard.POLLPRI),
)
"""For each set of ``select``: what is asked, and which answers count (Linux's select, in poll's terms)."""
CONSTANTS = (
    *("POLLIN", "POLLOUT", "POLLPRI", "POLLERR", "POLLHUP", "POLLNVAL", "POLLRDNORM", "POLLRDBAND"),
    *("POLLWRNORM", "POLLWRBAND", "POLLRDHUP", "PIPE_BUF"),
)


def wait(winsock: Any, asked: Mapping[int, int], timeout_ms: float | None) -> list[tuple[int, int]]:  # noqa: ANN401 - Winsock behind a lock
    """Return what is ready of sockets and descriptors, in ``poll``'s events; sleep once for both."""
    ours = [(fd, _flags(events)) for fd, events in asked.items() if fd >= FIRST_FILENO]
    machine = standard.poll()
    for fd, events in asked.items():
        if fd < FIRST_FILENO:
            machine.register(fd, events)
    if not ours:
        return machine.poll(timeout_ms)
    event = os.eventfd(0, os.EFD_NONBLOCK)
    try:
        machine.register(event, standard.POLLIN)
        pending = winsock.begin_poll(
            [(fd - FIRST_FILENO, flags) for fd, flags in ours], lambda: os.eventfd_write(event, 1)
        )
        try:
            found = machine.poll(0 if len(pending.valid) < len(ours) else timeout_ms)
        finally:
            answers = winsock.end_poll(pending)
    finally:
        os.close(event)
    ready = [one for one in found if one[0] != event]
    for (fd, _flags_of), answer in zip(ours, answers, strict=True):
        events = _events(answer, asked[fd])
        if events:
            ready.append((fd, events))
    return ready


def _flags(events: int) -> PollFlag:
    found = PollFlag.NONE
    if events & READ_EVENTS:
        found |= PollFlag.RDNORM
    if events & standard.POLLPRI:
        found |= PollFlag.RDBAND
    return found | PollFlag.OUT if events & WRITE_EVENTS else found


def _events(answer: PollFlag, asked: int) -> int:
    """Return Linux's events for Winsock's: what has ended can be read, what has failed written too."""
    if answer & PollFlag.NVAL:
        return standard.POLLNVAL
    found = 0
    if answer & PollFlag.ERR:
        found |= standard.POLLERR | standard.POLLHUP
    if answer & (PollFlag.RDNORM | PollFlag.HUP | PollFlag.ERR):
        found |= READ_EVENTS
    if answer & (PollFlag.OUT | PollFlag.ERR):
        found |= WRITE_EVENTS
    if answer & PollFlag.RDBAND:
        found |= standard.POLLPRI
    return found & (asked | ALWAYS)


def select_module(winsock: Any) -> types.ModuleType:  # noqa: ANN401 - Winsock behind a lock
    """Return a module ``select`` for sockets of ``winsock`` and descriptors of the machine."""
    module = types.ModuleType("select", "select and poll for sockets of the stack and descriptors.")
    vars(module).update({name: getattr(standard, name) for name in CONSTANTS if hasattr(standard, name)})
    vars(module).update(select=Select(winsock), poll=PollMaker(winsock), error=OSError)
    return module


class Select:
    """``select.select``. ``selectors`` keeps it in a class, where a function would become a method."""

    def __init__(self, winsock: Any) -> None:  # noqa: ANN401 - Winsock behind a lock
        self._winsock = winsock

    def __call__(
        self,
        rlist: Iterable[Any],
        wlist: Iterable[Any],
        xlist: Iterable[Any],
        timeout: float | None = None,
        /,
    ) -> tuple[list[Any], list[Any], list[Any]]:
        """Return which objects are readable, writable, exceptional."""
        sets = [[(one, descriptor(one)) for one in _sequence(files)] for files in (rlist, wlist, xlist)]
        if timeout is not None and not isinstance(timeout, int | float):
            raise TypeError("timeout must be a float or None")
        if timeout is not None and timeout < 0:
            raise ValueError("timeout must be non-negative")
        asked: dict[int, int] = {}
        for (events, _counted), files in zip(SELECTED, sets, strict=True):
            for _one, fd in files:
                asked[fd] = asked.get(fd, 0) | events
        ready = dict(wait(self._winsock, asked, None if timeout is None else timeout * 1000))
        if any(events & standard.POLLNVAL for events in ready.values()):
            raise OSError(errno.EBADF, "Bad file descriptor")
        read, write, exceptional = (
            [one for one, fd in files if ready.get(fd, 0) & counted]
            for (_events_of, counted), files in zip(SELECTED, sets, strict=True)
        )
        return read, write, exceptional


class PollMaker:
    """``select.poll``, for the reason of ``Select`` no function."""

    def __init__(self, winsock: Any) -> None:  # noqa: ANN401 - Winsock behind a lock
        self._winsock = winsock

    def __call__(self) -> PollObject:
        """Return an object that watches nothing yet."""
        return PollObject(functools.partial(wait, self._winsock))


class PollObject:
    """``select.poll``: what is registered, and the wait for it."""

    def __init__(
        self, wait: Callable[[Mapping[int, int], float | None], list[tuple[int, int]]] | None = None
    ) -> None:
        if wait is None:
            raise TypeError("cannot create 'select.poll' instances")
        self._wait = wait
        self._asked: dict[int, int] = {}
        self._waiting = False

    def register(
        self,
        fd: Any,  # noqa: ANN401 - a number, or what has one
        eventmask: int = standard.POLLIN | standard.POLLPRI | standard.POLLOUT,
        /,
    ) -> None:
        """Watch, or watch for other events."""
        self._asked[descriptor(fd)] = _mask(eventmask)

    def modify(self, fd: Any, eventmask: int, /) -> None:  # noqa: ANN401 - a number, or what has one
        """Watch for other events. FileNotFoundError: it is not watched."""
        number = descriptor(fd)
        if number not in self._asked:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        self._asked[number] = _mask(eventmask)

    def unregister(self, fd: Any, /) -> None:  # noqa: ANN401 - a number, or what has one
        """Watch no more. KeyError."""
        del self._asked[descriptor(fd)]

    def poll(self, timeout: float | None = None, /) -> list[tuple[int, int]]:
        """Return what is ready; sleep up to ``timeout`` milliseconds, for ever when None or negative."""
        if timeout is not None and not isinstance(timeout, int | float):
            raise TypeError(f"'{type(timeout).__name__}' object cannot be interpreted as an integer")
        if timeout is not None and timeout > 0x7FFF_FFFF:
            raise OverflowError("timeout is too large")
        if self._waiting:
            raise RuntimeError("concurrent poll() invocation")
        self._waiting = True
        try:
            return self._wait(dict(self._asked), None if timeout is None or timeout < 0 else timeout)
        finally:
            self._waiting = False


PollObject.__module__, PollObject.__name__ = "select", "poll"


def descriptor(one: Any) -> int:  # noqa: ANN401 - a number, or what has one
    """Return the number of a file. TypeError, ValueError as ``select`` raises them."""
    if isinstance(one, int):
        number = one
    elif hasattr(one, "fileno"):
        number = one.fileno()
        if not isinstance(number, int):
            raise TypeError("fileno() returned a non-integer")
    else:
        raise TypeError("argument must be an int, or have a fileno() method.")
    if number < 0:
        raise ValueError(f"file descriptor cannot be a negative integer ({number})")
    return number


def _mask(events: int) -> int:
    if events < 0:
        raise ValueError("negative event mask")
    if events > 0xFFFF:
        raise OverflowError("event mask is too large")
    return events


def _sequence(files: Any) -> list[Any]:  # noqa: ANN401 - whatever a program gives
    try:
        return files if isinstance(files, list) else list(files)  # a list may shrink on the way
    except TypeError:
        raise TypeError("arguments 1-3 must be sequences") from None
