"""OID requests through light-weight filters: clones, own requests, answers, and what is stopped."""

from __future__ import annotations

# ruff: noqa: D102 - doubles implement handlers that the contract documents
from typing import TYPE_CHECKING

import pytest

from ndis.lwf import FilterModule, FilterStack
from ndis.oids import Oid
from ndis.requests import Request
from ndis.samples.scripted6 import Script6
from ndis.status import Status
from ndis.suite.bench import Machine, Recorder
from ndis.verifier.core import Verifier
from ntos.errors import BugCheckError
from ntos.executive.contract import SECOND

if TYPE_CHECKING:
    from collections.abc import Sequence


class Quiet:
    """A filter without a handler for requests: it is passed by."""

    def __init__(self, handle: FilterModule) -> None:
        self.handle = handle
        self.log: list[str] = []

    def attach(self) -> Status:
        return Status.SUCCESS

    def detach(self) -> None:
        """Keep nothing."""

    def restart(self) -> None:
        """Nothing to start."""

    def pause(self) -> Status:
        return Status.SUCCESS


class Cloning(Quiet):
    """Clones what comes, and completes the original when the clone has come back."""

    def __init__(self, handle: FilterModule) -> None:
        super().__init__(handle)
        self.originals: dict[Request, Request] = {}

    def oid_request(self, request: Request) -> Status:
        self.log.append(f"down {request.kind.value}")
        clone = self.handle.allocate_clone_oid_request(request)
        self.originals[clone] = request
        return self.handle.send_oid_request(clone)

    def oid_request_complete(self, request: Request, status: Status) -> None:
        self.log.append(f"up {status.name}")
        original = self.originals.pop(request, None)
        if original is not None:
            self.handle.free_clone_oid_request(request)
            self.handle.oid_request_complete(original, status)


class Answering(Quiet):
    """Says what it thinks of the vendor's name, and passes nothing on."""

    def oid_request(self, request: Request) -> Status:
        return request.buffer.write(b"a filter\0")


class Keeping(Quiet):
    """Never answers."""

    def oid_request(self, request: Request) -> Status:
        self.kept = request
        return Status.PENDING


def filtered(*kinds: type[Quiet], verifier: Verifier | None = None) -> tuple[Machine, Sequence[Quiet]]:
    """Make a machine whose adapter has these filters, the first on top."""
    machine = Machine(Script6, version=(6, 0), observer=verifier)
    stack = machine.adapter.lists.stack = FilterStack(machine.adapter)
    modules = [stack.attach(kind.__name__, kind) for kind in kinds]
    return machine, [module.driver for module in modules]


def test_a_request_is_cloned_by_each_filter_and_answered_in_the_protocols_buffer() -> None:
    """Two clone, the one between them is passed by; the clones are freed, the protocol hears once."""
    verifier = Verifier()
    machine, (top, _between, bottom) = filtered(Cloning, Quiet, Cloning, verifier=verifier)

    request = machine.query(Oid.O802_3_CURRENT_ADDRESS)

    stack = machine.adapter.lists.stack
    assert isinstance(stack, FilterStack)
    assert (request.status, len(request.buffer.answer)) == (Status.SUCCESS, 6)
    assert (top.log[-2:], bottom.log[-2:]) == (["down query", "up SUCCESS"],) * 2
    assert isinstance(machine.client, Recorder)
    assert [one for one, _ in machine.client.requests].count(request) == 1
    assert (stack.requests.held, stack.requests.clones, stack.requests.below) == ({}, {}, {})
    assert verifier.reports == []


def test_a_set_reaches_the_driver_as_ndis_has_merged_it() -> None:
    """The clone has the union of the packet filters, not one transport's."""
    machine, (only,) = filtered(Cloning)

    request = machine.set(Oid.GEN_CURRENT_PACKET_FILTER, (0x20).to_bytes(4, "little"))

    assert request.status is Status.SUCCESS
    assert only.log == ["down set", "up SUCCESS"]
    assert machine.adapter.filter.packet_filter == 0x20


def test_a_filter_may_answer_itself_and_ask_on_its_own() -> None:
    """The driver sees nothing of the first; the second comes back to the filter alone."""
    machine, (_answering, cloning) = filtered(Answering, Cloning)
    own = Request.query(Oid.O802_3_CURRENT_ADDRESS, 6)

    answered = machine.query(Oid.GEN_VENDOR_DESCRIPTION)
    cloning.handle.send_oid_request(own)
    machine.executive.run()

    assert answered.buffer.answer == b"a filter\0"
    assert (own.status, len(own.buffer.answer)) == (Status.SUCCESS, 6)
    assert cloning.log == ["up SUCCESS"]


@pytest.mark.parametrize(
    ("misdeed", "why"),
    [
        (lambda kept: kept.handle.send_oid_request(kept.kept), "without a clone"),
        (
            lambda kept: kept.handle.free_clone_oid_request(Request.query(Oid.GEN_VENDOR_ID)),
            "no clone of its own",
        ),
        (
            lambda kept: kept.handle.allocate_clone_oid_request(Request.query(Oid.GEN_VENDOR_ID)),
            "has not got",
        ),
        (
            lambda kept: [kept.handle.oid_request_complete(kept.kept, Status.SUCCESS) for _ in range(2)],
            "has not got",
        ),
        (lambda kept: kept.handle._stack.detach(kept.handle), "detached with 1 OID request"),
    ],
)
def test_a_filter_that_breaks_the_rules_of_requests_is_stopped(misdeed: object, why: str) -> None:
    """Bug checks that name the filter."""
    machine, (keeping,) = filtered(Keeping)
    machine.query(Oid.GEN_VENDOR_ID)
    assert callable(misdeed)

    with pytest.raises(BugCheckError, match=why):
        misdeed(keeping)


@pytest.mark.parametrize("kind", [Keeping, Cloning])
def test_v20_a_filter_that_keeps_a_request_is_reported(kind: type[Quiet]) -> None:
    """After 30 s, once; the transport's close waits for it."""
    verifier = Verifier()
    machine, _filters = filtered(kind, verifier=verifier)

    machine.query(Oid.GEN_VENDOR_DESCRIPTION)
    machine.executive.advance(70 * SECOND)

    assert [report.rule for report in verifier.reports] == (["V20"] if kind is Keeping else [])
