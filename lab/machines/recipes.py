"""Reads the recipes of ``guest-images/``: data only, nothing is fetched or built here."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.errors import UsageError


def folder() -> Path:
    """Return the recipes' folder, which is beside the packages in a checkout and in an installed wheel."""
    beside = Path(__file__).resolve().parents[2] / "guest-images"
    if not (beside / "sets.toml").is_file():
        raise UsageError(f"guest-images is not at {beside}: reinstall ringwalk")
    return beside


def load(name: str) -> dict[str, Any]:
    """Return one TOML file of the recipes."""
    return tomllib.loads((folder() / name).read_text())


@dataclass(frozen=True, slots=True)
class PackageSet:
    """Some Debian packages that are fetched together."""

    name: str
    summary: str
    packages: tuple[str, ...]
    suites: tuple[tuple[str, ...], ...]
    """Groups to try in turn; in a group the first suite is preferred."""
    minimum: tuple[str, str] | None = None
    """A package and the upstream version that it must have at least."""
    source: tuple[str, str] | None = None
    """A source package, and the folder of it that is built (``lab.machines.fetch.libvfio``)."""


def package_sets() -> dict[str, PackageSet]:
    """Return the sets of ``sets.toml``, by name."""
    return {name: package_set(name, table) for name, table in load("sets.toml").items()}


def package_set(name: str, table: dict[str, Any]) -> PackageSet:
    """Read one table of ``sets.toml``."""
    minimum, source = table.get("minimum"), table.get("source")
    return PackageSet(
        name,
        table["summary"],
        tuple(table["packages"]),
        tuple(tuple(group) for group in table["suites"]),
        (minimum["package"], minimum["version"]) if minimum else None,
        (source["package"], source["folder"]) if source else None,
    )
