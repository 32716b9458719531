"""The stepper: decides at each event whether to stop, and then lets a front end ask and command.

``Session.observe`` is the engine's observer. It runs in the thread that drives the card, and a stop blocks
that thread inside the engine's step: the guest waits for its register access, the world stands still. A front
end (prompt, full screen, a test) is called there and returns when the card shall go on.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from device.trace import events as ev
from device.trace.breakpoints import KINDS
from device.trace.facts import facts_of, say
from lab.stepper.expressions import EXPRESSION_ERRORS, NAMES

if TYPE_CHECKING:
    from collections.abc import Callable

    from device.trace.breakpoints import Breakpoint
    from device.trace.events import Event
    from lab.stepper.kernel_symbols import Place
    from lab.stepper.views import Look

HISTORY: Final = 4096
WRITES: Final = 32
_CALLS: Final = frozenset({"caller", "calls"})
"""Names in an expression for which the guest has to be stopped."""

STEPS: Final[dict[str, frozenset[type]]] = {
    "stage": KINDS["any"],
    "access": KINDS["access"],
    "descriptor": KINDS["descriptor"],
    "frame": frozenset({ev.FrameCompleted, ev.FrameArrived}),
    "interrupt": KINDS["interrupt"],
}
"""What can be stepped by, and the events that end such a step."""


class Stop(NamedTuple):
    """Where and why the card stands. ``position`` counts events from 1; no event: the end of a replay."""

    position: int
    event: Event | None
    reason: str

    def __str__(self) -> str:
        """Say it in one line."""
        told = say(self.event) if self.event is not None else ""
        return f"#{self.position} {told}  ({self.reason})" if told else f"#{self.position} {self.reason}"


class Held(Protocol):
    """What stands while the card stands: a clock, a guest."""

    def hold(self, event: Event | None) -> None:
        """Stand at an event, or at none. A second time does nothing."""

    def release(self) -> None:
        """Go on."""


class Counter(Protocol):
    """What counts events, and goes back with a card that is played."""

    def observe(self, event: Event) -> None:
        """Count an event."""

    def capture(self) -> object:
        """Return the counts, as values that later events do not touch."""

    def restore(self, captured: object) -> None:
        """Go back to them."""


class Driver(Held, Protocol):
    """A guest's driver: held like the rest, and asked where it stood."""

    def calls(self) -> list[Place]:
        """Return the function that it stood in and those that called it, innermost first."""


class Front(Protocol):
    """Who is asked at a stop."""

    def stopped(self, session: Session, stop: Stop) -> None:
        """Look and command; return when the card shall go on."""


class Seek(Exception):  # noqa: N818 - it is a journey and no error
    """Leave the present input and go to an event: raised through a card that is played, never a live one."""

    def __init__(self, target: int) -> None:
        """Go to event number ``target``."""
        super().__init__(target)
        self.target = target


class SeekLast(Seek):
    """Go to the last event before the present one that fits."""

    def __init__(self, before: int, fits: Callable[[Event], bool]) -> None:
        """Look at events before number ``before``."""
        super().__init__(before)
        self.fits = fits


class Leave(Exception):  # noqa: N818 - it is a decision and no error
    """The user ends the replay."""


@dataclass(slots=True)
class Scan:
    """A search through events that pass by; nothing stops meanwhile."""

    fits: Callable[[Event], bool]
    before: int
    found: int = 0


class ScanDone(Exception):  # noqa: N818 - the end of a search
    """The search has reached the event it was to look before."""


