"""Breakpoints: where to stop, as data. Parsing and matching; nobody is stopped here.

::

    write TDT0                    a register by name, or by offset: write 0x3818
    access ICR                    read or write
    write RCTL flag=EN            a bit by name;   flag!=EN: without it
    write IMS value&0x100000      any bit of a mask
    fetch tx0 index=5 type=data   a descriptor: queue, index, kind, flag=EOP, flag!=RS
    writeback rx0                 its write-back
    frame host=10.0.0.1 port=80   a frame that leaves;  arrive: one that comes
    frame len>1514 type=0x800
    irq vector=2 · line · cause TXDW · timer name=RDTR · drop · fault · doorbell · error · any
    ... caller=ux_ring_doorbell   the guest's function that made the access;  'probe' in calls
    ... if EXPRESSION             Python, against the stepper's objects
    ... every=3                   each third time;   nth=3: the third time and no other

A condition is KEY OP VALUE without blanks; OP is one of = != < <= > >= & ~ (``~``: contains).
"""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from device.regs.nic import NIC
from device.trace import events as ev
from device.trace.facts import KEYS, NAMES, facts_of, is_doorbell, register_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from device.trace.events import Event
    from device.trace.facts import Facts, Value


class BreakpointError(ValueError):
    """A breakpoint that cannot be understood; the message says what would be."""


_TYPES: Final = {name: frozenset({kind}) for kind, name in NAMES.items()}
_GROUPS: Final[dict[str, frozenset[type]]] = {
    "access": frozenset({ev.RegisterRead, ev.RegisterWritten}),
    "doorbell": frozenset({ev.RegisterWritten}),
    "descriptor": frozenset({ev.DescriptorFetched}),
    "interrupt": frozenset({ev.InterruptSent, ev.LineMoved}),
    "error": frozenset({ev.DmaFaulted, ev.FrameDropped}),
    "any": frozenset(NAMES),
}
KINDS: Final = _TYPES | _GROUPS
"""The words a breakpoint may begin with, and the events they mean."""

_FIELDS: Final = frozenset(field.name.lower() for register in NIC for field in register.fields)
_REGISTERS: Final = frozenset({"read", "write", "access"})
_CONDITION: Final = re.compile(r"([a-z_0-9]+)(!=|<=|>=|=|<|>|&|~)(.*)", re.IGNORECASE)
_CALLER: Final = re.compile(r"\scaller(=|!=)([A-Za-z_][\w.]*)(?=\s)")
"""``caller=NAME`` is no fact of an event: the guest is asked for it, and only where all the rest holds."""
_RING: Final = re.compile(r"(tx|rx)(\d?)")


def _equal(actual: Value, wanted: Value) -> bool:
    return wanted in actual if isinstance(actual, frozenset) else actual == wanted


def _contains(actual: Value, wanted: Value) -> bool:
    return str(wanted).lower() in str(actual).lower()


def _compare(compare: Callable[[int, int], bool]) -> Callable[[Value, Value], bool]:
    return lambda actual, wanted: (
        isinstance(actual, int) and isinstance(wanted, int) and compare(actual, wanted)
    )


_OPERATORS: Final[dict[str, Callable[[Value, Value], bool]]] = {
    "=": _equal,
    "!=": lambda actual, wanted: not _equal(actual, wanted),
    "~": _contains,
    "<": _compare(operator.lt),
    "<=": _compare(operator.le),
    ">": _compare(operator.gt),
    ">=": _compare(operator.ge),
    "&": _compare(lambda actual, wanted: bool(actual & wanted)),
}


@dataclass(frozen=True, slots=True)
class Condition:
    """One fact of an event, compared."""

    key: str
    op: str
    value: Value

    def holds(self, facts: Facts) -> bool:
        """Tell whether the event has the fact and it compares so."""
        actual = facts.get(self.key)
        if actual is None:
            return False
        wanted = self.value
        if isinstance(actual, (str, frozenset)) and not isinstance(wanted, str):
            wanted = str(wanted)
        return _OPERATORS[self.op](actual, wanted)


@dataclass(slots=True)
class Breakpoint:
    """Events of some kinds, conditions on them, and how often they came."""

    text: str
    kinds: frozenset[type]
    conditions: tuple[Condition, ...] = ()
    expression: str = ""
    doorbell: bool = False
    every: int = 1
    """Stop at each nth time."""
    nth: int = 0
    """Stop at the nth time and no other; 0: at all."""
    number: int = 0
    enabled: bool = True
    hits: int = 0
    once: bool = False
    over: bool = False
    """It was to stop once, and has."""
    temporary: bool = False
    """It is forgotten at the next stop, whatever that is for."""
    prints: bool = False
    """It says that it was hit, and nothing stops."""
    commands: tuple[str, ...] = ()
    """What is done at a stop that it causes."""
    ran: str = field(default="", repr=False)

    def hit(self) -> bool:
        """Count a hit; tell whether it is one to stop at."""
        self.hits += 1
        return self.hits == self.nth if self.nth else self.hits % self.every == 0

    def matches(self, event: Event) -> bool:
        """Tell whether the event is one of these, its count and expression aside."""
        if type(event) not in self.kinds or (self.doorbell and not is_doorbell(event)):
            return False
        if not self.conditions:
            return True
        facts = facts_of(event)
        return all(condition.holds(facts) for condition in self.conditions)


