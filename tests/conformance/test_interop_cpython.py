"""CPython's own tests over the stack: a share of seconds; ``ringwalk interop cpython`` runs the rest."""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

import sys

from lab.trials.interop.cpython import judged, parsed
from tests.conformance.interop_command import run_part


def test_select_and_telnetlib_pass_as_over_this_machine() -> None:
    seen = run_part("cpython", "test_select", "test_telnetlib", verify=False)

    assert [one["what"] for one in seen] == ["test_select", "test_telnetlib"]


def test_a_test_that_does_not_end_is_told_from_one_that_fails() -> None:
    lines = ["start a", "ok a", "start b", "fail b no", "start c", "ok c", "error c late", "start d"]

    assert parsed(lines) == {"a": "ok", "b": "fail no", "c": "error late", "d": "hang"}


def test_what_passed_before_and_passes_no_longer_is_bad_whatever_the_share() -> None:
    machine = {f"t{number}": "ok" for number in range(100)}
    stack = {**machine, "t7": "hang"}
    kept = {f"{sys.version_info[0]}.{sys.version_info[1]}:t7"}

    assert judged("m", machine, stack, set()).good
    assert not judged("m", machine, stack, kept).good
    assert not judged("m", machine, {}, set()).good
