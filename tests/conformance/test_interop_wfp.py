"""The filtering platform seen from outside: ``ringwalk interop wfp``, verifiers on."""

from __future__ import annotations

import pytest

from tests.conformance.interop_command import run_part


@pytest.mark.timeout(120)
def test_nmap_hping3_tcpdump_and_curl_see_what_the_filters_say() -> None:
    """Three scans and hping3, a listener on the cable, an edited stream through loss, the contract twice."""
    seen = run_part("wfp", "--offline")

    assert len(seen) == 8
