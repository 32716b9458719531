"""What hangs on a session besides stopping: the lint, the statistics, the hooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from device.trace.latency import Statistics
from device.trace.lint import Lint
from lab.stepper.hooks import Hooks
from lab.stepper.page import page

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

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
        self.console: Callable[[], str] | None = None
        """What the guest wrote to its console so far; None: there is no guest of ours."""
        session.watchers.append(self._watch)

    def _watch(self, event: Event) -> None:
        session = self.session
        now = session.now()
        self.checker.observe(session.position, now, event)
        self.counted.observe(now, event)
        self.hooks.observe(event)

    def lint(self) -> str:
        """Return the lint's findings."""
        return "\n".join(map(str, self.checker.findings())) or "the driver did nothing that the rules forbid"

    def statistics(self, path: Path | None) -> str:
        """Return the statistics, or write the page."""
        if path is None:
            return "\n".join(self.counted.lines())
        path.write_text(page(self.counted, self.checker.findings()))
        return f"wrote {path}"

    def hook(self, path: Path | None) -> str:
        """Load a hook's file, or the last one again."""
        return self.hooks.load(path)

    def interrupts(self) -> list[str]:
        """Return lines on interrupts that only a watcher knows."""
        return self.counted.interrupt_lines()
