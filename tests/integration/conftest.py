"""Fixtures of several integration tests: what has to be fetched or built before there is anything to test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.errors import UsageError
from lab.machines import libvfio_user

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def binding() -> Path:
    """Return the binding to libvfio-user; skip, and say why, where it cannot be made."""
    try:
        return libvfio_user.binding()
    except UsageError as error:
        pytest.skip(f"no libvfio-user here: {error}")
