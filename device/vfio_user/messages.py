"""The codec: what travels in vfio-user messages, one frozen dataclass a format.

Knows bytes, not sockets, sessions or devices. ``parse`` takes the payload (what follows the header)
and raises ``MalformedError`` when it cannot be one; ``emit`` returns the payload. All integers are
little-endian on the hosts that this runs on (the specification says: the host's order).

Source: QEMU's docs/interop/vfio-user.rst.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import ClassVar, Self

from .errors import MalformedError
from .protocol import (
    HEADER_BYTES,
    MAX_MULTI_DATA_BYTES,
    Command,
    DmaLayout,
    FeatureFlags,
    HeaderFlags,
    IoFdType,
    RegionCapability,
)

# Python's enums are slow to do arithmetic with, and these are used for every message.
_TYPE = int(HeaderFlags.TYPE)
_REPLY = int(HeaderFlags.REPLY)
_NO_REPLY = int(HeaderFlags.NO_REPLY)


def _unpack(format_: Struct, raw: bytes, name: str) -> tuple[int, ...]:
    """Unpack exactly ``format_``; a payload of another length is not this message."""
    if len(raw) != format_.size:
        raise MalformedError(f"{name}: {len(raw):#x} bytes of payload, not {format_.size:#x}")
    return format_.unpack(raw)


def _split(format_: Struct, raw: bytes, name: str) -> tuple[tuple[int, ...], bytes]:
    """Unpack ``format_`` from the front and return what follows it."""
    if len(raw) < format_.size:
        raise MalformedError(f"{name}: {len(raw):#x} bytes of payload, at least {format_.size:#x} needed")
    return format_.unpack_from(raw), raw[format_.size :]


@dataclass(frozen=True, slots=True)
class Header:
    """The first 16 bytes of every message.

    ::

         31            16 15             0
        +----------------+----------------+
      0 |    command     |   message id   |
        +----------------+----------------+
      4 |  message size, header included  |
        +---------------------------------+
      8 | ... | error | no_reply |  type  |
        +---------------------------------+
     12 |    errno (a reply with error)   |
        +---------------------------------+
    """

    FORMAT: ClassVar[Struct] = Struct("<HHIII")

    message_id: int
    command: int
    size: int
    flags: int = 0
    error: int = 0

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read the 16 bytes; any values are accepted here."""
        return cls(*_unpack(cls.FORMAT, raw, "header"))

    def emit(self) -> bytes:
        """Return the 16 bytes."""
        return self.FORMAT.pack(self.message_id, self.command, self.size, self.flags, self.error)

    @property
    def is_reply(self) -> bool:
        """Whether it answers a command (False for a type that the protocol does not know, too)."""
        return self.flags & _TYPE == _REPLY

    @property
    def wants_reply(self) -> bool:
        """Whether the sender waits for an answer."""
        return not self.flags & _NO_REPLY


def command(message_id: int, number: Command, payload: bytes = b"", *, reply: bool = True) -> bytes:
    """Return a whole command; with ``reply`` False it says that none is wanted."""
    flags = HeaderFlags.COMMAND if reply else HeaderFlags.NO_REPLY
    size = HEADER_BYTES + len(payload)
    return Header.FORMAT.pack(message_id, number, size, flags, 0) + payload


def reply(header: Header, payload: bytes = b"") -> bytes:
    """Return the whole reply to the command that began with ``header``."""
    size = HEADER_BYTES + len(payload)
    return Header.FORMAT.pack(header.message_id, header.command, size, _REPLY, 0) + payload


def error_reply(header: Header, number: int) -> bytes:
    """Return the reply that refuses a command with errno ``number``: a header alone."""
    flags = HeaderFlags.REPLY | HeaderFlags.ERROR
    return Header.FORMAT.pack(header.message_id, header.command, HEADER_BYTES, flags, number)


