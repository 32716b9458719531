"""``ringwalk ndis`` on a running stack: each view is a tool of its control socket.

A stack is published by what it has: NDIS, a desk, and where there are such a journal, a verifier and the
binding engine that loaded it.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

from device.regs.nic import NIC
from device.regs.render import decode
from lab.host.binding_edits import bindings
from lab.host.control_socket import Answer, QuestionError, Tool
from lab.host.views import LINES, WATCH_S
from ndis import inspect
from ndis.journal import Journal, attach, restore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lab.host.binding_edits import Bound
    from lab.host.inspection_gate import Desk
    from ndis.hardware import RegisterAccess
    from ndis.verifier.core import Verifier
    from ndis.wrapper import Ndis

MOST_WATCH_S = 60.0
NOTHING = "nothing\n"


@dataclass(slots=True)
class Inspected:
    """A stack to look at. ``journal`` None: the log is written only while somebody watches."""

    ndis: Ndis
    desk: Desk
    journal: Journal | None = None
    verifier: Verifier | None = None
    bound: Bound | None = None


def oids(stack: Inspected) -> Sequence[object]:
    """Return what the drivers answer: asked now, or as seen last when the stack is inside a driver."""
    if stack.desk.at_rest:
        return inspect.ask_oids(stack.ndis)
    if stack.journal is None:
        raise QuestionError("this stack is never at rest and keeps no journal: its OIDs cannot be shown")
    return inspect.seen_oids(stack.ndis, stack.journal)


def reports(stack: Inspected) -> Sequence[object]:
    """Return what the verifier has found."""
    if stack.verifier is None:
        raise QuestionError("this stack runs without the verifier: start it with --verify")
    return inspect.reports(stack.verifier)


VIEWS: dict[str, Callable[[Inspected], Sequence[object]]] = {
    "adapters": lambda stack: inspect.adapters(stack.ndis),
    "opens": lambda stack: inspect.opens(stack.ndis),
    "pending": lambda stack: inspect.pending(stack.ndis),
    "oids": oids,
    "reports": reports,
}


def tools(find: Callable[[], Inspected]) -> dict[str, Tool]:
    """Return the tools of the stack that ``find`` returns when a question comes."""

    def view(name: str, _arguments: list[str]) -> Answer:
        stack = find()
        return stack.desk.serve(lambda: _answer(VIEWS[name](stack)))

    found: dict[str, Tool] = {name: partial(view, name) for name in VIEWS}
    found["packet"] = lambda arguments: packet(find(), arguments)
    found["log"] = lambda arguments: log(find(), arguments)
    found["bindings"] = lambda arguments: _bindings(find(), arguments)
    return found


def _answer(views: Sequence[object]) -> Answer:
    return Answer(inspect.table(views) or NOTHING, [asdict(one) for one in views])  # type: ignore[call-overload]  # views are dataclasses


def packet(stack: Inspected, arguments: list[str]) -> Answer:
    """Show one packet and its history."""
    if len(arguments) != 1 or not arguments[0].isdecimal():
        raise QuestionError("name one packet by its number: see `ringwalk ndis pending`")
    number = int(arguments[0])

    def look() -> Answer:
        there = inspect.packets(stack.ndis, number)
        past = inspect.history(stack.journal, number) if stack.journal is not None else []
        if not there and not past:
            raise QuestionError(f"no packet {number} is out of its pool: see `ringwalk ndis pending`")
        text = inspect.table(there) + inspect.table(past)
        data = {"packets": [asdict(one) for one in there], "history": [asdict(one) for one in past]}
        return Answer(text, data)

    return stack.desk.serve(look)


def log(stack: Inspected, arguments: list[str]) -> Answer:
    """Show the last crossings; a stack without a journal is watched for a while (LINES, SECONDS)."""
    try:
        lines = int(arguments[0]) if arguments else LINES
        seconds = float(arguments[1]) if len(arguments) > 1 else WATCH_S
    except ValueError as error:
        raise QuestionError(f"{error}: give lines and seconds") from error
    if lines < 0 or not 0 <= seconds <= MOST_WATCH_S:
        raise QuestionError(f"give 0 or more lines, and at most {MOST_WATCH_S:g} s")
    journal = stack.journal
    if journal is None:
        watching = journal = Journal(lines)
        before = stack.desk.serve(lambda: attach(stack.ndis, watching))
        time.sleep(seconds)
        stack.desk.serve(lambda: restore(stack.ndis, before))
    kept = journal
    return stack.desk.serve(lambda: _answer(inspect.log(kept, lines, register)))


def register(access: RegisterAccess) -> str:
    """Name the card's register and the fields of its value."""
    if access.value is None:
        return NIC.name_of(access.offset)
    return decode(NIC, access.offset, access.value)


def _bindings(stack: Inspected, arguments: list[str]) -> Answer:
    bound = stack.bound
    if bound is None:
        raise QuestionError("no binding engine loaded this stack: its opens are all that is bound")
    return stack.desk.serve(lambda: bindings(bound, arguments))
