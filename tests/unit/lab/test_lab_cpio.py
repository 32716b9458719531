"""The initramfs archive: the format Linux reads, and the same bytes every time."""

from __future__ import annotations

import stat
from typing import NamedTuple

import pytest

from lab.machines.guest.cpio import Entry, emit


class Read(NamedTuple):
    """One entry, as a reader that is not ours to please sees it."""

    name: str
    mode: int
    uid: int
    mtime: int
    data: bytes


def read_newc(raw: bytes) -> list[Read]:
    """Read an archive by the letter of the kernel's buffer format document."""
    found: list[Read] = []
    at = 0
    while True:
        assert raw[at : at + 6] == b"070701"
        _, mode, uid, _, _, mtime, size, _, _, _, _, name_size, _ = (
            int(raw[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)
        )
        name = raw[at + 110 : at + 110 + name_size - 1].decode()
        start = (at + 110 + name_size + 3) & ~3
        if name == "TRAILER!!!":
            return found
        found.append(Read(name, mode, uid, mtime, raw[start : start + size]))
        at = (start + size + 3) & ~3


def test_a_reader_finds_the_files_links_and_folders() -> None:
    """Contents of odd lengths do not shift what follows."""
    entries = [
        Entry.file("bin/tool", b"12345", 0o755),
        Entry.link("bin/other", "tool"),
        Entry.folder("tmp", 0o1777),
    ]

    found = {e.name: e for e in read_newc(b"".join(emit(entries)))}

    assert found["bin/tool"] == Read("bin/tool", stat.S_IFREG | 0o755, 0, 0, b"12345")
    assert found["bin/other"] == Read("bin/other", stat.S_IFLNK | 0o777, 0, 0, b"tool")
    assert found["tmp"].mode == stat.S_IFDIR | 0o1777


def test_a_folder_comes_before_what_is_in_it() -> None:
    """Linux makes no parents while it unpacks."""
    raw = b"".join(emit([Entry.file("a/b/c", b"")]))

    assert [e.name for e in read_newc(raw)] == ["a", "a/b", "a/b/c"]


def test_the_order_of_the_entries_does_not_show() -> None:
    """The archive depends on what is in it, and on nothing else."""
    one, two = Entry.file("a", b"1"), Entry.file("b", b"2")

    assert b"".join(emit([one, two])) == b"".join(emit([two, one]))


def test_two_entries_of_one_path_are_refused() -> None:
    """The kernel would silently take the second."""
    with pytest.raises(ValueError, match="a is twice"):
        b"".join(emit([Entry.file("a", b"1"), Entry.file("a", b"2")]))


def test_the_archive_fills_whole_blocks() -> None:
    """Archives may be joined end to end only then."""
    assert len(b"".join(emit([Entry.file("a", b"1")]))) % 512 == 0
