"""The stepper's commands, as a table: the prompt, scripts and the full screen share it.

Each takes the session and the rest of its line, and returns what to print. ``GoOn`` is raised by those
that let the card run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from device.regs.nic import NIC
from device.trace import breakpoints
from device.trace.breakpoints import KINDS, BreakpointError
from lab.stepper import run_commands, view_commands
from lab.stepper.command import RINGS, Command, CommandError, Context
from lab.stepper.session import STEPS


def _lint(context: Context, _: str) -> str:
    return context.tools.lint()


def _statistics(context: Context, rest: str) -> str:
    return context.tools.statistics(Path(rest.strip()) if rest.strip() else None)


def _hook(context: Context, rest: str) -> str:
    return _loaded(context, Path(rest)) if rest else "\n".join(context.tools.hooks.told())


def _loaded(context: Context, path: Path | None) -> str:
    try:
        return context.tools.hook(path)
    except (OSError, ValueError, SyntaxError, ImportError, NameError, TypeError) as error:
        raise CommandError(f"the hook cannot be loaded: {error}") from error


def _reload(context: Context, _: str) -> str:
    return _loaded(context, None)


def _trace(context: Context, rest: str) -> str:
    name, _, what = rest.partition(" ")
    if name == "off" or not name:
        return context.tools.trace_off()
    try:
        return context.tools.trace(Path(name), breakpoints.parse(what.strip() or "any"))
    except BreakpointError as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        raise CommandError(f"trace {name}: {error.strerror}") from error


def _source(context: Context, rest: str) -> str:
    if not rest:
        raise CommandError("give a file: `source FILE`")
    try:
        lines = Path(rest).read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"source {rest}: {error}") from error
    return "\n".join(filter(None, (execute(context, line) for line in lines)))


def _help(_: Context, rest: str) -> str:
    word = rest.strip()
    if word:
        found = find(word)
        extra = ""
        if found.names[0] in ("break", "until"):
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
    Command(
        ("step", "s"),
        "[KIND] [N]",
        "go on to the next stage, access, descriptor, frame or interrupt",
        run_commands.step,
        tuple(STEPS),
    ),
    Command(("continue", "c"), "", "go on to the next breakpoint", run_commands.go_on),
    Command(
        ("until", "u"),
        "WHAT",
        "go on to one event, as `break` names it",
        run_commands.until,
        tuple(sorted(KINDS)),
    ),
    Command(
        ("reverse-step", "rs"),
        "[KIND]",
        "go back by one stage, access, descriptor ... (replay)",
        run_commands.reverse_step,
        tuple(STEPS),
    ),
    Command(
        ("reverse-continue", "rc"),
        "",
        "go back to the last breakpoint (replay)",
        run_commands.reverse_continue,
    ),
    Command(("seek",), "N", "go to event number N, forwards, or backwards in a replay", run_commands.seek),
    Command(
        ("break", "b"),
        "[WHAT]",
        "stop at events; without WHAT: list",
        run_commands.set_breakpoint,
        tuple(sorted(KINDS)),
    ),
    Command(
        ("tbreak", "tb"), "WHAT", "stop once, and forget it", run_commands.temporary, tuple(sorted(KINDS))
    ),
    Command(
        ("tracepoint", "tp"),
        "WHAT",
        "print each such event and go on",
        run_commands.tracepoint,
        tuple(sorted(KINDS)),
    ),
    Command(
        ("commands",),
        "N [COMMAND; ...]",
        "what breakpoint N does when it stops; without commands: a line each, up to `end`",
        run_commands.commands,
    ),
    Command(
        ("trace",),
        "[FILE [WHAT]|off]",
        "write events to a file from now on, as lines",
        _trace,
    ),
    Command(("source",), "FILE", "do the commands of a file", _source),
    Command(
        ("to",), "RING INDEX", "run to the fetch of one descriptor, as `to tx0 5`", run_commands.to, RINGS
    ),
    Command(
        ("breakpoints",), "", "list the breakpoints and how often they hit", run_commands.list_breakpoints
    ),
    Command(("delete", "d"), "N|all", "delete a breakpoint", run_commands.delete, ("all",)),
    Command(("enable",), "N", "switch a breakpoint on", run_commands.switch(on=True)),
    Command(("disable",), "N", "switch a breakpoint off", run_commands.switch(on=False)),
    Command(("where", "w"), "", "where the card stands, and its rings in a line each", view_commands.where),
    Command(
        ("backtrace", "bt"),
        "",
        "the guest's function that made the access, and the calls above it (boot --step)",
        view_commands.backtrace,
    ),
    Command(
        ("ring", "r"),
        "[tx0|tx1|rx0|rx1] [all]",
        "a ring: head, tail, who owns each slot",
        view_commands.ring,
        RINGS,
    ),
    Command(
        ("why",),
        "[tx0|tx1|rx0|rx1]",
        "what a ring waits for: link, bus, doorbells, RS, masks, moderation, PAUSE, DMA faults",
        view_commands.waits,
        RINGS,
    ),
    Command(
        ("descriptor", "desc"),
        "[RING INDEX]",
        "a descriptor by field, and its buffer; without arguments the last that the card touched",
        view_commands.descriptor,
        RINGS,
    ),
    Command(
        ("driver", "dr"),
        "[calls [N]]",
        "the driver's half of the rings beside the card's (step --miniport)",
        view_commands.driver,
        ("calls",),
    ),
    Command(("frame", "f"), "", "the last frame: headers and bytes", view_commands.frame),
    Command(
        ("registers", "regs"),
        "[NAME ...|changed|all]",
        "registers by name with their fields; what changed",
        view_commands.registers,
        ("changed", "all", *_names()),
    ),
    Command(("writes",), "", "the driver's last register writes", view_commands.writes),
    Command(("interrupts", "i"), "", "causes, masks, vectors, moderation", view_commands.interrupts),
    Command(("history", "h"), "[N]", "the last events", view_commands.history),
    Command(("memory", "m"), "ADDRESS [LENGTH]", "guest memory", view_commands.memory),
    Command(
        ("print", "p"),
        "EXPRESSION",
        "a Python expression: tx[0].desc[5].length, regs.ICR.TXDW, mem(0x1000, 16)",
        view_commands.show,
        ("tx[0]", "rx[0]", "regs."),
    ),
    Command(
        ("assert",), "EXPRESSION", "for scripts: fail unless the expression is true", view_commands.assert_
    ),
    Command(("lint",), "", "what the driver does wrong so far", _lint),
    Command(
        ("statistics", "stats"), "[FILE.html]", "latencies, batches, rates; a page with plots", _statistics
    ),
    Command(("hook",), "[FILE]", "load a tracer class of your own; without FILE: what it did", _hook),
    Command(("reload",), "", "load the hook's file again", _reload),
    Command(("console",), "[N]", "what the guest wrote to its console (boot)", view_commands.console),
    Command(("detach",), "", "go on and never stop again", run_commands.detach),
    Command(("quit", "q"), "", "end", run_commands.leave),
    Command(("help", "?"), "[COMMAND]", "this list, or one command", _help),
)
"""Every command; the first name is the one that is shown."""

BY_NAME: Final = {name: one for one in COMMANDS for name in one.names}
"""Each command under all of its names."""


def find(word: str) -> Command:
    """Return the command of a name, or of the only name that begins so. CommandError."""
    if word in BY_NAME:
        return BY_NAME[word]
    fitting = {BY_NAME[name].names[0] for name in BY_NAME if name.startswith(word)}
    if len(fitting) == 1:
        return BY_NAME[fitting.pop()]
    if fitting:
        raise CommandError(f"{word} may be {', '.join(sorted(fitting))}")
    raise CommandError(f"there is no command {word}: see `help`")


def execute(context: Context, line: str) -> str:
    """Do one line; return what to print. GoOn: the card runs on. CommandError, Seek, Leave."""
    word, _, rest = line.strip().partition(" ")
    if not word or word.startswith("#"):
        return ""
    return find(word).run(context, rest.strip())
