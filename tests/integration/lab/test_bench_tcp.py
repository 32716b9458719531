"""``bench tcp``: its loads move traffic through the stack as it is now."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lab.cli.main import main

if TYPE_CHECKING:
    import pytest


def test_bulk_between_two_stacks_has_a_figure(capsys: pytest.CaptureFixture[str]) -> None:
    """One row, a glance: the figure itself is nobody's to judge here."""
    status = main(["bench", "tcp", "--quick", "--json", "--only", "transmit our stack, serialized, LSO"])

    rows = json.loads(capsys.readouterr().out)["rows"]
    assert status == 0
    assert [row["value"] > 0 for row in rows] == [True]
