"""The commands that look: rings, descriptors, frames, registers, memory, expressions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from device.effects import DmaError
from device.engine.reference import ReferenceEngine
from device.regs.nic import NIC
from device.trace import events as ev
from device.trace.facts import is_doorbell, register_name, say
from device.trace.packets import dissect, hexdump
from lab.stepper import driver_side
from lab.stepper.command import RINGS, AssertionFailedError, CommandError, Context, number
from lab.stepper.expressions import EXPRESSION_ERRORS
from lab.stepper.last_state import LastState
from lab.stepper.why import why

if TYPE_CHECKING:
    from lab.stepper.session import Session
    from lab.stepper.views import Peekable, RingView

LINE: Final = NIC["EITR"].count
"""The place of ITR, the throttle of MSI and INTx, behind those of the vectors."""
CALLS: Final = 20
"""How many of the driver's calls, or of the console's lines, are shown."""


def where(context: Context, _: str) -> str:
    """Say where the card stands."""
    session = context.session
    lines = [str(session.stop)] if session.stop else []
    lines += driver_line(session)
    lines.append(f"card time {session.now() / 1e9:.9f} s")
    lines += [one.lines()[0] for one in (*session.look.tx, *session.look.rx) if one.count]
    return "\n".join(lines)


def driver_line(session: Session) -> list[str]:
    """Return the line that says in which function the guest's driver stands; nothing where nobody knows."""
    if session.driver is None or not session.stands:
        return []
    found = session.driver.calls()
    return [f"  in {found[0]}" + (f", called by {found[1].function}" if found[1:] else "")] if found else []


def backtrace(context: Context, _: str) -> str:
    """Return the function that the guest's driver stands in, and the calls above."""
    session = context.session
    try:
        found = session.calls(session.stop.event if session.stop else None)
    except ValueError as error:
        raise CommandError(str(error)) from error
    if not found:
        raise CommandError(
            "where the guest stands is not known: its kernel's symbols or its QEMU are not there"
        )
    return "\n".join(f"{number:2} {place}" for number, place in enumerate(found))


def ring(context: Context, rest: str) -> str:
    """Return a ring as text."""
    words = rest.split() or ["tx0"]
    return "\n".join(_ring(context, words[0]).lines(everything="all" in words[1:]))


def _ring(context: Context, name: str) -> RingView:
    """Return a ring by name. CommandError: there is none of that name."""
    try:
        return context.session.look.ring(name)
    except KeyError:
        raise CommandError(f"there is no ring {name}: {' '.join(RINGS)}") from None


def waits(context: Context, rest: str) -> str:
    """Say what a ring waits for."""
    look = context.session.look
    rings = [_ring(context, name) for name in rest.split()]
    rings = rings or [one for one in (*look.tx, *look.rx) if one.count]
    lines = [line for one in rings for line in why(context.session, f"{one.kind}{one.queue}")]
    return "\n".join(lines) or "no ring is set up yet"


def _here(session: Session) -> list[str]:
    """Return the ring and index of the descriptor that the card works on: the last one fetched or written."""
    for _, event in reversed(session.history):
        if isinstance(event, (ev.DescriptorFetched, ev.DescriptorWrittenBack)):
            return [f"{event.ring}{event.queue}", str(event.place)]
        if isinstance(event, ev.RegisterWritten) and is_doorbell(event):
            name = register_name(event.offset)
            ring = session.look.ring(f"{'tx' if name.startswith('T') else 'rx'}{name[-1]}")
            return [f"{ring.kind}{ring.queue}", str(ring.head)] if ring.count else []
    return []


def descriptor(context: Context, rest: str) -> str:
    """Return a descriptor by field, with its buffer."""
    words = rest.split() or _here(context.session)
    if len(words) != 2:
        raise CommandError("give a ring and an index, as in `descriptor tx0 5`")
    ring, index = _ring(context, words[0]), number(words[1], "index")
    try:
        one = ring.desc[index]
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


def driver(context: Context, rest: str) -> str:
    """Return the driver's half of the rings beside the card's, or its last calls."""
    look = context.session.look
    if look.driver is None:
        raise CommandError(
            "this driver cannot be asked: it lives in a guest or a recording; ours can, by `step --miniport`"
        )
    words = rest.split()
    if words[:1] == ["calls"]:
        count = number(words[1], "number") if len(words) > 1 else CALLS
        return "\n".join(look.driver.calls(count)) or "no call has crossed NDIS's border"
    if words:
        raise CommandError(f"driver {rest}: give nothing, or `calls` and how many")
    return "\n".join(driver_side.lines(look.driver, look.tx, look.rx))


