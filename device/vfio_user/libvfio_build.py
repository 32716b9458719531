"""Compiles the binding to libvfio-user, by cffi in API mode: against the real header, whatever its version.

Nothing here runs when Ringwalk is installed: ``compile_binding`` is called where the library is, by who wants
the second transport. The differences between versions are met by the C compiler, in ``GLUE``:

- ``vfu_setup_device_dma`` took two callbacks (QEMU 7.2's copy), and later the number of regions before them.
- The migration callbacks have a version; ours are version 1 (a region with registers).

Source: include/libvfio-user.h.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import subprocess
import sys
import sysconfig
from typing import TYPE_CHECKING

from cffi import FFI

from . import hardened

if TYPE_CHECKING:
    from pathlib import Path

MODULE = "ringwalk_libvfio_user"
"""The name of the compiled module; a file of that name and Python's own suffix."""

CDEF = """
typedef struct vfu_ctx vfu_ctx_t;
typedef struct dma_sg dma_sg_t;
struct iovec { void *iov_base; size_t iov_len; };
typedef struct { struct iovec iova; void *vaddr; uint32_t prot; ...; } vfu_dma_info_t;

#define LIBVFIO_USER_FLAG_ATTACH_NB ...
#define VFU_REGION_FLAG_READ ...
#define VFU_REGION_FLAG_WRITE ...
#define VFU_REGION_FLAG_MEM ...
#define VFU_REGION_FLAG_ALWAYS_CB ...

vfu_ctx_t *rw_create(const char *path, void *private);
int vfu_realize_ctx(vfu_ctx_t *);
int vfu_attach_ctx(vfu_ctx_t *);
int vfu_get_poll_fd(vfu_ctx_t *);
int vfu_run_ctx(vfu_ctx_t *);
void vfu_destroy_ctx(vfu_ctx_t *);
void *vfu_get_private(vfu_ctx_t *);
int rw_setup_pci(vfu_ctx_t *, int express);
void vfu_pci_set_id(vfu_ctx_t *, uint16_t, uint16_t, uint16_t, uint16_t);
int vfu_setup_device_nr_irqs(vfu_ctx_t *, int type, uint32_t count);
int vfu_irq_trigger(vfu_ctx_t *, uint32_t);
int rw_setup_region(vfu_ctx_t *, int index, size_t size, int flags, struct iovec *areas, uint32_t count,
                    int fd, uint64_t offset);
int rw_setup_callbacks(vfu_ctx_t *, int log_level);
int rw_setup_migration(vfu_ctx_t *, uint64_t data_offset);
size_t vfu_get_migr_register_area_size(void);
size_t dma_sg_size(void);
int vfu_addr_to_sgl(vfu_ctx_t *, void *, size_t, dma_sg_t *, size_t, int);
int vfu_sgl_read(vfu_ctx_t *, dma_sg_t *, size_t, void *);
int vfu_sgl_write(vfu_ctx_t *, dma_sg_t *, size_t, void *);

extern "Python" {
    ssize_t rw_access(vfu_ctx_t *, int, char *, size_t, uint64_t, int);
    int rw_reset(vfu_ctx_t *, int);
    void rw_log(vfu_ctx_t *, int, const char *);
    void rw_dma_register(vfu_ctx_t *, vfu_dma_info_t *);
    void rw_dma_unregister(vfu_ctx_t *, vfu_dma_info_t *);
    int rw_transition(vfu_ctx_t *, int);
    uint64_t rw_pending(vfu_ctx_t *);
    int rw_prepare(vfu_ctx_t *, uint64_t *, uint64_t *);
    ssize_t rw_data_read(vfu_ctx_t *, void *, uint64_t, uint64_t);
    ssize_t rw_data_write(vfu_ctx_t *, void *, uint64_t, uint64_t);
    int rw_data_written(vfu_ctx_t *, uint64_t);
}
"""

