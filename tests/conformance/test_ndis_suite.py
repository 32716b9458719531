"""The miniport suite over the sample driver, in both modes; and that a bad driver fails it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.suites.sample import SampleRig
from ndis.samples.loopback_adapter import LoopbackAdapter
from ndis.status import Status
from ndis.suite.cases import CASES, Case
from ndis.suite.runner import run

if TYPE_CHECKING:
    from ndis.requests import InformationBuffer
    from ndis.suite.party import Rig
    from ndis.verifier.rule import Report


def reports(rig: Rig) -> list[Report]:
    """Return what the rig's verifier has found."""
    assert isinstance(rig, SampleRig)
    return rig.verifier.reports


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.identifier)
@pytest.mark.parametrize("deserialized", [False, True], ids=["serialized", "deserialized"])
def test_the_sample_driver_passes(case: Case, deserialized: bool) -> None:  # noqa: FBT001 - a mode
    """Without a report of the verifier."""
    outcomes = run(lambda cards: SampleRig(cards, deserialized=deserialized), [case], reports=reports)

    assert [o.failure for o in outcomes] == [""]


class Forgetful(LoopbackAdapter):
    """Answers no short buffer, loses its filter at a reset without saying so, doubles frames."""

    def query_information(self, oid: int, buffer: InformationBuffer) -> Status:
        """Pretend that everything fits."""
        status = super().query_information(oid, buffer)
        return Status.SUCCESS if status is Status.INVALID_LENGTH else status

    def reset(self) -> tuple[Status, bool]:
        """Forget to ask for the filter."""
        status, _ = super().reset()
        return status, False

    def frame_arrives(self, frame: bytes) -> None:
        """Take everything twice."""
        super().frame_arrives(frame)
        super().frame_arrives(frame)


def test_a_bad_driver_fails_the_cases_that_are_about_its_faults() -> None:
    """And passes the others; a known fault is run and named."""
    outcomes = run(lambda cards: SampleRig(cards, Forgetful), known={"oids": "issue 7"})

    failed = {o.case.identifier for o in outcomes if not o.passed}
    assert failed == {"oids", "two-send", "two-filters", "two-stress", "two-reset"}
    assert [o.known for o in outcomes if o.case.identifier == "oids"] == ["issue 7"]
