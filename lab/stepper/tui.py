"""The stepper on a full screen (textual): rings, the event, what changed, and the same commands below.

The card runs in other threads, where the session stops; the screen runs in the main thread. ``Screen`` is the
front end between them: at a stop it takes a picture of everything, gives it to the screen, and waits for
command lines.
"""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Footer, Input, OptionList, RichLog, Static
from textual.widgets.option_list import Option

from lab.errors import UsageError
from lab.stepper import picture
from lab.stepper.command import CommandError, CommandFront, GoOn
from lab.stepper.commands import execute
from lab.stepper.completion import complete
from lab.stepper.session import Leave

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual import events

    from lab.stepper.picture import Picture
    from lab.stepper.session import Session, Stop

_END = "\x04"
OWNED = {"card": "bold yellow", "done": "green", "driver": ""}
"""How a slot looks, by who has it."""
LEAVING_S = 10.0
"""How long the work may take to end when its user has left."""


class Screen(CommandFront):
    """The front end: called in a thread of the card's."""

    def __init__(
        self,
        show: Callable[[Picture], None],
        answer: Callable[[str, str], None],
        runs: Callable[[], None] = lambda: None,
    ) -> None:
        """``show`` gets a picture, ``answer`` a command and what it said; ``runs``: the card goes on.

        All hand over to the screen.
        """
        super().__init__()
        self._runs = runs
        self._show = show
        self._answer = answer
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def command(self, line: str) -> None:
        """Give a command; from the screen's thread."""
        self._lines.put(line)

    def end(self) -> None:
        """Let the card go on without a screen; from the screen's thread."""
        if self.tools is not None:
            self.tools.session.detach()
        self._lines.put(_END)

    def pause(self) -> bool:
        """Stop the card at once; False: it stands already. From the screen's thread."""
        session = self.tools.session if self.tools is not None else None
        if session is None or session.stands:
            return False
        session.pause()
        return True

    def stopped(self, session: Session, stop: Stop) -> None:
        """Show, and do what is asked until the card shall go on."""
        context = self.context(session)
        while not self._lines.empty():  # typed for the stop before
            self._lines.get()
        session.note = lambda text: self._answer("", text)
        self._show(picture.take(context, stop))
        for line in session.take_commands():
            self._lines.put(line)
        while True:
            line = self._lines.get()
            if line == _END:
                if session.can_go_back:
                    raise Leave
                return
            try:
                self._answer(line, execute(context, line))
            except GoOn:
                self._answer(line, "")
                self._runs()
                return
            except CommandError as error:
                self._answer(line, f"error: {error}")


class Printed(Message):
    """The work has printed something."""

    def __init__(self, text: str) -> None:
        """Carry the text to whoever keeps it."""
        super().__init__()
        self.text = text


class Log(RichLog):
    """What commands said, and what the work prints."""

    def on_mount(self) -> None:
        """Take what is printed."""
        self.begin_capture_print()

    def on_print(self, event: events.Print) -> None:
        """Show it, colours and all."""
        text = event.text.rstrip()
        if text:
            self.post_message(Printed(text))
            self.write(Text.from_ansi(text))


class Commands(Suggester):
    """Suggests how the command line may go on."""

    def __init__(self) -> None:
        """Suggestions depend on the whole line, so none is kept."""
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        """Return the line with its last word completed."""
        found = complete(value)
        head = value[: len(value) - len(value.rsplit(" ", maxsplit=1)[-1])]
        return head + found[0] if found and value else None


