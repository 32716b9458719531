"""What `serve` says is the user's matter, and what it leaves a bug of ours."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from device.vfio_user import ListenError
from lab.cli.commands import serve
from lab.errors import UsageError

ARGS = argparse.Namespace(state=Path("kept"), record=None, engine="native")


@pytest.mark.parametrize("bug", [KeyError("RCTL"), ValueError("too many values to unpack")])
def test_a_bug_while_serving_is_no_advice(bug: Exception) -> None:
    """It goes on as it is, and its traceback says where."""

    def serving() -> object:
        raise bug

    with pytest.raises(type(bug)) as raised:
        serve.translated(ARGS, serving)  # type: ignore[arg-type]  # it returns nothing: it raises

    assert raised.value is bug


def test_a_socket_that_cannot_be_used_is_the_users_matter() -> None:
    """A ListenError is said in one line."""

    def serving() -> object:
        raise ListenError("/run/card", "somebody listens there")

    with pytest.raises(UsageError, match="somebody listens there"):
        serve.translated(ARGS, serving)  # type: ignore[arg-type]  # it returns nothing: it raises


class Refusing:
    """A card whose saved state is none."""

    def restore(self, state: bytes) -> None:
        """Refuse."""
        del state
        raise ValueError("not a saved card")


def test_a_state_that_is_none_is_said_of_the_file() -> None:
    """With what to do about it."""
    with pytest.raises(UsageError, match=r"--state kept: not a saved card; remove it to start afresh"):
        serve.restored(Refusing(), b"{}", Path("kept"))