@dataclass(frozen=True, slots=True)
class Version:
    """VERSION, both ways: ``data`` is the JSON text without its NUL, empty when there is none."""

    FORMAT: ClassVar[Struct] = Struct("<HH")

    major: int
    minor: int
    data: bytes = b""

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read a proposal or an answer; the text must end in NUL."""
        (major, minor), data = _split(cls.FORMAT, raw, "VERSION")
        if data and data[-1]:
            raise MalformedError("VERSION: the capabilities do not end in NUL")
        return cls(major, minor, data[:-1])

    def emit(self) -> bytes:
        """Return the payload."""
        return self.FORMAT.pack(self.major, self.minor) + (self.data + b"\0" if self.data else b"")


@dataclass(frozen=True, slots=True)
class DmaMapRequest:
    """DMA_MAP: the device may use ``size`` bytes at ``iova``; the fd, if any, travels beside."""

    FORMAT: ClassVar[Struct] = Struct("<IIQQQ")

    flags: int
    offset: int
    iova: int
    size: int
    argsz: int = 32

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read the payload."""
        argsz, flags, offset, iova, size = _unpack(cls.FORMAT, raw, "DMA_MAP")
        return cls(flags, offset, iova, size, argsz)

    def emit(self) -> bytes:
        """Return the payload."""
        return self.FORMAT.pack(self.argsz, self.flags, self.offset, self.iova, self.size)


@dataclass(frozen=True, slots=True)
class DmaUnmapRequest:
    """DMA_UNMAP, both ways; ``tail`` is the dirty bitmap's request when that flag is set."""

    FORMAT: ClassVar[Struct] = Struct("<IIQQ")

    flags: int
    iova: int
    size: int
    argsz: int = 24
    tail: bytes = b""

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read the payload."""
        (argsz, flags, iova, size), tail = _split(cls.FORMAT, raw, "DMA_UNMAP")
        return cls(flags, iova, size, argsz, tail)

    def emit(self) -> bytes:
        """Return the payload."""
        return self.FORMAT.pack(self.argsz, self.flags, self.iova, self.size) + self.tail


@dataclass(frozen=True, slots=True)
class DeviceGetInfo:
    """DEVICE_GET_INFO, both ways; in the request only ``argsz`` (bytes the client has room for) counts."""

    FORMAT: ClassVar[Struct] = Struct("<IIII")

    argsz: int = 16
    flags: int = 0
    num_regions: int = 0
    num_irqs: int = 0

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read the payload."""
        return cls(*_unpack(cls.FORMAT, raw, "DEVICE_GET_INFO"))

    def emit(self) -> bytes:
        """Return the payload."""
        return self.FORMAT.pack(self.argsz, self.flags, self.num_regions, self.num_irqs)


@dataclass(frozen=True, slots=True)
class MmapArea:
    """A part of a region that may be mapped (``vfio_region_sparse_mmap_area``); bytes."""

    FORMAT: ClassVar[Struct] = Struct("<QQ")

    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class SparseMmap:
    """The region capability that lists the parts which may be mapped.

    ::

        0  id 2, version 2, next 4
        8  nr_areas 4, reserved 4
       16  offset 8, size 8, for each area
    """

    HEADER: ClassVar[Struct] = Struct("<HHI")
    COUNT: ClassVar[Struct] = Struct("<II")

    areas: tuple[MmapArea, ...]

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read one capability, its header included; more bytes may follow it."""
        (number, _version, _next), rest = _split(cls.HEADER, raw, "region capability")
        if number != RegionCapability.SPARSE_MMAP:
            raise MalformedError(f"region capability {number:#x} is not SPARSE_MMAP")
        (count, _reserved), rest = _split(cls.COUNT, rest, "SPARSE_MMAP")
        if len(rest) < count * MmapArea.FORMAT.size:
            raise MalformedError(f"SPARSE_MMAP: {count:#x} areas do not fit")
        areas = MmapArea.FORMAT.iter_unpack(rest[: count * MmapArea.FORMAT.size])
        return cls(tuple(MmapArea(*area) for area in areas))

    def emit(self) -> bytes:
        """Return the capability as the last of its list."""
        head = self.HEADER.pack(RegionCapability.SPARSE_MMAP, 1, 0)
        areas = (MmapArea.FORMAT.pack(area.offset, area.size) for area in self.areas)
        return head + self.COUNT.pack(len(self.areas), 0) + b"".join(areas)


@dataclass(frozen=True, slots=True)
class DeviceGetRegionInfo:
    """DEVICE_GET_REGION_INFO, both ways; in the request ``argsz`` and ``index`` count.

    ``capabilities`` are the bytes behind the structure; ``cap_offset`` counts from the structure's
    start.
    """

    FORMAT: ClassVar[Struct] = Struct("<IIIIQQ")

    index: int
    argsz: int = 32
    flags: int = 0
    cap_offset: int = 0
    size: int = 0
    offset: int = 0
    capabilities: bytes = b""

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read the payload."""
        (argsz, flags, index, cap, size, offset), rest = _split(cls.FORMAT, raw, "DEVICE_GET_REGION_INFO")
        return cls(index, argsz, flags, cap, size, offset, rest)

    def emit(self) -> bytes:
        """Return the payload."""
        return (
            self.FORMAT.pack(self.argsz, self.flags, self.index, self.cap_offset, self.size, self.offset)
            + self.capabilities
        )

    def sparse_areas(self) -> tuple[MmapArea, ...]:
        """Return the mappable parts that the capabilities list; empty when they list none."""
        at = self.cap_offset
        seen = 0
        raw = self.emit()
        while at >= self.FORMAT.size and seen < len(raw):
            (number, _version, following), _rest = _split(SparseMmap.HEADER, raw[at:], "capability")
            if number == RegionCapability.SPARSE_MMAP:
                return SparseMmap.parse(raw[at:]).areas
            at = following
            seen += SparseMmap.HEADER.size  # so that a list that bites its tail ends
        return ()


