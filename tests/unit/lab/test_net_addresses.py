"""What `net up` takes for addresses."""

from __future__ import annotations

import pytest

from lab.errors import UsageError
from lab.host.net_stack import require_addresses


@pytest.mark.parametrize(
    ("address", "gateway", "dns"),
    [
        ("10.0.0.300/24", None, None),
        ("10.0.0.1/33", None, None),
        ("10.0.0.1/a", None, None),
        ("10.0.0.1/24", "gateway", None),
        (None, None, ["10.0.0.2", "10.0.0"]),
    ],
)
def test_what_is_no_address_is_refused_before_anything_starts(
    address: str | None, gateway: str | None, dns: list[str] | None
) -> None:
    """In one line, with an example."""
    with pytest.raises(UsageError, match=r"write addresses as in 10\.0\.0\.1/24"):
        require_addresses(address, gateway, dns)


def test_addresses_of_both_families_and_none_at_all_are_taken() -> None:
    """With and without the length of a prefix."""
    require_addresses(None, None, None)
    require_addresses("10.0.0.1", "10.0.0.254", ["10.0.0.2"])
    require_addresses("fd00::1/64", None, ["fd00::2"])
