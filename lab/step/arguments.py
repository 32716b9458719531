"""The options by which ``boot`` and ``serve`` ask for the stepper and for recordings; the card they make."""

from __future__ import annotations

import ipaddress
import signal
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from device.engine.reference import ReferenceEngine
from device.wire.contract import WireError
from device.wire.spec import open_wire
from lab import cards
from lab.cards import FarEnd, Fitted
from lab.errors import UsageError
from lab.qemu.command import VfioUserNic
from lab.step.live import LiveThread, Wish, start

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from types import FrameType

    from lab.cards import CardSpec
    from lab.step.session import Front

STEPPED = "82574l"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    group = parser.add_argument_group(
        "stepping and recording (the first card; stepping is the reference engine's)"
    )
    group.add_argument("--step", action="store_true", help="stop at the first register access, with a prompt")
    group.add_argument("--command", metavar="FILE", type=Path, help="take the stepper's commands from a file")
    group.add_argument("--record", metavar="FILE", type=Path, help="keep all that the card sees and does")
    group.add_argument(
        "--hook", metavar="FILE", type=Path, help="a tracer class of your own; may inject faults"
    )
    group.add_argument("--html", metavar="FILE", type=Path, help="write a page of statistics at the end")


def wish(args: argparse.Namespace) -> Wish:
    """Return what the options ask for."""
    return Wish(args.step, args.record, args.command, args.hook, args.html)


def fit(wanted: Wish, front: Front | None = None) -> Callable[[CardSpec, Path, int], Fitted]:
    """Return how to fit cards into a guest: the first of ours as wished, the others as always."""
    if not wanted.anything and front is None:
        return cards.fit
    done: list[int] = []

    def make(spec: CardSpec, folder: Path, number: int) -> Fitted:
        if done or spec.kind != STEPPED:
            return cards.fit(spec, folder, number)
        done.append(number)
        if front is None and not wanted.watched:  # a recording needs no terminal: a process of its own
            options = ("--record", str(wanted.record))
            return cards.fit(replace(spec, options=options), folder, number)
        return _fit(spec, folder, number, wanted, front)

    return make


def _fit(spec: CardSpec, folder: Path, number: int, wanted: Wish, front: Front | None) -> Fitted:
    try:
        wire = open_wire(spec.wire)
    except WireError as error:
        raise UsageError(str(error)) from error
    reached = cards.far_end(wire)
    path = folder / f"card{number}"
    thread = start(str(path), wire, bytes.fromhex(spec.mac.replace(":", "")), wanted, front)
    end = None
    if reached is not None:
        peer, address = reached
        end = FarEnd(peer, ipaddress.IPv4Interface(address) if address else None)

    def close() -> None:
        thread.close()
        if reached is not None:
            reached[0].close()
        wire.close()

    if wanted.step:
        _pause_on_interrupt(thread)
    told = replace(spec, engine=ReferenceEngine.name)
    return Fitted(told, VfioUserNic(path, spec.mac), end, thread.account, close)


def _pause_on_interrupt(thread: LiveThread) -> None:
    """Let Ctrl-C stop the card; a second one before it stood still ends everything."""
    session = thread.live.session
    if session is None or threading.current_thread() is not threading.main_thread():
        return
    asked = [0]

    def pause(_number: int, _frame: FrameType | None) -> None:
        if session.stop is not None or asked[0] == session.stops + 1:
            raise KeyboardInterrupt
        asked[0] = session.stops + 1
        session.pause()

    signal.signal(signal.SIGINT, pause)
