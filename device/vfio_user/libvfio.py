"""libvfio-user by cffi: one device context of the library, its callbacks, its errors as exceptions.

The library is not thread-safe, and its calls come back into Python (``Callbacks``) on the thread that made
them: one thread uses a ``Context``. ``libvfio_server`` puts a ``Device`` on one. The binding is compiled by
``libvfio_build``; ``load`` takes its file.

Source: include/libvfio-user.h of libvfio-user.
"""

from __future__ import annotations

import errno
import importlib.util
import os
from typing import TYPE_CHECKING, Any, Protocol

from .errors import DmaError, GuestError, RequestRefused
from .libvfio_build import MODULE
from .protocol import RegionFlags

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from .messages import MmapArea

LOG_WARNING = 4
"""syslog(3)'s level, from which on (downwards) the library's words are passed on."""

PROT_READ, PROT_WRITE = 1, 2
Binding = Any  # a compiled cffi module: `ffi` and `lib`, known to the C compiler only


class LibraryError(Exception):
    """A call of the library failed: ``errno`` as it set it."""

    def __init__(self, call: str, number: int) -> None:
        """Keep which call and its errno."""
        super().__init__(f"{call}: {os.strerror(number)}")
        self.call = call
        self.errno = number


class Callbacks(Protocol):
    """What the library asks of a device; GuestError and RequestRefused become its errno."""

    def access(self, index: int, offset: int, count: int, data: bytes | None) -> bytes:
        """Write ``data`` to a region, or read ``count`` bytes when it is None."""

    def reset(self, reason: int) -> None:
        """Reset: 0 asked by the client, 1 the client is lost, 2 function level reset."""

    def log(self, level: int, text: str) -> None:
        """Hear what the library has to say."""

    def dma_added(self, iova: int, size: int, protection: int, address: int | None) -> None:
        """Take a region; ``address`` is where the library mapped it, None without an fd."""

    def dma_removed(self, iova: int, size: int) -> None:
        """Let go of a region: the library unmaps it when this returns."""


class MigrationCallbacks(Callbacks, Protocol):
    """The same for a device whose state can be moved (migration version 1 of VFIO)."""

    def transition(self, state: int) -> None:
        """Go to a state: 0 stop, 1 running, 2 stop-and-copy, 3 pre-copy, 4 resume."""

    def pending_bytes(self) -> int:
        """Return how much there is to read; 0: no more in this state."""

    def read_state(self, offset: int, count: int) -> bytes:
        """Return a part of the data."""

    def write_state(self, offset: int, data: bytes) -> None:
        """Take data on the receiving side."""


