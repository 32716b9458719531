"""Creates: parameters, pending ones, reparse with its bound, security; and all 28 major functions."""

# ruff: noqa: D102, D103 - the names are sentences; doubles need no words

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ntos.io.create import Create, CreateMailslot, CreateNamedPipe, Disposition, Options, Share
from ntos.io.irp import Irp
from ntos.io.major import Major
from ntos.io.parameters import PARAMETERS
from ntos.io.reparse import IO_REPARSE, REPARSES_LIMIT, ReparsePoint, ReparseTag
from ntos.io.status import NtError, NtStatus
from ntos.io.system import IoSystem
from ntos.io.verifier import IrpVerifier
from ntos.object.access import Access, FileAccess
from ntos.object.acl import Acl, allow
from ntos.object.descriptor import SecurityDescriptor
from ntos.object.sid import Sid
from ntos.object.token import ImpersonationLevel, user_token

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntos.io.device import DeviceObject
    from ntos.io.opening import Opening

ANNA, BERT = (Sid(5, (21, 1, 2, 3, rid)) for rid in (1001, 1002))


class Volume:
    """A file system that answers creates as a test says, and writes down what it was asked."""

    name = "volume"

    def __init__(self, io: IoSystem, answer: Callable[[Irp], NtStatus] | None = None) -> None:
        self.io = io
        self.answer = answer
        self.asked: list[tuple[Major, str]] = []
        self.irps: list[Irp] = []

    def dispatch(self, device: DeviceObject, irp: Irp) -> NtStatus:
        del device
        location = irp.location
        self.asked.append((location.major, location.file.rest if location.file else ""))
        self.irps.append(irp)
        if self.answer is not None and location.major is Major.CREATE:
            return self.answer(irp)
        return self.io.complete(irp, NtStatus.SUCCESS, 1)

    def pend(self, irp: Irp) -> NtStatus:
        return self.io.pend_cancellable(irp, lambda one: void(self.io.complete(one, NtStatus.CANCELLED)))


def void(_status: object) -> None:
    pass


@pytest.fixture
def io() -> IoSystem:
    return IoSystem(IrpVerifier())


def volume(io: IoSystem, name: str = "\\Device\\Volume1") -> Volume:
    made = Volume(io)
    io.create_device(made, name)
    return made


def rules(io: IoSystem) -> list[str]:
    assert io.verifier is not None
    return [report.rule for report in io.verifier.finish()]


def test_there_are_28_major_functions_and_each_has_its_parameters() -> None:
    """``wdm.h``: IRP_MJ_CREATE is 0, IRP_MJ_MAXIMUM_FUNCTION 0x1b."""
    assert [one.value for one in Major] == list(range(28))
    assert set(PARAMETERS) == set(Major)


@pytest.mark.parametrize(
    ("create", "major"),
    [
        (Create(), Major.CREATE),
        (CreateNamedPipe(maximum_instances=3), Major.CREATE_NAMED_PIPE),
        (CreateMailslot(maximum_message_bytes=424), Major.CREATE_MAILSLOT),
    ],
)
def test_a_driver_is_asked_with_all_that_the_caller_said(io: IoSystem, create: Create, major: Major) -> None:
    driver = volume(io)

    file = io.create_file("\\Device\\Volume1\\a.txt", create).result()

    assert driver.asked == [(major, "\\a.txt")]
    assert driver.irps[0].location.parameters is create
    assert (file.rest, file.options) == ("\\a.txt", create.options)


def test_a_name_relative_to_a_directory_goes_to_its_device(io: IoSystem) -> None:
    driver = volume(io)
    directory = io.create_file("\\Device\\Volume1\\docs", Create(options=Options.DIRECTORY_FILE)).result()

    opening = io.create_file("a.txt", Create(), directory)

    assert opening.result().related is directory
    assert driver.asked[-1] == (Major.CREATE, "a.txt")
    with pytest.raises(NtError, match="OBJECT_PATH_SYNTAX_BAD"):
        io.create_file("\\a.txt", Create(), directory).result()


@pytest.mark.parametrize(
    "create",
    [
        Create(options=Options.DIRECTORY_FILE | Options.NON_DIRECTORY_FILE),
        Create(options=Options.DIRECTORY_FILE, disposition=Disposition.OVERWRITE_IF),
        Create(options=Options.SYNCHRONOUS_IO_ALERT | Options.SYNCHRONOUS_IO_NONALERT),
        Create(options=Options.SYNCHRONOUS_IO_ALERT, access=FileAccess.READ_DATA),
        Create(options=Options.DELETE_ON_CLOSE, access=FileAccess.GENERIC_READ),
        Create(options=Options.NO_INTERMEDIATE_BUFFERING, access=FileAccess.APPEND_DATA),
        Create(options=Options(0x0100_0000)),
        Create(share=Share(8)),
        Create(allocation_bytes=-1),
    ],
)
def test_what_contradicts_itself_is_refused_before_a_driver_hears_of_it(io: IoSystem, create: Create) -> None:
    driver = volume(io)

    opening = io.create_file("\\Device\\Volume1", create)

    assert (opening.status, driver.asked) == (NtStatus.INVALID_PARAMETER, [])


