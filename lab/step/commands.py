"""The stepper's commands, as a table: the prompt, scripts and the full screen share it.

Each takes the session and the rest of its line, and returns what to print. ``GoOn`` is raised by those
that let the card run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from device.effects import DmaError
from device.regs.nic import NIC
from device.trace import events as ev
from device.trace.breakpoints import KINDS, BreakpointError
from device.trace.breakpoints import parse as parse_breakpoint
from device.trace.facts import name_of, register_name, say
from device.trace.packets import dissect, hexdump
from lab.step.session import EXPRESSION_ERRORS, STEPS, Leave

if TYPE_CHECKING:
    from collections.abc import Callable

    from device.trace.events import Event
    from lab.step.session import Session
    from lab.step.tools import Tools

_RINGS: Final = ("tx0", "tx1", "rx0", "rx1")


class GoOn(Exception):  # noqa: N818 - it is a command's outcome and no error
    """The card shall go on."""


class CommandError(ValueError):
    """A command that cannot be done; the message says why and what would do."""


class AssertionFailed(CommandError):
    """A script's ``assert`` did not hold."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a command works on."""

    session: Session
    tools: Tools


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its names, its arguments and what it is for, who does it, what may follow it."""

    names: tuple[str, ...]
    arguments: str
    help: str
    run: Callable[[Context, str], str]
    completions: tuple[str, ...] = ()


def _number(text: str, what: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise CommandError(f"{text} is no {what}") from None


# -- going on ------------------------------------------------------------------------------------------


def _step(context: Context, rest: str) -> str:
    words = rest.split()
    kind = words[0] if words and words[0] in STEPS else "stage"
    counts = [word for word in words if word != kind]
    if len(counts) > 1 or (counts and not counts[0].isdecimal()):
        raise CommandError(f"step {rest}: give one of {' '.join(STEPS)}, and a number")
    context.session.step(kind, int(counts[0]) if counts else 1)
    raise GoOn


def _continue(context: Context, _: str) -> str:
    context.session.run()
    raise GoOn


def _until(context: Context, rest: str) -> str:
    one = _parsed(rest)
    one.once = True
    context.session.add(one)
    context.session.run()
    raise GoOn


def _detach(context: Context, _: str) -> str:
    context.session.detach()
    raise GoOn


def _quit(context: Context, _: str) -> str:
    if context.session.can_go_back:
        raise Leave
    context.tools.quit()
    context.session.detach()
    raise GoOn


def _seek(context: Context, rest: str) -> str:
    position = _number(rest or "1", "event number")
    try:
        context.session.go_to(position)
    except ValueError as error:
        raise CommandError(str(error)) from error
    raise GoOn


def _reverse_step(context: Context, rest: str) -> str:
    kind = rest.strip() or "stage"
    if kind not in STEPS:
        raise CommandError(f"reverse-step {kind}: give one of {' '.join(STEPS)}")
    kinds = STEPS[kind]
    return _back(context, lambda event: type(event) in kinds)


def _reverse_continue(context: Context, _: str) -> str:
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


def _parsed(text: str) -> Any:  # noqa: ANN401 - a Breakpoint; mypy sees it at the uses
    try:
        return parse_breakpoint(text)
    except BreakpointError as error:
        raise CommandError(str(error)) from error


def _break(context: Context, rest: str) -> str:
    if not rest:
        return _list(context, "")
    one = context.session.add(_parsed(rest))
    return f"breakpoint {one.number}: {one.text}"


def _list(context: Context, _: str) -> str:
    lines = [
        f"{one.number:3} {'on ' if one.enabled else 'off'} {one.hits:5} hits  {one.text}"
        + (f"   (expression failed: {one.ran})" if one.ran else "")
        for one in context.session.breakpoints
    ]
    return "\n".join(lines) or "no breakpoints: `break write TDT0`, `break fetch tx0 flag!=RS`; see `help break`"


def _delete(context: Context, rest: str) -> str:
    session = context.session
    if rest.strip() == "all":
        session.breakpoints.clear()
        return "all deleted"
    number = _number(rest, "breakpoint number")
    kept = [one for one in session.breakpoints if one.number != number]
    if len(kept) == len(session.breakpoints):
        raise CommandError(f"there is no breakpoint {number}")
    session.breakpoints[:] = kept
    return f"breakpoint {number} deleted"


def _switch(*, on: bool) -> Callable[[Context, str], str]:
    def run(context: Context, rest: str) -> str:
        number = _number(rest, "breakpoint number")
        for one in context.session.breakpoints:
            if one.number == number:
                one.enabled = on
                return f"breakpoint {number} {'on' if on else 'off'}"
        raise CommandError(f"there is no breakpoint {number}")

    return run


# -- looking -------------------------------------------------------------------------------------------


def _where(context: Context, _: str) -> str:
    session = context.session
    lines = [str(session.stop)] if session.stop else []
    lines.append(f"card time {session.now() / 1e9:.9f} s")
    for ring in (*session.look.tx, *session.look.rx):
        if ring.count:
            lines.append(ring.lines()[0])
    return "\n".join(lines)


def _ring(context: Context, rest: str) -> str:
    words = rest.split() or ["tx0"]
    try:
        ring = context.session.look.ring(words[0])
    except KeyError:
        raise CommandError(f"there is no ring {words[0]}: {' '.join(_RINGS)}") from None
    return "\n".join(ring.lines(everything="all" in words[1:]))


def _descriptor(context: Context, rest: str) -> str:
    words = rest.split()
    event = context.session.stop.event if context.session.stop else None
    if not words and isinstance(event, (ev.DescriptorFetched, ev.DescriptorWrittenBack)):
        words = [f"{event.ring}{event.queue}", str(event.place)]
    if len(words) != 2:
        raise CommandError("give a ring and an index, as in `descriptor tx0 5`")
    try:
        one = context.session.look.ring(words[0]).desc[_number(words[1], "index")]
    except KeyError:
        raise CommandError(f"there is no ring {words[0]}: {' '.join(_RINGS)}") from None
    except (IndexError, DmaError) as error:
        raise CommandError(str(error)) from error
    lines = [f"{words[0]} {one}", f"  at {one.bus_address:#x}: {one.raw.hex(' ')}", *one.fields()]
    if one.kind in ("legacy", "data") and one.length and one.address:
        try:
            data = context.session.look.memory.read(one.address, min(one.length, 4096))
        except DmaError as error:
            lines.append(f"  its buffer: {error}")
        else:
            lines += [f"  {line}" for line in (*dissect(data).lines, *hexdump(data[:256]))]
    return "\n".join(lines)


def _frame(context: Context, _: str) -> str:
    for position, event in reversed(context.session.history):
        if isinstance(event, (ev.FrameCompleted, ev.FrameArrived)):
            data = event.data
            return "\n".join((f"#{position} {say(event)}", *dissect(data).lines, *hexdump(bytes(data[:1600]))))
    return "no frame has passed"


def _registers(context: Context, rest: str) -> str:
    session = context.session
    look = session.look
    if rest.strip() == "changed" or not rest.strip():
        now = look.regs.values()
        changed = [
            f"{register_name(at):12} {session.before.get(at, 0):#010x} -> {value:#010x}{_fields(at, value)}"
            for at, value in sorted(now.items())
            if value != session.before.get(at, 0)
        ]
        return "\n".join(changed) or "no register has changed since the last stop"
    wanted = rest.split()
    lines = []
    for register in NIC:
        for index, at in enumerate(register.offsets()):
            name = register.name if register.count == 1 else f"{register.name}[{index}]"
            value = look.engine.peek(at)
            if any(_fits(word, name) for word in wanted) or (wanted == ["all"] and value):
                lines.append(f"{name:12} {at:#07x} {value:#010x}{_fields(at, value)}")
    return "\n".join(lines) or f"no register is called {rest}: try a part of the name"


def _fits(word: str, name: str) -> bool:
    word = word.upper()
    return name == word or (name.startswith(word) and not word.endswith("]"))


def _fields(offset: int, value: int) -> str:
    found = NIC.find(offset)
    if found is None:
        return ""
    said = [
        f.name if f.low == f.high else f"{f.name}={f.get(value)}" for f in found[0].fields if value & f.mask
    ]
    return f"  {' '.join(said)}" if said else ""


def _writes(context: Context, _: str) -> str:
    return "\n".join(f"#{at} {say(event)}" for at, event in context.session.writes) or "the driver wrote nothing"


def _interrupts(context: Context, _: str) -> str:
    regs = context.session.look.regs
    lines = []
    for name in ("ICR", "IMS", "EIAC", "IAM", "IVAR", "CTRL_EXT"):
        value = int(regs[name])
        lines.append(f"{name:9} {value:#010x}{_fields(NIC[name].offset, value)}")
    throttles = [f"{name} {int(regs[name]) * 256 / 1000:.1f} us" for name in _throttles() if int(regs[name])]
    delays = [f"{n} {int(regs[n]) * 1.024:.1f} us" for n in ("RDTR", "RADV", "TIDV", "TADV", "RAID") if int(regs[n])]
    lines.append("throttles " + (", ".join(throttles) or "none"))
    lines.append("delays    " + (", ".join(delays) or "none"))
    return "\n".join(lines + context.tools.interrupts())


def _throttles() -> list[str]:
    return ["ITR", *(f"EITR[{n}]" for n in range(NIC["EITR"].count))]


def _history(context: Context, rest: str) -> str:
    count = _number(rest, "number") if rest.strip() else 20
    events = list(context.session.history)[-count:]
    return "\n".join(f"#{at} {say(event)}" for at, event in events)


def _memory(context: Context, rest: str) -> str:
    words = rest.split()
    if not words:
        raise CommandError("give a bus address, and a length perhaps: `memory 0x1000 64`")
    address = _number(words[0], "address")
    length = _number(words[1], "length") if len(words) > 1 else 64
    try:
        return "\n".join(hexdump(context.session.look.memory.read(address, min(length, 65536)), address))
    except DmaError as error:
        raise CommandError(str(error)) from error


def _print(context: Context, rest: str) -> str:
    value = _evaluated(context, rest)
    if type(value) is int:
        return f"{value} ({value:#x})"
    return value.hex(" ") if isinstance(value, bytes) else str(value) if not isinstance(value, int) else repr(value)


def _evaluated(context: Context, rest: str) -> Any:  # noqa: ANN401 - whatever the expression is
    try:
        return context.session.evaluate(rest.strip())
    except EXPRESSION_ERRORS as error:
        raise CommandError(f"{rest.strip()}: {error}") from error


def _assert(context: Context, rest: str) -> str:
    if not _evaluated(context, rest):
        raise AssertionFailed(f"assert {rest}: it does not hold at #{context.session.position}")
    return f"holds: {rest}"


# -- tools ---------------------------------------------------------------------------------------------


def _lint(context: Context, _: str) -> str:
    return context.tools.lint()


def _statistics(context: Context, rest: str) -> str:
    return context.tools.statistics(Path(rest.strip()) if rest.strip() else None)


def _hook(context: Context, rest: str) -> str:
    try:
        return context.tools.hook(Path(rest.strip()) if rest.strip() else None)
    except (OSError, ValueError, SyntaxError, ImportError, NameError, TypeError) as error:
        raise CommandError(f"the hook cannot be loaded: {error}") from error


def _reload(context: Context, _: str) -> str:
    return _hook(context, "")


def _help(_: Context, rest: str) -> str:
    word = rest.strip()
    if word:
        found = find(word)
        extra = ""
        if found.names[0] in ("break", "until"):
            from device.trace import breakpoints  # noqa: PLC0415 - its text is the help

            extra = "\n" + (breakpoints.__doc__ or "").partition("::\n")[2].rstrip()
        return f"{' or '.join(found.names)} {found.arguments}\n  {found.help}{extra}"
    width = max(len(f"{one.names[0]} {one.arguments}") for one in COMMANDS)
    return "\n".join(
        f"  {f'{one.names[0]} {one.arguments}':{width}}  {one.help}"
        + (f" [{', '.join(one.names[1:])}]" if one.names[1:] else "")
        for one in COMMANDS
    )


def _names() -> tuple[str, ...]:
    return tuple(register.name for register in NIC)


COMMANDS: Final = (
    Command(("step", "s"), "[KIND] [N]", "go on to the next stage, access, descriptor, frame or interrupt", _step, tuple(STEPS)),
    Command(("continue", "c"), "", "go on to the next breakpoint", _continue),
    Command(("until", "u"), "WHAT", "go on to one event, as `break` names it", _until, tuple(sorted(KINDS))),
    Command(("reverse-step", "rs"), "[KIND]", "go back by one stage, access, descriptor ... (replay)", _reverse_step, tuple(STEPS)),
    Command(("reverse-continue", "rc"), "", "go back to the last breakpoint (replay)", _reverse_continue),
    Command(("seek",), "N", "go to event number N, forwards, or backwards in a replay", _seek),
    Command(("break", "b"), "[WHAT]", "stop at events; without WHAT: list", _break, tuple(sorted(KINDS)) + _names()),
    Command(("breakpoints",), "", "list the breakpoints and how often they hit", _list),
    Command(("delete", "d"), "N|all", "delete a breakpoint", _delete, ("all",)),
    Command(("enable",), "N", "switch a breakpoint on", _switch(on=True)),
    Command(("disable",), "N", "switch a breakpoint off", _switch(on=False)),
    Command(("where", "w"), "", "where the card stands, and its rings in a line each", _where),
    Command(("ring", "r"), "[tx0|tx1|rx0|rx1] [all]", "a ring: head, tail, who owns each slot", _ring, _RINGS),
    Command(("descriptor", "desc"), "[RING INDEX]", "a descriptor by field, and its buffer", _descriptor, _RINGS),
    Command(("frame", "f"), "", "the last frame: headers and bytes", _frame),
    Command(("registers", "regs"), "[NAME ...|changed|all]", "registers by name with their fields; what changed", _registers, ("changed", "all", *_names())),
    Command(("writes",), "", "the driver's last register writes", _writes),
    Command(("interrupts", "i"), "", "causes, masks, vectors, moderation", _interrupts),
    Command(("history", "h"), "[N]", "the last events", _history),
    Command(("memory", "m"), "ADDRESS [LENGTH]", "guest memory", _memory),
    Command(("print", "p"), "EXPRESSION", "a Python expression: tx[0].desc[5].length, regs.ICR.TXDW, mem(0x1000, 16)", _print, ("tx[0]", "rx[0]", "regs.")),
    Command(("assert",), "EXPRESSION", "for scripts: fail unless the expression is true", _assert),
    Command(("lint",), "", "what the driver does wrong so far", _lint),
    Command(("statistics", "stats"), "[FILE.html]", "latencies, batches, rates; a page with plots", _statistics),
    Command(("hook",), "FILE", "load a tracer class of your own", _hook),
    Command(("reload",), "", "load the hook's file again", _reload),
    Command(("detach",), "", "go on and never stop again", _detach),
    Command(("quit", "q"), "", "end", _quit),
    Command(("help", "?"), "[COMMAND]", "this list, or one command", _help),
)
"""Every command; the first name is the one that is shown."""

_BY_NAME: Final = {name: one for one in COMMANDS for name in one.names}


def find(word: str) -> Command:
    """Return the command of a name, or of the only name that begins so. CommandError."""
    if word in _BY_NAME:
        return _BY_NAME[word]
    fitting = {_BY_NAME[name].names[0] for name in _BY_NAME if name.startswith(word)}
    if len(fitting) == 1:
        return _BY_NAME[fitting.pop()]
    if fitting:
        raise CommandError(f"{word} may be {', '.join(sorted(fitting))}")
    raise CommandError(f"there is no command {word}: see `help`")


def complete(line: str) -> list[str]:
    """Return the words that the last word of a line may become."""
    words = line.split()
    last = "" if not line or line.endswith(" ") else words[-1]
    if len(words) <= 1 and not line.endswith(" "):
        candidates: tuple[str, ...] = tuple(_BY_NAME)
    else:
        candidates = _BY_NAME[words[0]].completions if words and words[0] in _BY_NAME else ()
    return sorted({word for word in candidates if word.lower().startswith(last.lower())})


def execute(context: Context, line: str) -> str:
    """Do one line; return what to print. GoOn: the card runs on. CommandError, Seek, Leave."""
    word, _, rest = line.strip().partition(" ")
    if not word or word.startswith("#"):
        return ""
    return find(word).run(context, rest.strip())


def describe(event: Event) -> str:
    """Return the event's kind and facts, for people."""
    return f"{name_of(event)}: {say(event)}"
