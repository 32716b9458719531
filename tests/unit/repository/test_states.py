"""Every table of states is drawn, without being listed anywhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[3]
ROOMS = ("device", "ntos", "ndis", "miniport", "protocols", "lab")
DECLARED = re.compile(r"^(\w*TRANSITIONS)\b[^=\n]*= ?\{", re.MULTILINE)
TABLES = [
    (str(path.relative_to(TOP)), name)
    for room in ROOMS
    for path in sorted((TOP / room).rglob("*.py"))
    for name in DECLARED.findall(path.read_text())
]
PAGE = (TOP / "docs/reference/states.md").read_text()


@pytest.mark.parametrize(("path", "name"), TABLES)
def test_every_table_of_states_has_a_drawing(path: str, name: str) -> None:
    """The page is rendered by ci/generated.py, whose check another test makes."""
    section = PAGE.partition(f"(`{path}`, `{name}`)")[2].partition("\n## ")[0]

    assert "stateDiagram-v2" in section
    assert section.count(" --> ") >= 2  # where it begins, and a move


def test_the_machines_that_the_readers_look_for_are_among_them() -> None:
    """The session of the socket, NDIS's adapter, TCP's connection, the NMR's binding, the live loop."""
    folders = {path for path, _name in TABLES}

    assert folders >= {
        "device/vfio_user/session.py",
        "ndis/lifecycle.py",
        "ntos/executive/live_states.py",
        "protocols/interfaces/nmr/binding.py",
        "protocols/transports/tcpip/tcp/states.py",
    }