class Session:
    """One stepper on one card."""

    def __init__(self, look: Look, front: Front, *, can_go_back: bool = False) -> None:
        """Stop at the first event, unless somebody says otherwise."""
        self.look = look
        self.front = front
        self.can_go_back = can_go_back
        self.position = 0
        self.furthest = 0
        self.breakpoints: list[Breakpoint] = []
        self.history: deque[tuple[int, Event]] = deque(maxlen=HISTORY)
        self.writes: deque[tuple[int, ev.RegisterWritten]] = deque(maxlen=WRITES)
        self.watchers: list[Callable[[Event], None]] = []
        """Told of each event once, however often it is played."""
        self.counters: list[Counter] = []
        self.stop: Stop | None = None
        self.stops = 0
        self.lines = 0
        """How many command lines were taken."""
        self.before: dict[int, int] = {}
        """The registers at the last stop."""
        self.now: Callable[[], int] = lambda: 0
        self.scan: Scan | None = None
        self.target = 0
        self.arrival = "here"
        """What is said on arriving at ``target``."""
        self._until: frozenset[type] | None = KINDS["any"]
        self._count = 1
        self._pause = ""
        self._numbers = 0
        self.detached = False
        self.held: list[Held] = []
        """What stands at each stop, in the order in which it is stopped."""
        self.driver: Driver | None = None
        """Whose register accesses these are, where it can be asked."""
        self.wake: Callable[[], object] = lambda: None
        """Called by ``pause``: whoever can take a quiet card's lock shall call ``stand_idle``."""
        self.about = "a card"
        """What is stepped through, for the greeting."""
        self.note: Callable[[str], object] = lambda _: None
        """Prints a line for the user while nothing stops."""
        self.waiting: tuple[str, ...] = ()
        """Commands of breakpoints that the front end is to do at this stop."""
        self._stands = self._asked_driver = False
        self.over = ""
        """Why no event can come any more; empty while one may."""

    # -- commands: how to go on ------------------------------------------------------------------------

    def take_commands(self) -> tuple[str, ...]:
        """Return what the breakpoints of this stop want done, once."""
        taken, self.waiting = self.waiting, ()
        return taken

    def step(self, kind: str = "stage", count: int = 1) -> None:
        """Go on to the ``count``-th event of a kind of step. KeyError."""
        self._until, self._count = STEPS[kind], count

    def run(self) -> None:
        """Go on until a breakpoint."""
        self._until = None

    @property
    def stands(self) -> bool:
        """Whether the card stands at a stop now; from any thread."""
        return self._stands

    def pause(self, why: str = "paused") -> None:
        """Stop at the next event, or at once where none comes, and say why; any thread may call it."""
        self._pause = why
        self.wake()

    def stand_idle(self) -> None:
        """Stop here if a pause is still asked for: no event has come. The caller holds the card's lock."""
        if self._pause and not self._stands and not self.detached:
            self.halt(Stop(self.position, None, f"({self._pause}) the card is idle"))

    def finish(self, why: str) -> None:
        """Stand a last time: nothing comes any more, and the last state is there to look at.

        The caller holds the card's lock.
        """
        self.over = why
        if not self.detached:
            self.halt(Stop(self.position, None, f"{why}; the card's last state is kept"))

    def detach(self) -> None:
        """Never stop again."""
        self.detached = True
        self.run()

    def go_to(self, position: int) -> None:
        """Run to an event; back, where the card is played. ValueError: it is not."""
        if position <= self.position:
            self._must_be_played()
            raise Seek(max(1, position))
        self.run()
        self.target = position

    def go_back(self, fits: Callable[[Event], bool]) -> None:
        """Go back to the last event that fits. ValueError: the card is not played."""
        self._must_be_played()
        raise SeekLast(self.position if self.stop and self.stop.event else self.position + 1, fits)

    def _must_be_played(self) -> None:
        if not self.can_go_back:
            raise ValueError("a live card cannot go back: record it, and `ringwalk replay FILE --step`")

    def add(self, breakpoint_: Breakpoint) -> Breakpoint:
        """Set a breakpoint; it gets a number."""
        self._numbers += 1
        breakpoint_.number = self._numbers
        self.breakpoints.append(breakpoint_)
        return breakpoint_

    # -- the observer -------------------------------------------------------------------------------------

    def observe(self, event: Event) -> None:
        """Take an event, and stop here if that is wanted."""
        self.position += 1
        if self.scan is not None:
            self._search(event)
            return
        self.history.append((self.position, event))
        if type(event) is ev.RegisterWritten:
            self.writes.append((self.position, event))
        for counter in self.counters:
            counter.observe(event)
        if self.position > self.furthest:
            self.furthest = self.position
            for watcher in self.watchers:
                watcher(event)
        reason = self._why(event)
        if reason:
            self.halt(Stop(self.position, event, reason))
        elif self._asked_driver and self.driver is not None:  # by a condition that did not hold
            self.driver.release()
        self._asked_driver = False

    def capture(self) -> tuple[object, ...]:
        """Return what has been counted and kept so far, to come back to."""
        counted = [counter.capture() for counter in self.counters]
        return (tuple(self.history), tuple(self.writes), *counted)

    def restore(self, captured: tuple[object, ...]) -> None:
        """Go back to what ``capture`` returned."""
        history, writes, *counted = captured
        for kept, values in ((self.history, history), (self.writes, writes)):
            kept.clear()
            kept.extend(values)  # type: ignore[arg-type]  # as ``capture`` made them
        for counter, values in zip(self.counters, counted, strict=True):
            counter.restore(values)

    def _search(self, event: Event) -> None:
        scan = self.scan
        if scan is None:
            return
        if self.position >= scan.before:
            raise ScanDone
        if scan.fits(event):
            scan.found = self.position

    def _why(self, event: Event) -> str:
        if self.detached:
            return ""
        if self.target:
            if self.position < self.target:
                return ""
            self.target = 0
            arrival, self.arrival = self.arrival, "here"
            return arrival
        reason = ""
        if self._until is not None and type(event) in self._until:
            self._count -= 1
            if self._count <= 0:
                reason = "step"
        for one in self.breakpoints:
            if one.enabled and one.matches(event) and self.holds(one, event) and one.hit():
                one.over = one.once
                if one.prints:
                    self.note(f"#{self.position} {say(event)}  (tracepoint {one.number})")
                    continue
                self.waiting += one.commands
                reason = f"breakpoint {one.number}: {one.text}"
        if not reason and self._pause:
            reason = self._pause
        return reason

    def holds(self, one: Breakpoint, event: Event) -> bool:
        """Tell whether a breakpoint's expression is true now; one that fails stops, so that it is seen."""
        if not one.expression:
            return True
        try:
            return bool(self.evaluate(one.expression, event))
        except EXPRESSION_ERRORS as error:
            one.ran = str(error)
            return True

    def halt(self, stop: Stop) -> None:
        """Stand here until the front end lets go."""
        self._pause = ""
        self._until = None
        self.stop = stop
        self.stops += 1
        self.breakpoints = [one for one in self.breakpoints if not (one.over or one.temporary)]
        self._stands = True
        for one in self.held:
            one.hold(stop.event)
        try:
            self.front.stopped(self, stop)
        finally:
            self._stands = False
            for one in reversed(self.held):
                one.release()
        self.before = self.look.regs.values()
        self.stop = None

    # -- expressions -----------------------------------------------------------------------------------------

    def names(self, event: Event | None = None) -> dict[str, Any]:
        """Return what an expression may use."""
        event = event or (self.stop.event if self.stop else None)
        facts = facts_of(event) if event is not None else {}
        return {
            **facts,
            "tx": self.look.tx,
            "rx": self.look.rx,
            "regs": self.look.regs,
            "driver": self.look.driver,
            "mem": self.look.memory.read,
            "event": event,
            "position": self.position,
            "now": self.now(),
            **NAMES,
        }

    def calls(self, event: Event | None = None) -> list[Place]:
        """Return where the driver stands: its function and those that called it. ValueError: nobody knows."""
        if self.driver is None:
            raise ValueError("where the driver stood is known of a guest of `boot --step` alone")
        self._asked_driver = True
        self.driver.hold(event)
        return self.driver.calls()

    def evaluate(self, expression: str, event: Event | None = None) -> Any:  # noqa: ANN401 - whatever it is
        """Evaluate a Python expression against the card. ``EXPRESSION_ERRORS``.

        It is its user's own code on their own machine, as in any debugger; no builtins that open things.
        """
        code = compile(expression, "<expression>", "eval")
        names = self.names(event) | {"__builtins__": {}}
        asked = _CALLS & set(code.co_names)
        if asked:
            names["calls"] = [place.function for place in self.calls(event)]
            names["caller"] = next(iter(names["calls"]), "")
        return eval(code, names)  # noqa: S307 - see the docstring
