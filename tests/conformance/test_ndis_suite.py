"""The miniport suite over the sample driver, in both modes; and that a bad driver fails it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from lab.trials.suites.sample import SampleRig
from ndis.errors import NdisError
from ndis.hardware import Fault
from ndis.samples.loopback_adapter import LoopbackAdapter
from ndis.status import Status
from ndis.suite.cases import CASES, Case
from ndis.suite.runner import run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ndis.miniport import Medium
    from ndis.packet import Packet
    from ndis.requests import InformationBuffer
    from ndis.suite.fixture import Rig
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


class Leaking(LoopbackAdapter):
    """Starts a timer before it asks for what it cannot get, and does not stop it then."""

    def initialize(self, media: Sequence[Medium]) -> tuple[Status, Medium]:
        """Set the timer, then fail when a resource is refused."""
        self._guard = self._ndis.timer(lambda: None)
        self._guard.set(60_000)
        try:
            self._ndis.resources.may_fail(Fault.REGISTER_INTERRUPT)
        except NdisError as error:
            return error.status, media[0]
        return super().initialize(media)

    def halt(self) -> None:
        """Stop it where it was not forgotten."""
        self._guard.cancel()
        super().halt()


class Wasting(LoopbackAdapter):
    """Completes with a failure what it should send."""

    def send_packets(self, packets: list[Packet]) -> None:
        """Fail every second packet."""
        for packet in packets[::2]:
            self._ndis.send_complete(packet, Status.FAILURE)
        super().send_packets(packets[1::2])


@pytest.mark.parametrize(
    ("kind", "case", "why"),
    [
        (Leaking, "faults", "REGISTER_INTERRUPT: .*still holds timer"),
        (Wasting, "cancel-send", "completed FAILURE"),
    ],
)
def test_a_driver_that_takes_badly_what_is_taken_back_fails_its_case(kind: type, case: str, why: str) -> None:
    """With the reason."""
    chosen = [one for one in CASES if one.identifier == case]

    (outcome,) = run(lambda cards: SampleRig(cards, kind, deserialized=True), chosen)

    assert re.search(why, outcome.failure)