GLUE = """
#include <errno.h>
#include <stdbool.h>
#include "libvfio-user.h"

static ssize_t rw_access(vfu_ctx_t *, int, char *, size_t, uint64_t, int);
static int rw_reset(vfu_ctx_t *, int);
static void rw_log(vfu_ctx_t *, int, const char *);
static void rw_dma_register(vfu_ctx_t *, vfu_dma_info_t *);
static void rw_dma_unregister(vfu_ctx_t *, vfu_dma_info_t *);
static int rw_transition(vfu_ctx_t *, int);
static uint64_t rw_pending(vfu_ctx_t *);
static int rw_prepare(vfu_ctx_t *, uint64_t *, uint64_t *);
static ssize_t rw_data_read(vfu_ctx_t *, void *, uint64_t, uint64_t);
static ssize_t rw_data_write(vfu_ctx_t *, void *, uint64_t, uint64_t);
static int rw_data_written(vfu_ctx_t *, uint64_t);

/* A region's callback is not told its index: one function for each. */
#define RW_REGION(n) \\
    static ssize_t rw_region_##n(vfu_ctx_t *ctx, char *buf, size_t count, loff_t offset, bool is_write) \\
    { \\
        return rw_access(ctx, n, buf, count, (uint64_t)offset, is_write); \\
    }
RW_REGION(0) RW_REGION(1) RW_REGION(2) RW_REGION(3) RW_REGION(4)
RW_REGION(5) RW_REGION(6) RW_REGION(7) RW_REGION(8)
static vfu_region_access_cb_t *const rw_regions[] = {
    rw_region_0, rw_region_1, rw_region_2, rw_region_3, rw_region_4,
    rw_region_5, rw_region_6, rw_region_7, rw_region_8,
};

static int rw_on_reset(vfu_ctx_t *ctx, vfu_reset_type_t type)
{
    return rw_reset(ctx, (int)type);
}

static vfu_ctx_t *rw_create(const char *path, void *private)
{
    return vfu_create_ctx(VFU_TRANS_SOCK, path, LIBVFIO_USER_FLAG_ATTACH_NB, private, VFU_DEV_TYPE_PCI);
}

static int rw_setup_pci(vfu_ctx_t *ctx, int express)
{
    const vfu_pci_type_t type = express ? VFU_PCI_TYPE_EXPRESS : VFU_PCI_TYPE_CONVENTIONAL;

    return vfu_pci_init(ctx, type, PCI_HEADER_TYPE_NORMAL, 0);
}

static int rw_setup_region(vfu_ctx_t *ctx, int index, size_t size, int flags, struct iovec *areas,
                           uint32_t count, int fd, uint64_t offset)
{
    const int known = (int)(sizeof(rw_regions) / sizeof(rw_regions[0]));

    return vfu_setup_region(ctx, index, size, index >= 0 && index < known ? rw_regions[index] : NULL, flags,
                            count ? areas : NULL, count, fd, offset);
}

/* Two callbacks, or the number of regions and two callbacks: the header says which. */
typedef int rw_dma_old(vfu_ctx_t *, vfu_dma_register_cb_t *, vfu_dma_unregister_cb_t *);
typedef int rw_dma_new(vfu_ctx_t *, size_t, vfu_dma_register_cb_t *, vfu_dma_unregister_cb_t *);
#ifdef LIBVFIO_USER_MAX_DMA_REGIONS
#define RW_MAX_DMA_REGIONS LIBVFIO_USER_MAX_DMA_REGIONS
#else
#define RW_MAX_DMA_REGIONS 64
#endif

static int rw_setup_callbacks(vfu_ctx_t *ctx, int log_level)
{
    void *setup = (void *)&vfu_setup_device_dma;

    if (vfu_setup_log(ctx, rw_log, log_level) < 0 || vfu_setup_device_reset_cb(ctx, rw_on_reset) < 0)
        return -1;
    if (_Generic(&vfu_setup_device_dma, rw_dma_old *: 1, default: 0))
        return ((rw_dma_old *)setup)(ctx, rw_dma_register, rw_dma_unregister);
    return ((rw_dma_new *)setup)(ctx, RW_MAX_DMA_REGIONS, rw_dma_register, rw_dma_unregister);
}

#if VFU_MIGR_CALLBACKS_VERS == 1
static int rw_on_transition(vfu_ctx_t *ctx, vfu_migr_state_t state)
{
    return rw_transition(ctx, (int)state);
}

static int rw_setup_migration(vfu_ctx_t *ctx, uint64_t data_offset)
{
    static const vfu_migration_callbacks_t callbacks = {
        .version = VFU_MIGR_CALLBACKS_VERS,
        .transition = rw_on_transition,
        .get_pending_bytes = rw_pending,
        .prepare_data = rw_prepare,
        .read_data = rw_data_read,
        .write_data = rw_data_write,
        .data_written = rw_data_written,
    };

    return vfu_setup_device_migration_callbacks(ctx, &callbacks, data_offset);
}
#else
static int rw_setup_migration(vfu_ctx_t *ctx, uint64_t data_offset)
{
    (void)ctx;
    (void)data_offset;
    errno = ENOTSUP;
    return -1;
}
#endif
"""


class BuildError(Exception):
    """The binding cannot be compiled here; the message has the compiler's first complaint."""


def fingerprint() -> str:
    """Return what changes when the binding's source does, to keep a compiled one apart from an old one."""
    return hashlib.sha256(f"{CDEF}{GLUE}{sys.version}{hardened.flags()}".encode()).hexdigest()[:16]


def compile_binding(include: Path, library: Path, folder: Path) -> Path:
    """Compile against the headers in ``include`` and the shared ``library``; return the file, in ``folder``.

    The library's folder is written into the module, so that neither is searched for. BuildError.
    """
    ffibuilder = FFI()
    ffibuilder.cdef(CDEF)
    ffibuilder.set_source(MODULE, GLUE)
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / f"{MODULE}.{os.getpid()}.c"
    with contextlib.redirect_stdout(io.StringIO()):  # it tells the world that it does
        ffibuilder.emit_c_code(str(source))
    target = folder / f"{MODULE}{sysconfig.get_config_var('EXT_SUFFIX')}"
    new = target.with_suffix(f".{os.getpid()}")
    compiler = hardened.compiler()
    compiling, linking = hardened.flags()
    paths = [f"-I{include}", f"-I{sysconfig.get_path('include')}", f"-I{sysconfig.get_path('platinclude')}"]
    flags = [
        "-std=gnu11",
        "-O2",
        "-fPIC",
        "-shared",
        "-w",
        "-D_GNU_SOURCE",
        *compiling,
    ]  # -w: cffi's and the header's own
    link = [str(library), f"-Wl,-rpath,{library.parent}", *linking]
    try:
        done = subprocess.run(
            [*compiler, *flags, *paths, str(source), "-o", str(new), *link],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise BuildError(f"there is no C compiler {compiler[0]}") from error
    finally:
        source.unlink(missing_ok=True)
    if done.returncode:
        first = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip())
        raise BuildError(f"the compiler says: {first}")
    new.replace(target)
    return target
