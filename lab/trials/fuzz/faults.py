"""The fault table: what broke other models, or could break ours, and the tests that show that it does not.

Data, and how it is shown. Records: CVE numbers, QEMU's issues and commits, and rows of our own. A test's
id has ``{engine}`` where the suite puts the engine's name; tests/unit/repository/test_fault_table.py fails
where one does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ENGINES: Final = ("reference", "native")
_ROWS: Final = "tests/conformance/test_hostile_rows.py::"
_ROW: Final = f"{_ROWS}test_a_hostile_guest_costs_its_own_frames_and_no_more[{{engine}}-"
_CLIENTS: Final = "tests/integration/vfio_user/test_hostile_clients.py::test_"
_WAITS: Final = "tests/integration/vfio_user/test_hostile_waits.py::test_"
_ENDS: Final = "tests/integration/device/test_serve_ends.py::test_"
_SANDBOX: Final = "tests/integration/device/test_hardening.py::"
_SANDBOXED: Final = ("none", "pcap", "dgram", "stream", "switch", "netns", "veth", "impaired")
_FOLDERS: Final = "tests/unit/device/test_private_folder.py::"
_PLACEMENT: Final = "tests/unit/lab/test_placement.py::"


@dataclass(frozen=True, slots=True)
class Fault:
    """A row: whose record it is, what the guest or client does, and the tests' ids."""

    records: tuple[str, ...]
    what: str
    tests: tuple[str, ...]

    def ids(self, engine: str) -> tuple[str, ...]:
        """Return the tests' ids for an engine."""
        return tuple(test.format(engine=engine) for test in self.tests)


def _row(name: str) -> str:
    return f"{_ROW}{name}]"


def _client(name: str, parameter: str = "") -> str:
    return f"{_CLIENTS}{name}[{{engine}}{parameter}]"


def _waits(name: str, parameter: str = "") -> str:
    return f"{_WAITS}{name}[{{engine}}{parameter}]"


def _ends(name: str, parameter: str = "") -> str:
    return f"{_ENDS}{name}[{parameter}{{engine}}]"


