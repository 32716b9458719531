"""Builds the driver's fast path by cffi."""

from __future__ import annotations

from pathlib import Path

from cffi import FFI

CSRC = Path(__file__).resolve().parent / "csrc"
FLAGS = ("-std=c11", "-O2", "-Wall", "-Wextra", "-D_GNU_SOURCE")

ffibuilder = FFI()
ffibuilder.cdef((CSRC / "burst.cdef").read_text())
ffibuilder.set_source(
    "miniport._burst",
    '#include "burst.h"',
    sources=["miniport/csrc/burst.c"],
    include_dirs=["miniport/csrc"],
    depends=["miniport/csrc/burst.h", "miniport/csrc/burst.cdef"],
    extra_compile_args=list(FLAGS),
)

if __name__ == "__main__":
    ffibuilder.compile(verbose=True)