def load(path: Path) -> Binding:
    """Import the compiled binding at ``path`` and give it its callbacks. OSError or ImportError."""
    spec = importlib.util.spec_from_file_location(MODULE, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no extension module")
    binding = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(binding)
    _bind(binding)
    return binding


_bugs: list[BaseException] = []  # what a callback raised, until the call that led there is back in Python


def _note(_kind: type[BaseException], bug: BaseException, _trace: TracebackType) -> None:
    """Keep an exception over the library's frames; ``Context`` raises it again."""
    _bugs.append(bug)


def _bind(binding: Binding) -> None:  # noqa: C901 - one small closure over `ffi` for each callback
    """Define the C side's ``extern "Python"`` functions."""
    ffi, lib = binding.ffi, binding.lib

    def callbacks(ctx: Any) -> Any:  # noqa: ANN401 - a vfu_ctx_t, and whichever protocol the caller needs
        return ffi.from_handle(lib.vfu_get_private(ctx))

    def guarded(error: int, call: Any) -> Any:  # noqa: ANN401 - any signature in, the same out
        def inner(*arguments: Any) -> Any:  # noqa: ANN401 - the same
            try:
                result = call(*arguments)
            except (GuestError, RequestRefused) as refused:
                ffi.errno = refused.errno
                return error
            return 0 if result is None else result

        return inner

    def access(*call: Any) -> int:  # noqa: ANN401 - C's types
        ctx, index, buf, count, offset, is_write = call
        count = int(count)
        if is_write:
            callbacks(ctx).access(index, offset, count, bytes(ffi.buffer(buf, count)))
        else:
            ffi.buffer(buf, count)[:] = callbacks(ctx).access(index, offset, count, None)
        return count

    def dma_register(ctx: Any, info: Any) -> None:  # noqa: ANN401 - C's types
        address = int(ffi.cast("uintptr_t", info.vaddr)) or None
        iova = int(ffi.cast("uintptr_t", info.iova.iov_base))
        callbacks(ctx).dma_added(iova, info.iova.iov_len, info.prot, address)

    def dma_unregister(ctx: Any, info: Any) -> None:  # noqa: ANN401 - C's types
        callbacks(ctx).dma_removed(int(ffi.cast("uintptr_t", info.iova.iov_base)), info.iova.iov_len)

    def prepare(ctx: Any, offset: Any, size: Any) -> None:  # noqa: ANN401 - C's types
        offset[0] = 0
        if size != ffi.NULL:
            size[0] = callbacks(ctx).pending_bytes()

    def data_read(ctx: Any, buf: Any, count: int, offset: int) -> int:  # noqa: ANN401 - C's types
        ffi.buffer(buf, count)[:] = callbacks(ctx).read_state(offset, count)
        return count

    def data_write(ctx: Any, buf: Any, count: int, offset: int) -> int:  # noqa: ANN401 - C's types
        callbacks(ctx).write_state(offset, bytes(ffi.buffer(buf, count)))
        return count

    table = {
        "rw_access": access,
        "rw_reset": lambda ctx, reason: callbacks(ctx).reset(reason),
        "rw_transition": lambda ctx, state: callbacks(ctx).transition(state),
        "rw_prepare": prepare,
        "rw_data_read": data_read,
        "rw_data_write": data_write,
        "rw_data_written": lambda _ctx, _count: 0,
    }
    for name, call in table.items():
        ffi.def_extern(name=name, error=-1, onerror=_note)(guarded(-1, call))
    ffi.def_extern(name="rw_pending", error=0, onerror=_note)(lambda ctx: callbacks(ctx).pending_bytes())
    silent = {
        "rw_log": lambda ctx, level, text: callbacks(ctx).log(
            level, ffi.string(text).decode(errors="replace")
        ),
        "rw_dma_register": dma_register,
        "rw_dma_unregister": dma_unregister,
    }
    for name, quiet in silent.items():
        ffi.def_extern(name=name, onerror=_note)(quiet)


class Context:
    """One ``vfu_ctx_t``: set up first, then ``realize``, ``attach`` and ``run``."""

    def __init__(self, binding: Binding, path: str, callbacks: Callbacks) -> None:
        """Listen at ``path``, with the process' umask. LibraryError."""
        self._ffi, self._lib = binding.ffi, binding.lib
        self._handle = self._ffi.new_handle(callbacks)
        self._ctx = self._lib.rw_create(os.fsencode(path), self._handle)
        if self._ctx == self._ffi.NULL:
            raise LibraryError("vfu_create_ctx", self._ffi.errno)
        self._must("setting up callbacks", self._lib.rw_setup_callbacks(self._ctx, LOG_WARNING))

    # -- setting up ----------------------------------------------------------------------------------

    def pci(self, *, express: bool, ids: tuple[int, int, int, int] | None = None) -> None:
        """Make it a PCI device; ``ids`` where the library keeps configuration space. LibraryError."""
        self._must("vfu_pci_init", self._lib.rw_setup_pci(self._ctx, int(express)))
        if ids is not None:
            self._lib.vfu_pci_set_id(self._ctx, *ids)

    def region(
        self,
        index: int,
        size: int,
        *,
        memory: bool,
        rights: RegionFlags = RegionFlags.READ | RegionFlags.WRITE,
        always: bool = False,
        areas: Sequence[MmapArea] = (),
        fd: int = -1,
        offset: int = 0,
    ) -> None:
        """Have a region; without ``memory`` it is an I/O BAR.

        ``always`` leaves all of configuration space to the callback.

        LibraryError.
        """
        flags = self._lib.VFU_REGION_FLAG_READ if rights & RegionFlags.READ else 0
        flags |= self._lib.VFU_REGION_FLAG_WRITE if rights & RegionFlags.WRITE else 0
        flags |= self._lib.VFU_REGION_FLAG_MEM if memory else 0
        flags |= self._lib.VFU_REGION_FLAG_ALWAYS_CB if always else 0
        listed = self._ffi.new("struct iovec[]", max(1, len(areas)))
        for place, area in zip(listed, areas, strict=False):
            place.iov_base, place.iov_len = self._ffi.cast("void *", area.offset), area.size
        done = self._lib.rw_setup_region(self._ctx, index, size, flags, listed, len(areas), fd, offset)
        self._must(f"vfu_setup_region({index})", done)

    def irqs(self, counts: Sequence[int]) -> None:
        """Set the number of vectors of each type. LibraryError."""
        for kind, count in enumerate(counts):
            done = self._lib.vfu_setup_device_nr_irqs(self._ctx, kind, count)
            self._must(f"vfu_setup_device_nr_irqs({kind})", done)

    def migration(self, data_offset: int) -> None:
        """Use the ``MigrationCallbacks``; region 9 is there. LibraryError (ENOTSUP: another version)."""
        self._must("migration", self._lib.rw_setup_migration(self._ctx, data_offset))

    def migration_register_bytes(self) -> int:
        """Return the size of the migration registers, whole pages."""
        return int(self._lib.vfu_get_migr_register_area_size())

    def realize(self) -> None:
        """End the setting up. LibraryError."""
        self._must("vfu_realize_ctx", self._lib.vfu_realize_ctx(self._ctx))

    # -- running -------------------------------------------------------------------------------------

    @property
    def fd(self) -> int:
        """The descriptor to wait on: the listening one; after ``attach``, the client's."""
        return int(self._lib.vfu_get_poll_fd(self._ctx))

    def attach(self) -> bool:
        """Take a client that waits, and negotiate; False when there is none. LibraryError: no agreement."""
        done = self._lib.vfu_attach_ctx(self._ctx)
        number = self._ffi.errno
        self._raise()
        if done == 0:
            return True
        if number in {errno.EAGAIN, errno.EINTR}:
            return False
        raise LibraryError("vfu_attach_ctx", number)

    def run(self) -> bool:
        """Handle one message, if there is one; False when the client is gone. LibraryError: broken."""
        done = self._lib.vfu_run_ctx(self._ctx)
        number = self._ffi.errno
        self._raise()
        if done >= 0 or number == errno.EINTR:
            return True
        if number == errno.ENOTCONN:
            return False
        raise LibraryError("vfu_run_ctx", number)

    def trigger(self, vector: int) -> None:
        """Interrupt. LibraryError (ENOENT: not armed)."""
        self._must("vfu_irq_trigger", self._lib.vfu_irq_trigger(self._ctx, vector))

    def dma_read(self, address: int, count: int) -> bytes:
        """Read by message from the start of a region (QEMU 7.2's copy ignores the offset in it). DmaError."""
        into = self._ffi.new("char[]", count)
        if self._lib.vfu_sgl_read(self._ctx, self._segment(address, count, PROT_READ), 1, into) < 0:
            raise DmaError(address, count, os.strerror(self._ffi.errno))
        return bytes(self._ffi.buffer(into))

    def dma_write(self, address: int, data: bytes) -> None:
        """Write by message to the start of a region (the same). DmaError."""
        segment = self._segment(address, len(data), PROT_WRITE)
        if self._lib.vfu_sgl_write(self._ctx, segment, 1, self._ffi.from_buffer(data)) < 0:
            raise DmaError(address, len(data), os.strerror(self._ffi.errno))

    def close(self) -> None:
        """End the context; the callbacks are told of regions that remain. Idempotent."""
        ctx, self._ctx = self._ctx, self._ffi.NULL
        if ctx != self._ffi.NULL:
            self._lib.vfu_destroy_ctx(ctx)
            self._raise()

    def _segment(self, address: int, count: int, protection: int) -> Any:  # noqa: ANN401 - a dma_sg_t
        raw = self._ffi.new("char[]", self._lib.dma_sg_size())
        segment = self._ffi.cast("dma_sg_t *", raw)
        where = self._ffi.cast("void *", address)
        if self._lib.vfu_addr_to_sgl(self._ctx, where, count, segment, 1, protection) != 1:
            raise DmaError(address, count)
        return self._ffi.gc(segment, lambda _: raw)  # the cast does not keep the memory

    def _must(self, call: str, result: int) -> None:
        number = self._ffi.errno
        self._raise()
        if result < 0:
            raise LibraryError(call, number)

    @staticmethod
    def _raise() -> None:
        """Raise what a callback raised: a bug crashes, wherever it happened."""
        if _bugs:
            bug = _bugs[0]
            _bugs.clear()
            raise bug
