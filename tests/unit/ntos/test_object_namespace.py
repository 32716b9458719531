"""Names, handles, processes and threads: what is counted, what is found, and who inherits what."""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntos.executive.dispatcher import SystemThread
from ntos.io.status import NtError, NtStatus
from ntos.object import sid as names
from ntos.object.access import Access
from ntos.object.handles import HandleTable
from ntos.object.namespace import LINKS_LIMIT, Directory, Namespace, SymbolicLink, fold
from ntos.object.process import PROCESS, THREAD, ObjectManager, OneThread
from ntos.object.sid import Sid
from ntos.object.token import system_token, user_token
from ntos.object.types import KernelObject, ObjectType, mapping_of

THING = ObjectType("Thing", mapping_of(1, 2, 4, 7))
PARSER = ObjectType("Parser", mapping_of(1, 2, 4, 7), parses=True)
ANNA = Sid(5, (21, 1, 2, 3, 1001))


def thing(kind: ObjectType = THING) -> KernelObject:
    return KernelObject(object_type=kind)


def status(name: str, space: Namespace) -> NtStatus:
    with pytest.raises(NtError) as error:
        space.lookup(name)
    return error.value.status


def test_a_name_is_found_whatever_its_case_and_through_links() -> None:
    space, disk = Namespace(), thing(PARSER)
    space.insert("\\Device\\Disk0", disk)
    space.create_symbolic_link("\\??\\C:", "\\Device\\Disk0")

    found = [space.lookup(name) for name in ("\\DEVICE\\disk0", "\\dosdevices\\c:\\a\\b", "\\GLOBAL??\\C:\\")]

    assert found == [(disk, ""), (disk, "\\a\\b"), (disk, "\\")]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("\\Device\\None", NtStatus.OBJECT_NAME_NOT_FOUND),
        ("\\Device\\None\\x", NtStatus.OBJECT_PATH_NOT_FOUND),
        ("\\Device\\\\x", NtStatus.OBJECT_PATH_NOT_FOUND),
        ("Device\\None", NtStatus.OBJECT_PATH_SYNTAX_BAD),
        ("", NtStatus.OBJECT_PATH_SYNTAX_BAD),
        ("\\" + "x" * 40_000, NtStatus.OBJECT_NAME_INVALID),
        ("\\Device\\Thing\\below", NtStatus.OBJECT_TYPE_MISMATCH),
    ],
)
def test_a_name_that_leads_nowhere_says_where_it_ends(name: str, expected: NtStatus) -> None:
    space = Namespace()
    space.insert("\\Device\\Thing", thing())

    assert status(name, space) is expected


def test_as_many_links_as_the_limit_are_followed_and_no_more() -> None:
    space, end = Namespace(), thing()
    space.insert("\\0", end)
    for number in range(1, LINKS_LIMIT + 2):
        space.create_symbolic_link(f"\\{number}", f"\\{number - 1}")

    assert space.lookup(f"\\{LINKS_LIMIT}").target is end
    assert status(f"\\{LINKS_LIMIT + 1}", space) is NtStatus.OBJECT_NAME_NOT_FOUND


def test_a_link_that_makes_its_name_longer_each_time_ends() -> None:
    space = Namespace()
    space.create_symbolic_link("\\a", "\\a\\" + "x" * 2000)

    assert status("\\a", space) in {NtStatus.OBJECT_NAME_INVALID, NtStatus.OBJECT_NAME_NOT_FOUND}


def test_a_link_is_opened_itself_when_that_is_asked() -> None:
    space = Namespace()
    link = space.create_symbolic_link("\\??\\A:", "\\Device\\None")

    assert space.lookup("\\??\\a:", open_link=True).target is link


def test_two_objects_do_not_have_one_name_and_a_removed_name_is_free() -> None:
    space, first = Namespace(), thing()
    space.insert("\\Device\\Thing", first)

    with pytest.raises(NtError, match="COLLISION"):
        space.insert("\\device\\THING", thing())
    space.remove(first)
    space.insert("\\device\\THING", thing())


