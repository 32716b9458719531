"""A user's own tracer: a Python class whose methods are named after registers and events.

::

    from lab.step.hooks import DROP, Delay

    class Tracer:
        def w_TDT0(self, value): ...                     # a write: return another value, or DROP
        def r_ICR(self, value): ...                      # a read: return what the driver shall see
        def on_tx_descriptor(self, ring, index, desc): ...   # a descriptor was fetched
        def on_rx_descriptor(self, ring, index, desc): ...
        def on_write_back(self, ring, index, raw): ...   # return other bytes, or DROP
        def on_frame_sent(self, data): ...               # return other bytes, DROP, or Delay(us)
        def on_frame_received(self, data): ...
        def on_interrupt(self, vector): ...              # DROP, or Delay(us)
        def on_event(self, event): ...                   # everything

What returns nothing only observes. The file is loaded again by ``reload``, while everything runs.
"""

from __future__ import annotations

import enum
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from device.rings.receive import ExtendedRxRead
from device.rings.transmit import parse
from device.trace import events as ev
from device.trace.facts import register_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from device.trace.events import Event


class Verdict(enum.Enum):
    """What a hook may ask for besides another value."""

    DROP = "it does not happen"


DROP: Final = Verdict.DROP


@dataclass(frozen=True, slots=True)
class Delay:
    """It happens later."""

    us: float

    @property
    def ns(self) -> int:
        """The delay in nanoseconds."""
        return int(self.us * 1000)


class Hooks:
    """The tracer that is loaded, if one is."""

    def __init__(self) -> None:
        """Load nothing."""
        self._path: Path | None = None
        self._tracer: object | None = None
        self.loads = 0

    def load(self, path: Path | None) -> str:
        """Load a file, or the last one again. OSError, SyntaxError, ValueError; the old tracer stays then."""
        path = path or self._path
        if path is None:
            raise ValueError("give a file: `hook FILE`")
        module = types.ModuleType("ringwalk_hook")
        module.__file__ = str(path)
        code = compile(path.read_text(), str(path), "exec")
        exec(code, module.__dict__)  # noqa: S102 - the user's own file, which is what a hook is
        made = getattr(module, "Tracer", None)
        if made is None:
            raise ValueError(f"{path} has no class Tracer")
        self._tracer, self._path = made(), path
        self.loads += 1
        methods = [name for name in dir(self._tracer) if name.startswith(("w_", "r_", "on_"))]
        return f"{path}: {', '.join(methods) or 'no hooks'}"

    def find(self, name: str) -> Callable[..., Any] | None:
        """Return a hook by name."""
        return getattr(self._tracer, name, None) if self._tracer is not None else None

    # -- observing ------------------------------------------------------------------------------------

    def observe(self, event: Event) -> None:
        """Tell the tracer of what it can only observe."""
        if self._tracer is None:
            return
        everything = self.find("on_event")
        if everything is not None:
            everything(event)
        if isinstance(event, ev.DescriptorFetched):
            hook = self.find(f"on_{event.ring}_descriptor")
            if hook is not None:
                parsed = parse(event.raw) if event.ring == "tx" else ExtendedRxRead.parse(event.raw[:16])
                hook(event.queue, event.place, parsed)

    # -- changing ---------------------------------------------------------------------------------------

    def register(self, way: str, offset: int, value: int) -> int | Verdict:
        """Return the value for a read (``"r"``) or a write (``"w"``) of a register, or DROP (a write)."""
        name = register_name(offset)
        hook = self.find(f"{way}_{name}") or self.find(f"{way}_{name.partition('[')[0]}")
        answer = hook(value) if hook is not None else None
        return value if answer is None else answer

    def ask(self, name: str, *arguments: object) -> Any:  # noqa: ANN401 - a hook's answer is of its event's kind
        """Return what a hook answers; None: it has no wish."""
        hook = self.find(name)
        return hook(*arguments) if hook is not None else None
