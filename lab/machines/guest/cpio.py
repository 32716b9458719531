"""Writes the ``newc`` cpio archive that Linux unpacks as its first root (initramfs buffer format).

Sans I/O: entries in, bytes out, and the same entries always give the same bytes. Owners are root, times are
zero.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAGIC = "070701"
ALIGN = 4
BLOCK = 512
TRAILER = "TRAILER!!!"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, a directory or a symbolic link. ``mode`` has the type's bits."""

    path: str
    mode: int
    data: bytes = b""

    @staticmethod
    def file(path: str, data: bytes, permissions: int = 0o644) -> Entry:
        """Return a regular file."""
        return Entry(path, stat.S_IFREG | permissions, data)

    @staticmethod
    def folder(path: str, permissions: int = 0o755) -> Entry:
        """Return a directory."""
        return Entry(path, stat.S_IFDIR | permissions)

    @staticmethod
    def link(path: str, target: str) -> Entry:
        """Return a symbolic link to ``target``."""
        return Entry(path, stat.S_IFLNK | 0o777, target.encode())


def with_parents(entries: Iterable[Entry]) -> list[Entry]:
    """Sort entries by path, add the directories they need, and refuse one path twice."""
    named: dict[str, Entry] = {}
    for entry in entries:
        if entry.path in named:
            raise ValueError(f"{entry.path} is twice in the archive")
        named[entry.path] = entry
    for path in list(named):
        parts = path.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            parent = "/".join(parts[:depth])
            named.setdefault(parent, Entry.folder(parent))
    return [named[path] for path in sorted(named)]


def padding(length: int, align: int = ALIGN) -> bytes:
    """Return the zeros that bring ``length`` to a multiple of ``align``."""
    return bytes(-length % align)


def header(entry: Entry, inode: int) -> bytes:
    """Return an entry's header and padded name.

    ::

        magic(6) ino mode uid gid nlink mtime filesize devmajor devminor
        rdevmajor rdevminor namesize check   (8 hex digits each) name NUL pad
    """
    name = entry.path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    fields = (inode, entry.mode, 0, 0, links, 0, len(entry.data), 0, 0, 0, 0, len(name), 0)
    head = MAGIC.encode() + b"".join(b"%08X" % field for field in fields) + name
    return head + padding(len(head))


def emit(entries: Iterable[Entry]) -> Iterator[bytes]:
    """Yield the archive, piece by piece."""
    total = 0
    trailer = Entry(TRAILER, 0)
    for inode, entry in enumerate([*with_parents(entries), trailer], start=1):
        piece = header(entry, 0 if entry is trailer else inode) + entry.data
        piece += padding(len(piece))
        total += len(piece)
        yield piece
    yield padding(total, BLOCK)
