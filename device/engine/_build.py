"""Builds the C core by cffi, against a header rendered from the register bank."""

from __future__ import annotations

import sys
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))  # pip builds in isolation: the checkout is not importable

from device.regs.nic import NIC  # noqa: E402  # only after the path is set
from device.regs.render import c_header  # noqa: E402  # the same

CSRC = HERE / "csrc"
header = CSRC / "regs.h"
text = c_header(NIC)
if not header.exists() or header.read_text() != text:
    header.write_text(text)

ffibuilder = FFI()
ffibuilder.cdef((CSRC / "core.cdef").read_text())
ffibuilder.set_source(
    "device.engine._core",
    '#include "core.h"',
    sources=["device/engine/csrc/core.c"],
    include_dirs=["device/engine/csrc"],
    extra_compile_args=["-std=c11", "-O2", "-Wall", "-Wextra", "-D_GNU_SOURCE"],
)

if __name__ == "__main__":
    ffibuilder.compile(verbose=True)
