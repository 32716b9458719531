"""The commands that let the card go on or go back, and those about breakpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from device.trace.breakpoints import Breakpoint, BreakpointError
from device.trace.breakpoints import parse as parse_breakpoint
from lab.stepper.command import RINGS, CommandError, Context, GoOn, number
from lab.stepper.session import STEPS, Leave

if TYPE_CHECKING:
    from collections.abc import Callable

    from device.trace.events import Event


def _may_go(context: Context) -> None:
    """Refuse to go on where nothing comes any more."""
    if context.session.over:
        raise CommandError(f"{context.session.over}: nothing comes any more; `quit` ends")


def step(context: Context, rest: str) -> str:
    """Go on by some kind of step."""
    _may_go(context)
    words = rest.split()
    kind = words[0] if words and words[0] in STEPS else "stage"
    counts = [word for word in words if word != kind]
    if len(counts) > 1 or (counts and not counts[0].isdecimal()):
        raise CommandError(f"step {rest}: give one of {' '.join(STEPS)}, and a number")
    context.session.step(kind, int(counts[0]) if counts else 1)
    raise GoOn


def go_on(context: Context, _: str) -> str:
    """Go on to the next breakpoint."""
    _may_go(context)
    context.session.run()
    raise GoOn


def until(context: Context, rest: str) -> str:
    """Go on to one event; at another stop the wish is forgotten, as a debugger's ``advance``."""
    _may_go(context)
    one = _parsed(rest)
    one.once = one.temporary = True
    context.session.add(one)
    context.session.run()
    raise GoOn


def to(context: Context, rest: str) -> str:
    """Go on to the fetch of one descriptor."""
    words = rest.split()
    if len(words) != 2 or words[0] not in RINGS:
        raise CommandError(f"to {rest}: give a ring and an index, as in `to tx0 5`; rings: {' '.join(RINGS)}")
    return until(context, f"fetch {words[0]} index={number(words[1], 'index')}")


def detach(context: Context, _: str) -> str:
    """Never stop again."""
    context.session.detach()
    raise GoOn


def leave(context: Context, _: str) -> str:
    """End a replay, or what a live card belongs to."""
    if context.session.can_go_back:
        raise Leave
    context.tools.quit()
    context.session.detach()
    raise GoOn


def seek(context: Context, rest: str) -> str:
    """Go to an event by number."""
    position = number(rest or "1", "event number")
    try:
        context.session.go_to(position)
    except ValueError as error:
        raise CommandError(str(error)) from error
    raise GoOn


def reverse_step(context: Context, rest: str) -> str:
    """Go back by one step."""
    kind = rest.strip() or "stage"
    if kind not in STEPS:
        raise CommandError(f"reverse-step {kind}: give one of {' '.join(STEPS)}")
    kinds = STEPS[kind]
    return _back(context, lambda event: type(event) in kinds)


def reverse_continue(context: Context, _: str) -> str:
    """Go back to the last breakpoint."""
    session = context.session
    points = [one for one in session.breakpoints if one.enabled]
    if not points:
        raise CommandError("there is no breakpoint to go back to: set one, or `reverse-step`, `seek 1`")
    return _back(
        context, lambda event: any(one.matches(event) and session.holds(one, event) for one in points)
    )


def _back(context: Context, fits: Callable[[Event], bool]) -> str:
    try:
        context.session.go_back(fits)
    except ValueError as error:
        raise CommandError(str(error)) from error
    raise GoOn


# -- breakpoints ---------------------------------------------------------------------------------------


def _parsed(text: str) -> Breakpoint:
    try:
        return parse_breakpoint(text)
    except BreakpointError as error:
        raise CommandError(str(error)) from error


def set_breakpoint(context: Context, rest: str) -> str:
    """Set a breakpoint, or list them."""
    if not rest:
        return list_breakpoints(context, "")
    one = context.session.add(_parsed(rest))
    return f"breakpoint {one.number}: {one.text}"


def temporary(context: Context, rest: str) -> str:
    """Set a breakpoint that stops once and is gone."""
    one = _parsed(rest)
    one.once = True
    context.session.add(one)
    return f"temporary breakpoint {one.number}: {one.text}"


def tracepoint(context: Context, rest: str) -> str:
    """Set a breakpoint that prints what it hits, and stops nothing."""
    one = _parsed(rest)
    one.prints = True
    context.session.add(one)
    return f"tracepoint {one.number}: {one.text}"


def commands(context: Context, rest: str) -> str:
    """Give a breakpoint commands of its own."""
    which, _, lines = rest.partition(" ")
    wanted = number(which, "breakpoint number")
    for one in context.session.breakpoints:
        if one.number == wanted:
            one.commands = tuple(line.strip() for line in lines.split(";") if line.strip())
            return f"breakpoint {wanted} does: {'; '.join(one.commands) or 'nothing'}"
    raise CommandError(f"there is no breakpoint {wanted}")


def list_breakpoints(context: Context, _: str) -> str:
    """Return the breakpoints and their hits."""
    lines = [
        f"{one.number:3} {'on ' if one.enabled else 'off'} {one.hits:5} hits  {one.text}"
        + ("   (prints)" if one.prints else "   (once)" if one.once else "")
        + (f"\n      {'; '.join(one.commands)}" if one.commands else "")
        + (f"   (expression failed: {one.ran})" if one.ran else "")
        for one in context.session.breakpoints
    ]
    return (
        "\n".join(lines) or "no breakpoints: `break write TDT0`, `break fetch tx0 flag!=RS`; see `help break`"
    )


def delete(context: Context, rest: str) -> str:
    """Delete a breakpoint, or all."""
    session = context.session
    if rest.strip() == "all":
        session.breakpoints.clear()
        return "all deleted"
    wanted = number(rest, "breakpoint number")
    kept = [one for one in session.breakpoints if one.number != wanted]
    if len(kept) == len(session.breakpoints):
        raise CommandError(f"there is no breakpoint {wanted}")
    session.breakpoints[:] = kept
    return f"breakpoint {wanted} deleted"


def switch(*, on: bool) -> Callable[[Context, str], str]:
    """Return the command that switches a breakpoint on or off."""

    def run(context: Context, rest: str) -> str:
        wanted = number(rest, "breakpoint number")
        for one in context.session.breakpoints:
            if one.number == wanted:
                one.enabled = on
                return f"breakpoint {wanted} {'on' if on else 'off'}"
        raise CommandError(f"there is no breakpoint {wanted}")

    return run
