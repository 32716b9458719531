"""A kernel module is found in memory by its code, and its lines by its debug information."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from lab.stepper.calls import Unreadable
from lab.stepper.guest_hold import Symbols
from lab.stepper.kernel_symbols import KernelSymbols
from lab.stepper.module_image import AROUND, ModuleImage

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = """\
extern void elsewhere(volatile unsigned *);
extern int counter;

__attribute__((noinline)) void ring_doorbell(volatile unsigned *tail, unsigned value)
{
    tail[0x3818 / 4] = value;
    counter++;
}

__attribute__((noinline)) int xmit(volatile unsigned *bar, int many)
{
    for (int n = 0; n < many; n++) {
        elsewhere(bar);
        ring_doorbell(bar, n);
    }
    return many + counter;
}
"""
BASE = 0xFFFF_FFFF_C054_5000


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """Compile an object as the kernel's build would."""
    (tmp_path / "ux.c").write_text(SOURCE)
    compiled = tmp_path / "ux.ko"
    subprocess.run(
        ["cc", "-c", "-g", "-O1", "-fno-pie", "-mcmodel=kernel", "-o", compiled, "ux.c"],
        cwd=tmp_path,
        check=True,
    )
    return compiled


def loaded(image: ModuleImage) -> bytes:
    """Return the module's text as a kernel has it: relocated words are other ones."""
    (section,) = [one for one in image._sections if one.name == ".text"]
    return bytes(b if fixed else 0xA5 for b, fixed in zip(section.data, section.fixed, strict=True))


def test_a_function_its_offset_and_its_line_are_found_by_the_bytes_in_memory(module: Path) -> None:
    """Nothing is asked of the guest but memory."""
    image = ModuleImage.load(module)
    memory = bytes(AROUND) + loaded(image) + bytes(256)
    symbols = Symbols(KernelSymbols(), lambda: [module])
    symbols.read = lambda address, length: memory[address - BASE + AROUND :][:length]
    start = next(at for at, name in image._functions if name == "xmit")

    place = symbols.find(BASE + start + 9)

    assert place is not None
    assert (place.function, place.offset, place.module) == ("xmit", 9, "ux")
    assert place.start == BASE + start
    assert place.source.startswith("ux.c:1")


def test_other_code_at_the_same_place_of_a_page_is_no_match(module: Path) -> None:
    """A module that somebody else wrote is not taken for this one."""
    image = ModuleImage.load(module)

    assert image.locate(BASE + 9, os.urandom(2 * AROUND)) is None


def test_a_file_that_is_no_module_is_passed_over(tmp_path: Path) -> None:
    """The others are still searched."""
    wrong = tmp_path / "wrong.ko"
    wrong.write_bytes(b"nothing of the kind")
    symbols = Symbols(KernelSymbols(), lambda: [wrong, tmp_path / "missing.ko"])
    symbols.read = lambda _, length: bytes(length)

    assert symbols.find(BASE) is None


def test_a_function_at_the_beginning_of_a_module_is_found_though_nothing_lies_before_it(module: Path) -> None:
    """The page before a module's first is a guard page."""
    image = ModuleImage.load(module)
    text = loaded(image) + bytes(256)

    def read(address: int, length: int) -> bytes:
        if address < BASE:
            raise Unreadable
        return text[address - BASE :][:length]

    symbols = Symbols(KernelSymbols(), lambda: [module])
    symbols.read = read

    place = symbols.find(BASE + 1)

    assert place is not None
    assert place.function == min(image._functions)[1]
