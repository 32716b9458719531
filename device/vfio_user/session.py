"""One client's session, sans I/O: a message in, a reply out, device calls between.

``Session.handle`` takes a header, a payload and the fds that came with it, and returns the reply.
It owns those fds: when it returns or raises, each has been taken over (by ``Irqs``) or closed. It
knows no socket and no thread; server.py moves the bytes.

What a client may send when is ``ALLOWED``, a table. What cannot be obeyed is answered with an
errno; ``TransportError`` is raised only for what shows that the other side does not speak the
protocol at all.
"""

from __future__ import annotations

import enum
import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .capabilities import Capabilities
from .errors import GuestError, MalformedError, RequestRefused, TransportError
from .irqs import IRQ_FLAGS, Irqs
from .janitor import JANITOR
from .messages import (
    DeviceFeature,
    DeviceGetInfo,
    DeviceGetIrqInfo,
    DeviceGetRegionInfo,
    DeviceGetRegionIoFds,
    DeviceSetIrqs,
    DmaMapRequest,
    DmaUnmapRequest,
    Header,
    IoFd,
    RegionAccess,
    RegionWriteMulti,
    SparseMmap,
    Version,
    error_reply,
    reply,
)
from .protocol import (
    MAX_MSG_FDS,
    Command,
    DeviceFlags,
    FeatureFlags,
    HeaderFlags,
    Protection,
    RegionFlags,
    UnmapFlags,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .device import Device, RegionInfo
    from .dma import DmaMap

MAJOR = 0
MINOR = 0
"""The protocol's version; QEMU refuses any other."""

SERVER_CAPABILITIES = Capabilities(max_msg_fds=MAX_MSG_FDS)
"""What a server offers unless it is told otherwise: no write_multiple (whether it pays differs by engine)."""


PAGE_BYTES = 4096
"""What a mapping's address, size and file offset are multiples of, as with an IOMMU."""


WITHOUT_DESCRIPTOR = (
    "it came without a descriptor; give QEMU -object memory-backend-memfd,share=on as its memory-backend"
)


class State(enum.Enum):
    """Where a session is."""

    NEW = enum.auto()  # nothing but VERSION has a meaning yet
    READY = enum.auto()


ALLOWED: dict[State, frozenset[int]] = {
    State.NEW: frozenset({Command.VERSION}),
    State.READY: frozenset(Command) - {Command.VERSION, Command.DMA_READ, Command.DMA_WRITE},
}
"""The commands that a client may send in each state; the DMA ones go the other way."""

NOT_SUPPORTED: frozenset[int] = frozenset({Command.MIG_DATA_READ, Command.MIG_DATA_WRITE})
"""Known commands of a capability that we do not have."""

TAKES_FDS: frozenset[int] = frozenset({Command.DMA_MAP, Command.DEVICE_SET_IRQS})
"""Commands that fds may come with."""

TRANSITIONS: dict[tuple[State, int], State] = {(State.NEW, Command.VERSION): State.READY}
"""What a command that was obeyed changes."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole message for the client; the fds stay their owner's after it is sent."""

    data: bytes
    fds: tuple[int, ...] = ()


Answer = tuple[bytes, tuple[int, ...]]
_EMPTY: Answer = (b"", ())


class Session:
    """What one client and one device have agreed and set up."""

    def __init__(
        self,
        device: Device,
        dma: DmaMap,
        irqs: Irqs,
        offered: Capabilities = SERVER_CAPABILITIES,
        close: Callable[[int], None] = JANITOR.close,
        *,
        messages: bool = True,
    ) -> None:
        """Serve ``device``; ``offered`` is what we can, ``close`` gets rid of an fd that is not wanted.

        ``messages``: memory may come without an fd, to be reached by DMA_READ and DMA_WRITE.
        """
        self._messages = messages
        self._complained = False
        self.state = State.NEW
        self._allowed = ALLOWED[self.state]
        self.offered = offered
        self.client = Capabilities()
        """What the client proposed; the defaults until it has."""
        self._device = device
        self._dma = dma
        self._irqs = irqs
        self._close = close
        self._regions: tuple[RegionInfo, ...] = tuple(device.regions)
        self._limits = tuple((region.size, int(region.flags)) for region in self._regions)
        self._table: dict[int, Callable[[bytes, Sequence[int]], Answer]] = {
            Command.VERSION: self._version,
            Command.DMA_MAP: self._dma_map,
            Command.DMA_UNMAP: self._dma_unmap,
            Command.DEVICE_GET_INFO: self._get_info,
            Command.DEVICE_GET_REGION_INFO: self._get_region_info,
            Command.DEVICE_GET_REGION_IO_FDS: self._get_region_io_fds,
            Command.DEVICE_GET_IRQ_INFO: self._get_irq_info,
            Command.DEVICE_SET_IRQS: self._set_irqs,
            Command.REGION_READ: self._region_read,
            Command.REGION_WRITE: self._region_write,
            Command.DEVICE_RESET: self._reset,
            Command.REGION_WRITE_MULTI: self._region_write_multi,
            Command.DEVICE_FEATURE: self._feature,
        }

    def handle(self, header: Header, payload: bytes, fds: Sequence[int] = ()) -> Reply | None:
        """Obey one message; return the reply, or None when none is wanted.

        TransportError: it is no command; the client does not speak this protocol.
        """
        kept = False
        try:
            if header.flags & _TYPE:
                raise TransportError(f"message type {header.flags & _TYPE:#x}")
            answer, sent = self._obey(header.command, payload, fds)
            kept = header.command == _SET_IRQS  # which took the fds over
        except (RequestRefused, GuestError) as refused:
            number = refused.errno
        except MalformedError:
            number = errno.EINVAL
        else:
            return Reply(reply(header, answer), sent) if header.wants_reply else None
        finally:
            if not kept:
                for fd in fds:
                    self._close(fd)
        return Reply(error_reply(header, number)) if header.wants_reply else None

    def _obey(self, command: int, payload: bytes, fds: Sequence[int]) -> Answer:
        """Check that the command may come now, and call what obeys it."""
        if command not in self._allowed:
            known = command in ALLOWED[State.READY] or command == Command.VERSION
            raise RequestRefused(errno.EINVAL if known else errno.ENOSYS, f"command {command:#x}")
        if command in NOT_SUPPORTED:
            raise RequestRefused(errno.ENOTSUP, f"command {command:#x}")
        if fds and (command not in TAKES_FDS or len(fds) > MAX_MSG_FDS):
            raise RequestRefused(errno.EINVAL, f"{len(fds)} fds with command {command:#x}")
        answer = self._table[command](payload, fds)
        if command in _CHANGES_STATE:
            self.state = TRANSITIONS.get((self.state, command), self.state)
            self._allowed = ALLOWED[self.state]
        return answer

    # --- negotiation and information

    def _version(self, payload: bytes, _fds: Sequence[int]) -> Answer:
        """Agree on a version, or refuse."""
        proposal = Version.parse(payload)
        if proposal.major != MAJOR:
            raise RequestRefused(errno.EINVAL, f"major version {proposal.major}")
        self.client = Capabilities.parse(proposal.data)
        answer = self.offered.answer(self.client)
        return Version(MAJOR, min(proposal.minor, MINOR), answer).emit(), ()

    def _get_info(self, payload: bytes, _fds: Sequence[int]) -> Answer:
        request = DeviceGetInfo.parse(payload)
        info = DeviceGetInfo(
            flags=DeviceFlags.RESET | DeviceFlags.PCI,
            num_regions=len(self._regions),
            num_irqs=len(self._irqs.counts),
        )
        _room_for(info.argsz, request.argsz)
        return info.emit(), ()

    def _region(self, index: int) -> RegionInfo:
        if index >= len(self._regions):
            raise RequestRefused(errno.EINVAL, f"region {index:#x}")
        return self._regions[index]

    def _get_region_info(self, payload: bytes, _fds: Sequence[int]) -> Answer:
        """Describe a region; without its capabilities and fd when ``argsz`` has no room for them."""
        request = DeviceGetRegionInfo.parse(payload)
        region = self._region(request.index)
        plain = DeviceGetRegionInfo.FORMAT.size
        _room_for(plain, request.argsz)
        caps = SparseMmap(region.mmap_areas).emit() if region.mmap_areas else b""
        flags = region.flags & (RegionFlags.READ | RegionFlags.WRITE)
        if region.fd is not None:
            flags |= RegionFlags.MMAP
        if caps:
            flags |= RegionFlags.CAPS
        fits = plain + len(caps) <= request.argsz
        info = DeviceGetRegionInfo(
            index=request.index,
            argsz=plain + len(caps),
            flags=flags,
            # named even when they do not fit: QEMU's device.c refuses the CAPS flag without it
            cap_offset=plain if caps else 0,
            size=region.size,
            offset=region.fd_offset,
            capabilities=caps if fits else b"",
        )
        return info.emit(), () if region.fd is None or not fits else (region.fd,)

    def _get_region_io_fds(self, payload: bytes, _fds: Sequence[int]) -> Answer:
        """List the ioeventfds and ioregionfds of a region."""
        request = DeviceGetRegionIoFds.parse(payload)
        region = self._region(request.index)
        if request.flags or request.count:
            raise RequestRefused(errno.EINVAL, "flags and count must be 0")
        plain = DeviceGetRegionIoFds.FORMAT.size
        _room_for(plain, request.argsz)
        needed = plain + len(region.io_fds) * IoFd.FORMAT.size
        fits = needed <= request.argsz
        info = DeviceGetRegionIoFds(
            request.index, needed, 0, len(region.io_fds), region.io_fds if fits else ()
        )
        return info.emit(), region.io_fd_list if fits else ()

    def _get_irq_info(self, payload: bytes, _fds: Sequence[int]) -> Answer:
        request = DeviceGetIrqInfo.parse(payload)
        if request.index >= len(self._irqs.counts):
            raise RequestRefused(errno.EINVAL, f"interrupt type {request.index:#x}")
        count = self._irqs.counts[request.index]
        info = DeviceGetIrqInfo(index=request.index, flags=IRQ_FLAGS.get(request.index, 0), count=count)
        _room_for(info.argsz, request.argsz)
        return info.emit(), ()

    # --- set-up

    def _set_irqs(self, payload: bytes, fds: Sequence[int]) -> Answer:
        self._irqs.set_irqs(DeviceSetIrqs.parse(payload), fds)
        return _EMPTY

    def _dma_map(self, payload: bytes, fds: Sequence[int]) -> Answer:
        request = DmaMapRequest.parse(payload)
        if len(fds) > 1:
            raise RequestRefused(errno.EINVAL, f"{len(fds)} fds for one DMA region")
        if request.flags & ~_PROTECTIONS:
            raise RequestRefused(errno.EINVAL, f"DMA_MAP flags {request.flags:#x}")
        try:
            self._map(request, fds[0] if fds else None)
        except RequestRefused as refused:
            if not self._complained:  # once a client
                self._complained = True
                self._dma.complain(f"the client's memory is refused: {refused.reason}")
            raise
        return _EMPTY

    def _map(self, request: DmaMapRequest, fd: int | None) -> None:
        """Map a region. RequestRefused.

        Without messages, writable memory without an fd is refused as long as none came with one: then it is a
        guest's RAM. Later it is video memory or a ROM, which devices leave alone: DMA there is a fault.
        """
        where = f"{request.iova:#x}+{request.size:#x}"
        if fd is not None and (request.iova | request.size | request.offset) % PAGE_BYTES:
            raise RequestRefused(
                errno.EINVAL, f"DMA_MAP of {where}, offset {request.offset:#x}: no whole pages"
            )
        ram = fd is None and request.flags & Protection.WRITE and not self._dma.mapped
        if ram and not self._messages:
            raise RequestRefused(errno.ENOTSUP, f"DMA_MAP of {where}: {WITHOUT_DESCRIPTOR}")
        self._dma.map(request.iova, request.size, Protection(request.flags), fd, request.offset)

    def _dma_unmap(self, payload: bytes, _fds: Sequence[int]) -> Answer:
        request = DmaUnmapRequest.parse(payload)
        if request.flags & UnmapFlags.GET_DIRTY_BITMAP:
            raise RequestRefused(errno.ENOTSUP, "dirty bitmaps")
        if request.flags & ~_UNMAP_ALL or request.tail:
            raise RequestRefused(errno.EINVAL, f"DMA_UNMAP flags {request.flags:#x}")
        if not request.flags & UnmapFlags.ALL:
            self._dma.unmap(request.iova, request.size)
        elif request.iova or request.size:
            raise RequestRefused(errno.EINVAL, "DMA_UNMAP of all has no range")
        else:
            self._dma.clear()
        return payload, ()

    def _reset(self, payload: bytes, _fds: Sequence[int]) -> Answer:
        if payload:
            raise RequestRefused(errno.EINVAL, "DEVICE_RESET has no payload")
        self._device.reset()
        return _EMPTY

    def _feature(self, payload: bytes, _fds: Sequence[int]) -> Answer:
        """Get, set or probe a device feature."""
        request = DeviceFeature.parse(payload)
        wanted = request.flags & ~_FEATURE_INDEX
        both = FeatureFlags.GET | FeatureFlags.SET
        if not wanted or wanted & ~_FEATURE_METHODS or wanted == both:
            raise RequestRefused(errno.EINVAL, f"DEVICE_FEATURE flags {request.flags:#x}")
        feature = self._device.features.get(request.index)
        if feature is None:
            raise RequestRefused(errno.ENOTTY, f"device feature {request.index}")
        if (wanted & FeatureFlags.GET and feature.get is None) or (
            wanted & FeatureFlags.SET and feature.set is None
        ):
            raise RequestRefused(errno.ENOTTY, f"device feature {request.index}: no such method")
        if wanted & FeatureFlags.PROBE:
            return payload, ()
        if wanted & FeatureFlags.SET:
            if feature.set is not None:
                feature.set(request.data)
            return payload, ()
        data = feature.get(request.data) if feature.get is not None else b""
        needed = DeviceFeature.FORMAT.size + len(data)
        fits = needed <= request.argsz
        return DeviceFeature(request.flags, data if fits else b"", needed).emit(), ()

    # --- register accesses: lean, for each is a step of the guest's driver

    def _checked(self, region: int, offset: int, count: int, needed: int) -> None:
        """Refuse an access outside a region, or of a kind that the region does not allow."""
        size, flags = self._limits[region] if region < len(self._limits) else (0, 0)
        if offset + count > size:
            raise RequestRefused(errno.EINVAL, f"region {region:#x}: {offset:#x}+{count:#x}")
        if not flags & needed:
            raise RequestRefused(errno.EINVAL, f"region {region:#x} does not allow that")
        if count > self.offered.max_data_xfer_size:
            raise RequestRefused(errno.EINVAL, f"count {count:#x} is over max_data_xfer_size")

    def _region_read(self, payload: bytes, _fds: Sequence[int]) -> Answer:
        if len(payload) != _ACCESS.size:
            raise RequestRefused(errno.EINVAL, f"REGION_READ with {len(payload):#x} bytes")
        offset, region, count = _ACCESS.unpack(payload)
        self._checked(region, offset, count, _READ)
        data = self._device.read_region(region, offset, count)
        if len(data) != count:
            raise AssertionError(f"the device read {len(data):#x} bytes, not {count:#x}")
        return payload + data, ()

    def _region_write(self, payload: bytes, _fds: Sequence[int]) -> Answer:
        if len(payload) < _ACCESS.size:
            raise RequestRefused(errno.EINVAL, f"REGION_WRITE with {len(payload):#x} bytes")
        offset, region, count = _ACCESS.unpack_from(payload)
        if len(payload) != _ACCESS.size + count:
            raise RequestRefused(errno.EINVAL, f"REGION_WRITE: count {count:#x} is not what came")
        self._checked(region, offset, count, _WRITE)
        self._device.write_region(region, offset, payload[_ACCESS.size :])
        return payload[: _ACCESS.size], ()

    def _region_write_multi(self, payload: bytes, _fds: Sequence[int]) -> Answer:
        if not (self.offered.write_multiple and self.client.write_multiple):
            raise RequestRefused(errno.ENOTSUP, "write_multiple was not negotiated")
        request = RegionWriteMulti.parse(payload)
        for one in request.writes:  # all are checked before the first is done
            self._checked(one.region, one.offset, one.count, _WRITE)
        for one in request.writes:
            self._device.write_region(one.region, one.offset, one.data)
        return RegionWriteMulti.COUNT.pack(len(request.writes)), ()


_ACCESS = RegionAccess.FORMAT
_SET_IRQS = int(Command.DEVICE_SET_IRQS)
_CHANGES_STATE = frozenset(number for _, number in TRANSITIONS)
# Numbers, not enums, where ~ is used: that of an IntFlag drops the bits which it has no name for.
_PROTECTIONS = int(Protection.READ | Protection.WRITE)
_UNMAP_ALL = int(UnmapFlags.ALL)
_FEATURE_INDEX = int(FeatureFlags.INDEX)
_FEATURE_METHODS = int(FeatureFlags.GET | FeatureFlags.SET | FeatureFlags.PROBE)
# And where speed counts, for arithmetic with enums is slow and these are used for every access.
_TYPE = int(HeaderFlags.TYPE)
_READ = int(RegionFlags.READ)
_WRITE = int(RegionFlags.WRITE)


def _room_for(needed: int, argsz: int) -> None:
    """Refuse a request whose sender has no room for even the fixed part of the reply (bytes)."""
    if argsz < needed:
        raise RequestRefused(errno.EINVAL, f"argsz {argsz:#x} is less than {needed:#x}")