@dataclass(frozen=True, slots=True)
class IoFd:
    """One sub-region of DEVICE_GET_REGION_IO_FDS: a span whose accesses go to an fd.

    ``data`` is ``datamatch`` of an ioeventfd or ``user_data`` of an ioregionfd.
    """

    FORMAT: ClassVar[Struct] = Struct("<QQIIIIQ")

    offset: int
    size: int
    fd_index: int
    type: int = IoFdType.IOEVENTFD
    flags: int = 0
    data: int = 0

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read the 40 bytes."""
        offset, size, fd_index, kind, flags, _padding, data = _unpack(cls.FORMAT, raw, "sub-region")
        return cls(offset, size, fd_index, kind, flags, data)

    def emit(self) -> bytes:
        """Return the 40 bytes."""
        return self.FORMAT.pack(self.offset, self.size, self.fd_index, self.type, self.flags, 0, self.data)


@dataclass(frozen=True, slots=True)
class DeviceGetRegionIoFds:
    """DEVICE_GET_REGION_IO_FDS, both ways; the fds travel beside."""

    FORMAT: ClassVar[Struct] = Struct("<IIII")

    index: int
    argsz: int = 16
    flags: int = 0
    count: int = 0
    io_fds: tuple[IoFd, ...] = ()

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read the payload; a reply that was cut short by ``argsz`` has a count and no entries."""
        (argsz, flags, index, count), rest = _split(cls.FORMAT, raw, "DEVICE_GET_REGION_IO_FDS")
        size = IoFd.FORMAT.size
        if rest and len(rest) != count * size:
            raise MalformedError(f"DEVICE_GET_REGION_IO_FDS: {count:#x} sub-regions do not fit")
        io_fds = tuple(IoFd.parse(rest[at : at + size]) for at in range(0, len(rest), size))
        return cls(index, argsz, flags, count, io_fds)

    def emit(self) -> bytes:
        """Return the payload."""
        head = self.FORMAT.pack(self.argsz, self.flags, self.index, self.count)
        return head + b"".join(one.emit() for one in self.io_fds)


@dataclass(frozen=True, slots=True)
class DeviceGetIrqInfo:
    """DEVICE_GET_IRQ_INFO, both ways; in the request ``argsz`` and ``index`` count."""

    FORMAT: ClassVar[Struct] = Struct("<IIII")

    index: int
    argsz: int = 16
    flags: int = 0
    count: int = 0

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read the payload."""
        argsz, flags, index, count = _unpack(cls.FORMAT, raw, "DEVICE_GET_IRQ_INFO")
        return cls(index, argsz, flags, count)

    def emit(self) -> bytes:
        """Return the payload."""
        return self.FORMAT.pack(self.argsz, self.flags, self.index, self.count)


@dataclass(frozen=True, slots=True)
class DeviceSetIrqs:
    """DEVICE_SET_IRQS: act on ``count`` interrupts of type ``index`` from ``start`` on.

    ``data`` is one byte an interrupt with DATA_BOOL; with DATA_EVENTFD the eventfds travel beside.
    """

    FORMAT: ClassVar[Struct] = Struct("<IIIII")

    flags: int
    index: int
    start: int
    count: int
    data: bytes = b""
    argsz: int = 20

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read the payload."""
        (argsz, flags, index, start, count), data = _split(cls.FORMAT, raw, "DEVICE_SET_IRQS")
        return cls(flags, index, start, count, data, argsz)

    def emit(self) -> bytes:
        """Return the payload."""
        return self.FORMAT.pack(self.argsz, self.flags, self.index, self.start, self.count) + self.data


