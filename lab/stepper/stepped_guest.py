"""A guest whose first card is stepped: who fits it, pauses it by Ctrl-C, and ends it when its user leaves."""

from __future__ import annotations

import ipaddress
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from device.engine.reference import ReferenceEngine
from device.wire import capture
from device.wire.contract import WireError
from device.wire.spec import open_wire
from lab.errors import UsageError
from lab.machines import cards
from lab.machines.cards import FarEnd, Fitted
from lab.machines.qemu.command import VfioUserNic
from lab.stepper.guest_hold import GuestHold
from lab.stepper.guest_symbols import learn, symbols
from lab.stepper.live import start
from lab.stepper.signals import pause_on_interrupt

if TYPE_CHECKING:
    from pathlib import Path

    from lab.machines.cards import CardSpec
    from lab.machines.guest.session import Guest
    from lab.stepper.guest_hold import Symbols
    from lab.stepper.live import LiveThread
    from lab.stepper.session import Front, Session
    from lab.stepper.wish import Wish

STEPPED: Final = "82574l"
LOOK_S: Final = 0.2
"""How often it is looked whether a guest that nobody talks to still runs."""


class Steered:
    """A boot with a stepper, a recording, hooks or statistics on its first card of ours; or with none."""

    def __init__(self, wanted: Wish, front: Front | None = None) -> None:
        """Fit nothing yet; ``front`` takes the prompt's place."""
        self._wanted = wanted
        self.front = front
        """Who is asked at stops; None: the prompt."""
        self._fitted = False
        self._guest: Guest | None = None
        self._thread: LiveThread | None = None
        self._leaving = threading.Event()
        self._symbols: Symbols | None = None
        self.modules: list[Path] = []
        """Files of modules that the user brings into the guest."""
        self.told = False
        """Whether the user has been told why the guest ended."""

    @property
    def left(self) -> bool:
        """Whether the user ended it: what fails then is no failure."""
        return self._leaving.is_set()

    @property
    def session(self) -> Session | None:
        """The session, once the card is fitted; None: nobody steps."""
        return self._thread.live.session if self._thread is not None else None

    def fit(self, spec: CardSpec, folder: Path, number: int) -> Fitted:
        """Fit a card: the first of ours as wished, the others as always."""
        wanted = self._wanted
        if self._fitted or spec.kind != STEPPED or not (wanted.anything or self.front is not None):
            return cards.fit(spec, folder, number)
        self._fitted = True
        if self.front is None and not wanted.watched:  # a recording needs no terminal: a process of its own
            options = ("--record", str(wanted.record))
            return cards.fit(replace(spec, options=options), folder, number)
        return self._fit(spec, folder, number)

    def begun(self, guest: Guest) -> None:
        """Know the guest as soon as it has a console."""
        self._guest = guest
        live = self._thread.live if self._thread is not None else None
        if live is not None and live.tools is not None and live.session is not None:
            live.tools.console = lambda: guest.console_log
            self._symbols = symbols(guest.kernel, self.modules)
            hold = GuestHold(guest.process, live.served.answer_now, self._symbols)
            live.session.driver = hold
            live.session.about = "a guest's card"
            live.served.accessed = hold.access_ended
            live.session.held.append(hold)
        if self._wanted.step and self.front is None and self._wanted.commands is None:
            print(f"the guest's console: `console` at the prompt, or tail -f {guest.process.console_path}")

    def ready(self, guest: Guest) -> None:
        """Learn the kernel's symbols, once for each kernel."""
        if self._symbols is not None:
            learn(guest, guest.kernel, self._symbols)

    def leave(self) -> None:
        """End the guest; from any thread, and never waiting for it."""
        self._leaving.set()
        if self._guest is not None:
            threading.Thread(target=self._guest.close, name="leaving", daemon=True).start()

    def ended(self, error: Exception) -> None:
        """Let the user look at the last state of a card whose guest has ended; return when they have."""
        if self.left or not self._asks:
            return
        print(f"ringwalk: {error}", file=sys.stderr, flush=True)
        self.told = True
        self._stand(f"the guest has ended: {str(error).splitlines()[0]}")

    def lingers(self, done: str) -> None:
        """Give the prompt once more when the work in the guest is done; return when the user leaves.

        A script of commands does what is left of it, and the guest ends; a user may let the guest go on.
        """
        session = self.session
        if session is None or not self._asks or self.left:
            return
        if self._wanted.commands is not None:
            self._stand(done)
            return
        session.pause(f"{done}, and the guest still runs")
        while not (session.detached or self._leaving.wait(LOOK_S)):
            if self._guest is not None and not self._guest.process.running:
                self._stand("the guest has ended")
                return

    @property
    def _asks(self) -> bool:
        """Whether somebody, or a script, is asked at stops."""
        session = self.session
        return session is not None and not session.detached and self._wanted.watched

    def _stand(self, why: str) -> None:
        if self._thread is not None and self._thread.live.session is not None:
            with self._thread.live.served.lock:
                self._thread.live.session.finish(why)

    def _fit(self, spec: CardSpec, folder: Path, number: int) -> Fitted:
        try:
            wire = open_wire(spec.wire)
        except WireError as error:
            raise UsageError(str(error)) from error
        reached = cards.far_end(wire)
        path = folder / f"card{number}"
        mac = bytes.fromhex(spec.mac.replace(":", ""))
        thread = self._thread = start(str(path), wire, mac, self._wanted, self.front)
        live = thread.live
        live.has_guest = True
        if live.tools is not None:
            live.tools.quit = self.leave
        if (
            live.session is not None
            and self._wanted.step
            and threading.current_thread() is threading.main_thread()
        ):
            pause_on_interrupt(live.session)
        end = None
        if reached is not None:
            peer, address = reached
            end = FarEnd(peer, ipaddress.IPv4Interface(address) if address else None)

        def close() -> None:
            thread.close()
            if reached is not None:
                reached[0].close()
            wire.close()
            for trouble in capture.troubles(wire):
                print(f"ringwalk: {trouble}", file=sys.stderr, flush=True)

        told = replace(spec, engine=ReferenceEngine.name)
        return Fitted(
            told,
            VfioUserNic(path, spec.mac, waits=live.session is not None),
            end,
            thread.account,
            close,
            lambda: bool(capture.troubles(wire)),
        )
