"""Our LLC against the state machine of Linux's llc2: ``ringwalk interop llc``."""

from __future__ import annotations

import pytest

from tests.conformance.interop_command import run_part

pytestmark = pytest.mark.guest


@pytest.mark.usefixtures("fetched")
@pytest.mark.timeout(300)
def test_linux_llc2_and_we_make_links_both_ways_and_through_loss() -> None:
    """Four exchanges at each of two SAPs, and two links with loss."""
    seen = run_part("llc", "--bytes", "5000", timeout_s=290)

    assert len(seen) == 10
    assert all(one["good"] for one in seen)
