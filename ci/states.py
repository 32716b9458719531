"""Draw the state machines: every module-level table whose name ends in TRANSITIONS becomes a diagram.

A table maps (state, event) to the next state. States are members of one ``Enum``; the first entry leaves the
state that the machine begins in. A module needs nothing but the table to be drawn: it is found by its name.
"""

from __future__ import annotations

import ast
import enum
import importlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TOP = Path(__file__).resolve().parents[1]
ROOMS = ("device", "ntos", "ndis", "miniport", "protocols", "lab")
"""In the order of a frame's path, as the page has them."""
SUFFIX = "TRANSITIONS"
HEAD = """# State machines

Drawn from the tables in the source, so that they cannot differ from what runs. A state's meaning is its value
where that says more than its name. `[*]` leads to the state in which a machine begins.

"""


class Machine(NamedTuple):
    """One table and where it is."""

    path: str
    name: str
    about: str
    table: Mapping[tuple[enum.Enum, object], enum.Enum]


def machines() -> list[Machine]:
    """Return every table of the tree."""
    return [machine for room in ROOMS for path in sorted((TOP / room).rglob("*.py")) for machine in _of(path)]


def markdown() -> str:
    """Return docs/reference/states.md."""
    return HEAD + "\n".join(map(_section, machines()))


def mermaid(table: Mapping[tuple[enum.Enum, object], enum.Enum]) -> str:
    """Return a state diagram; two events between the same states share an arrow."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for (before, event), after in table.items():
        arrows.setdefault((before.name, after.name), []).append(_text(event))
    (first, _event), _after = next(iter(table.items()))
    lines = [f"    [*] --> {first.name}"]
    lines += [f"    {before} --> {after}: {', '.join(events)}" for (before, after), events in arrows.items()]
    return "\n".join(["stateDiagram-v2", *lines])


def _of(path: Path) -> Iterator[Machine]:
    source = path.read_text()
    names = list(_tables(source)) if SUFFIX in source else []
    if not names:
        return
    module = importlib.import_module(".".join(path.relative_to(TOP).with_suffix("").parts))
    for name in names:
        table = getattr(module, name)
        states = type(next(iter(table.values())))
        about = (states.__doc__ or "").strip().split("\n")[0]
        yield Machine(str(path.relative_to(TOP)), name, about, table)


def _tables(source: str) -> Iterator[str]:
    """Yield the names of the tables that a module declares itself."""
    for node in ast.parse(source).body:
        target = node.target if isinstance(node, ast.AnnAssign) and node.value is not None else None
        if isinstance(target, ast.Name) and target.id.endswith(SUFFIX):
            yield target.id


def _section(machine: Machine) -> str:
    states = dict.fromkeys(
        state for (before, _event), after in machine.table.items() for state in (before, after)
    )
    meanings = [
        f"- {state.name}: {state.value}\n"
        for state in states
        if isinstance(state.value, str) and state.value.lower() != state.name.lower().replace("_", " ")
    ]
    title = type(next(iter(states))).__qualname__
    meaning = "\n" + "".join(meanings) if meanings else ""
    return (
        f"## {title} (`{machine.path}`, `{machine.name}`)\n\n{machine.about}\n\n"
        f"```mermaid\n{mermaid(machine.table)}\n```\n{meaning}"
    )


def _text(event: object) -> str:
    if isinstance(event, enum.Enum):
        return event.name.lower().replace("_", " ")
    return str(event)