@pytest.mark.parametrize("name", ["\\Nowhere\\x", "\\Device\\Thing\\x"])
def test_an_object_goes_into_a_directory_only(name: str) -> None:
    space = Namespace()
    space.insert("\\Device\\Thing", thing(PARSER))

    with pytest.raises(NtError, match="OBJECT_PATH_NOT_FOUND"):
        space.insert(name, thing())


@given(st.text(max_size=40))
def test_a_name_is_compared_character_by_character(name: str) -> None:
    assert len(fold(name)) == len(name)
    assert fold(fold(name)) == fold(name) or any(len(one.upper()) != 1 for one in fold(name))


@given(st.lists(st.sampled_from(["\\", "a", "B", "..", "??", "Device", "x" * 50]), max_size=12).map("".join))
def test_any_name_is_found_or_refused(name: str) -> None:
    space = Namespace()
    space.create_symbolic_link("\\a", "\\a\\a")
    space.create_symbolic_link("\\B", "no root")

    try:
        found = space.lookup(name)
    except NtError:
        return
    assert isinstance(found.target, (Directory, SymbolicLink))


def test_handles_are_multiples_of_four_and_their_low_bits_are_the_callers() -> None:
    table, target = HandleTable(), thing()

    handles = [table.insert(target, 1) for _ in range(3)]

    assert handles == [4, 8, 12]
    assert all(table.lookup(8 | bits).target is target for bits in range(4))
    assert (target.handles, target.references) == (3, 3)


def test_a_closed_handle_is_invalid_and_the_object_goes_with_the_last_one() -> None:
    deleted: list[KernelObject] = []
    kind = ObjectType("Thing", THING.mapping, deleted=deleted.append)
    table, target = HandleTable(), thing(kind)
    first, second = table.insert(target, 1), table.insert(target, 1)

    table.close(first)
    before = list(deleted)
    table.close(second)

    assert (before, deleted) == ([], [target])
    for handle in (first, second, 0, -4, 1 << 40):
        with pytest.raises(NtError, match="INVALID_HANDLE"):
            table.close(handle)


def test_a_number_that_was_closed_is_used_again_after_the_others() -> None:
    table, target = HandleTable(), thing()
    first, second = table.insert(target, 1), table.insert(target, 1)
    table.close(second)
    table.close(first)

    assert [table.insert(target, 1) for _ in range(3)] == [8, 4, 12]


def test_a_temporary_name_goes_with_the_last_handle_and_a_permanent_one_stays() -> None:
    space, table = Namespace(), HandleTable()
    brief, lasting = thing(), thing()
    space.insert("\\BaseNamedObjects\\brief", brief, permanent=False)
    space.insert("\\BaseNamedObjects\\lasting", lasting)

    for target in (brief, lasting):
        table.close(table.insert(target, 1))

    assert status("\\BaseNamedObjects\\brief", space) is NtStatus.OBJECT_NAME_NOT_FOUND
    assert space.lookup("\\BaseNamedObjects\\lasting").target is lasting


def test_a_handle_gives_what_was_granted_and_is_of_its_type() -> None:
    table = HandleTable()
    handle = table.insert(thing(), 1)

    assert table.lookup(handle, THING, 1).granted == 1
    with pytest.raises(NtError, match="ACCESS_DENIED"):
        table.lookup(handle, THING, 3)
    with pytest.raises(NtError, match="OBJECT_TYPE_MISMATCH"):
        table.lookup(handle, PARSER)


def test_a_duplicate_has_the_same_access_or_less_and_may_be_anothers() -> None:
    mine, theirs, target = HandleTable(), HandleTable(), thing()
    handle = mine.insert(target, 3)

    same = mine.duplicate(handle, theirs, Access.MAXIMUM_ALLOWED)
    less = mine.duplicate(handle, theirs, 1, close_source=True)

    assert [theirs.lookup(one).granted for one in (same, less)] == [3, 1]
    assert (len(mine), target.handles) == (0, 2)
    with pytest.raises(NtError, match="ACCESS_DENIED"):
        theirs.duplicate(less, mine, 3)


