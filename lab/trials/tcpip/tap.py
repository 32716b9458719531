"""A TAP device as a ``Link``, with checksum and large-send offload by ``virtio_net_hdr``.

Sources: Linux ``Documentation/networking/tuntap.rst``, ``include/uapi/linux/virtio_net.h``.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import random
from struct import Struct
from typing import TYPE_CHECKING

from lab.host.virtual_wire import PERFECT, Impairment
from protocols.transports.tcpip.link import Offload, RxFrame
from protocols.transports.tcpip.segmentation import finish

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from protocols.transports.tcpip.link import TxFrame

# flags, gso_type, hdr_len, gso_size, csum_start, csum_offset: host byte order without IFF_VNET_LE
VNET_HEADER = Struct("=BBHHHH")
NEEDS_CHECKSUM = 1
DATA_VALID = 2
GSO_NONE = 0
GSO_TCPV4 = 1
GSO_TCPV6 = 4
READ_BYTES = 65536 + 64
BATCH = 64

# Linux computes no IPv4 header checksum for us: virtio_net_hdr has no bit for that.
TAP_OFFLOAD = Offload(
    tx_tcp_checksum=True,
    tx_udp_checksum=True,
    lso_v4_max_bytes=65535,
    lso_v6_max_bytes=65535,
)


class TapLink:
    """One end of a TAP device. ``offload`` decides whether large sends pass whole."""

    def __init__(
        self,
        fd: int,
        *,
        name: str = "tap",
        mac: bytes = b"\x02\x00\x00\x00\x00\x01",
        mtu: int = 1500,
        offload: Offload = TAP_OFFLOAD,
        impairment: Impairment = PERFECT,
        seed: int = 0,
    ) -> None:
        """Take a non-blocking descriptor that was opened with IFF_VNET_HDR."""
        self.fd = fd
        self.name = name
        self.mac = mac
        self.mtu = mtu
        self.offload = offload
        self.impairment = impairment
        self.on_frame: Callable[[bytes], None] | None = None
        self.now: Callable[[], int] = lambda: 0
        self.dropped = 0
        self._random = random.Random(seed)  # noqa: S311 - seeded impairment, not secrets
        self._later: list[tuple[int, int, bool, bytes, RxFrame | None]] = []
        self._order = 0

    def set_multicast(self, groups: frozenset[bytes]) -> None:
        """Receive everything: a TAP has no filter."""

    def send(self, frames: Sequence[TxFrame]) -> None:
        """Write frames; a full queue loses them, as a real one does."""
        for frame in frames:
            if self.impairment is not PERFECT or self.on_frame is not None:
                for data in finish(frame):
                    if self.on_frame is not None:
                        self.on_frame(data)
                    self._impaired(bytes(VNET_HEADER.size) + data, None)
                continue
            self._write([_vnet_header(frame), *frame.buffers])

    def receive(self) -> list[RxFrame]:
        """Return frames that have come, up to a batch."""
        frames: list[RxFrame] = []
        for _ in range(BATCH):
            try:
                raw = os.read(self.fd, READ_BYTES)
            except BlockingIOError:
                break
            flags, gso, _, size, _, _ = VNET_HEADER.unpack_from(raw)
            verified = bool(flags & (NEEDS_CHECKSUM | DATA_VALID))
            data = memoryview(raw)[VNET_HEADER.size :]
            lso = size if gso & 0x7F in (GSO_TCPV4, GSO_TCPV6) else 0
            frame = RxFrame(data, l4_verified=verified, lso_mss=lso)
            if self.on_frame is not None:
                self.on_frame(bytes(data))
            if self.impairment is PERFECT:
                frames.append(frame)
            else:
                self._impaired(b"", frame)
        return frames + self._due()

    def next_due(self) -> int | None:
        """Return when a delayed frame is to move on."""
        return self._later[0][0] if self._later else None

    def _due(self) -> list[RxFrame]:
        frames = []
        now = self.now()
        while self._later and self._later[0][0] <= now:
            _, _, _, data, frame = heapq.heappop(self._later)
            if frame is None:
                self._write([data])
            else:
                frames.append(frame)
        return frames

    def _impaired(self, data: bytes, frame: RxFrame | None) -> None:
        how = self.impairment
        chance = self._random.random
        if chance() < how.loss:
            self.dropped += 1
            return
        copies = 2 if chance() < how.duplicate else 1
        for _ in range(copies):
            delay = how.delay if how is not PERFECT else 0
            delay += self._random.randrange(how.jitter) if how.jitter else 0
            if chance() < how.reorder:
                delay += self._random.randrange(1, 4 * how.delay + 2)
            self._order += 1
            entry = (self.now() + delay, self._order, frame is None, data, frame)
            heapq.heappush(self._later, entry)
        if not self.impairment.delay:
            self._due()

    def _write(self, buffers: list[bytes | bytearray | memoryview]) -> None:
        with contextlib.suppress(BlockingIOError):
            os.writev(self.fd, buffers)


def _vnet_header(frame: TxFrame) -> bytes:
    if not frame.checksum_start:
        return bytes(VNET_HEADER.size)
    gso, header_bytes = GSO_NONE, 0
    if frame.lso_mss:
        v4 = frame.buffers[0][12:14] == b"\x08\x00"
        gso = GSO_TCPV4 if v4 else GSO_TCPV6
        header_bytes = len(frame.buffers[0])
    return VNET_HEADER.pack(
        NEEDS_CHECKSUM,
        gso,
        header_bytes,
        frame.lso_mss,
        frame.checksum_start,
        frame.checksum_offset,
    )
