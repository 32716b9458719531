"""IRPs, devices and names: completion routines, cancels, pending rules, and the verifier."""

# ruff: noqa: D102, D103 - the names are sentences; doubles need no words

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ntos.executive.dispatcher import Event, SystemThread
from ntos.io.irp import Invoke, Irp, Major
from ntos.io.port import CompletionPacket, CompletionPort
from ntos.io.status import NtError, NtStatus
from ntos.io.system import IoSystem
from ntos.io.verifier import IrpVerifier
from ntos.object.apc import ApcQueue

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntos.io.device import DeviceObject


class Disk:
    """A driver whose reads do what a test says."""

    name = "disk"

    def __init__(self, io: IoSystem, read: Callable[[Irp], NtStatus] | None = None) -> None:
        self.io = io
        self.read = read
        self.log: list[Major] = []

    def dispatch(self, device: DeviceObject, irp: Irp) -> NtStatus:
        del device
        self.log.append(irp.location.major)
        if irp.location.major is Major.READ and self.read is not None:
            return self.read(irp)
        return self.io.complete(irp, NtStatus.SUCCESS)


class Filter:
    """A driver above: it forwards, and hears of the completion."""

    name = "filter"

    def __init__(self, io: IoSystem, answer: NtStatus = NtStatus.SUCCESS) -> None:
        self.io = io
        self.answer = answer
        self.heard: list[NtStatus] = []

    def dispatch(self, device: DeviceObject, irp: Irp) -> NtStatus:
        assert device.below is not None
        irp.copy_current_to_next()
        irp.set_completion_routine(self.over, Invoke.ALWAYS)
        return self.io.forward(device.below, irp)

    def over(self, irp: Irp) -> NtStatus:
        self.heard.append(irp.status)
        return self.answer


@pytest.fixture
def io() -> IoSystem:
    return IoSystem(IrpVerifier())


def rules(io: IoSystem) -> list[str]:
    assert io.verifier is not None
    return [report.rule for report in io.verifier.finish()]


def read(io: IoSystem, device: DeviceObject) -> tuple[Irp, list[Irp]]:
    done: list[Irp] = []
    irp = Irp(device, Major.READ, buffers=[bytearray(4)], done=done.append)
    io.call(irp)
    return irp, done


def test_an_open_is_created_cleaned_up_and_closed_once(io: IoSystem) -> None:
    disk = Disk(io)
    io.create_device(disk, "\\Device\\Disk0")
    io.create_symbolic_link("\\??\\C:", "\\Device\\Disk0")

    file = io.open("\\??\\c:\\boot.ini")
    io.close(file)

    assert file.rest == "\\boot.ini"
    assert disk.log == [Major.CREATE, Major.CLEANUP, Major.CLOSE]
    assert rules(io) == []


def test_a_closed_handle_is_invalid(io: IoSystem) -> None:
    io.create_device(Disk(io), "\\Device\\Disk0")
    file = io.open("\\Device\\Disk0")
    io.close(file)

    with pytest.raises(NtError, match="INVALID_HANDLE"):
        io.close(file)


def test_links_in_a_circle_lead_nowhere(io: IoSystem) -> None:
    io.create_symbolic_link("\\a", "\\b")
    io.create_symbolic_link("\\b", "\\a")

    with pytest.raises(NtError, match="NOT_FOUND"):
        io.lookup("\\a\\x")


def test_a_name_is_given_once(io: IoSystem) -> None:
    io.create_device(Disk(io), "\\Device\\Disk0")

    with pytest.raises(NtError, match="COLLISION"):
        io.create_symbolic_link("\\device\\disk0", "\\Device\\Disk1")


def test_a_filter_above_sees_the_request_and_its_completion(io: IoSystem) -> None:
    lower = io.create_device(Disk(io), "\\Device\\Disk0")
    above = Filter(io)
    io.attach_device(io.create_device(above, "\\Device\\Filter0"), lower)

    irp, done = read(io, lower)

    assert (above.heard, done, irp.status) == ([NtStatus.SUCCESS], [irp], NtStatus.SUCCESS)
    assert rules(io) == []


def test_more_processing_required_keeps_the_request_until_it_is_completed_again(io: IoSystem) -> None:
    lower = io.create_device(Disk(io), "\\Device\\Disk0")
    above = Filter(io, NtStatus.MORE_PROCESSING_REQUIRED)
    io.attach_device(io.create_device(above, "\\Device\\Filter0"), lower)

    irp, done = read(io, lower)
    before = list(done)
    io.resume_completion(irp)

    assert (before, done) == ([], [irp])