def test_a_protected_handle_is_not_closed_until_the_process_ends() -> None:
    table, target = HandleTable(), thing()
    handle = table.insert(target, 1)
    table.lookup(handle).protect = True

    with pytest.raises(NtError, match="HANDLE_NOT_CLOSABLE"):
        table.close(handle)
    table.close_all()

    assert (len(table), target.handles) == (0, 0)


def test_a_full_table_refuses_and_counts_nothing() -> None:
    table, target = HandleTable(limit=2), thing()
    for _ in range(2):
        table.insert(target, 1)

    with pytest.raises(NtError, match="INSUFFICIENT_RESOURCES"):
        table.insert(target, 1)
    assert target.handles == 2


@given(st.lists(st.integers(0, 3), max_size=60))
def test_a_table_is_what_a_dictionary_would_be(steps: list[int]) -> None:
    table, target, model = HandleTable(), thing(), list[int]()
    for step in steps:
        if step and model:
            table.close(model.pop(step % len(model)))
        else:
            model.append(table.insert(target, 1))
        assert sorted(model) == sorted(table.entries)
        assert target.handles == len(model) == len(set(model))
    assert all(handle > 0 and handle % 4 == 0 for handle in model)


def test_a_child_inherits_what_is_to_be_inherited_by_the_same_numbers() -> None:
    objects, target = ObjectManager(), thing()
    parent = objects.create_process("parent", user_token(ANNA))
    private, shared = (
        parent.handle_table.insert(target, 1),
        parent.handle_table.insert(target, 3, inherit=True),
    )

    child = objects.create_process("child", user_token(ANNA), parent=parent)
    fresh = [child.handle_table.insert(target, 1) for _ in range(2)]

    assert child.handle_table.lookup(shared).granted == 3
    assert fresh == [private, shared + 4]
    assert target.handles == 5


def test_a_process_that_ends_closes_its_handles_and_is_waited_for_no_longer() -> None:
    objects, target = ObjectManager(), thing()
    process = objects.create_process("anna", user_token(ANNA))
    watcher = objects.initial.handle_table.insert(process, PROCESS.mapping.all)
    process.handle_table.insert(target, 1)

    process.terminate(3)

    assert (target.handles, process.exit_code, process.is_signalled_for(SystemThread("watcher"))) == (
        0,
        3,
        True,
    )
    assert process.id not in objects.processes
    assert objects.initial.handle_table.lookup(watcher, PROCESS).target is process
    with pytest.raises(NtError, match="PROCESS_IS_TERMINATING"):
        process.terminate()


def test_each_thread_has_its_own_error_apcs_and_token() -> None:
    objects = ObjectManager()
    anna, client = user_token(ANNA), user_token(names.GUESTS).duplicate()
    now = [OneThread(), OneThread()]
    process = objects.create_process("server", anna, current=lambda: now[0])
    first = process.thread
    first.last_error = 5
    first.impersonate(client)

    now.reverse()
    second = process.thread

    assert second is not first
    assert (second.last_error, second.token, first.token) == (0, anna, client)
    assert (first.object_type, first.id % 4, first.id != second.id) == (THREAD, 0, True)


def test_a_thread_that_is_gone_leaves_nothing_to_the_next() -> None:
    objects = ObjectManager()
    now = [OneThread()]
    process = objects.create_process("server", user_token(ANNA), current=lambda: now[0])
    process.thread.impersonate(user_token(names.GUESTS).duplicate())

    now[0] = OneThread()
    gc.collect()

    assert process.thread.impersonation is None
    assert len(process._threads) == 1


def test_nobody_wears_a_primary_token_and_no_process_an_impersonation_token() -> None:
    objects = ObjectManager()

    with pytest.raises(NtError, match="BAD_TOKEN_TYPE"):
        objects.initial.thread.impersonate(system_token())
    with pytest.raises(NtError, match="BAD_TOKEN_TYPE"):
        objects.create_process("x", system_token().duplicate())


def test_reverting_gives_the_process_s_token_back() -> None:
    thread = ObjectManager().initial.thread
    thread.impersonate(user_token(ANNA).duplicate())

    thread.impersonate(None)

    assert thread.token.user == names.LOCAL_SYSTEM
