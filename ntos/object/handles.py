"""A process's handle table: numbers for the objects that it has open, and what it may do by each.

Handles are multiples of 4; the two low bits of a number are the caller's and are not looked at. A number that
was closed is used again, the longest unused one first. Source: "Handles and Objects", ObOpenObjectByPointer.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from ntos.io.status import NtError, NtStatus
from ntos.object.access import Access

if TYPE_CHECKING:
    from ntos.object.types import KernelObject, ObjectType

MOST_HANDLES = 1 << 24
"""What a table of Windows holds."""
STEP = 4
TAG_BITS = 3


class HandleEntry:
    """One open of an object. ``context`` is what a library of the process keeps by the handle."""

    __slots__ = ("context", "granted", "inherit", "protect", "target")

    def __init__(self, target: KernelObject, granted: int, *, inherit: bool = False) -> None:
        self.target: Any = target
        self.granted = granted
        self.inherit = inherit
        self.protect = False
        self.context: Any = None

    def granted_as(self, desired: int | None) -> int:
        """Return the access that a duplicate is to have. None and MAXIMUM_ALLOWED: the same."""
        if desired is None or desired & Access.MAXIMUM_ALLOWED:
            return self.granted
        granted: int = self.target.object_type.mapping.map(desired)
        return granted


class HandleTable:
    """The table. ``entries`` is for reading: who looks up once per byte does it there."""

    def __init__(self, limit: int = MOST_HANDLES) -> None:
        self.entries: dict[int, HandleEntry] = {}
        self._limit = limit
        self._next = STEP
        self._free: deque[int] = deque()

    def __len__(self) -> int:
        """Return how many are open."""
        return len(self.entries)

    def insert(self, target: KernelObject, granted: int, *, inherit: bool = False) -> int:
        """Open an object: one handle more. NtError(INSUFFICIENT_RESOURCES)."""
        self._require_room()
        target.object_type.opened(target)
        return self.adopt(target, granted, inherit=inherit)

    def adopt(self, target: KernelObject, granted: int, *, inherit: bool = False) -> int:
        """Take over a handle that is counted already, as a create returns it. NtError as ``insert``."""
        self._require_room()
        if self._free:
            number = self._free.popleft()
        else:
            number, self._next = self._next, self._next + STEP
        self.entries[number] = HandleEntry(target, granted, inherit=inherit)
        return number

    def lookup(self, handle: int, object_type: ObjectType | None = None, desired: int = 0) -> HandleEntry:
        """ObReferenceObjectByHandle. NtError(INVALID_HANDLE, OBJECT_TYPE_MISMATCH, ACCESS_DENIED)."""
        entry = self.entries.get(handle & ~TAG_BITS)
        if entry is None:
            raise NtError(NtStatus.INVALID_HANDLE, f"{handle:#x}")
        if object_type is not None and entry.target.object_type is not object_type:
            raise NtError(NtStatus.OBJECT_TYPE_MISMATCH, entry.target.object_type.name)
        if desired & ~entry.granted:
            raise NtError(NtStatus.ACCESS_DENIED, f"{desired & ~entry.granted:#010x} of {desired:#010x}")
        return entry

    def close(self, handle: int) -> None:
        """ZwClose. NtError(INVALID_HANDLE, HANDLE_NOT_CLOSABLE)."""
        entry = self.lookup(handle)
        if entry.protect:
            raise NtError(NtStatus.HANDLE_NOT_CLOSABLE, f"{handle:#x}")
        number = handle & ~TAG_BITS
        del self.entries[number]
        self._free.append(number)
        entry.target.object_type.closed(entry.target)

    def forget(self, handle: int) -> None:
        """Take out a handle whose object somebody has closed already. NtError(INVALID_HANDLE)."""
        self.lookup(handle)
        del self.entries[handle & ~TAG_BITS]
        self._free.append(handle & ~TAG_BITS)

    def duplicate(
        self,
        handle: int,
        into: HandleTable,
        desired: int | None = None,
        *,
        inherit: bool = False,
        close_source: bool = False,
    ) -> int:
        """ZwDuplicateObject; ``desired`` None: the same access. NtError(ACCESS_DENIED): it would be more."""
        entry = self.lookup(handle)
        granted = entry.granted_as(desired)
        if granted & ~entry.granted:
            raise NtError(
                NtStatus.ACCESS_DENIED, f"{granted & ~entry.granted:#010x} more than the source has"
            )
        number = into.insert(entry.target, granted, inherit=inherit)
        if close_source:
            self.close(handle)
        return number

    def inherit_into(self, child: HandleTable) -> None:
        """Give a new process the handles that are to be inherited, by the same numbers."""
        for number, entry in self.entries.items():
            if entry.inherit:
                entry.target.object_type.opened(entry.target)
                child.entries[number] = HandleEntry(entry.target, entry.granted, inherit=True)
        taken = max(child.entries, default=0)
        child._free.extend(number for number in range(STEP, taken, STEP) if number not in child.entries)
        child._next = taken + STEP

    def close_all(self) -> None:
        """Close what a process that ends has open, protected or not."""
        while self.entries:
            number, entry = self.entries.popitem()
            self._free.append(number)
            entry.target.object_type.closed(entry.target)

    def _require_room(self) -> None:
        if len(self.entries) >= self._limit:
            raise NtError(NtStatus.INSUFFICIENT_RESOURCES, f"{self._limit} handles")