def test_a_pending_create_ends_when_the_driver_says_so(io: IoSystem) -> None:
    driver, done = volume(io), list["Opening"]()
    driver.answer = driver.pend
    opening = io.begin_create("\\Device\\Volume1\\x", Create(), done=done.append)
    before = opening.completed

    (irp,) = driver.irps
    io.claim(irp)
    io.complete(irp, NtStatus.SUCCESS, 1)

    assert (before, done, opening.information) == (False, [opening], 1)
    io.close(opening.result())
    assert rules(io) == []


def test_who_opens_waits_for_a_pending_create(io: IoSystem) -> None:
    driver = volume(io)
    driver.answer = driver.pend

    def wait(until: Callable[[], bool]) -> None:
        assert not until()
        io.claim(driver.irps[0])
        io.complete(driver.irps[0], NtStatus.SUCCESS)

    io.wait = wait

    assert io.open("\\Device\\Volume1\\x").is_open


def test_a_create_that_nobody_can_wait_for_is_cancelled(io: IoSystem) -> None:
    driver = volume(io)
    driver.answer = driver.pend

    with pytest.raises(NtError, match="CANCELLED"):
        io.open("\\Device\\Volume1\\x")
    assert rules(io) == []


def test_a_file_that_is_opened_after_its_opener_gave_up_is_closed_again(io: IoSystem) -> None:
    driver = volume(io)
    driver.answer = io.mark_pending  # this driver cannot cancel
    opening = io.begin_create("\\Device\\Volume1\\x", Create())
    opening.abandon()
    before = opening.completed

    io.complete(driver.irps[0], NtStatus.SUCCESS)

    assert (before, opening.status, opening.file) == (False, NtStatus.CANCELLED, None)
    assert [major for major, _rest in driver.asked] == [Major.CREATE, Major.CLEANUP, Major.CLOSE]
    assert rules(io) == []


def test_a_file_that_could_not_be_opened_is_neither_cleaned_up_nor_closed(io: IoSystem) -> None:
    driver = volume(io)
    driver.answer = lambda irp: io.complete(irp, NtStatus.SHARING_VIOLATION)

    with pytest.raises(NtError, match="SHARING_VIOLATION"):
        io.open("\\Device\\Volume1\\x")
    assert [major for major, _rest in driver.asked] == [Major.CREATE]


# Reparse


def reparsing(io: IoSystem, information: int, result: object) -> tuple[Volume, Volume]:
    first, second = volume(io), volume(io, "\\Device\\Volume2")
    first.answer = lambda irp: io.complete(irp, NtStatus.REPARSE, information, result)
    io.create_symbolic_link("\\??\\C:", "\\Device\\Volume1")
    io.create_symbolic_link("\\??\\D:", "\\Device\\Volume2")
    return first, second


@pytest.mark.parametrize(
    ("name", "information", "result", "rest"),
    [
        ("\\??\\C:\\x", IO_REPARSE, "\\??\\D:\\y", "\\y"),
        ("\\??\\C:\\m\\x", ReparseTag.MOUNT_POINT, ReparsePoint("\\Device\\Volume2", 2), "\\x"),
        ("\\??\\C:\\m", ReparseTag.MOUNT_POINT, ReparsePoint("\\Device\\Volume2"), ""),
        ("\\??\\C:\\l\\x\\y", ReparseTag.SYMLINK, ReparsePoint("\\??\\D:\\t", 4), "\\t\\x\\y"),
        (
            "\\??\\C:\\a\\l\\x",
            ReparseTag.SYMLINK,
            ReparsePoint("..\\..\\D:\\.\\t", 2, is_relative=True),
            "\\t\\x",
        ),
    ],
)
def test_a_driver_sends_a_create_on_to_another_name(
    io: IoSystem, name: str, information: int, result: object, rest: str
) -> None:
    first, second = reparsing(io, information, result)

    file = io.open(name)

    assert (len(first.asked), second.asked, file.rest) == (1, [(Major.CREATE, rest)], rest)
    assert rules(io) == []


def test_a_driver_that_pends_may_send_a_create_on(io: IoSystem) -> None:
    first, second = reparsing(io, IO_REPARSE, "")
    first.answer = first.pend
    opening = io.begin_create("\\??\\C:\\x", Create())

    io.claim(first.irps[0])
    io.complete(first.irps[0], NtStatus.REPARSE, IO_REPARSE, "\\??\\D:\\y")

    assert opening.result().rest == "\\y"
    assert second.asked == [(Major.CREATE, "\\y")]


