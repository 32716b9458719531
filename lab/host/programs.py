"""Ordinary Python programs over the stack: while one runs, ``import socket`` finds the stack's.

Replaced are the module ``socket``, what the standard library's network modules hold of it, the selector that
``socketserver`` waits by, and the event loop that ``asyncio.run`` makes. Everything is put back afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import runpy
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.errors import UsageError
from lab.host.event_loop import StackEventLoop
from lab.host.selector import StackSelector
from ntos.executive.live import StoppedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

NETWORKING = ("http.client", "http.server", "socketserver", "urllib.request", "ftplib", "smtplib")
"""Modules of the standard library that hold ``socket`` by name."""


def run_program(
    station: Any,  # noqa: ANN401 - whatever has ``winsock`` and ``sockets``
    path: str,
    arguments: Sequence[str] = (),
) -> None:
    """Run a file as ``python path arguments`` would, raising what it raises. UsageError: no such file."""
    if not Path(path).is_file():
        raise UsageError(f"{path}: no such Python file")
    threading.excepthook = _end_quietly(threading.excepthook)  # for good: threads outlive the program
    with sockets_of(station.winsock, station.sockets), _replaced(sys, "argv", [path, *arguments]):
        runpy.run_path(path, run_name="__main__")


def _end_quietly(
    hook: Callable[[threading.ExceptHookArgs], Any],
) -> Callable[[threading.ExceptHookArgs], Any]:
    """Return a hook by which a thread that waits for a socket ends as silently as its host."""

    def report(what: threading.ExceptHookArgs) -> None:
        if not isinstance(what.exc_value, StoppedError):
            hook(what)

    return report


@contextlib.contextmanager
def sockets_of(winsock: Any, sockets: Any) -> Iterator[None]:  # noqa: ANN401 - Winsock behind a lock; a module
    """Let this process's Python use the stack's sockets, until the context ends."""
    loop = functools.partial(StackEventLoop, winsock, sockets)
    selector = functools.partial(StackSelector, winsock)
    with contextlib.ExitStack() as stack:
        for name in NETWORKING:
            module = importlib.import_module(name)
            if hasattr(module, "socket"):
                stack.enter_context(_replaced(module, "socket", sockets))
        stack.enter_context(_replaced(importlib.import_module("socketserver"), "_ServerSelector", selector))
        stack.enter_context(_replaced(asyncio, "new_event_loop", loop))
        stack.enter_context(_replaced(asyncio.events, "new_event_loop", loop))
        original = sys.modules["socket"]
        sys.modules["socket"] = sockets
        stack.callback(sys.modules.__setitem__, "socket", original)
        yield


@contextlib.contextmanager
def _replaced(owner: Any, name: str, value: object) -> Iterator[None]:  # noqa: ANN401 - a module
    original = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)
