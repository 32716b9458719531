"""A user's own tracer: a Python class whose methods are named after registers and events.

::

    from lab.stepper.hooks import DROP, Delay

    class Tracer:
        def w_TDT0(self, value): ...                     # a write: return another value, DROP, or Delay(us)
        def r_ICR(self, value): ...                      # a read: return what the driver shall see
        def on_tx_descriptor(self, ring, index, desc): ...   # a descriptor was fetched
        def on_rx_descriptor(self, ring, index, desc): ...
        def on_write_back(self, ring, index, raw): ...   # return other bytes, DROP, or Delay(us)
        def on_frame_sent(self, data): ...               # return other bytes, DROP, or Delay(us)
        def on_frame_received(self, data): ...           # the same
        def on_interrupt(self, vector): ...              # DROP, or Delay(us)
        def on_event(self, event): ...                   # everything

What returns nothing only observes. The file is loaded again by ``reload``, while everything runs. A method
that raises is told of and the tracer unloaded: the card goes on without it.
"""

from __future__ import annotations

import enum
import types
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from device.rings.receive import ExtendedRxRead
from device.rings.transmit import parse
from device.trace import events as ev
from device.trace.facts import register_name
from lab.stepper.expressions import EXPRESSION_ERRORS

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
        self._path: Path | None = None
        self._tracer: object | None = None
        self.loads = 0
        self.injected: Counter[str] = Counter()
        """How often a hook changed what happened, by its name and what it asked for."""
        self.trouble: Callable[[str], object] = lambda _: None
        """Is told when a hook's method raised."""

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

    def told(self) -> list[str]:
        """Say which file is loaded and what it did."""
        if self._path is None:
            return ["no hook is loaded: `hook FILE`"]
        done = [f"  {name} {count} times" for name, count in sorted(self.injected.items())]
        return [f"{self._path}, loaded {self.loads} times", *(done or ["  has changed nothing yet"])]

    def _count(self, name: str, answer: object) -> None:
        if answer is not None:
            what = "dropped" if answer is DROP else "delayed" if isinstance(answer, Delay) else "changed"
            self.injected[f"{name}: {what}"] += 1

    def find(self, name: str) -> Callable[..., Any] | None:
        """Return a hook by name."""
        return getattr(self._tracer, name, None) if self._tracer is not None else None

    # -- observing ------------------------------------------------------------------------------------

    def observe(self, event: Event) -> None:
        """Tell the tracer of what it can only observe."""
        if self._tracer is None:
            return
        self._call("on_event", event)
        if isinstance(event, ev.DescriptorFetched):
            parsed = parse(event.raw) if event.ring == "tx" else ExtendedRxRead.parse(event.raw[:16])
            self._call(f"on_{event.ring}_descriptor", event.queue, event.place, parsed)

    # -- changing ---------------------------------------------------------------------------------------

    def register(self, way: str, offset: int, value: int) -> int | Verdict | Delay:
        """Return the value for a read (``"r"``) or a write (``"w"``) of a register; DROP, Delay (a write)."""
        if self._tracer is None:
            return value
        name = register_name(offset)
        called = next((n for n in (f"{way}_{name}", f"{way}_{name.partition('[')[0]}") if self.find(n)), "")
        answer = self._call(called, value) if called else None
        self._count(called, answer)
        return value if answer is None else answer

    def ask(self, name: str, *arguments: object) -> Any:  # noqa: ANN401 - a hook's answer is of its event's kind
        """Return what a hook answers; None: it has no wish."""
        answer = self._call(name, *arguments)
        self._count(name, answer)
        return answer

    def _call(self, name: str, *arguments: object) -> Any:  # noqa: ANN401 - as ``ask``
        hook = self.find(name)
        if hook is None:
            return None
        try:
            return hook(*arguments)
        except EXPRESSION_ERRORS as error:
            self._tracer = None
            self.trouble(
                f"{self._path}: {name} raised {type(error).__name__}: {error}; `reload` when it is mended"
            )
            return None
