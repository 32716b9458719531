"""A kernel module's file, laid out as Linux lays it out: its functions, its code, its source lines.

A module is found in the guest by its code: its text begins at a page's start, so an address fits only where
the bytes around it are the file's, relocated words aside. Nothing has to be asked of the guest, which stands.
"""

from __future__ import annotations

import io
import lzma
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from elftools.common.exceptions import DWARFError, ELFError
from elftools.elf.elffile import ELFFile

from lab.stepper.kernel_symbols import Place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE: Final = 4096
AROUND: Final = 32
"""Bytes before and after an address that are compared."""
LEAST: Final = 8
"""So many bytes must be there to be compared."""
ALIKE: Final = 0.8
"""The part of the compared bytes that must agree: the kernel patches its modules (ftrace, alternatives)."""
_WORD: Final = 1
"""R_X86_64_64, the one relocation of eight bytes (System V ABI, AMD64 supplement)."""
_SET_ADDRESS: Final = 2
"""DW_LNE_set_address, with which a sequence begins (DWARF 5, 6.2.5.3)."""
_EXECUTED, _ALLOCATED = 0x4, 0x2
_FUNCTION, _NO_TYPE = "STT_FUNC", "STT_NOTYPE"


@dataclass(slots=True)
class _Section:
    """An executable section, and where it is in the module's text."""

    index: int
    name: str
    start: int
    data: bytes
    fixed: bytearray = field(repr=False)
    """1 for each byte that no relocation changes."""


