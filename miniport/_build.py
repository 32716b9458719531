"""Builds the driver's fast path by cffi."""

from __future__ import annotations

from pathlib import Path

from cffi import FFI

CSRC = Path(__file__).resolve().parent / "csrc"
FLAGS = ("-std=c11", "-O2", "-Wall", "-Wextra", "-D_GNU_SOURCE")

ffibuilder = FFI()
for part in ("burst", "coalesce"):
    ffibuilder.cdef((CSRC / f"{part}.cdef").read_text())
ffibuilder.set_source(
    "miniport._burst",
    '#include "burst.h"\n#include "coalesce.h"',
    sources=["miniport/csrc/burst.c", "miniport/csrc/coalesce.c"],
    include_dirs=["miniport/csrc"],
    depends=[f"miniport/csrc/{part}.{kind}" for part in ("burst", "coalesce") for kind in ("h", "cdef")],
    extra_compile_args=list(FLAGS),
)

if __name__ == "__main__":
    ffibuilder.compile(verbose=True)
