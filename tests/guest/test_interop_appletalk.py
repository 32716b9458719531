"""Our AppleTalk against Linux's appletalk module: ``ringwalk interop appletalk``."""

from __future__ import annotations

import pytest

from tests.conformance.interop_command import run_part

pytestmark = pytest.mark.guest


@pytest.mark.usefixtures("fetched")
@pytest.mark.timeout(300)
def test_linux_and_we_defend_our_addresses_and_echo_both_ways() -> None:
    """A conflict each way, and echoes each way; the verifiers have reported nothing, or the part fails."""
    seen = run_part("appletalk", "--verify", timeout_s=290)

    assert len(seen) == 4
    assert all(one["good"] for one in seen)
