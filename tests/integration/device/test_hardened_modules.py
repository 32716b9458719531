"""The compiled modules are what the flags of device.vfio_user.hardened promise: their ELF files are read.

System V gABI, chapter 5; the GNU extensions are those of binutils' elf/common.h.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import device.engine._core
import miniport._burst
import pytest

from device.vfio_user import hardened
from lab.machines.guest.elf import DYNAMIC, MAGIC, PROGRAM_HEADER, PT_DYNAMIC, PT_LOAD, Segment

PT_NOTE, PT_GNU_STACK, PT_GNU_RELRO = 4, 0x6474E551, 0x6474E552
DT_STRTAB, DT_STRSZ, DT_TEXTREL, DT_FLAGS, DT_FLAGS_1 = 5, 10, 22, 30, 0x6FFF_FFFB
DF_TEXTREL, DF_BIND_NOW, DF_1_NOW = 4, 8, 1
EXECUTE, WRITE = 1, 2
MODULES = {
    "core": Path(device.engine._core.__file__),
    "burst": Path(miniport._burst.__file__),
}
COMPILING, LINKING = hardened.flags()


@dataclass(frozen=True, slots=True)
class Image:
    """A shared library: its segments, its dynamic section, the names in it."""

    raw: bytes
    segments: list[Segment]
    dynamic: dict[int, int]
    names: frozenset[bytes]

    def all_of(self, kind: int) -> list[Segment]:
        """Return the segments of a type."""
        return [segment for segment in self.segments if segment.kind == kind]

    def code(self) -> bytes:
        """Return what may be executed."""
        found = (s for s in self.all_of(PT_LOAD) if s.flags & EXECUTE)
        return b"".join(self.raw[s.offset : s.offset + s.file_bytes] for s in found)


@pytest.fixture(params=MODULES, scope="module")
def image(request: pytest.FixtureRequest) -> Image:
    """Read a module."""
    raw = MODULES[request.param].read_bytes()
    if not raw.startswith(MAGIC):
        pytest.skip("not a 64-bit little-endian ELF file: nothing here knows how to read it")
    (table,) = struct.unpack_from("<Q", raw, 0x20)
    size, count = struct.unpack_from("<HH", raw, 0x36)
    segments = [Segment(*PROGRAM_HEADER.unpack_from(raw, table + n * size)) for n in range(count)]
    place = next(s for s in segments if s.kind == PT_DYNAMIC)
    dynamic = dict(DYNAMIC.iter_unpack(raw[place.offset : place.offset + place.file_bytes]))
    start = dynamic[DT_STRTAB]
    load = next(s for s in segments if s.kind == PT_LOAD and s.address <= start < s.address + s.file_bytes)
    at = start - load.address + load.offset
    return Image(raw, segments, dynamic, frozenset(raw[at : at + dynamic[DT_STRSZ]].split(b"\0")))


def needs(flag: str, among: tuple[str, ...]) -> None:
    """Skip where this machine's compiler does not know a flag."""
    if flag not in among:
        pytest.skip(f"{hardened.compiler()[0]} does not know {flag}")


def test_every_table_of_addresses_is_read_only_once_it_is_filled(image: Image) -> None:
    """Full RELRO: everything is bound at once, and the tables are write-protected."""
    needs("-Wl,-z,now", LINKING)

    assert image.all_of(PT_GNU_RELRO)
    assert image.dynamic.get(DT_FLAGS, 0) & DF_BIND_NOW or image.dynamic.get(DT_FLAGS_1, 0) & DF_1_NOW


def test_nothing_is_writable_and_executable(image: Image) -> None:
    """No stack, no segment, and no relocation in the code."""
    needs("-Wl,-z,noexecstack", LINKING)

    assert [s.flags & EXECUTE for s in image.all_of(PT_GNU_STACK)] == [0]
    assert all(s.flags & (EXECUTE | WRITE) != EXECUTE | WRITE for s in image.all_of(PT_LOAD))
    assert DT_TEXTREL not in image.dynamic
    assert not image.dynamic.get(DT_FLAGS, 0) & DF_TEXTREL


def test_stacks_have_canaries(image: Image) -> None:
    """The function that ends a program with a smashed stack is called."""
    needs("-fstack-protector-strong", COMPILING)

    assert b"__stack_chk_fail" in image.names


def test_indirect_jumps_have_their_landing_places(image: Image) -> None:
    """ENDBR64 at many functions' entries; the note says that the shadow stack is kept."""
    needs("-fcf-protection=full", COMPILING)
    notes = b"".join(image.raw[s.offset : s.offset + s.file_bytes] for s in image.all_of(PT_NOTE))
    shadow_stack = struct.pack("<II", 0xC000_0002, 4)  # GNU_PROPERTY_X86_FEATURE_1_AND, 4 bytes
    at = notes.find(shadow_stack)

    assert image.code().count(b"\xf3\x0f\x1e\xfa") > 20
    assert at >= 0
    assert notes[at + 8] & 2  # GNU_PROPERTY_X86_FEATURE_1_SHSTK


def test_the_core_is_fortified() -> None:
    """A jump out of a SIGBUS goes through the C library's checked one, so that the macro was in force."""
    needs("-U_FORTIFY_SOURCE", COMPILING)

    assert b"__longjmp_chk" in MODULES["core"].read_bytes()


@pytest.mark.parametrize("name", MODULES)
def test_a_module_without_its_assertions_cannot_be_built(name: str) -> None:
    """NDEBUG, which Python's own flags have, is an error in the headers; so what was built has none."""
    folder, headers = {
        "core": ("device/engine/csrc", ("card.h",)),
        "burst": ("miniport/csrc", ("burst.h", "coalesce.h")),
    }[name]
    top = Path(__file__).resolve().parents[3]

    assert all("#ifdef NDEBUG\n#error" in (top / folder / header).read_text() for header in headers)
    assert "-UNDEBUG" in COMPILING


def test_a_compiler_that_knows_no_flag_builds_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each flag is tried; one that is missing is left out."""
    monkeypatch.setenv("CC", "a-compiler-that-is-not-there")
    hardened.flags.cache_clear()
    try:
        assert hardened.flags() == ((), ())
    finally:
        hardened.flags.cache_clear()
