"""The seam to the device behind the protocol: what it declares, and what it is asked to do.

Implementations are elsewhere; ``Device`` says what a session needs of one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from .protocol import RegionFlags

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .dma import DmaMap
    from .irqs import Irqs
    from .messages import IoFd, MmapArea


@dataclass(frozen=True, slots=True)
class RegionInfo:
    """One region: a BAR, the ROM, configuration space.

    A ``size`` of 0 means there is none at that index.

    With ``fd`` the client may map it (``fd_offset``: where it begins in the file), or only the
    ``mmap_areas`` if there are any. The fds stay the device's. ``io_fds`` are its ioeventfds and
    ioregionfds; their ``fd_index`` counts in ``io_fd_list``. QEMU stops posting writes to the whole
    device when one region can be mapped.
    """

    size: int
    flags: RegionFlags = RegionFlags.READ | RegionFlags.WRITE
    fd: int | None = None
    fd_offset: int = 0
    mmap_areas: tuple[MmapArea, ...] = ()
    io_fds: tuple[IoFd, ...] = ()
    io_fd_list: tuple[int, ...] = ()


NO_REGION = RegionInfo(0, RegionFlags.NONE)
"""Stands at the index of a region that a device does not have."""


@dataclass(frozen=True, slots=True)
class Feature:
    """A device feature (DEVICE_FEATURE): the methods it has; None for one that it has not.

    ``get`` takes the data of the request and returns that of the reply; ``set`` takes the data.
    Both may raise GuestError.
    """

    get: Callable[[bytes], bytes] | None = None
    set: Callable[[bytes], None] | None = None


class Device(Protocol):
    """What a vfio-user server serves. All methods are called from the serving thread.

    A method may raise ``GuestError`` (the client gets its errno), ``TransportError`` (the client is
    closed); any other exception is a bug: it is told with its trace, and that client is closed. One of
    ``reset`` when the client has gone ends the server.
    """

    @property
    def regions(self) -> Sequence[RegionInfo]:
        """The regions by index (``PciRegion``); a PCI device has 9, of which 7 is configuration space.

        They may differ from client to client, not while one is attached: a file is for one client alone.
        """

    @property
    def irq_counts(self) -> Sequence[int]:
        """The number of vectors of each interrupt type (``PciIrq``), for instance (1, 1, 5, 1, 1)."""

    @property
    def features(self) -> Mapping[int, Feature]:
        """The device features, by index; empty for most devices."""

    def read_region(self, index: int, offset: int, count: int) -> bytes:
        """Return exactly ``count`` bytes. Index, range and the READ flag have been checked."""

    def write_region(self, index: int, offset: int, data: bytes) -> None:
        """Write ``data``. Index, range and the WRITE flag have been checked."""

    def reset(self) -> None:
        """Go back to the state after power-on; also called when a client has gone."""

    def attached(self, dma: DmaMap, irqs: Irqs) -> None:
        """Take what a new client gives: its memory and its interrupts, both still empty."""

    def detached(self) -> None:
        """Let go of both, and touch them no more; ``reset`` follows."""
