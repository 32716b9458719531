"""Access rights: one 32-bit mask, and how generic rights become those of a type ([MS-DTYP] 2.4.3)."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Access(enum.IntFlag):
    """ACCESS_MASK: the bits that all types of object share. Bits 0 to 15 are each type's own."""

    NONE = 0
    DELETE = 0x0001_0000
    READ_CONTROL = 0x0002_0000
    WRITE_DAC = 0x0004_0000
    WRITE_OWNER = 0x0008_0000
    SYNCHRONIZE = 0x0010_0000
    STANDARD_REQUIRED = 0x000F_0000
    STANDARD_ALL = 0x001F_0000
    SPECIFIC_ALL = 0x0000_FFFF
    SYSTEM_SECURITY = 0x0100_0000
    MAXIMUM_ALLOWED = 0x0200_0000
    GENERIC_ALL = 0x1000_0000
    GENERIC_EXECUTE = 0x2000_0000
    GENERIC_WRITE = 0x4000_0000
    GENERIC_READ = 0x8000_0000


GENERIC = 0xF000_0000


class FileAccess(enum.IntFlag):
    """FILE_*: a file's, pipe's and directory's own rights ([MS-SMB2] 2.2.13.1)."""

    READ_DATA = 0x0001
    LIST_DIRECTORY = 0x0001
    WRITE_DATA = 0x0002
    ADD_FILE = 0x0002
    APPEND_DATA = 0x0004
    ADD_SUBDIRECTORY = 0x0004
    CREATE_PIPE_INSTANCE = 0x0004
    READ_EA = 0x0008
    WRITE_EA = 0x0010
    EXECUTE = 0x0020
    TRAVERSE = 0x0020
    DELETE_CHILD = 0x0040
    READ_ATTRIBUTES = 0x0080
    WRITE_ATTRIBUTES = 0x0100
    GENERIC_READ = 0x0012_0089
    GENERIC_WRITE = 0x0012_0116
    GENERIC_EXECUTE = 0x0012_00A0
    ALL = 0x001F_01FF


@dataclass(frozen=True, slots=True)
class GenericMapping:
    """GENERIC_MAPPING: what the four generic rights are for one type of object."""

    read: int
    write: int
    execute: int
    all: int

    def map(self, mask: int) -> int:
        """RtlMapGenericMask: the mask without a generic bit."""
        for bit, rights in (
            (Access.GENERIC_READ, self.read),
            (Access.GENERIC_WRITE, self.write),
            (Access.GENERIC_EXECUTE, self.execute),
            (Access.GENERIC_ALL, self.all),
        ):
            if mask & bit:
                mask |= rights
        return mask & ~GENERIC & 0xFFFF_FFFF


FILE_MAPPING = GenericMapping(
    FileAccess.GENERIC_READ, FileAccess.GENERIC_WRITE, FileAccess.GENERIC_EXECUTE, FileAccess.ALL
)
"""IoGetFileObjectGenericMapping."""
