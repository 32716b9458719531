"""The code of docs/nt-objects.md is run as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

PAGE = Path(__file__).resolve().parents[3] / "docs" / "nt-objects.md"
SAYS = """\
handle 4: there and back
ERROR_ACCESS_DENIED (5): ACCESS_DENIED (0xc0000022): neither written nor appended to | last error 5
as one of the staff: ERROR_ACCESS_DENIED (5): ACCESS_DENIED (0xc0000022): \\??\\Guarded
for the guest: ERROR_ACCESS_DENIED (5): ACCESS_DENIED (0xc0000022): \\??\\Guarded
ERROR_IO_PENDING (997)
slow: 7 bytes, SUCCESS, after 1.0 ms
socket 4: WriteFile on a socket
"""


def test_every_block_of_the_page_runs_and_says_what_it_should(capsys: pytest.CaptureFixture[str]) -> None:
    """One after the other, in one namespace, as a reader would."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, object] = {"__name__": "page"}

    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)  # noqa: S102 - our own page

    assert capsys.readouterr().out == SAYS
