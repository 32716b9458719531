"""The stepper on a full screen (textual): rings, the event, what changed, and the same commands below.

The card runs in a thread of its own, where the session stops; the screen runs in the main thread.
``Screen`` is the front end between them: at a stop it takes pictures of everything (texts), gives them to
the screen, and waits for command lines.
"""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.suggester import SuggestFromList
from textual.widgets import Footer, Input, RichLog, Static

from lab.step.command import CommandError, Context, GoOn
from lab.step.commands import COMMANDS, execute
from lab.step.replaying import Replay
from lab.step.session import Leave
from lab.step.tools import Tools

if TYPE_CHECKING:
    from collections.abc import Callable

    from device.trace.recording import Recording
    from lab.step.session import Session, Stop

_END = "\x04"


class Picture(NamedTuple):
    """What the screen shows of a stop."""

    title: str
    rings: str
    event: str
    changed: str
    history: str


def picture(context: Context, stop: Stop) -> Picture:
    """Look at the card and put it into texts; in the card's thread, while it stands."""
    look = context.session.look
    rings = "\n\n".join("\n".join(ring.lines()[:14]) for ring in (*look.tx, *look.rx) if ring.count)
    return Picture(
        title=str(stop),
        rings=rings or "no ring is set up yet",
        event=_about(context, stop),
        changed=execute(context, "registers changed"),
        history=execute(context, "history 12"),
    )


def _about(context: Context, stop: Stop) -> str:
    """Return the descriptor or the frame that the event is about."""
    kind = type(stop.event).__name__ if stop.event is not None else ""
    command = {
        "DescriptorFetched": "descriptor",
        "DescriptorWrittenBack": "descriptor",
        "FrameCompleted": "frame",
        "FrameArrived": "frame",
    }.get(kind, "interrupts")
    try:
        return execute(context, command)
    except CommandError as error:
        return str(error)


class Screen:
    """The front end: called in the card's thread."""

    def __init__(self, show: Callable[[Picture], None], answer: Callable[[str, str], None]) -> None:
        """``show`` gets a picture, ``answer`` a command and what it said; both hand over to the screen."""
        self._show = show
        self._answer = answer
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.tools: Tools | None = None

    def command(self, line: str) -> None:
        """Give a command; from the screen's thread."""
        self._lines.put(line)

    def stopped(self, session: Session, stop: Stop) -> None:
        """Show, and do what is asked until the card shall go on."""
        if self.tools is None:
            raise AssertionError("a screen without tools")
        context = Context(session, self.tools)
        self._show(picture(context, stop))
        while True:
            line = self._lines.get()
            if line == _END:
                raise Leave
            try:
                self._answer(line, execute(context, line))
            except GoOn:
                return
            except CommandError as error:
                self._answer(line, f"error: {error}")


class Stepper(App[None]):
    """The screen."""

    TITLE = "Ringwalk"
    CSS = """
    #title { height: auto; padding: 0 1; background: $primary; color: $text; }
    #left { width: 3fr; } #right { width: 2fr; }
    .panel { border: round $primary; padding: 0 1; height: 1fr; }
    #log { height: 10; border: round $secondary; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f5", "go('continue')", "continue"),
        Binding("f6", "go('step stage')", "stage"),
        Binding("f7", "go('step descriptor')", "descriptor"),
        Binding("f8", "go('step access')", "access"),
        Binding("f9", "go('step frame')", "frame"),
        Binding("f3", "go('reverse-step')", "back"),
        Binding("f4", "go('reverse-continue')", "back to break"),
        Binding("f10", "quit", "quit", priority=True),
    ]

    def __init__(self, recording: Recording) -> None:
        """Step through a recording."""
        super().__init__()
        self.front = Screen(self._from_card_show, self._from_card_answer)
        self.replay = Replay(recording, self.front)
        self.front.tools = Tools(self.replay.session)
        self._card = threading.Thread(target=self._play, name="card", daemon=True)
        self.picture: Picture | None = None
        self.pictures = 0

    def compose(self) -> ComposeResult:
        """Lay the panels out."""
        yield Static(id="title", markup=False)
        with Horizontal():
            with Vertical(id="left"):
                with VerticalScroll(classes="panel"):
                    yield Static(id="rings", markup=False)
                with VerticalScroll(classes="panel"):
                    yield Static(id="history", markup=False)
            with Vertical(id="right"):
                with VerticalScroll(classes="panel"):
                    yield Static(id="event", markup=False)
                with VerticalScroll(classes="panel"):
                    yield Static(id="changed", markup=False)
        yield RichLog(id="log", wrap=True, markup=False)
        yield Input(
            placeholder="a command: help",
            id="command",
            suggester=SuggestFromList(
                [f"{c.names[0]} {w}".strip() for c in COMMANDS for w in ("", *c.completions)]
            ),
        )
        yield Footer()

    def on_mount(self) -> None:
        """Start the card."""
        self._card.start()
        self.query_one("#command", Input).focus()

    def on_unmount(self) -> None:
        """End the card."""
        self.front.command(_END)

    def _play(self) -> None:
        self.replay.run()

    # -- from the card's thread ---------------------------------------------------------------------

    def _from_card_show(self, taken: Picture) -> None:
        self.call_from_thread(self.show, taken)

    def _from_card_answer(self, line: str, text: str) -> None:
        self.call_from_thread(self.say, line, text)

    # -- in the screen's thread ------------------------------------------------------------------------

    def show(self, taken: Picture) -> None:
        """Show a stop."""
        self.picture = taken
        self.pictures += 1
        for name, text in taken._asdict().items():
            self.query_one(f"#{name}", Static).update(text)

    def say(self, line: str, text: str) -> None:
        """Show what a command said."""
        log = self.query_one("#log", RichLog)
        log.write(f"> {line}")
        if text:
            log.write(text)

    def action_go(self, line: str) -> None:
        """Do a key's command."""
        self.front.command(line)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Do the command that was typed."""
        line = event.value.strip()
        event.input.value = ""
        if line in ("quit", "q"):
            self.exit()
        elif line:
            self.front.command(line)


def run_replay(recording: Recording) -> int:
    """Step through a recording on a full screen."""
    Stepper(recording).run()
    return 0
