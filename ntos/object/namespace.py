r"""The object namespace: directories and symbolic links by name, from ``\`` down.

Names are compared without regard to case. A walk ends at the first object that parses names itself, as a
device does; the rest of the name is that object's. The links that are followed for one name are counted.
Source: "Object Directories", "Introduction to MS-DOS Device Names" (Windows driver documentation).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ntos.io.status import NtError, NtStatus
from ntos.object.types import KernelObject, ObjectType, mapping_of

if TYPE_CHECKING:
    from ntos.object.descriptor import SecurityDescriptor

LINKS_LIMIT = 32
"""Symbolic links followed for one name."""
MOST_CHARACTERS = 32767
"""What a UNICODE_STRING holds."""

DIRECTORY = ObjectType("Directory", mapping_of(0x3, 0xC, 0x3, 0xF))
SYMBOLIC_LINK = ObjectType("SymbolicLink", mapping_of(0x1, 0, 0x1, 0x1))

STANDARD_DIRECTORIES = ("\\??", "\\Device", "\\BaseNamedObjects", "\\Driver", "\\FileSystem", "\\ObjectTypes")
STANDARD_LINKS = (("\\DosDevices", "\\??"), ("\\GLOBAL??", "\\??"), ("\\??\\GLOBALROOT", ""))


def fold(name: str) -> str:
    """Return what a name is compared by: each character's upper case (RtlUpcaseUnicodeString)."""
    if name.isascii():
        return name.upper()
    return "".join(upper if len(upper := one.upper()) == 1 else one for one in name)


@dataclass(eq=False, slots=True, kw_only=True)
class Directory(KernelObject):
    """An object directory."""

    object_type: ObjectType = DIRECTORY
    entries: dict[str, KernelObject] = field(default_factory=dict)

    def find(self, name: str) -> KernelObject | None:
        """Return the object of that name."""
        return self.entries.get(fold(name))

    def insert(self, name: str, target: KernelObject) -> None:
        """Give an object a name here. NtError(OBJECT_NAME_COLLISION, OBJECT_NAME_INVALID)."""
        if not name or "\\" in name:
            raise NtError(NtStatus.OBJECT_NAME_INVALID, name)
        if fold(name) in self.entries:
            raise NtError(NtStatus.OBJECT_NAME_COLLISION, name)
        self.entries[fold(name)] = target
        target.object_name, target.parent = name, self

    def remove(self, target: KernelObject) -> None:
        """Take an object's name away; the object stays while anybody has it."""
        if self.entries.get(fold(target.object_name)) is target:
            del self.entries[fold(target.object_name)]
        target.parent = None


@dataclass(eq=False, slots=True, kw_only=True)
class SymbolicLink(KernelObject):
    """A name for another name."""

    object_type: ObjectType = SYMBOLIC_LINK
    target: str


class Found(NamedTuple):
    """Where a name leads: an object, and what of the name is left for it."""

    target: KernelObject
    rest: str


class Namespace:
    """One system's names, with the directories that every system has."""

    def __init__(self) -> None:
        self.root = Directory(is_permanent=True, references=1)
        for name in STANDARD_DIRECTORIES:
            self.insert(name, Directory())
        for name, target in STANDARD_LINKS:
            self.insert(name, SymbolicLink(target=target))

    def insert(self, name: str, target: KernelObject, *, permanent: bool = True) -> None:
        """Name an object. A permanent name stays until it is removed, a temporary one until the last handle.

        NtError(OBJECT_NAME_COLLISION, OBJECT_PATH_NOT_FOUND, OBJECT_PATH_SYNTAX_BAD, OBJECT_NAME_INVALID).
        """
        path, _, last = name.rpartition("\\")
        directory = self.directory(path) if path or name.startswith("\\") else None
        if directory is None:
            raise NtError(NtStatus.OBJECT_PATH_SYNTAX_BAD, name)
        directory.insert(last, target)
        target.is_permanent = permanent
        if permanent:
            target.references += 1

    def remove(self, target: KernelObject) -> None:
        """ObMakeTemporaryObject of an object without handles: its name is free."""
        if target.parent is not None:
            target.parent.remove(target)
        if target.is_permanent:
            target.is_permanent = False
            target.references -= 1

    def directory(self, path: str) -> Directory:
        """Return a directory, links followed; "" is the root. NtError(OBJECT_PATH_NOT_FOUND)."""
        if not path:
            return self.root
        try:
            found = self.lookup(path)
        except NtError as error:
            if error.status is NtStatus.OBJECT_NAME_NOT_FOUND:
                raise NtError(NtStatus.OBJECT_PATH_NOT_FOUND, path) from error
            raise
        if found.rest or not isinstance(found.target, Directory):
            raise NtError(NtStatus.OBJECT_PATH_NOT_FOUND, path)
        return found.target

    def lookup(self, name: str, *, open_link: bool = False) -> Found:
        """Walk a name. ``open_link``: a link that is the last part is meant itself.

        NtError: OBJECT_NAME_NOT_FOUND for the last part and for links without an end, OBJECT_PATH_NOT_FOUND
        for a part before it, OBJECT_PATH_SYNTAX_BAD for a name that does not begin at the root,
        OBJECT_NAME_INVALID, OBJECT_TYPE_MISMATCH for a part below an object that has none.
        """
        for _ in range(LINKS_LIMIT + 1):
            found = self._walk(name, open_link=open_link)
            if not isinstance(found, str):
                return found
            name = found
        raise NtError(NtStatus.OBJECT_NAME_NOT_FOUND, f"{name[:80]}: more than {LINKS_LIMIT} links")

    def _walk(self, name: str, *, open_link: bool) -> Found | str:
        """Walk up to a link, and return the name that it makes; or to the end."""
        if not name.startswith("\\"):
            raise NtError(NtStatus.OBJECT_PATH_SYNTAX_BAD, name[:80])
        if len(name) > MOST_CHARACTERS:
            raise NtError(NtStatus.OBJECT_NAME_INVALID, f"{len(name)} characters")
        directory, at = self.root, 1
        while at < len(name):
            end = name.find("\\", at)
            end = len(name) if end < 0 else end
            child, rest = directory.find(name[at:end]), name[end:]
            if child is None:
                status = NtStatus.OBJECT_PATH_NOT_FOUND if rest else NtStatus.OBJECT_NAME_NOT_FOUND
                raise NtError(status, name[:80])
            if isinstance(child, SymbolicLink) and (rest or not open_link):
                return child.target + rest or "\\"
            if not isinstance(child, Directory):
                if rest and not child.object_type.parses:
                    raise NtError(NtStatus.OBJECT_TYPE_MISMATCH, name[:80])
                return Found(child, rest)
            directory, at = child, end + 1
        return Found(directory, "")

    def create_symbolic_link(
        self, name: str, target: str, descriptor: SecurityDescriptor | None = None
    ) -> SymbolicLink:
        """IoCreateSymbolicLink. NtError as ``insert``."""
        link = SymbolicLink(target=target, descriptor=descriptor)
        self.insert(name, link)
        return link

    def delete_symbolic_link(self, name: str) -> None:
        """IoDeleteSymbolicLink. NtError(OBJECT_NAME_NOT_FOUND, OBJECT_TYPE_MISMATCH)."""
        found = self.lookup(name, open_link=True).target
        if not isinstance(found, SymbolicLink):
            raise NtError(NtStatus.OBJECT_TYPE_MISMATCH, name)
        self.remove(found)
