"""Winsock programs in C, run by Wine, against our stack."""

from __future__ import annotations

import pytest

from lab.trials.interop.documented import SITUATIONS
from tests.conformance.interop_command import run_part


@pytest.mark.extra
@pytest.mark.timeout(400)
def test_wine_and_our_stack_echo_to_each_other_and_ours_answers_as_documented() -> None:
    """Extra: it fetches 260 MB (Wine and a compiler for Windows) that nothing else needs."""
    seen = run_part("wine", timeout_s=380)

    assert [one["what"] for one in seen[2:]] == list(SITUATIONS)
