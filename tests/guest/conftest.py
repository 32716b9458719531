"""Guests for the guest tests: booted once a file, by kind of card; everything is closed with the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab import fetch
from lab.booting import Lab, booted
from lab.cards import CardSpec
from lab.errors import UsageError
from lab.guest.session import GuestSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

NICS = ("qemu-e1000e", "82574l:reference", "82574l:native")
"""What every guest test runs with. Their driver on their device judges the tests themselves."""


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests that share a guest on one worker: those of one file and one kind of card."""
    for item in items:
        if item.get_closest_marker("guest") is not None:
            parameters = getattr(item, "callspec", None)
            kind = parameters.params.get("nic", "") if parameters is not None else ""
            item.add_marker(pytest.mark.xdist_group(f"{item.path.name}-{kind}"))


@pytest.fixture(scope="session")
def fetched() -> None:
    """Skip, with the reason, where QEMU and the kernel are not in the cache and cannot be brought."""
    try:
        fetch.ensure(["qemu", "guest"])
    except UsageError as error:
        pytest.skip(f"no guest can boot here: {error}")


@pytest.fixture(scope="module", params=NICS)
def nic(request: pytest.FixtureRequest) -> str:
    """Return the kind of card, and the engine after a colon."""
    return str(request.param)


@pytest.fixture(scope="module")
def lab(nic: str, fetched: None) -> Iterator[Lab]:  # noqa: ARG001 - it decides whether there is a guest
    """Boot a guest with one card on a private network, configured."""
    kind, _, engine = nic.partition(":")
    with booted([CardSpec(kind, engine=engine or "native")], GuestSpec(accel="auto")) as running:
        running.configure()
        yield running
