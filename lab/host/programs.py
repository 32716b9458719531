"""Ordinary Python programs over the stack: while one runs, whatever it imports has the stack's sockets.

The program has a second copy of the part of Python's library that stands on ``_socket``, ``select`` and
``_ssl``: those three are the stack's, and every module above them is imported afresh. asyncio stays (its core
is compiled, once a process); what it holds of those modules is replaced. All is put back afterwards. What
reaches for this machine's own sockets all the same is refused by an audit hook (``refusal``).
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import queue
import runpy
import socket as machine
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.errors import UsageError
from lab.host.refusal import refused
from lab.host.tls import ssl_module
from lab.host.waiting import select_module
from ntos.executive.live import StoppedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import ModuleType

BELOW = frozenset({"_socket", "socket", "select", "selectors", "_ssl", "ssl"})
"""What the stack stands in for, and what Python has directly above it."""
KEPT = frozenset(
    {"asyncio", "concurrent", "threading", "__main__", "builtins", "sys", "importlib", "pytest", "_pytest"}
)
"""Modules that stay as they are: compiled ones, and those that run the program."""
OURS = frozenset(
    {"lab", "protocols", "ntos", "ndis", "miniport", "device", "wire", "formats", "vfio_user", "tests"}
)
"""Packages of this tree: they hold the machine's sockets rightly."""


def run_program(
    station: Any,  # noqa: ANN401 - whatever has ``winsock`` and ``sockets``
    path: str,
    arguments: Sequence[str] = (),
) -> None:
    """Run a file as ``python path arguments`` would, raising what it raises. UsageError: no such file."""
    if not Path(path).is_file():
        raise UsageError(f"{path}: no such Python file")
    threading.excepthook = _end_quietly(threading.excepthook)  # for good: threads outlive the program
    with (
        sockets_of(station.winsock, station.sockets),
        _replaced(sys, "argv", [path, *arguments]),
        _replaced(sys, "path", [str(Path(path).resolve().parent), *sys.path]),
    ):
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
    before = dict(sys.modules)
    for name in _above(BELOW):
        del sys.modules[name]
    below = sockets._socket  # noqa: SLF001 - the lower half of the same module
    sys.modules.update(
        {
            "_socket": below,
            "socket": sockets,
            "select": select_module(winsock),
            "_ssl": ssl_module(),
        }
    )
    with contextlib.ExitStack() as stack:
        stack.callback(_restore, before)
        for name in ("selectors", "ssl"):
            importlib.import_module(name)
        stack.enter_context(_replaced(sockets, "selectors", sys.modules["selectors"]))
        _patch_asyncio(stack, before)
        stack.enter_context(_closing_abandoned(below.world))
        stack.enter_context(refused())
        yield


@contextlib.contextmanager
def _closing_abandoned(world: Any) -> Iterator[None]:  # noqa: ANN401 - a pysocket.world.World
    """Close sockets that nobody holds any more, by a thread: a collector may take no lock."""
    woken: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def close() -> None:
        while woken.get():
            world.close_abandoned()

    with _replaced(world, "wake", lambda: woken.put(True)):  # noqa: FBT003 - an item
        thread = threading.Thread(target=close, name="abandoned sockets", daemon=True)
        thread.start()
        try:
            yield
        finally:
            woken.put(False)  # noqa: FBT003 - an item
            thread.join()


def _above(names: frozenset[str]) -> set[str]:
    """Return ``names`` and the loaded modules that hold one of them, or something of theirs, and so on."""
    found = {name for name in names if name in sys.modules}
    loaded = {
        name: vars(module)
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] not in KEPT | OURS and hasattr(module, "__dict__")
    }
    grows = True
    while grows:
        modules = {id(sys.modules[name]) for name in found}
        above = {
            name
            for name, held in loaded.items()
            if name not in found
            and (
                name.rpartition(".")[0] in found
                or any(
                    id(one) in modules or getattr(one, "__module__", None) in found
                    for one in list(held.values())
                )
            )
        }
        found |= above
        grows = bool(above)
    return found


def _restore(before: dict[str, ModuleType]) -> None:
    """Put the modules back, and drop what was imported over the stack's."""
    for name in _above(BELOW):
        del sys.modules[name]
        parent, _, child = name.rpartition(".")
        if parent in sys.modules and child in vars(sys.modules[parent]):
            delattr(sys.modules[parent], child)
    for name, module in before.items():
        if sys.modules.get(name) is not module:
            sys.modules[name] = module
        parent, _, child = name.rpartition(".")
        if parent in before:
            _put(before[parent], child, module)


def _put(parent: ModuleType, child: str, module: ModuleType) -> None:
    if vars(parent).get(child) is not module and isinstance(vars(parent).get(child, module), type(module)):
        setattr(parent, child, module)


def _patch_asyncio(stack: contextlib.ExitStack, before: dict[str, ModuleType]) -> None:
    """Let asyncio's modules hold the stack's, and its loops tell themselves things by the machine's."""
    instead = {
        id(before[name]): sys.modules[name] for name in BELOW if name in before and name in sys.modules
    }
    for name, module in before.items():
        if name.partition(".")[0] == "asyncio":
            for attribute, held in list(vars(module).items()):
                if id(held) in instead:
                    stack.enter_context(_replaced(module, attribute, instead[id(held)]))
    base = asyncio.SelectorEventLoop
    stack.enter_context(_replaced(base, "_make_self_pipe", _make_self_pipe))


def _make_self_pipe(loop: Any) -> None:  # noqa: ANN401 - an event loop of asyncio
    """Wake by a descriptor of the machine, which signals can write to."""
    loop._ssock, loop._csock = machine.socketpair(machine.AF_UNIX)  # noqa: SLF001 - the method stands in for the loop's own
    loop._ssock.setblocking(False)  # noqa: SLF001, FBT003 - as above; the standard library's signature
    loop._csock.setblocking(False)  # noqa: SLF001, FBT003 - as above; the standard library's signature
    loop._internal_fds += 1  # noqa: SLF001 - as above
    loop._add_reader(loop._ssock.fileno(), loop._read_from_self)  # noqa: SLF001 - as above


@contextlib.contextmanager
def _replaced(owner: Any, name: str, value: object) -> Iterator[None]:  # noqa: ANN401 - a module
    original = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)
