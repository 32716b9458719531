"""Which libraries and which loader a program asks for (ELF-64, little endian; System V gABI, chapter 5).

Sans I/O: a file's bytes in, names out.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

MAGIC = b"\x7fELF\x02\x01"
PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
DT_NEEDED, DT_STRTAB = 1, 5
PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")
DYNAMIC = struct.Struct("<qQ")


class Segment(NamedTuple):
    """One program header."""

    kind: int
    flags: int
    offset: int
    address: int
    physical: int
    file_bytes: int
    memory_bytes: int
    align: int


@dataclass(frozen=True, slots=True)
class Needs:
    """What must be beside a program for it to run."""

    loader: str | None
    libraries: tuple[str, ...]


def needs(image: bytes) -> Needs | None:
    """Return what an ELF file needs; None for a file that is no ELF (a script)."""
    if not image.startswith(MAGIC):
        return None
    (table,) = struct.unpack_from("<Q", image, 0x20)
    size, count = struct.unpack_from("<HH", image, 0x36)
    segments = [Segment(*PROGRAM_HEADER.unpack_from(image, table + n * size)) for n in range(count)]
    loader = next(
        (
            image[s.offset : s.offset + s.file_bytes].rstrip(b"\0").decode()
            for s in segments
            if s.kind == PT_INTERP
        ),
        None,
    )
    dynamic = next((s for s in segments if s.kind == PT_DYNAMIC), None)
    if dynamic is None:
        return Needs(loader, ())
    end = dynamic.offset + dynamic.file_bytes
    entries = list(DYNAMIC.iter_unpack(image[dynamic.offset : end]))
    strings = next(value for tag, value in entries if tag == DT_STRTAB)
    load = next(s for s in segments if s.kind == PT_LOAD and s.address <= strings < s.address + s.file_bytes)
    start = strings - load.address + load.offset
    names = (start + value for tag, value in entries if tag == DT_NEEDED)
    return Needs(loader, tuple(image[at : image.index(b"\0", at)].decode() for at in names))
