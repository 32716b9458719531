"""The register bank as data, and what is rendered from it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from device.engine import header
from device.regs.bank import Access, Bank, Field, Register
from device.regs.nic import BAR0_SIZE, NIC
from device.regs.render import c_header, decode


def test_two_registers_at_one_offset_are_refused() -> None:
    """The declaration is wrong, and the import says so."""
    first = Register("A", 0, Access.RW, 0, "a")
    second = Register("B", 8, Access.RW, 0, "b", aliases=(0,))

    with pytest.raises(ValueError, match="B and A are both at 0x00000"):
        Bank("x", (first, second))


def test_overlapping_fields_are_refused() -> None:
    """Two fields may not share a bit."""
    fields = (Field("LOW", 0, 3, "a"), Field("HIGH", 3, 4, "b"))

    with pytest.raises(ValueError, match=r"A\.HIGH overlaps"):
        Register("A", 0, Access.RW, 0, "a", fields)


def test_every_register_lies_in_bar0() -> None:
    """128 KiB, datasheet, Register Access."""
    assert all(offset + 4 <= BAR0_SIZE for reg in NIC for offset in reg.offsets())


def test_reset_values_are_ones_the_register_can_hold() -> None:
    """A reset value outside the writable bits would never come back after a write."""
    odd = [
        reg.name
        for reg in NIC
        if reg.access is Access.RW and reg.reset & ~reg.mask and not reg.name.startswith("TSYNC")
    ]

    assert odd == []


@pytest.mark.parametrize(
    ("alias", "name"),
    [(0x0110, "RDBAL0"), (0x0438, "TDT0"), (0x0044, "RAH[0]"), (0x0604, "VFTA[1]"), (0x0004, "CTRL")],
)
def test_the_82542_aliases_name_the_same_registers(alias: int, name: str) -> None:
    """Datasheet, Register Summary: old drivers use them."""
    assert NIC.name_of(alias) == name


def test_a_trace_line_names_flags_and_wider_fields() -> None:
    """A developer reads names, not bits."""
    assert decode(NIC, NIC["RCTL"].offset, 0x0001_8002) == "RCTL=00018002 EN BAM BSIZE=1"


def test_the_c_header_has_every_register_once() -> None:
    """The native engine is compiled against nothing else."""
    text = c_header(NIC)

    assert all(text.count(f"#define RW_{reg.name} ") == 1 for reg in NIC)


def test_no_number_of_pythons_is_spelled_in_c() -> None:
    """What ``device.engine.header`` renders is defined nowhere else in the core, nor in the driver's C."""
    top = Path(header.__file__).resolve().parents[2]
    rendered = set(re.findall(r"#define (RW_\w+)", header.regs_h()))

    twice = [
        f"{path.name}: {name}"
        for folder in ("device/engine/csrc", "miniport/csrc")
        for path in sorted((top / folder).glob("*.[hc]"))
        if path.name != "regs.h"
        for name in re.findall(r"^\s*(?:#define |(?=RW_\w+ =))(RW_\w+)", path.read_text(), re.MULTILINE)
        if name in rendered
    ]

    assert twice == []


C_ALONE = {
    "RW_BACKLOG_BYTES": "how much a recorder may lag behind",
    "RW_BATCH": "frames between two looks at the interrupt",
    "RW_CONTEXT_REACH": "follows from the width of a context's fields",
    "RW_FIFO_BLOCK": "how fifo.c keeps its memory",
    "RW_FRAGS": "pieces that are gathered before they are copied",
    "RW_FRAME_PIECES": "follows from RW_FRAGS",
    "RW_HEAD_BYTES": "how a frame's head lies in memory",
    "RW_HEAD_FRONT": "how a frame's head lies in memory",
    "RW_MAX_REGIONS": "what the C core can index",
    "RW_OFFLOAD_BYTES": "not C's alone: device.trace.records has it, and needs the built core",
    "RW_PLAIN_BYTES": "how a frame's head lies in memory",
    "RW_SLICE_LOOK": "work between two looks at the clock",
    "RW_SPLIT_BUFFERS": "buffers of a packet-split descriptor",
    "RW_TXD_DTYP": "a mask over whole doublewords",
    "RW_TXD_STAMP": "a mask over whole doublewords",
    "RW_WIRE_HEADER_BYTES": "the longest header of wire.c",
}
"""The numbers that a header of the core may spell, each with why it is not rendered from Python."""


def test_a_number_written_in_the_core_s_headers_has_its_reason() -> None:
    """Whoever writes another one says why it is not rendered from Python."""
    folder = Path(header.__file__).resolve().parent / "csrc"

    spelled = {
        name
        for path in sorted(folder.glob("*.h"))
        if path.name != "regs.h"
        for name in re.findall(r"^#define (RW_\w+) +\(?[0-9]", path.read_text(), re.MULTILINE)
    }

    assert spelled == set(C_ALONE)


@pytest.mark.parametrize("name", sorted(header.NUMBERS))
def test_every_number_that_is_rendered_is_used(name: str) -> None:
    """One that nobody reads any more goes."""
    top = Path(header.__file__).resolve().parents[2]
    text = "".join(
        path.read_text() for path in (top / "device/engine/csrc").glob("*.[hc]") if path.name != "regs.h"
    )

    assert f"RW_{name}" in text
