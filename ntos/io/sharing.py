"""Share access: who may have one file open beside whom.

A file system keeps one ``ShareAccess`` for each file. Only three kinds of access are shared or not: reading
(data, execution), writing (data, appending) and deleting; an open that asks for none of them meets nobody.
Source: IoCheckShareAccess, IoSetShareAccess, IoRemoveShareAccess, IoUpdateShareAccess.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ntos.io.create import Share
from ntos.io.status import NtError, NtStatus
from ntos.object.access import Access, FileAccess

if TYPE_CHECKING:
    from ntos.io.device import FileObject

READING = FileAccess.READ_DATA | FileAccess.EXECUTE
WRITING = FileAccess.WRITE_DATA | FileAccess.APPEND_DATA


def kinds_of(access: int) -> Share:
    """Return which of the three kinds a mapped access mask asks for."""
    found = Share.READ if access & READING else Share.NONE
    found |= Share.WRITE if access & WRITING else Share.NONE
    return found | (Share.DELETE if access & Access.DELETE else Share.NONE)


@dataclass(slots=True)
class ShareAccess:
    """SHARE_ACCESS: the opens there are; those that read, write, delete; those that let others do so."""

    open_count: int = 0
    readers: int = 0
    writers: int = 0
    deleters: int = 0
    shared_read: int = 0
    shared_write: int = 0
    shared_delete: int = 0

    def check(self, access: int, share: Share, file: FileObject | None = None) -> None:
        """IoCheckShareAccess: judge an open; with ``file`` it is counted too. NtError(SHARING_VIOLATION)."""
        wanted = kinds_of(access)
        if wanted and any(
            (wanted & kind and shared < self.open_count) or (users and not share & kind)
            for kind, users, shared in (
                (Share.READ, self.readers, self.shared_read),
                (Share.WRITE, self.writers, self.shared_write),
                (Share.DELETE, self.deleters, self.shared_delete),
            )
        ):
            raise NtError(NtStatus.SHARING_VIOLATION, f"{wanted!r}, sharing {share!r}")
        if file is not None:
            file.in_use, file.shares = wanted, share
            self.update(file)

    def set(self, access: int, share: Share, file: FileObject) -> None:
        """IoSetShareAccess: the first open of a file, which meets nobody."""
        self.open_count = self.readers = self.writers = self.deleters = 0
        self.shared_read = self.shared_write = self.shared_delete = 0
        file.in_use, file.shares = kinds_of(access), share
        self.update(file)

    def update(self, file: FileObject) -> None:
        """IoUpdateShareAccess: count an open that ``check`` has let pass."""
        self._count(file, 1)

    def remove(self, file: FileObject) -> None:
        """IoRemoveShareAccess: the open is being cleaned up."""
        self._count(file, -1)
        file.in_use = Share.NONE

    def _count(self, file: FileObject, step: int) -> None:
        used, shared = file.in_use, file.shares
        if not used:
            return
        self.open_count += step
        self.readers += step * bool(used & Share.READ)
        self.writers += step * bool(used & Share.WRITE)
        self.deleters += step * bool(used & Share.DELETE)
        self.shared_read += step * bool(shared & Share.READ)
        self.shared_write += step * bool(shared & Share.WRITE)
        self.shared_delete += step * bool(shared & Share.DELETE)