@dataclass(frozen=True, slots=True)
class RegionAccess:
    """REGION_READ and REGION_WRITE, both ways; ``data`` is in a write and in the reply to a read."""

    FORMAT: ClassVar[Struct] = Struct("<QII")

    offset: int
    region: int
    count: int
    data: bytes = b""

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read the payload; when there is data, it must be ``count`` bytes."""
        (offset, region, count), data = _split(cls.FORMAT, raw, "region access")
        if data and len(data) != count:  # a read has none
            raise MalformedError(f"region access: {len(data):#x} bytes of data, count {count:#x}")
        return cls(offset, region, count, data)

    def emit(self) -> bytes:
        """Return the payload."""
        return self.FORMAT.pack(self.offset, self.region, self.count) + self.data


@dataclass(frozen=True, slots=True)
class DmaAccess:
    """DMA_READ and DMA_WRITE, both ways, in the layout of the specification (see ``DmaLayout``)."""

    FORMAT: ClassVar[Struct] = Struct("<QQ")
    EARLY: ClassVar[Struct] = Struct("<QI")

    address: int
    count: int
    data: bytes = b""

    @classmethod
    def parse(cls, raw: bytes, layout: DmaLayout = DmaLayout.SPECIFIED) -> Self:
        """Read the payload; when there is data, it must be ``count`` bytes."""
        if layout is DmaLayout.EARLY_QEMU:
            (address, count), rest = _split(cls.EARLY, raw, "DMA access")
            data = rest[: len(rest) - 4]
        else:
            (address, count), data = _split(cls.FORMAT, raw, "DMA access")
        if data and len(data) != count:
            raise MalformedError(f"DMA access: {len(data):#x} bytes of data, count {count:#x}")
        return cls(address, count, data)

    def emit(self, layout: DmaLayout = DmaLayout.SPECIFIED) -> bytes:
        """Return the payload; it has the same length in both layouts."""
        if layout is DmaLayout.EARLY_QEMU:
            return self.EARLY.pack(self.address, self.count) + self.data + bytes(4)
        return self.FORMAT.pack(self.address, self.count) + self.data


@dataclass(frozen=True, slots=True)
class RegionWriteMulti:
    """REGION_WRITE_MULTI: several writes of at most 8 bytes, oldest first.

    ::

        0  wr_cnt 8
        8  offset 8, region 4, count 4, data 8, for each write
    """

    COUNT: ClassVar[Struct] = Struct("<Q")
    FORMAT: ClassVar[Struct] = Struct("<QII8s")

    writes: tuple[RegionAccess, ...]

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read the payload."""
        (count,), rest = _split(cls.COUNT, raw, "REGION_WRITE_MULTI")
        if len(rest) != count * cls.FORMAT.size:
            raise MalformedError(f"REGION_WRITE_MULTI: {count:#x} writes in {len(rest):#x} bytes")
        writes = []
        for offset, region, size, data in cls.FORMAT.iter_unpack(rest):
            if not 0 < size <= MAX_MULTI_DATA_BYTES:
                raise MalformedError(f"REGION_WRITE_MULTI: a write of {size:#x} bytes")
            writes.append(RegionAccess(offset, region, size, data[:size]))
        return cls(tuple(writes))

    def emit(self) -> bytes:
        """Return the payload."""
        each = (self.FORMAT.pack(w.offset, w.region, w.count, w.data) for w in self.writes)
        return self.COUNT.pack(len(self.writes)) + b"".join(each)


@dataclass(frozen=True, slots=True)
class DeviceFeature:
    """DEVICE_FEATURE, both ways."""

    FORMAT: ClassVar[Struct] = Struct("<II")

    flags: int
    data: bytes = b""
    argsz: int = 8

    @property
    def index(self) -> int:
        """Which feature."""
        return self.flags & FeatureFlags.INDEX

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read the payload."""
        (argsz, flags), data = _split(cls.FORMAT, raw, "DEVICE_FEATURE")
        return cls(flags, data, argsz)

    def emit(self) -> bytes:
        """Return the payload."""
        return self.FORMAT.pack(self.argsz, self.flags) + self.data


@dataclass(frozen=True, slots=True)
class MigrationData:
    """MIG_DATA_READ and MIG_DATA_WRITE, both ways; ``size`` is in bytes."""

    FORMAT: ClassVar[Struct] = Struct("<II")

    size: int
    data: bytes = b""
    argsz: int = 8

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read the payload."""
        (argsz, size), data = _split(cls.FORMAT, raw, "migration data")
        return cls(size, data, argsz)

    def emit(self) -> bytes:
        """Return the payload."""
        return self.FORMAT.pack(self.argsz, self.size) + self.data
