"""What hangs on a session besides stopping: the lint, the statistics, the hooks."""

from __future__ import annotations

import contextlib
import datetime as dt
from typing import TYPE_CHECKING, TextIO

from device.trace.facts import say
from device.trace.latency import Statistics
from device.trace.lint import Lint
from lab.stepper.hooks import Hooks
from lab.stepper.page import Subject, page

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from device.trace.breakpoints import Breakpoint
    from device.trace.events import Event
    from lab.stepper.session import Session


class Tools:
    """The watchers of one session."""

    def __init__(self, session: Session, *, hooks: Hooks | None = None) -> None:
        """Watch a session from now on; ``quit`` may be set to what ends a live card."""
        self.session = session
        self.checker = Lint(session.look.engine.peek)
        self.counted = Statistics()
        self.hooks = hooks or Hooks()
        self.hooks.trouble = session.pause
        self.quit: Callable[[], None] = lambda: None
        self.subject = ""
        """What the page is of; empty: what the session says."""
        self.console: Callable[[], str] | None = None
        """What the guest wrote to its console so far; None: there is no guest of ours."""
        self._traced: TextIO | None = None
        self._tracing: Breakpoint | None = None
        session.counters.append(self)
        session.watchers.append(self._watch)

    def _watch(self, event: Event) -> None:
        self.hooks.observe(event)
        self._trace(self.session.now(), event)

    def observe(self, event: Event) -> None:
        """Let the lint and the statistics see an event."""
        session = self.session
        now = session.now()
        self.checker.observe(session.position, now, event)
        self.counted.observe(now, event)

    def capture(self) -> object:
        """Return what lint and statistics know."""
        return self.checker.capture(), self.counted.capture()

    def restore(self, captured: object) -> None:
        """Go back to what ``capture`` returned."""
        if not isinstance(captured, tuple):
            raise TypeError(captured)
        checked, counted = captured
        self.checker.restore(checked)
        self.counted.restore(counted)

    def trace(self, path: Path, what: Breakpoint) -> str:
        """Write each event that fits to a file from now on, a line each. OSError."""
        self.trace_off()
        self._traced = path.open("w", buffering=1)
        self._tracing = what
        return f"tracing {what.text} to {path}"

    def trace_off(self) -> str:
        """End the trace."""
        if self._traced is None:
            return "nothing is traced: `trace FILE`"
        name = self._traced.name
        with contextlib.suppress(OSError):
            self._traced.close()
        self._traced = self._tracing = None
        return f"{name} is written"

    def _trace(self, now_ns: int, event: Event) -> None:
        what, file = self._tracing, self._traced
        if what is None or file is None or not what.matches(event) or not self.session.holds(what, event):
            return
        try:
            file.write(f"#{self.session.position} {now_ns / 1e9:.9f} {say(event)}\n")
        except OSError as error:
            name = file.name
            self.trace_off()
            self.session.pause(f"the trace {name} ends: {error.strerror}")

    def lint(self) -> str:
        """Return the lint's findings."""
        return "\n".join(map(str, self.checker.findings())) or "the driver did nothing that the rules forbid"

    def statistics(self, path: Path | None, *, interactive: bool | None = None) -> str:
        """Return the statistics, or write the page; ``interactive``: by Plotly, None: if it is installed."""
        if path is None:
            return "\n".join(self.counted.lines())
        when = dt.datetime.now(tz=dt.UTC).strftime("page made %Y-%m-%d %H:%M UTC")
        subject = Subject(self.subject or self.session.about, when, played=self.session.can_go_back)
        path.write_text(page(self.counted, self.checker.findings(), subject, interactive=interactive))
        return f"wrote {path}"

    def hook(self, path: Path | None) -> str:
        """Load a hook's file, or the last one again."""
        return self.hooks.load(path)

    def interrupts(self) -> list[str]:
        """Return lines on interrupts that only a watcher knows."""
        return self.counted.interrupt_lines()
