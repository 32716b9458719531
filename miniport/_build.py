"""Builds the driver's fast path by cffi."""

from __future__ import annotations

import sys
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # pip builds in isolation: the checkout is not importable

from device.vfio_user.hardened import flags  # noqa: E402 - only after the path is set

CSRC = HERE / "csrc"
FLAGS = ("-std=c11", "-O2", "-Wall", "-Wextra", "-D_GNU_SOURCE")

COMPILING, LINKING = flags()
ffibuilder = FFI()
for part in ("burst", "coalesce"):
    ffibuilder.cdef((CSRC / f"{part}.cdef").read_text())
ffibuilder.set_source(
    "miniport._burst",
    '#include "burst.h"\n#include "coalesce.h"',
    sources=["miniport/csrc/burst.c", "miniport/csrc/coalesce.c"],
    include_dirs=["miniport/csrc"],
    depends=[f"miniport/csrc/{part}.{kind}" for part in ("burst", "coalesce") for kind in ("h", "cdef")],
    extra_compile_args=[*FLAGS, *COMPILING],
    extra_link_args=list(LINKING),
)

if __name__ == "__main__":
    ffibuilder.compile(verbose=True)
