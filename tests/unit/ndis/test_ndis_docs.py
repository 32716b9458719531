"""The tutorial's code is run as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

PAGE = Path(__file__).resolve().parents[3] / "docs" / "write-a-miniport.md"


def test_every_block_of_the_tutorial_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """One after the other, in one namespace, as a reader would."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, object] = {"__name__": "tutorial"}

    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)  # noqa: S102 - our own page

    assert len(blocks) >= 8
    assert "V02 packet touched while not owned" in capsys.readouterr().out
