"""The conformance suite over our engines and QEMU's own e1000e: each check on each target is a test.

A failure that ``lab.conformance.known`` has a verdict on is expected, and its absence a failure: the verdict
is out of date then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.conformance import catalogue, known, runner
from lab.conformance.fuzz import lockstep
from lab.conformance.fuzz.generate import Generator
from lab.conformance.targets.named import target
from lab.conformance.verdict import Result
from lab.errors import UsageError
from lab.machines.qemu import binary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.conformance.bench import Bench
    from lab.conformance.check import Check

TARGETS = ("reference", "native", "qtest:e1000e")


@pytest.fixture(scope="module", params=TARGETS)
def bench(request: pytest.FixtureRequest) -> Iterator[tuple[str, Bench]]:
    """Open a target; it is reset before each check."""
    name = str(request.param)
    if name.startswith("qtest"):
        try:
            binary.find()
        except UsageError as error:
            pytest.skip(f"no QEMU here: {error}")
    made = target(name).open()
    yield name, made
    made.close()


@pytest.mark.parametrize("check", catalogue.checks(), ids=lambda check: check.id)
def test_the_card_keeps_the_check(check: Check, bench: tuple[str, Bench]) -> None:
    """Passes, or fails as a verdict says."""
    name, card = bench
    verdict = known.verdict(check.id, name)

    outcome = runner.judge(check, name, card)

    if verdict is None:
        assert outcome.result is Result.PASS, f"{outcome.reason} [{check.source}]"
    elif verdict.always:
        assert outcome.result is Result.FAIL, (
            f"{check.id} passes now: take its verdict out of lab/conformance/known.py"
        )
    else:
        assert outcome.result in {Result.PASS, Result.FAIL}, outcome.reason


@pytest.mark.parametrize("seed", [12, 13])
def test_our_card_and_qemus_agree_on_what_a_decent_driver_does(seed: int) -> None:
    """A short share of `conform --fuzz SEED --target native --target qtest:e1000e`."""
    try:
        binary.find()
    except UsageError as error:
        pytest.skip(f"no QEMU here: {error}")
    ours, theirs = target("native").open(), target("qtest:e1000e").open()
    steps = Generator(seed, wild=False).program(300)

    found = lockstep.run(steps, ours, theirs, lockstep.RINGS_AND_FRAMES)

    theirs.close()
    assert found is None, str(found)