FAULTS: Final = (
    Fault(("CVE-2012-6075",), "oversize frame without LPE", (_row("CVE-2012-6075"),)),
    Fault(
        ("CVE-2015-6815", "CVE-2016-1981", "CVE-2017-9310"),
        "heads, tails and TX data outside the ring",
        (_row("CVE-2015-6815,2016-1981,2017-9310"),),
    ),
    Fault(("CVE-2020-16092",), "fragments beyond any limit, no EOP", (_row("CVE-2020-16092"),)),
    Fault(
        ("CVE-2020-25707", "CVE-2020-28916", "QEMU 1863"),
        "NULL descriptors, both ways",
        (
            _row("CVE-2020-25707,2020-28916,qemu-1863"),
            f"{_ROWS}test_a_row_of_null_buffers_costs_each_frame_a_bounded_time[{{engine}}]",
        ),
    ),
    Fault(
        ("CVE-2021-20257",),
        "invalid TX fields; one doorbell that costs seconds",
        (
            _row("CVE-2016-6834,6835,6836,2016-2857"),
            f"{_ROWS}test_one_run_costs_a_bounded_amount_and_the_next_goes_on[{{engine}}]",
            _client("the_socket_is_served_while_a_guest_asks_for_a_million_segments"),
        ),
    ),
    Fault(
        ("CVE-2021-3416",),
        "loopback into the card's own doorbells",
        (_row("CVE-2021-3416,2021-20257"),),
    ),
    Fault(("CVE-2023-3019",), "DMA at the card's own registers", (_row("CVE-2023-3019"),)),
    Fault(
        ("CVE-2024-3567", "CVE-2016-6888"),
        "checksums beyond a short, fragmented packet",
        (_row("CVE-2024-3567,2016-6888"),),
    ),
    Fault(
        ("CVE-2016-6834", "CVE-2016-6835", "CVE-2016-2857"),
        "TSO: MSS 0, header length 0 or beyond the frame, lengths that lie",
        (_row("CVE-2016-6834,6835,6836,2016-2857"),),
    ),
    Fault(
        ("CVE-2016-6836",),
        "bytes of ours in a write-back",
        (f"{_ROWS}test_a_write_back_has_no_byte_that_the_frame_did_not_decide[{{engine}}]",),
    ),
    Fault(
        ("CVE-2020-13754", "CVE-2020-27821", "CVE-2015-7549"),
        "MSI-X table and PBA, beyond them and with odd widths",
        tuple(
            f"{_ROWS}test_msix_memory_bears_every_width_at_every_place[{{engine}}-{offset}-{width}]"
            for offset in (79, 8190, 16368)
            for width in (1, 3, 16)
        ),
    ),
    Fault(("QEMU 537",), "packet split sizes", (_row("qemu-537"),)),
    Fault(
        ("QEMU 6da0c98281",),
        "RDTR and TIDV pending when MSI-X is enabled",
        (_row("qemu-6da0c98281"),),
    ),
    Fault(("QEMU a01344d9d7",), "short frames looped back", (_row("qemu-a01344d9d7"),)),
    Fault(("ours",), "a ring inside its own data", (_row("ours-ring-in-its-data"),)),
    Fault(("ours",), "a ring at the end of memory, at 2^64", (_row("ours-end-of-memory"),)),
    Fault(("ours",), "the longest lengths a descriptor can say", (_row("ours-longest"),)),
    Fault(
        ("ours",),
        "DMA_UNMAP in the middle of a burst",
        (_client("nothing_is_touched_once_an_unmap_was_answered"),),
    ),
    Fault(
        ("ours",),
        "memfd cut short behind the mapping (SIGBUS)",
        (_client("memory_cut_short_under_traffic_costs_the_client_its_frames"),),
    ),
    Fault(
        ("ours",),
        "65,535 DMA maps, and the next",
        (_client("as_many_maps_as_were_offered_are_accepted_and_the_next_is_refused"),),
    ),
    Fault(("ours",), "two clients", (_client("a_second_client_waits_for_the_first_to_go"),)),
    Fault(
        ("ours",),
        "a message cut in the middle",
        tuple(
            _client("a_message_cut_in_the_middle_ends_its_client_only", f"-{cut}")
            for cut in (1, 8, 15, 17, 30)
        ),
    ),
    Fault(
        ("ours",),
        "clients killed -9 in traffic (fuzz --kills 1000)",
        (_client("clients_killed_in_the_middle_of_traffic_leave_nothing"),),
    ),
    Fault(
        ("ours",),
        "malformed messages (fuzz --messages 1000000)",
        (_client("malformed_messages_leave_the_card_as_it_was"),),
    ),
    Fault(
        ("ours",),
        "a thread of the card outside its sandbox, of any wire",
        tuple(f"{_SANDBOX}test_every_thread_of_a_card_is_inside[{wire}-{{engine}}]" for wire in _SANDBOXED),
    ),
    Fault(
        ("ours",),
        "code inside the card: programs, files, sockets, namespaces, others' memory, new code",
        (f"{_SANDBOX}test_nothing_of_worth_is_left_to_code_inside",),
    ),
    Fault(
        ("ours",),
        "(another user) a cache that was there before ours, without HOME",
        (
            f"{_FOLDERS}test_another_users_folder_on_the_way_is_refused",
            f"{_FOLDERS}test_without_any_home_the_error_names_the_variable",
        ),
    ),
    Fault(
        ("ours",),
        "(a package) links that lead out of where it is unpacked",
        (
            f"{_PLACEMENT}test_a_file_through_a_link_by_a_link_stays_inside",
            *(f"{_PLACEMENT}test_a_name_that_leaves_is_refused[{name}]" for name in ("../evil", "/etc/evil")),
        ),
    ),
    Fault(
        ("ours",),
        "SIGTERM while a client reads registers, or reads nothing",
        (
            _ends("a_signal_under_a_polling_client_is_never_lost", "15-4-"),
            _ends("a_client_that_reads_no_answer_does_not_keep_the_process"),
            _waits("a_client_that_reads_no_answer_is_closed"),
        ),
    ),
    Fault(
        ("ours",),
        "an eventfd that is full and blocks; a FIFO and a file that are called eventfds",
        (
            _waits("a_full_eventfd_keeps_nobody_waiting", "-0"),
            _waits("a_full_eventfd_behind_a_timer_keeps_nobody_waiting"),
            _waits("what_is_only_called_an_eventfd_is_none", "-fifo"),
            _waits("what_is_only_called_an_eventfd_is_none", "-file"),
        ),
    ),
    Fault(
        ("ours",),
        "memory and descriptors of a file system that does not answer (FUSE)",
        (
            _waits("only_shared_memory_is_mapped"),
            _waits("memory_of_a_file_system_that_does_not_answer_is_refused"),
            _waits("a_descriptor_that_does_not_close_keeps_nobody_waiting"),
        ),
    ),
    Fault(
        ("ours",),
        "a sparse file of 40 TiB as memory",
        (_waits("a_sparse_file_of_terabytes_costs_nothing"),),
    ),
    Fault(
        ("ours",),
        "mappings of no whole pages; more than the kernel has areas for",
        (
            _waits("what_is_no_whole_pages_is_refused", "-0-67108864-8"),
            _waits("as_many_mappings_as_the_kernel_allows_and_no_more"),
        ),
    ),
    Fault(
        ("ours",),
        "one doorbell for 65,527 frames whose FCS the card checks",
        (_waits("a_doorbell_holds_nobody_for_long"),),
    ),
    Fault(
        ("ours",),
        "memory without a descriptor: refused, or its client silent or loud while an answer is awaited",
        (
            _waits("memory_without_a_descriptor_is_refused_with_a_line"),
            _waits("a_client_that_does_not_answer_is_closed"),
            _waits("what_is_sent_while_an_answer_is_awaited_is_bounded"),
        ),
    ),
)


