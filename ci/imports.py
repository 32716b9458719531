#!/usr/bin/env python3
"""The imports of the tree: circles of files, and the map of rooms in docs/architecture.md.

``python ci/imports.py`` lists the circles, run-time and type-only imports counted alike; ``--most N`` fails
where one has more than N files; ``--map`` prints the map that ``ci/generated.py`` puts there. It reads
the sources and runs none of them.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

TOP = Path(__file__).resolve().parents[1]
OURS = ("formats", "device", "ntos", "ndis", "miniport", "protocols", "lab")
ROOMS = (
    "formats",
    "device",
    "device.vfio_user",
    "device.wire",
    "ntos",
    "ndis",
    "miniport",
    "miniport.hal",
    "protocols.interfaces",
    "protocols.transports",
    "protocols.apis",
    "lab.machines",
    "lab.host",
    "lab.conformance",
    "lab.stepper",
    "lab.trials",
    "lab.cli",
)
"""The boxes of the map: a file is in the longest that its name begins with."""
FLOORS = (
    (
        "where people work with it",
        ("lab.cli", "lab.trials", "lab.stepper", "lab.conformance", "lab.host", "lab.machines"),
    ),
    ("APIs, transports, interfaces", ("protocols.apis", "protocols.transports", "protocols.interfaces")),
    ("between drivers and the card", ("miniport", "miniport.hal", "ndis", "ntos")),
    ("the card", ("device", "device.vfio_user", "device.wire")),
    ("the ground", ("formats",)),
)


def modules(top: Path = TOP) -> dict[str, Path]:
    """Return every module of ours by its full name."""
    found = {}
    for folder in OURS:
        for path in sorted((top / folder).rglob("*.py")):
            parts = path.relative_to(top).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(name: str, path: Path, known: dict[str, Path]) -> Iterator[str]:
    """Walk the modules of ours that a file imports, wherever in it."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *filter(None, [node.module])])
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                if whole in known:
                    yield whole
                elif base in known:
                    yield base


def graph(top: Path = TOP) -> dict[str, set[str]]:
    """Return what each module imports; a package does not count as importing its own parts."""
    known = modules(top)
    return {
        name: {other for other in imports(name, path, known) if other != name} for name, path in known.items()
    }


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Return the strongly connected components of more than one file, largest first (Tarjan, 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []
    for root, nearest in edges.items():
        if root in index:
            continue
        work = [(root, iter(sorted(nearest)))]
        index[root] = low[root] = len(index)
        stack.append(root)
        while work:
            node, following = work[-1]
            for other in following:
                if other not in index:
                    index[other] = low[other] = len(index)
                    stack.append(other)
                    work.append((other, iter(sorted(edges[other]))))
                    break
                if other in stack:
                    low[node] = min(low[node], index[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    at = stack.index(node)
                    if len(stack) - at > 1:
                        found.append(sorted(stack[at:]))
                    del stack[at:]
    return sorted(found, key=lambda circle: (-len(circle), circle))


def room(name: str) -> str | None:
    """Return the box of the map that a module is in."""
    inside = [box for box in ROOMS if name == box or name.startswith(box + ".")]
    return max(inside, key=len, default=None)


def rooms(edges: dict[str, set[str]]) -> dict[tuple[str, str], int]:
    """Return how many imports go from one room to another."""
    counted: dict[tuple[str, str], int] = defaultdict(int)
    for name, others in edges.items():
        for other in others:
            ends = room(name), room(other)
            if ends[0] and ends[1] and ends[0] != ends[1]:
                counted[ends[0], ends[1]] += 1
    return dict(counted)


def drawn(edges: dict[str, set[str]]) -> str:
    """Return the map as a Mermaid diagram: an arrow for every pair of rooms with imports, floors as boxes."""
    lines = ["```mermaid", "flowchart TD"]
    for number, (title, boxes) in enumerate(FLOORS):
        lines.append(f'    subgraph floor{number}["{title}"]')
        lines += [f'        {box.replace(".", "_")}["{box.replace(".", "/")}/"]' for box in boxes]
        lines.append("    end")
    for one, other in sorted(rooms(edges)):
        lines.append(f"    {one.replace('.', '_')} --> {other.replace('.', '_')}")
    return "\n".join([*lines, "```"])


def main() -> int:
    """List the circles or print the map; 1 where a circle is too large."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--most", type=int, help="fail where a circle has more files than this")
    parser.add_argument("--map", action="store_true", help="print the map of rooms")
    args = parser.parse_args()
    edges = graph()
    if args.map:
        print(drawn(edges))
        return 0
    found = circles(edges)
    for circle in found:
        print(f"{len(circle)}  {' '.join(circle)}")
    largest = max(map(len, found), default=0)
    print(f"{len(edges)} files, {len(found)} circles, the largest of {largest}")
    return int(args.most is not None and largest > args.most)


if __name__ == "__main__":
    sys.exit(main())