class ModuleImage:
    """One module. Addresses are offsets in its text, as laid out in the kernel's memory."""

    def __init__(self, name: str, content: bytes) -> None:
        """Read a ``.ko``, or a ``.ko.xz``. ValueError: it is none."""
        self.name = name
        if content.startswith(b"\xfd7zXZ\0"):
            content = lzma.decompress(content)
        try:
            self._elf = ELFFile(io.BytesIO(content))
            self._sections = self._lay_out()
            self._functions = sorted(self._read_functions())
        except ELFError as error:
            raise ValueError(f"{name}: {error}") from error
        self._starts = [start for start, _ in self._functions]

    @classmethod
    def load(cls, path: Path) -> ModuleImage:
        """Read a file. OSError, ValueError."""
        return cls(path.name.partition(".ko")[0].replace("-", "_"), path.read_bytes())

    def _lay_out(self) -> list[_Section]:
        """Place the sections as the kernel's ``layout_sections`` does: in the file's order, aligned."""
        found: list[_Section] = []
        end = 0
        for index, section in enumerate(self._elf.iter_sections()):
            flags = section["sh_flags"]
            if not (flags & _EXECUTED and flags & _ALLOCATED) or section.name.startswith(".init"):
                continue
            align = max(1, section["sh_addralign"])
            start = -(-end // align) * align
            data = section.data()
            found.append(_Section(index, section.name, start, data, bytearray(b"\1" * len(data))))
            end = start + len(data)
        for table in self._elf.iter_sections():
            if table["sh_type"] not in ("SHT_RELA", "SHT_REL"):
                continue
            for one in found:
                if table["sh_info"] == one.index:
                    for relocation in table.iter_relocations():  # type: ignore[attr-defined]  # a table of these
                        at = relocation["r_offset"]
                        first = max(0, at - 1)  # the call's own byte too: ftrace makes it a no-operation
                        end = min(len(one.fixed), at + (8 if relocation["r_info_type"] == _WORD else 4))
                        one.fixed[first:end] = bytes(end - first)
        return found

    def _read_functions(self) -> list[tuple[int, str]]:
        table = self._elf.get_section_by_name(".symtab")
        if table is None:
            return []
        starts = {section.index: section.start for section in self._sections}
        found = []
        for symbol in table.iter_symbols():  # type: ignore[attr-defined]  # a symbol table
            kind, index = symbol["st_info"]["type"], symbol["st_shndx"]
            if index in starts and symbol.name and kind in (_FUNCTION, _NO_TYPE):
                if kind == _NO_TYPE and symbol.name.startswith(("__pfx_", ".L")):
                    continue
                found.append((starts[index] + symbol["st_value"], symbol.name))
        return [one for one in found if not one[1].startswith("__pfx_")]

    def candidates(self, address: int) -> list[int]:
        """Return the offsets in the text at which an address may be: those in the same place of a page."""
        end = max((s.start + len(s.data) for s in self._sections), default=0)
        return list(range(address % PAGE, end, PAGE))

    def alike(self, offset: int, around: bytes) -> float:
        """Return which part of the bytes about an offset agrees; ``around`` begins ``AROUND`` before it."""
        section = self._section(offset)
        if section is None:
            return 0.0
        first = offset - section.start - AROUND
        same = compared = 0
        for number, byte in enumerate(around):
            at = first + number
            if 0 <= at < len(section.data) and section.fixed[at]:
                compared += 1
                same += section.data[at] == byte
        return same / compared if compared >= LEAST else 0.0

    def locate(self, address: int, around: bytes) -> int | None:
        """Return where the module's text is in memory, if the bytes about ``address`` are its own."""
        scores = [(self.alike(offset, around), offset) for offset in self.candidates(address)]
        score, offset = max(scores, default=(0.0, 0))
        return address - offset if score >= ALIKE else None

    def _section(self, offset: int) -> _Section | None:
        return next((s for s in self._sections if s.start <= offset < s.start + len(s.data)), None)

    def find(self, offset: int, base: int) -> Place | None:
        """Return the function at an offset, with its source line; ``base`` is where the text is in memory."""
        at = bisect_right(self._starts, offset) - 1
        if self._section(offset) is None or at < 0:
            return None
        start, name = self._functions[at]
        return Place(name, offset - start, base + start, self.name, self.source(offset))

    def source(self, offset: int) -> str:
        """Return ``file.c:33`` of the instruction before an offset; empty without debug information.

        Where the compiler inlined, the line of the function itself: not above its first, nor in a header.
        """
        section = self._section(offset)
        at = bisect_right(self._starts, offset) - 1
        if section is None or at < 0:
            return ""
        rows = self._rows.get(section.index, [])
        first, last = self._starts[at] - section.start, max(offset - 1, self._starts[at]) - section.start
        inside = rows[bisect_left(rows, first, key=_address) : bisect_right(rows, last, key=_address)]
        if not inside:
            return ""
        _, file, begins = inside[0]
        line = next((row[2] for row in reversed(inside) if row[1] == file and row[2] >= begins), begins)
        return f"{file}:{line}"

    @cached_property
    def _rows(self) -> dict[int, list[tuple[int, str, int]]]:
        """The lines of each section, by its index: address in the section, file, line."""
        if not self._elf.has_dwarf_info():
            return {}
        found: dict[int, list[tuple[int, str, int]]] = {}
        sequences = iter(self._sequences())
        try:
            dwarf = self._elf.get_dwarf_info()
            for unit in dwarf.iter_CUs():
                program = dwarf.line_program_for_CU(unit)
                if program is not None:
                    _read_rows(program, sequences, found)
        except (DWARFError, ELFError):
            return {}  # of a version that the library cannot read: there are no lines then
        for rows in found.values():
            rows.sort(key=_address)
        return found

    def _sequences(self) -> list[int]:
        """Return the section of each sequence of the line table, in their order.

        All begin at 0 in an object that is not linked; only their relocations tell one section from another.
        """
        table = self._elf.get_section_by_name(".rela.debug_line")
        if table is None:
            return []
        symbols = self._elf.get_section(table["sh_link"])
        relocations = [
            one
            for one in table.iter_relocations()  # type: ignore[attr-defined]  # a table of these
            if one["r_info_type"] == _WORD
        ]
        relocations.sort(key=lambda one: int(one["r_offset"]))
        return [
            symbols.get_symbol(one["r_info_sym"])["st_shndx"]  # type: ignore[attr-defined]  # a symbol table
            for one in relocations
        ]


def _address(row: tuple[int, str, int]) -> int:
    return row[0]


def _read_rows(
    program: Any,  # noqa: ANN401 - the library has no types
    sequences: Iterator[int],
    found: dict[int, list[tuple[int, str, int]]],
) -> None:
    """Add a line program's rows to those of the sections that they are of."""
    files = program["file_entry"]
    first = 0 if program["version"] >= 5 else 1
    section = -1
    for entry in program.get_entries():
        if entry.is_extended and entry.command == _SET_ADDRESS:
            section = next(sequences, -1)
        state = entry.state
        if state is None or state.end_sequence:
            continue
        number = state.file - first
        name = files[number].name.decode(errors="replace") if 0 <= number < len(files) else "?"
        found.setdefault(section, []).append((state.address, name.rpartition("/")[2], state.line))
