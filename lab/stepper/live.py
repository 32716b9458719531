"""A served card under the stepper, or being recorded, or both: what ``--step`` and ``--record`` make.

The reference engine moves the frames: it has the stages to stop at (docs/decisions/0004). The stepper's front
end runs in whichever of the card's threads met the event, under the card's lock.
"""

from __future__ import annotations

import threading
import time
from dataclasses import asdict, dataclass, replace
from typing import IO, TYPE_CHECKING, Final

from device.engine.reference import ReferenceEngine
from device.serving import ServedCard, serve_card
from device.trace.card import Journal, JournaledMemory, TracedCard
from device.trace.recording import About, Writer
from lab.errors import UsageError
from lab.stepper.clock import StandingClock
from lab.stepper.command import CommandFront
from lab.stepper.hooks import Hooks
from lab.stepper.injection import HookedCard, HookedMemory, HookedSink
from lab.stepper.last_state import LastState
from lab.stepper.prompt import Prompt
from lab.stepper.session import Front, Session
from lab.stepper.tools import Tools
from lab.stepper.views import Look

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Collection
    from pathlib import Path

    from device.card import Account, Card, InterruptSink
    from device.effects import FrameSent, GuestMemory
    from device.wire.contract import Wire
    from lab.stepper.wish import Wish

RECORD_LIMIT_BYTES: Final = 4 << 30
"""A recording ends by itself here, so that one that was forgotten does not fill the disk."""


class Live:
    """A served card, its session, its recording."""

    def __init__(self, wire: Wire, mac: bytes, wish: Wish, front: Front | None = None) -> None:
        """Power a card on. UsageError: a file of the wish cannot be used."""
        self.wish = wish if front is None else replace(wish, step=True)
        self.hooks = Hooks()
        self._file: IO[bytes] | None = None
        self.journal: Journal | None = None
        self._memory: GuestMemory | None = None
        if wish.record is not None:
            self._file = _opened(wish.record)
        self.clock = StandingClock()
        self.served = ServedCard(wire, mac, self._build, self.clock)
        card = self.served.card
        self.session: Session | None = None
        self.tools: Tools | None = None
        self._asked = threading.Event()
        self.has_guest = False
        """Whether the client's guest is ours: who started it knows better when it has ended, and why."""
        if self.wish.watched:
            self._watch(card, front or _prompt(wish))
        if self.session is not None and not (self.wish.step or wish.commands):
            self.session.run()

    def _build(
        self,
        memory: GuestMemory,
        offload: bool,  # noqa: FBT001 - the seam's shape
        mac: bytes,
        send: Callable[[FrameSent], None],
        sink: InterruptSink,
    ) -> Card:
        self._memory = memory
        hooked = HookedMemory(memory, self.hooks) if self.wish.watched else None
        seen = hooked or memory
        if self._file is not None:
            epoch = time.time_ns() - self.clock()
            about = About(mac.hex(":"), offload=offload, epoch_ns=epoch)
            writer = Writer(self._file.write, about, limit=RECORD_LIMIT_BYTES)
            self.journal = Journal(writer)
            seen = JournaledMemory(seen, self.journal)
        engine = ReferenceEngine(seen, offload=offload)
        if hooked is None:
            return TracedCard(engine, mac, send=send, sink=sink, journal=self.journal)
        hooked.engine = engine
        passing = HookedSink(sink, self.hooks)
        card = HookedCard(engine, mac, send=send, sink=passing, journal=self.journal, hooks=self.hooks)
        passing.later = card.later
        hooked.later = card.later
        return card

    def _watch(self, card: Card, front: Front) -> None:
        if self._memory is None or not isinstance(card, HookedCard):
            raise AssertionError("a card that was not built here")
        last = LastState(card.engine, self._memory)
        session = self.session = Session(Look(last, last), front)
        session.about = "a served card"
        session.now = self.clock
        session.held.append(self.clock)
        session.wake = self._asked.set
        self.served.leaving = lambda: self._left(session, last)
        self.served.arrived = last.forget
        threading.Thread(target=self._stand_when_asked, args=(session,), name="pause", daemon=True).start()
        self.tools = Tools(session, hooks=self.hooks)
        if self.wish.hook is not None:
            self.tools.hook(self.wish.hook)
        if isinstance(front, CommandFront):
            front.tools = self.tools
        if isinstance(card.engine, ReferenceEngine):
            card.engine.observer = session.observe
        card.watch(session.observe)

    def _left(self, session: Session, last: LastState) -> None:
        """Keep what a client leaves behind, and let the user look at it."""
        last.keep()
        if self.wish.step and not self.has_guest:
            session.pause("the client has left, and its last state is kept")

    def _stand_when_asked(self, session: Session) -> None:
        """Open the prompt of a quiet card: a thread that waits for ``Session.pause``."""
        while True:
            self._asked.wait()
            self._asked.clear()
            with self.served.lock:
                session.stand_idle()

    def serve(
        self,
        at: str | socket.socket,
        ready: Callable[[ServedCard], None],
        stop: threading.Event,
        *,
        allowed_uids: Collection[int] | None = None,
    ) -> Account:
        """Serve until ``stop`` is set; then finish the recording and write the page."""
        if self.tools is not None:
            self.tools.quit = stop.set
        try:
            return serve_card(self.served, at, lambda _: ready(self.served), stop, allowed_uids)
        except Exception:
            if self.tools is not None:
                self.tools.quit()  # a card that is gone would leave its guest waiting for ever
            raise
        finally:
            self.finish()

    def finish(self) -> None:
        """End the recording and write the page. A second time does nothing."""
        if self.journal is not None:
            self.journal.close()
        if self._file is not None:
            self._file.close()
            self._file = None
        if self.tools is not None and self.wish.page is not None:
            self.tools.statistics(self.wish.page)


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("wb")
    except OSError as error:
        raise UsageError(f"--record {path}: {error.strerror}; give a file that can be written") from error


def _prompt(wish: Wish) -> Prompt:
    """Return the prompt on the terminal, or on a file of commands."""
    if wish.commands is None:
        return Prompt()
    try:
        return Prompt(wish.commands.read_text().splitlines(), echo=True)
    except OSError as error:
        raise UsageError(f"--command {wish.commands}: {error.strerror}") from error


@dataclass(slots=True)
class LiveThread:
    """A card served by a thread of this process: what ``boot --step`` fits its guest with."""

    live: Live
    path: str
    stop: threading.Event
    thread: threading.Thread

    def account(self) -> dict[str, int]:
        """Return what the card counted."""
        return asdict(self.live.served.account())

    def close(self) -> None:
        """End the card. A prompt that waits for its user is left to the end of the process."""
        if self.live.session is not None:
            self.live.session.detach()
        self.stop.set()
        self.thread.join(2)
        if self.thread.is_alive():
            self.live.finish()


def start(path: str, wire: Wire, mac: bytes, wish: Wish, front: Front | None = None) -> LiveThread:
    """Serve a card at a socket path from a thread; return when a VMM may connect."""
    live = Live(wire, mac, wish, front)
    stop, ready = threading.Event(), threading.Event()
    thread = threading.Thread(
        target=live.serve, args=(path, lambda _: ready.set(), stop), name="card", daemon=True
    )
    thread.start()
    if not ready.wait(10):
        raise UsageError(f"the card does not listen at {path}: is the path too long or in use?")
    return LiveThread(live, path, stop, thread)