def _value(key: str, text: str) -> Value:
    if key in ("flag", "tcp"):
        return text.upper()
    if key == "reg":
        return _register(text)
    if key == "vector" and not text.isdecimal():
        raise BreakpointError(f"{text} is no vector: give a number from 0 to 4")
    try:
        return int(text, 0)
    except ValueError:
        if text in ("yes", "no"):
            return text == "yes"
        return text


def _register(text: str) -> str:
    """Return the canonical name of a register given by name or by offset."""
    name = text.upper()
    base = name.partition("[")[0]
    if base in NIC:
        return name
    if f"{name}0" in NIC:
        return f"{name}0"
    try:
        return register_name(int(text, 0))
    except ValueError:
        raise BreakpointError(f"there is no register {text}: see `registers`") from None


def parse(text: str) -> Breakpoint:
    """Read a breakpoint; see the module. BreakpointError."""
    what, _, expression = text.partition(" if ")
    called = _CALLER.findall(f" {what} ") or _CALLER.findall(f" {expression} ")
    if called:
        what, expression = (_CALLER.sub(" ", f" {one} ").strip() for one in (what, expression))
        expression = " and ".join([*(f"({expression})" for _ in expression[:1]), *map(_called, called)])
    words = what.split()
    if not words or words[0] not in KINDS:
        said = words[0] if words else "nothing"
        raise BreakpointError(f"{said} is nothing to stop at; these are: {' '.join(sorted(KINDS))}")
    kind = words[0]
    conditions: list[Condition] = []
    counts = {"every": 1, "nth": 0}
    for word in words[1:]:
        condition = _CONDITION.fullmatch(word)
        if condition:
            key, op, given = condition[1].lower(), condition[2], condition[3]
            if key in counts:
                counts[key] = _count(word, given)
            else:
                _check(kind, key)
                conditions.append(Condition(key, op, _value(key, given)))
        else:
            conditions += _bare(kind, word)
    if expression:
        try:
            compile(expression, "<breakpoint>", "eval")
        except SyntaxError as error:
            raise BreakpointError(f"`{expression}` is no expression: {error.msg}") from error
    return Breakpoint(
        text,
        KINDS[kind],
        tuple(conditions),
        expression.strip(),
        kind == "doorbell",
        counts["every"],
        counts["nth"],
    )


def _called(found: tuple[str, str]) -> str:
    """Return a condition on the caller as an expression."""
    return f"caller {'==' if found[0] == '=' else found[0]} {found[1]!r}"


def _check(kind: str, key: str) -> None:
    """Refuse a fact that no event of the kind has: it would never stop."""
    known = {name for event in KINDS[kind] for name in KEYS[NAMES[event]]}
    registers = {"read", "write"} & {NAMES[event] for event in KINDS[kind]}
    if key in known or (registers and key in _FIELDS):
        return
    fields = " and the register's fields" if registers else ""
    raise BreakpointError(f"{kind} has no fact {key}; it has {' '.join(sorted(known))}{fields}")


def _count(word: str, text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise BreakpointError(f"{word}: give a number of at least 1")
    return int(text)


def _bare(kind: str, word: str) -> list[Condition]:
    """Return what a word without an operator means to this kind."""
    ring = _RING.fullmatch(word.lower())
    if ring:
        if kind == "doorbell":
            prefix = "TDT" if ring[1] == "tx" else "RDT"
            return [Condition("reg", "=", prefix + ring[2]) if ring[2] else Condition("reg", "~", prefix)]
        found = [] if kind in ("data", "store") else [Condition("ring", "=", ring[1])]
        return found + ([Condition("queue", "=", int(ring[2]))] if ring[2] else [])
    if kind in _REGISTERS:
        return [Condition("reg", "=", _register(word))]
    if kind == "cause":
        name = word.upper()
        if not any(f.name == name for f in NIC["ICR"].fields):
            raise BreakpointError(f"ICR has no cause {word}")
        return [Condition("flag", "=", name)]
    raise BreakpointError(f"{word}: give a condition such as len>100, or a queue such as tx0")
