"""The systems there are, from their folders' declarations: the driver store, the OSI map, and their table.

What is not there yet is read from ``docs/reference/systems-to-come.toml``, so that the table is whole.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import miniport
import ndis
import protocols
from ntos.netcfg.driver import State
from ntos.netcfg.osi import ORDER, Component, Layer, Registry
from ntos.netcfg.store import DriverStore

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ntos.netcfg.driver import Driver
    from ntos.netcfg.store import Package

ROOTS = (protocols, ndis, miniport)
"""The packages in which systems are, the highest first."""
TOP = Path(protocols.__file__).resolve().parents[1]
TO_COME = TOP / "docs/reference/systems-to-come.toml"
HARDWARE = (
    Component("82574l", (Layer.MAC, Layer.PHYSICAL), "registers and rings", "wire", "Intel 82574 datasheet"),
    Component("wire", (Layer.PHYSICAL,), "wire", "", "IEEE 802.3"),
)
"""What is below the lowest driver, and declares itself nowhere: ``device`` knows nothing of NT."""
TABLE_HEAD = """# The systems

Every system of the two seed documents, with the NT file that it stands for, its OSI layers, its edges and
how far it is. Each is a folder: its `driver.py` declares it, its INF file installs it
([decision 0030](../decisions/0030-a-system-is-a-folder.md)). *Judge* is the outside program that confirmed
it; where it is empty, none exists or none was run. The numbers are those of the list of all systems; a system
may have several.

"""
OSI_HEAD = """
## The OSI map

Which layers each component is in, from the top, and what it speaks above and below. `ringwalk net trace`
shows the components that a send really passes.

"""


@dataclass(frozen=True, slots=True)
class ToCome:
    """A system that nobody has begun."""

    name: str
    title: str
    seed: str
    row: int
    file: str = ""


def store() -> DriverStore:
    """Return a driver store with all of our packages."""
    return DriverStore(ROOTS)


@cache
def declarations() -> tuple[tuple[Package, Driver], ...]:
    """Return all of our declarations, with the folders that they are in."""
    return tuple(store().declared())


@cache
def osi_map() -> Registry:
    """Return the components of all declarations, and the hardware below."""
    drivers = (driver for _package, driver in declarations())
    return Registry([*(part for driver in drivers for part in driver.components), *HARDWARE])


@cache
def places() -> tuple[tuple[str, str], ...]:
    """Return (how the path of a file begins, the component that it is), the most exact first."""
    found = [
        (f"{package.folder.resolve().relative_to(TOP).as_posix()}/{part.code}", part.name)
        for package, driver in declarations()
        for part in driver.components
        if part.code is not None
    ]
    return tuple(sorted(found, key=lambda one: -len(one[0])))


def component_at(path: str) -> str:
    """Return the component that a file of the tree belongs to; empty when it is none's."""
    return next((name for start, name in places() if path.startswith(start)), "")


def to_come() -> list[ToCome]:
    """Return what is listed and not declared."""
    listed = tomllib.loads(TO_COME.read_text())["system"]
    there = {row for _package, driver in declarations() for row in driver.rows}
    return [one for one in (ToCome(**entry) for entry in listed) if one.row not in there]


def markdown() -> str:
    """Render docs/reference/systems.md."""
    rows: list[tuple[int, tuple[str, ...]]] = []
    for package, driver in declarations():
        if not driver.rows:
            continue  # a library that is part of another system
        folder = package.folder.resolve().relative_to(TOP).as_posix()
        parts = sorted(driver.components, key=lambda part: -ORDER[part.top])
        edges = dict.fromkeys(f"{part.upper} / {part.lower}" for part in (parts[0], parts[-1]))
        cells = (
            _numbers(driver.rows),
            driver.title,
            f"`{driver.binary}`",
            driver.seed,
            _layers(parts),
            "; ".join(edges),
            f"[`{folder}`](../../{folder})",
            driver.state.value,
            f"`{driver.proof}`",
            driver.judge,
        )
        rows.append((driver.rows[0], cells))
    for one in to_come():
        file = f"`{one.file}`" if one.file else ""
        cells = (str(one.row), one.title, file, one.seed, "", "", "", State.NOT_YET.value, "", "")
        rows.append((one.row, cells))
    head = ("no.", "system", "stands for", "seed", "layers", "edges", "folder", "state", "proof", "judge")
    table = _table([head, *(cells for _row, cells in sorted(rows))])
    return TABLE_HEAD + table + OSI_HEAD + _osi_table()


def _osi_table() -> str:
    head = ("component", "layers", "above", "below", "source")
    rows = [
        (part.name, _layers([part]), part.upper, part.lower or "nothing", part.source) for part in osi_map()
    ]
    return _table([head, *rows])


def _layers(parts: Iterable[Component]) -> str:
    found = {layer for part in parts for layer in part.layers}
    return ", ".join(layer.value for layer in sorted(found, key=lambda layer: -ORDER[layer]))


def _numbers(rows: tuple[int, ...]) -> str:
    """Return 44, 47 to 49."""
    runs: list[list[int]] = []
    for row in rows:
        if runs and row == runs[-1][-1] + 1:
            runs[-1].append(row)
        else:
            runs.append([row])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)


def _table(rows: list[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, "|" + "---|" * len(rows[0]))
    return "\n".join(lines) + "\n"
