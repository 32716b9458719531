"""What a program needs, by its ELF headers."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import pytest

from lab.machines.guest.elf import Needs, needs


def elf(*, loader: bytes = b"", libraries: tuple[bytes, ...] = ()) -> bytes:
    """Return the smallest ELF file that asks for a loader and libraries; loaded at 0x1000."""
    strings = b"\0" + b"".join(name + b"\0" for name in libraries)
    at = [strings.index(name) for name in libraries]
    headers = 3
    body = 64 + 56 * headers
    dynamic = b"".join(struct.pack("<qQ", 1, offset) for offset in at)
    strings_at = body + len(loader) + 1
    dynamic_at = strings_at + len(strings)
    dynamic += struct.pack("<qQ", 5, 0x1000 + strings_at) + struct.pack("<qQ", 0, 0)
    total = dynamic_at + len(dynamic)
    table = [
        (1, 4, 0, 0x1000, 0, total, total, 0x1000),
        (3, 4, body, 0x1000 + body, 0, len(loader) + 1, len(loader) + 1, 1),
        (2, 4, dynamic_at, 0x1000 + dynamic_at, 0, len(dynamic), len(dynamic), 8),
    ]
    head = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, headers, 0, 0, 0
    )
    segments = b"".join(struct.pack("<IIQQQQQQ", *one) for one in table)
    return head + segments + loader + b"\0" + strings + dynamic


def test_the_loader_and_the_libraries_are_found() -> None:
    """Names come in the file's order."""
    image = elf(loader=b"/lib64/ld.so", libraries=(b"libone.so.1", b"libc.so.6"))

    assert needs(image) == Needs("/lib64/ld.so", ("libone.so.1", "libc.so.6"))


def test_a_script_is_no_elf_file() -> None:
    """Shell scripts of a package go in as they are."""
    assert needs(b"#!/bin/sh\n") is None


def test_this_python_is_read() -> None:
    """A file that a real linker wrote: its loader is there on this machine."""
    found = needs(Path(sys.executable).resolve().read_bytes())
    if found is None:
        pytest.skip("this Python is no 64-bit little-endian ELF file")

    assert found.loader is None or Path(found.loader).exists()