def frame(context: Context, _: str) -> str:
    """Return the last frame."""
    for position, event in reversed(context.session.history):
        if isinstance(event, (ev.FrameCompleted, ev.FrameArrived)):
            data = event.data
            return "\n".join(
                (f"#{position} {say(event)}", *dissect(data).lines, *hexdump(bytes(data[:1600])))
            )
    return "no frame has passed"


def registers(context: Context, rest: str) -> str:
    """Return registers by name, or those that changed."""
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
                was = session.before.get(at, value)
                note = f"  (was {was:#010x})" if was != value else ""
                lines.append(f"{name:12} {at:#07x} {value:#010x}{_fields(at, value)}{note}")
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


def writes(context: Context, _: str) -> str:
    """Return the driver's last register writes."""
    return (
        "\n".join(f"#{at} {say(event)}" for at, event in context.session.writes) or "the driver wrote nothing"
    )


def interrupts(context: Context, _: str) -> str:
    """Return causes, masks, vectors, moderation."""
    regs = context.session.look.regs
    lines = []
    for name in ("ICR", "IMS", "EIAC", "IAM", "IVAR", "CTRL_EXT"):
        value = int(regs[name])
        lines.append(f"{name:9} {value:#010x}{_fields(NIC[name].offset, value)}")
    throttles = [f"{name} {int(regs[name]) * 256 / 1000:.1f} us" for name in _throttles() if int(regs[name])]
    delays = [
        f"{n} {int(regs[n]) * 1.024:.1f} us" for n in ("RDTR", "RADV", "TIDV", "TADV", "RAID") if int(regs[n])
    ]
    lines.append("throttles " + (", ".join(throttles) or "none"))
    lines.append("delays    " + (", ".join(delays) or "none"))
    lines += _moderation(context.session.look.engine)
    return "\n".join(lines + context.tools.interrupts())


def _moderation(engine: Peekable) -> list[str]:
    """Return what runs and what is held back at this moment; only the reference engine shows it."""
    if isinstance(engine, LastState):
        if engine.kept:
            return []
        engine = engine.engine
    if not isinstance(engine, ReferenceEngine):
        return []
    state, now = engine.interrupts, engine.core.now
    running = [f"{name} in {_us(due - now)}" for name, due in sorted(state.timers.items()) if due > now]
    quiet = [
        f"{'ITR' if n == LINE else f'vector {n}'} for {_us(until - now)}"
        for n, until in enumerate(state.quiet_until)
        if until > now
    ]
    held = ["ITR" if n == LINE else f"vector {n}" for n in sorted(state.held)]
    return [
        "running   " + (", ".join(running) or "no delay"),
        "quiet     "
        + (", ".join(quiet) or "no throttle")
        + (f"; held back: {', '.join(held)}" if held else ""),
    ]


def _us(duration_ns: int) -> str:
    return f"{duration_ns / 1000:.1f} us"


def _throttles() -> list[str]:
    return ["ITR", *(f"EITR[{n}]" for n in range(NIC["EITR"].count))]


def history(context: Context, rest: str) -> str:
    """Return the last events."""
    count = number(rest, "number") if rest.strip() else 20
    events = list(context.session.history)[-count:]
    return "\n".join(f"#{at} {say(event)}" for at, event in events)


def console(context: Context, rest: str) -> str:
    """Return the last lines of the guest's console."""
    count = number(rest, "number") if rest else CALLS
    if context.tools.console is None:
        raise CommandError("there is no guest of ours here: `boot --step` has one")
    return "\n".join(context.tools.console().splitlines()[-count:]) or "the guest has written nothing yet"


def memory(context: Context, rest: str) -> str:
    """Return guest memory as a hexdump."""
    words = rest.split()
    if not words:
        raise CommandError("give a bus address, and a length perhaps: `memory 0x1000 64`")
    address = number(words[0], "address")
    length = number(words[1], "length") if len(words) > 1 else 64
    try:
        return "\n".join(hexdump(context.session.look.memory.read(address, min(length, 65536)), address))
    except DmaError as error:
        raise CommandError(str(error)) from error


def show(context: Context, rest: str) -> str:
    """Evaluate an expression."""
    value = _evaluated(context, rest)
    if type(value) is int:
        return f"{value} ({value:#x})"
    return (
        value.hex(" ")
        if isinstance(value, bytes)
        else str(value)
        if not isinstance(value, int)
        else repr(value)
    )


def _evaluated(context: Context, rest: str) -> Any:  # noqa: ANN401 - whatever the expression is
    try:
        return context.session.evaluate(rest.strip())
    except EXPRESSION_ERRORS as error:
        raise CommandError(f"{rest.strip()}: {error}") from error


def assert_(context: Context, rest: str) -> str:
    """Fail unless an expression is true."""
    if not _evaluated(context, rest):
        raise AssertionFailedError(f"assert {rest}: it does not hold at #{context.session.position}")
    return f"holds: {rest}"
