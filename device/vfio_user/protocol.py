"""The numbers of the vfio-user protocol and of the parts of ``<linux/vfio.h>`` that it carries.

Data only. Sources: QEMU's docs/interop/vfio-user.rst and hw/vfio-user/protocol.h, libvfio-user's
include/vfio-user.h, Linux' include/uapi/linux/vfio.h.
"""

from __future__ import annotations

import enum

HEADER_BYTES = 16
"""Size of the header that every message starts with."""

PAGE_BYTES = 4096
"""The page size every side must support (QEMU: VFIO_USER_DEF_PGSIZE)."""

DEFAULT_MAX_DATA_XFER_BYTES = 1024 * 1024
"""``max_data_xfer_size`` of a side that names none."""

DEFAULT_MAX_DMA_MAPS = 65535
"""``max_dma_maps`` of a side that names none; QEMU refuses a larger one."""

DEFAULT_MAX_MSG_FDS = 1
"""``max_msg_fds`` of a side that names none."""

MAX_MSG_FDS = 16
"""The most fds a message we accept may carry; QEMU refuses a server that names more."""

MAX_MULTI_DATA_BYTES = 8
"""The most bytes that one write of a REGION_WRITE_MULTI holds."""


class Command(enum.IntEnum):
    """What a message asks for. 14 (DIRTY_PAGES) is obsolete and refused."""

    VERSION = 1
    DMA_MAP = 2
    DMA_UNMAP = 3
    DEVICE_GET_INFO = 4
    DEVICE_GET_REGION_INFO = 5
    DEVICE_GET_REGION_IO_FDS = 6
    DEVICE_GET_IRQ_INFO = 7
    DEVICE_SET_IRQS = 8
    REGION_READ = 9
    REGION_WRITE = 10
    DMA_READ = 11
    DMA_WRITE = 12
    DEVICE_RESET = 13
    REGION_WRITE_MULTI = 15
    DEVICE_FEATURE = 16
    MIG_DATA_READ = 17
    MIG_DATA_WRITE = 18


class HeaderFlags(enum.IntFlag):
    """The flags word of the header: bits 0 to 3 are the type, 0 a command, 1 a reply."""

    COMMAND = 0
    REPLY = 1
    TYPE = 0xF  # the mask of the type
    NO_REPLY = 1 << 4
    ERROR = 1 << 5


class Protection(enum.IntFlag):
    """What the device may do with a DMA region (flags of DMA_MAP)."""

    NONE = 0
    READ = 1 << 0
    WRITE = 1 << 1


class UnmapFlags(enum.IntFlag):
    """Flags of DMA_UNMAP."""

    NONE = 0
    GET_DIRTY_BITMAP = 1 << 0
    ALL = 1 << 1


class DeviceFlags(enum.IntFlag):
    """Flags of DEVICE_GET_INFO."""

    RESET = 1 << 0
    PCI = 1 << 1


class RegionFlags(enum.IntFlag):
    """Flags of DEVICE_GET_REGION_INFO."""

    NONE = 0
    READ = 1 << 0
    WRITE = 1 << 1
    MMAP = 1 << 2
    CAPS = 1 << 3


class RegionCapability(enum.IntEnum):
    """The kinds of region capability."""

    SPARSE_MMAP = 1
    TYPE = 2


class PciRegion(enum.IntEnum):
    """The regions of a PCI device, by index."""

    BAR0 = 0
    BAR1 = 1
    BAR2 = 2
    BAR3 = 3
    BAR4 = 4
    BAR5 = 5
    ROM = 6
    CONFIG = 7
    VGA = 8


PCI_NUM_REGIONS = 9
"""How many regions a PCI device has at least."""


class IoFdType(enum.IntEnum):
    """How the fd of a sub-region is to be used."""

    IOEVENTFD = 0
    IOREGIONFD = 1


class PciIrq(enum.IntEnum):
    """The interrupt types of a PCI device, by index."""

    INTX = 0
    MSI = 1
    MSIX = 2
    ERR = 3
    REQ = 4


class IrqInfoFlags(enum.IntFlag):
    """Flags of DEVICE_GET_IRQ_INFO."""

    EVENTFD = 1 << 0
    MASKABLE = 1 << 1
    AUTOMASKED = 1 << 2
    NORESIZE = 1 << 3


class IrqSetFlags(enum.IntFlag):
    """Flags of DEVICE_SET_IRQS: exactly one DATA and exactly one ACTION."""

    DATA_NONE = 1 << 0
    DATA_BOOL = 1 << 1
    DATA_EVENTFD = 1 << 2
    ACTION_MASK = 1 << 3
    ACTION_UNMASK = 1 << 4
    ACTION_TRIGGER = 1 << 5


IRQ_DATA_MASK = 0x07
"""The DATA bits of ``IrqSetFlags``."""

IRQ_ACTION_MASK = 0x38
"""The ACTION bits of ``IrqSetFlags``."""


class FeatureFlags(enum.IntFlag):
    """Flags of DEVICE_FEATURE; the low 16 bits are the feature's index."""

    INDEX = 0xFFFF  # the mask of the index
    GET = 1 << 16
    SET = 1 << 17
    PROBE = 1 << 18


class DmaLayout(enum.Enum):
    """Where the data of DMA_READ and DMA_WRITE begins.

    The specification has a 64-bit count and the data at message offset 32 (so do libvfio-user, and QEMU
    11.1.3 as tried). QEMU's hw/vfio-user/protocol.h began with a 32-bit count and the data right behind it,
    at 28, in a message of the same length (``VFIOUserDMARW``; the four bytes left over at the end are zero).
    """

    SPECIFIED = enum.auto()
    EARLY_QEMU = enum.auto()