def every_id() -> list[str]:
    """Return the ids of all the table's tests, each once."""
    return list(dict.fromkeys(one for fault in FAULTS for engine in ENGINES for one in fault.ids(engine)))


def markdown(verdicts: Mapping[str, str] | None = None) -> str:
    """Return the table: a row a fault, a column an engine; with ``verdicts``, by id, what the tests said."""
    head = ["| record | the guest or client does | test | reference | native |", "|---|---|---|---|---|"]
    return "\n".join([*head, *(_line(fault, verdicts) for fault in FAULTS)]) + "\n"


def _line(fault: Fault, verdicts: Mapping[str, str] | None) -> str:
    names = dict.fromkeys(_short(test) for test in fault.tests)
    cells = [_cell(fault.ids(engine), verdicts) for engine in ENGINES]
    tests = "<br>".join(f"`{name}`" for name in names)
    return f"| {', '.join(fault.records)} | {fault.what} | {tests} | {cells[0]} | {cells[1]} |"


def _short(test: str) -> str:
    """Return a test's name; of one that has a row's name, the file's and that."""
    name, _, parameters = test.rpartition("::")[2].partition("[")
    row = parameters.removesuffix("]").partition("-")[2]
    return f"test_hostile_rows.py[{row}]" if test.startswith(_ROW) else name


def _cell(ids: Iterable[str], verdicts: Mapping[str, str] | None) -> str:
    if verdicts is None:
        return "tested"
    found = {verdicts.get(one, "not run") for one in ids}
    return "passed" if found == {"passed"} else ", ".join(sorted(found - {"passed"}))
