"""The lock of the launcher's packages has all that pyproject.toml asks for, each with its hashes."""

# ruff: noqa: D103 - a name that is a sentence needs no other

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

TOP = Path(__file__).resolve().parents[3]
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text())
LINE = re.compile(
    r"(?P<name>[a-z0-9-]+)==(?P<version>\S+)(?: ;[^\\]*)?(?P<hashes>(?:\s+--hash=sha256:[0-9a-f]{64})+)"
)
EXTRAS = PROJECT["project"]["optional-dependencies"]
GROUPS = {"run": [*PROJECT["build-system"]["requires"], *PROJECT["project"]["dependencies"]], **EXTRAS}


def locked(name: str) -> dict[str, str]:
    """Return a file's packages with their versions."""
    text = (TOP / "requirements" / f"{name}.txt").read_text().replace("\\\n", "")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    matches = [LINE.fullmatch(line.strip()) for line in lines]
    assert None not in matches, "a line without a version and hashes"
    return {match["name"]: match["version"] for match in matches if match}


@pytest.mark.parametrize("group", GROUPS)
def test_what_the_project_asks_for_is_locked(group: str) -> None:
    """Where this fails: ``python ci/lock.py`` writes the lock anew."""
    versions = {**locked("run"), **locked(group)}

    wanted = [Requirement(one) for one in GROUPS[group]]

    assert [str(one) for one in wanted if canonicalize_name(one.name) not in versions] == []
    assert [
        str(one) for one in wanted if not one.specifier.contains(versions[canonicalize_name(one.name)])
    ] == []


def test_every_extra_has_its_file_and_no_other_file_is_there() -> None:
    assert {path.stem for path in (TOP / "requirements").glob("*.txt")} == set(GROUPS)
