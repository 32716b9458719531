"""Our NBF and DLC over the links of Linux's llc2: ``ringwalk interop nbf`` and ``ringwalk interop dlc``."""

from __future__ import annotations

import pytest

from tests.conformance.interop_command import run_part

pytestmark = pytest.mark.guest


@pytest.mark.usefixtures("fetched")
@pytest.mark.timeout(300)
def test_netbios_frames_between_two_of_ours_and_over_linux_llc2() -> None:
    """A session and a datagram of two of ours; a session each way with Linux below, and with loss."""
    seen = run_part("nbf", "--bytes", "5000", timeout_s=290)

    assert len(seen) == 6
    assert all(one["good"] for one in seen)


@pytest.mark.usefixtures("fetched")
@pytest.mark.timeout(300)
def test_dlc_prints_at_a_printer_behind_linux_llc2_and_echoes() -> None:
    """A print job and a link each, with and without loss, and UI."""
    seen = run_part("dlc", "--bytes", "5000", timeout_s=290)

    assert len(seen) == 5
    assert all(one["good"] for one in seen)