class Stepper(App[None]):
    """The screen."""

    TITLE = "Ringwalk"
    CSS = """
    #title { height: auto; padding: 0 1; background: $primary; color: $text; }
    #left { width: 3fr; } #right { width: 2fr; }
    .panel { border: round $primary; padding: 0 1; height: 1fr; }
    #rings { border: round $primary; height: 2fr; }
    #log { height: 12; border: round $secondary; }
    .-short #log { height: 5; } .-short #past { display: none; }
    .-narrow #right { display: none; }
    """
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012 - the base class declares it so
    VERTICAL_BREAKPOINTS = [(0, "-short"), (34, "-tall")]  # noqa: RUF012 - the same
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f5", "go('continue')", "continue"),
        Binding("f6", "go('step stage')", "stage"),
        Binding("f7", "go('step descriptor')", "descriptor"),
        Binding("f8", "go('step access')", "access"),
        Binding("f9", "go('step frame')", "frame"),
        Binding("f11", "go('step interrupt')", "interrupt"),
        Binding("f2", "cursor", "to cursor"),
        Binding("f3", "go('reverse-step')", "back"),
        Binding("f4", "go('reverse-continue')", "back to break"),
        Binding("ctrl+c", "pause", "pause", priority=True),
        Binding("f10", "quit", "quit", priority=True),
    ]

    def __init__(self, work: Callable[[CommandFront], str], leave: Callable[[], None]) -> None:
        """``work`` runs a card with this front end and says how it went; ``leave`` ends what it runs."""
        super().__init__()
        self.front = Screen(self._from_card_show, self._from_card_answer, self._from_card_runs)
        self._work = work
        self._leave = leave
        self._worker = threading.Thread(target=self._do, name="work", daemon=True)
        self.picture: Picture | None = None
        self.pictures = 0
        self.told = ""
        self.status = 0
        self.done = False
        self.printed: list[str] = []
        """What the work printed: it is printed again when the screen has gone."""

    def compose(self) -> ComposeResult:
        """Lay the panels out."""
        yield Static(id="title", markup=False)
        with Horizontal():
            with Vertical(id="left"):
                yield OptionList(id="rings")
                with VerticalScroll(classes="panel", id="past"):
                    yield Static(id="history", markup=False)
            with Vertical(id="right"):
                with VerticalScroll(classes="panel", id="about"):
                    yield Static(id="event", markup=False)
                with VerticalScroll(classes="panel", id="now"):
                    yield Static(id="changed", markup=False)
        yield Log(id="log", wrap=True, markup=False)
        yield Input(placeholder="a command: help", id="command", suggester=Commands())
        yield Footer()

    def on_mount(self) -> None:
        """Start the work."""
        for name, title in (
            ("rings", "rings: enter takes a descriptor apart, F2 runs to it"),
            ("past", "events"),
            ("about", "this event"),
            ("now", "the driver's last writes, the newest first; changed since the last stop"),
            ("log", "commands"),
        ):
            self.query_one(f"#{name}").border_title = title
        self._worker.start()
        self.query_one("#command", Input).focus()

    def on_unmount(self) -> None:
        """Let the card go, and end what runs."""
        self.front.end()
        if not self.done:
            self._leave()

    def join(self) -> None:
        """Wait until the work has ended, which ``leave`` asked of it; not for ever."""
        self._worker.join(LEAVING_S)

    def _do(self) -> None:
        try:
            self.told = self._work(self.front)
        except UsageError as error:
            self.told, self.status = f"ringwalk: {error}", 2
        self.done = True
        if self.is_running:
            self.call_from_thread(self.ended)

    # -- from the card's threads ----------------------------------------------------------------------

    def _from_card_show(self, taken: Picture) -> None:
        self._hand_over(self.show, taken)

    def _from_card_answer(self, line: str, text: str) -> None:
        self._hand_over(self.say, line, text)

    def _from_card_runs(self) -> None:
        self._hand_over(self.runs)

    def _hand_over(self, to: Callable[..., None], *what: object) -> None:
        if self.is_running:
            self.call_from_thread(to, *what)

    # -- in the screen's thread ------------------------------------------------------------------------

    def show(self, taken: Picture) -> None:
        """Show a stop."""
        self.picture = taken
        self.pictures += 1
        self.query_one("#title", Static).update(f"STOPPED  {taken.title}")
        for name in ("event", "changed", "history"):
            self.query_one(f"#{name}", Static).update(getattr(taken, name))
        rings = self.query_one("#rings", OptionList)
        marked, scrolled = rings.highlighted, rings.scroll_offset.y
        rings.clear_options()
        rings.add_options(
            [
                Option(
                    Text(slot.text, style=OWNED.get(slot.owner, "")),
                    f"{slot.ring} {slot.index}" if slot.ring else None,
                    disabled=not slot.ring,
                )
                for slot in taken.rings
            ]
        )
        if marked is not None and marked < len(taken.rings):
            rings.highlighted = marked
        rings.scroll_to(y=scrolled, animate=False)
        self.query_one("#past", VerticalScroll).scroll_end(animate=False)

    def say(self, line: str, text: str) -> None:
        """Show what a command said."""
        log = self.query_one("#log", Log)
        if line:
            log.write(f"> {line}")
        if text:
            log.write(text)

    def runs(self) -> None:
        """Say that the card goes on."""
        self.query_one("#title", Static).update("RUNNING  Ctrl-C stops it")

    def ended(self) -> None:
        """Say that the work is done."""
        self.query_one("#title", Static).update("ENDED  the end: F10 leaves")
        if self.told:
            self.query_one("#log", Log).write(Text.from_ansi(self.told))

    def on_printed(self, message: Printed) -> None:
        """Keep what the work printed."""
        self.printed.append(message.text)

    def action_go(self, line: str) -> None:
        """Do a key's command."""
        self.front.command(line)

    def action_cursor(self) -> None:
        """Run to the descriptor under the cursor."""
        where = self._cursor()
        if where is None:
            self.say("to", "put the cursor on a slot of a ring: Tab, then up and down")
        else:
            self.front.command(f"to {where}")

    def action_pause(self) -> None:
        """Stop the card; where it stands already, leave."""
        if not self.front.pause():
            self.exit()

    def _cursor(self) -> str | None:
        rings = self.query_one("#rings", OptionList)
        if rings.highlighted is None:
            return None
        return rings.get_option_at_index(rings.highlighted).id

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Take the descriptor apart that was chosen."""
        if event.option.id is not None:
            self.front.command(f"descriptor {event.option.id}")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Do the command that was typed."""
        line = event.value.strip()
        event.input.value = ""
        if line in ("quit", "q"):
            self.exit()
        elif line:
            self.front.command(line)
