"""The cache's lock file: which package files each set was made of, so that a report can say what was run.

Sans I/O but for ``read`` and ``write``.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from lab.machines import cache

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 1
FILE = "lock.json"


@dataclass(frozen=True, slots=True)
class Locked:
    """One package file that was used."""

    name: str
    version: str
    architecture: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class SetRecord:
    """What one set was made of."""

    recipe: str
    """Fingerprint of the recipe; another one means that the set is out of date."""
    mirror: str
    suites: tuple[str, ...]
    fetched: str
    """When, in UTC (RFC 3339)."""
    packages: tuple[Locked, ...]

    def version_of(self, package: str) -> str | None:
        """Return the version of a package of this set."""
        return next((p.version for p in self.packages if p.name == package), None)


def parse(text: str) -> dict[str, SetRecord]:
    """Read a lock file; an unknown format counts as an empty one."""
    try:
        data: dict[str, Any] = json.loads(text)
    except json.JSONDecodeError:
        return {}
    if data.get("format") != FORMAT:
        return {}
    return {
        name: SetRecord(
            entry["recipe"],
            entry["mirror"],
            tuple(entry["suites"]),
            entry["fetched"],
            tuple(Locked(**package) for package in entry["packages"]),
        )
        for name, entry in data["sets"].items()
    }


def emit(records: dict[str, SetRecord]) -> str:
    """Return the text of a lock file."""
    sets = {name: asdict(record) for name, record in sorted(records.items())}
    return json.dumps({"format": FORMAT, "sets": sets}, indent=1) + "\n"


def read() -> dict[str, SetRecord]:
    """Return what the cache holds, by the set's name."""
    path = cache.root() / FILE
    return parse(path.read_text()) if path.is_file() else {}


def write(records: dict[str, SetRecord]) -> None:
    """Replace the lock file, whole or not at all."""
    path = cache.directory() / FILE
    new = path.with_suffix(".new")
    new.write_text(emit(records))
    new.replace(path)


def sha256(path: Path) -> str:
    """Return a file's SHA-256, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