def test_a_create_that_is_always_sent_on_ends(io: IoSystem) -> None:
    first, _second = reparsing(io, IO_REPARSE, "\\??\\C:\\again")

    with pytest.raises(NtError, match="REPARSE_POINT_NOT_RESOLVED"):
        io.open("\\??\\C:\\x")
    assert len(first.asked) == REPARSES_LIMIT + 1
    assert rules(io) == []


def test_a_create_that_is_sent_on_from_a_pending_driver_for_ever_ends(io: IoSystem) -> None:
    first, _second = reparsing(io, IO_REPARSE, "")
    first.answer = first.pend
    opening = io.begin_create("\\??\\C:\\x", Create())

    while not opening.completed:
        io.claim(first.irps[-1])
        io.complete(first.irps[-1], NtStatus.REPARSE, IO_REPARSE, "\\??\\C:\\again")

    assert opening.status is NtStatus.REPARSE_POINT_NOT_RESOLVED
    assert len(first.irps) == REPARSES_LIMIT + 1


@pytest.mark.parametrize(
    ("information", "result"),
    [
        (IO_REPARSE, None),
        (0x1234, ReparsePoint("\\Device\\Volume2")),
        (ReparseTag.MOUNT_POINT, "\\Device\\Volume2"),
        (ReparseTag.MOUNT_POINT, ReparsePoint("\\Device\\Volume2", 100)),
        (ReparseTag.MOUNT_POINT, ReparsePoint("..", 0, is_relative=True)),
        (ReparseTag.SYMLINK, ReparsePoint("..\\..\\..\\..\\x", 0, is_relative=True)),
    ],
)
def test_an_answer_that_is_no_name_is_refused(io: IoSystem, information: int, result: object) -> None:
    reparsing(io, information, result)

    with pytest.raises(NtError, match="IO_REPARSE_DATA_INVALID"):
        io.open("\\??\\C:\\x")


def test_a_name_that_it_is_sent_on_to_may_not_be_there(io: IoSystem) -> None:
    reparsing(io, IO_REPARSE, "\\??\\E:\\x")

    with pytest.raises(NtError, match="OBJECT_PATH_NOT_FOUND"):
        io.open("\\??\\C:\\x")


# Security


def guarded(io: IoSystem) -> Volume:
    driver = Volume(io)
    descriptor = SecurityDescriptor(dacl=Acl((allow(ANNA, Access.GENERIC_READ),)))
    io.create_device(driver, "\\Device\\Guarded", descriptor=descriptor)
    return driver


@pytest.mark.parametrize(
    ("user", "access", "status"),
    [
        (ANNA, Access.GENERIC_READ, NtStatus.SUCCESS),
        (ANNA, Access.GENERIC_WRITE, NtStatus.ACCESS_DENIED),
        (BERT, Access.GENERIC_READ, NtStatus.ACCESS_DENIED),
    ],
)
def test_a_device_is_opened_by_whom_its_descriptor_names(
    io: IoSystem, user: Sid, access: int, status: NtStatus
) -> None:
    driver = guarded(io)

    opening = io.create_file("\\Device\\Guarded", Create(access=access, token=user_token(user)))

    assert opening.status is status
    assert len(driver.asked) == status.ok


def test_the_most_that_may_be_had_is_what_the_handle_gives(io: IoSystem) -> None:
    guarded(io)

    opening = io.create_file(
        "\\Device\\Guarded", Create(access=Access.MAXIMUM_ALLOWED, token=user_token(ANNA))
    )

    assert opening.granted == FileAccess.GENERIC_READ


def test_a_client_that_may_only_be_looked_at_opens_nothing(io: IoSystem) -> None:
    guarded(io)
    seen = user_token(ANNA).duplicate(level=ImpersonationLevel.IDENTIFICATION)

    opening = io.create_file("\\Device\\Guarded", Create(access=Access.GENERIC_READ, token=seen))

    assert opening.status is NtStatus.BAD_IMPERSONATION_LEVEL


def test_the_kernel_asks_nobody(io: IoSystem) -> None:
    guarded(io)

    assert io.open("\\Device\\Guarded").is_open


# Requests in parts


def test_a_master_ends_with_the_last_of_its_associated_requests(io: IoSystem) -> None:
    driver = volume(io)
    driver.answer = io.mark_pending
    ended: list[Irp] = []
    device, _rest = io.lookup("\\Device\\Volume1")
    master = Irp(device, Major.CREATE, done=ended.append)
    io.call(master)
    over = io.make_associated(master, 3)
    parts = [Irp(device, Major.CREATE, done=over) for _ in range(3)]
    for part in parts:
        io.call(part)

    io.complete(parts[2], NtStatus.SUCCESS, 10)
    io.complete(parts[0], NtStatus.END_OF_FILE, 5)
    before = list(ended)
    io.complete(parts[1], NtStatus.CANCELLED, 0)

    assert (before, ended) == ([], [master])
    assert (master.status, master.information) == (NtStatus.END_OF_FILE, 15)
    assert rules(io) == []
    with pytest.raises(ValueError, match="0 associated"):
        io.make_associated(master, 0)
