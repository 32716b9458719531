"""Programs of others that judge what we made, where a test uses them."""

from __future__ import annotations

import pytest

from lab.errors import UsageError
from lab.machines import tshark


def wireshark(program: str = "tshark") -> list[str]:
    """Return the arguments that run one of Wireshark's programs; skip, with the reason, where it is not."""
    try:
        return tshark.command(program, offline=False)
    except UsageError as reason:
        pytest.skip(str(reason))