def test_a_pended_request_is_completed_by_its_cancel(io: IoSystem) -> None:
    def pend(irp: Irp) -> NtStatus:
        return io.pend_cancellable(irp, lambda one: void(io.complete(one, NtStatus.CANCELLED)))

    device = io.create_device(Disk(io, pend), "\\Device\\Disk0")
    irp, done = read(io, device)

    assert io.cancel(irp)

    assert (done, irp.status) == ([irp], NtStatus.CANCELLED)
    assert not io.claim(irp)
    assert rules(io) == []


def void(_value: object) -> None:
    """Throw a value away."""


def test_scatter_fills_one_buffer_after_the_other(io: IoSystem) -> None:
    device = io.create_device(Disk(io), "\\Device\\Disk0")
    irp = Irp(device, Major.READ, buffers=[bytearray(2), bytearray(3)])

    copied = irp.scatter(b"abcdef")

    assert (copied, irp.buffers) == (5, [bytearray(b"ab"), bytearray(b"cde")])


def twice(io: IoSystem, irp: Irp) -> NtStatus:
    io.complete(irp, NtStatus.SUCCESS)
    return io.complete(irp, NtStatus.SUCCESS)


def marked_but_not_returned(io: IoSystem, irp: Irp) -> NtStatus:
    io.mark_pending(irp)
    return io.complete(irp, NtStatus.SUCCESS)


def with_cancel_routine(io: IoSystem, irp: Irp) -> NtStatus:
    io.pend_cancellable(irp, lambda _irp: None)
    io.complete(irp, NtStatus.SUCCESS)
    return NtStatus.PENDING


BROKEN: dict[str, Callable[[IoSystem, Irp], NtStatus]] = {
    "I01": twice,
    "I02": lambda io, irp: io.complete(irp, NtStatus.PENDING),
    "I03": with_cancel_routine,
    "I04": marked_but_not_returned,
    "I05": lambda _io, _irp: NtStatus.PENDING,
    "I07": lambda _io, _irp: NtStatus.SUCCESS,
    "I09": lambda io, irp: io.mark_pending(irp),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_each_broken_rule_is_reported(io: IoSystem, rule: str) -> None:
    device = io.create_device(Disk(io, lambda irp: BROKEN[rule](io, irp)), "\\Device\\Disk0")

    read(io, device)

    assert rule in rules(io)


def test_an_auto_reset_event_releases_one_wait() -> None:
    manual, auto = Event(signalled=True), Event(manual=False, signalled=True)

    manual.consume(SystemThread("any"))
    auto.consume(SystemThread("any"))

    assert (manual.signalled, auto.signalled) == (True, False)


def test_a_port_gives_packets_in_the_order_of_completion() -> None:
    port = CompletionPort()
    for number in range(3):
        port.post(CompletionPacket(number, None, NtStatus.SUCCESS, 0))

    assert [p.key for p in port.take(2)] == [0, 1]


def test_an_apc_that_queues_an_apc_is_delivered_with_it() -> None:
    queue, ran = ApcQueue(), []
    queue.queue(lambda: queue.queue(lambda: ran.append(2)))

    assert (queue.deliver(), ran) == (2, [2])


def test_names_that_were_deleted_are_free_and_lead_nowhere() -> None:
    io = IoSystem()
    device = io.create_device(Disk(io), "\\Device\\Disk")
    io.create_symbolic_link("\\DosDevices\\C:", "\\Device\\Disk")
    found = io.lookup("\\DosDevices\\C:\\file")

    io.delete_symbolic_link("\\dosdevices\\c:")
    io.delete_device(device)

    assert found == (device, "\\file")
    for name in ("\\DosDevices\\C:", "\\Device\\Disk"):
        with pytest.raises(NtError, match="OBJECT_NAME_NOT_FOUND"):
            io.lookup(name)
    with pytest.raises(NtError, match="OBJECT_NAME_NOT_FOUND"):
        io.delete_symbolic_link("\\DosDevices\\C:")
    assert io.create_device(Disk(io), "\\Device\\Disk").name == "\\Device\\Disk"


def test_a_device_that_is_deleted_leaves_the_stack_it_was_attached_to() -> None:
    io = IoSystem()
    disk = Disk(io)
    lower = io.create_device(disk, "\\Device\\Disk")
    upper = io.create_device(Filter(io), "\\Device\\Filter")
    io.attach_device(upper, lower)

    io.delete_device(upper)

    assert lower.top is lower
