"""A guest whose first card is stepped: who fits it, pauses it by Ctrl-C, and ends it when its user leaves."""

from __future__ import annotations

import ipaddress
import signal
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from device.engine.reference import ReferenceEngine
from device.wire.contract import WireError
from device.wire.spec import open_wire
from lab.errors import UsageError
from lab.machines import cards
from lab.machines.cards import FarEnd, Fitted
from lab.machines.qemu.command import VfioUserNic
from lab.machines.signals import end_soon
from lab.stepper.live import start

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

    from lab.machines.cards import CardSpec
    from lab.machines.guest.session import Guest
    from lab.stepper.live import LiveThread, Wish
    from lab.stepper.session import Front, Session

STEPPED = "82574l"


def pause_on_interrupt(session: Session) -> None:
    """Let Ctrl-C stop the card; one that comes while it stands, or before it could stop, ends everything.

    It does so by KeyboardInterrupt in the main thread: the card's own may be waiting in ``input``.
    """
    asked = [0]

    def pause(_number: int, _frame: FrameType | None) -> None:
        if session.stop is not None or asked[0] == session.stops + 1:
            session.detach()
            raise KeyboardInterrupt
        asked[0] = session.stops + 1
        session.pause()

    signal.signal(signal.SIGINT, pause)


class EndedError(KeyboardInterrupt):
    """A signal ended a card that stood at the prompt. No ``Exception``: nothing on the way may take it."""


def end_on_signals(session: Session, stop: threading.Event) -> None:
    """Let SIGTERM and SIGHUP set ``stop``, which ends a card that runs; one that stands, by EndedError.

    The prompt may be waiting in this very thread, where nothing but an exception wakes it.
    """

    def end(_number: int, _frame: FrameType | None) -> None:
        end_soon(stop)
        if session.stop is not None:
            session.detach()
            raise EndedError

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGHUP, end)


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
        self.left = False
        """Whether the user ended it: what fails then is no failure."""

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
        if self._thread is not None and self._thread.live.tools is not None:
            self._thread.live.tools.console = lambda: guest.console_log
        if self._wanted.step and self.front is None and self._wanted.commands is None:
            print(f"the guest's console: `console` at the prompt, or tail -f {guest.process.console_path}")

    def leave(self) -> None:
        """End the guest; from any thread, and never waiting for it."""
        self.left = True
        if self._guest is not None:
            threading.Thread(target=self._guest.close, name="leaving", daemon=True).start()

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

        told = replace(spec, engine=ReferenceEngine.name)
        return Fitted(told, VfioUserNic(path, spec.mac), end, thread.account, close)
