"""Builds the C core by cffi, against a header rendered from the register bank."""

from __future__ import annotations

import sys
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))  # pip builds in isolation: the checkout is not importable

from device.engine.header import regs_h  # noqa: E402  # only after the path is set
from device.vfio_user import hardened  # noqa: E402  # the same

CSRC = HERE / "csrc"
FLAGS = ("-std=c11", "-O2", "-fvisibility=hidden", "-pthread", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE")
"""What every build of the core is compiled with; tests/fuzz adds the sanitizers."""


def write_header(folder: Path = CSRC) -> None:
    """Write ``regs.h``, if it is not what Python says already."""
    header = folder / "regs.h"
    text = regs_h()
    if not header.exists() or header.read_text() != text:
        header.write_text(text)


def sources() -> list[str]:
    """Return the core's C files, relative to the checkout."""
    return sorted(f"device/engine/csrc/{path.name}" for path in CSRC.glob("*.c"))


write_header()
COMPILING, LINKING = hardened.flags()
ffibuilder = FFI()
ffibuilder.cdef((CSRC / "core.cdef").read_text())
ffibuilder.cdef('extern "Python" int rw_python_dma(void *, uint64_t, uint32_t, void *, int);')
ffibuilder.cdef('extern "Python" void rw_python_close(int);')
ffibuilder.set_source(
    "device.engine._core",
    '#include "core.h"',
    sources=sources(),
    include_dirs=["device/engine/csrc"],
    depends=sorted(f"device/engine/csrc/{path.name}" for path in CSRC.glob("*.[hc]*") if path.suffix != ".c"),
    # cffi's own code is not warning-free under every Python: -Werror is for ours, in tests/fuzz.
    extra_compile_args=[*(flag for flag in FLAGS if flag != "-Werror"), *COMPILING],
    extra_link_args=["-pthread", *LINKING],
)

if __name__ == "__main__":
    ffibuilder.compile(verbose=True)
