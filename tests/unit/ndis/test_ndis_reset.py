"""CheckForHang, Reset and what is set again after it; interrupts, timers and work items."""

from __future__ import annotations

# ruff: noqa: D102 - doubles implement handlers that the contract documents
import struct
from typing import TYPE_CHECKING

import pytest

from ndis.hardware import Fault
from ndis.oids import Oid
from ndis.protocol import OpenState
from ndis.samples.scripted import FreeScript, Script
from ndis.status import Status
from ndis.suite.bench import EVERYTHING, Machine, Recorder, frame
from ntos.errors import BugCheckError
from ntos.executive.contract import SECOND
from ntos.executive.irql import Irql

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ndis.miniport import Medium


def test_a_hung_driver_is_reset_at_the_next_tick() -> None:
    """CheckForHang is called every two seconds."""
    machine = Machine()
    machine.executive.advance(2 * SECOND)
    machine.driver.hung = True
    before = list(machine.driver.log)

    machine.executive.advance(2 * SECOND)

    assert (before, machine.driver.log) == ([], ["reset"])
    assert machine.recorder.statuses == [Status.RESET_START, Status.RESET_END]


def test_a_serialized_driver_loses_its_packets_to_ndis() -> None:
    """Queued and outstanding sends come back REQUEST_ABORTED; the driver completes none."""
    machine = Machine()
    machine.driver.verdicts = [Status.PENDING, Status.RESOURCES]
    packets = machine.send(frame(0), frame(1), frame(2))

    status = machine.open.reset()

    assert status is Status.PENDING
    aborted = {p.number: s for p, s in machine.recorder.sent}
    assert aborted == {p.number: Status.REQUEST_ABORTED for p in packets}
    assert machine.recorder.log == ["reset_complete SUCCESS"]


def test_addressing_reset_sets_filter_multicast_and_lookahead_again() -> None:
    """In that order, and RESET_END only after them."""
    machine = Machine()
    machine.set(Oid.O802_3_MULTICAST_LIST, b"\x01\0\x5e\0\0\x01")
    machine.set(Oid.GEN_CURRENT_LOOKAHEAD, struct.pack("<I", 128))
    machine.driver.reset_result = (Status.SUCCESS, True)
    machine.driver.sets.clear()

    machine.open.reset()

    assert machine.driver.sets == [
        (Oid.GEN_CURRENT_PACKET_FILTER, struct.pack("<I", EVERYTHING)),
        (Oid.O802_3_MULTICAST_LIST, b"\x01\0\x5e\0\0\x01"),
        (Oid.GEN_CURRENT_LOOKAHEAD, struct.pack("<I", 128)),
    ]
    assert machine.recorder.statuses == [Status.RESET_START, Status.RESET_END]


def test_while_a_reset_pends_sends_are_refused_and_requests_wait() -> None:
    """RESET_IN_PROGRESS for packets, for a second reset too; the request is answered afterwards."""
    machine = Machine()
    machine.driver.reset_result = (Status.PENDING, False)
    machine.open.reset()

    (packet,) = machine.send(frame(0))
    request = machine.query(Oid.GEN_XMIT_OK)
    again = machine.open.reset()
    during = request.status
    machine.driver.ndis.reset_complete(Status.SUCCESS, addressing_reset=False)

    assert machine.recorder.sent == [(packet, Status.RESET_IN_PROGRESS)]
    assert (during, request.status) == (Status.PENDING, Status.SUCCESS)
    assert again is Status.RESET_IN_PROGRESS


def test_a_reset_completed_twice_stops_the_machine() -> None:
    """It does not pend any more."""
    machine = Machine()
    machine.open.reset()

    with pytest.raises(BugCheckError, match="does not pend"):
        machine.driver.ndis.reset_complete(Status.SUCCESS, addressing_reset=False)


@pytest.mark.parametrize("kind", [Script, FreeScript])
def test_ndis_itself_judges_a_send_that_never_ends(kind: type[Script]) -> None:
    """A packet that survives two ticks means a hang."""
    machine = Machine(kind)
    machine.send(frame(0))

    machine.executive.advance(6 * SECOND)

    assert machine.driver.log[:2] == ["send 1", "reset"]


def test_an_overdue_request_is_aborted_by_the_reset() -> None:
    """And the next one is served."""
    machine = Machine()
    machine.driver.pend = {Oid.GEN_VENDOR_ID}
    hung = machine.query(Oid.GEN_VENDOR_ID)
    after = machine.query(Oid.GEN_XMIT_OK)

    machine.executive.advance(6 * SECOND)

    assert (hung.status, after.status) == (Status.REQUEST_ABORTED, Status.SUCCESS)


def test_an_open_during_a_reset_pends() -> None:
    """OpenAdapterComplete comes when the reset has ended."""
    machine = Machine()
    machine.driver.reset_result = (Status.PENDING, False)
    machine.open.reset()
    late = Recorder()

    open_ = machine.ndis.open_adapter(machine.adapter, late, "late")
    before = open_.state
    machine.driver.ndis.reset_complete(Status.SUCCESS, addressing_reset=False)
    machine.executive.run()

    assert (before, open_.state) == (OpenState.OPENING, OpenState.OPEN)
    assert late.log == ["open_adapter_complete SUCCESS"]


class Line:
    """A bus with one interrupt line."""

    def __init__(self) -> None:
        self.services: list[Callable[[], bool]] = []

    def connect_interrupt(self, message: int, service: Callable[[], bool]) -> object:
        del message
        self.services.append(service)
        return service

    def disconnect_interrupt(self, connection: object) -> None:
        self.services.remove(connection)  # type: ignore[arg-type]  # what connect returned


class Interrupting(Script):
    """Claims every interrupt and notes levels."""

    def initialize(self, media: Sequence[Medium]) -> tuple[Status, Medium]:
        self.interrupt = self.ndis.register_interrupt()
        self.causes = 1
        return super().initialize(media)

    def isr(self) -> tuple[bool, bool]:
        self.log.append("isr")
        return bool(self.causes), bool(self.causes)

    def handle_interrupt(self) -> None:
        self.log.append("dpc")

    def enable_interrupt(self) -> None:
        self.log.append("enable")

    def halt(self) -> None:
        self.ndis.deregister_interrupt(self.interrupt)


def test_an_interrupt_runs_isr_then_dpc_then_enable() -> None:
    """Two interrupts before the DPC make one DPC; an interrupt of others makes none."""
    line = Line()
    machine = Machine(Interrupting, hardware=line)  # type: ignore[arg-type]  # only the line is used

    claimed = [line.services[0](), line.services[0]()]
    machine.executive.run()
    machine.driver.causes = 0  # type: ignore[attr-defined]  # the double's own
    foreign = line.services[0]()
    machine.executive.run()

    assert (claimed, foreign) == ([True, True], False)
    assert machine.driver.log == ["isr", "isr", "dpc", "enable", "isr"]


def test_the_levels_are_those_of_the_documentation() -> None:
    """ISR at device level, DPC at DISPATCH, Initialize and Halt at PASSIVE."""
    levels: dict[str, Irql] = {}

    class Noting(Interrupting):
        def note(self, name: str) -> None:
            levels[name] = self.ndis._adapter.irql.current

        def initialize(self, media: Sequence[Medium]) -> tuple[Status, Medium]:
            self.note("initialize")
            return super().initialize(media)

        def isr(self) -> tuple[bool, bool]:
            self.note("isr")
            return super().isr()

        def handle_interrupt(self) -> None:
            self.note("dpc")

        def halt(self) -> None:
            self.note("halt")
            super().halt()

    line = Line()
    machine = Machine(Noting, hardware=line)  # type: ignore[arg-type]  # only the line is used
    line.services[0]()
    machine.executive.run()
    machine.ndis.remove_adapter(machine.adapter)

    assert levels == {
        "initialize": Irql.PASSIVE,
        "isr": Irql.DEVICE,
        "dpc": Irql.DISPATCH,
        "halt": Irql.PASSIVE,
    }


def test_a_driver_that_leaks_on_a_failed_initialize_stops_the_machine() -> None:
    """As Windows does for interrupts and timers."""

    class Leaks(Interrupting):
        def initialize(self, media: Sequence[Medium]) -> tuple[Status, Medium]:
            super().initialize(media)
            return Status.FAILURE, media[0]

    with pytest.raises(BugCheckError, match="still holds interrupt"):
        Machine(Leaks, hardware=Line())  # type: ignore[arg-type]  # only the line is used


def test_an_injected_fault_fails_the_registration() -> None:
    """And only that: the same driver loads without it."""
    with pytest.raises(Exception, match="0x002"):
        Machine(Interrupting, hardware=Line(), inject=Fault.REGISTER_INTERRUPT)  # type: ignore[arg-type]  # only the line is used

    assert Machine(Interrupting, hardware=Line()).adapter.is_started  # type: ignore[arg-type]  # only the line is used


def test_timers_fire_once_periodically_or_not_at_all() -> None:
    """Set, set again, periodic, cancelled."""
    machine = Machine()
    fired: list[str] = []
    once = machine.driver.ndis.timer(lambda: fired.append("once"))
    often = machine.driver.ndis.timer(lambda: fired.append("often"))
    never = machine.driver.ndis.timer(lambda: fired.append("never"))

    once.set(5)
    once.set(25)
    often.set_periodic(10)
    never.set(5)
    cancelled = never.cancel()
    machine.executive.advance(30_000_000)
    often.cancel()
    machine.executive.advance(30_000_000)

    assert fired == ["often", "often", "once", "often"]
    assert cancelled


def test_a_work_item_runs_at_passive_level_and_halt_waits_for_it() -> None:
    """Also when it is scheduled just before."""
    machine = Machine()
    seen: list[Irql] = []
    machine.driver.ndis.schedule_work_item(lambda: seen.append(machine.ndis.irql.current))

    machine.ndis.remove_adapter(machine.adapter)

    assert seen == [Irql.PASSIVE]
