"""From a ring to the transports: frames become packets (NDIS 5) or lists (NDIS 6), buffers come home.

Flow: harvest under the ring's lock, judge (errors, packet filter), indicate with no lock held, take back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from device.rings.receive import RxError, RxStatus
from miniport import offload
from ndis.nbl import NetBuffer, NetBufferList
from ndis.offload import NOTHING
from ndis.packet import Buffer, Owner, PacketInfo
from ndis.rsc import CoalescedSegments
from ndis.status import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from miniport.nic import Nic
    from miniport.rxring import Received
    from ndis.packet import Packet

_BAD = int(RxError.CE | RxError.SE | RxError.SEQ | RxError.CXE | RxError.RXE)
_VP = int(RxStatus.VP)
_ETHERNET = 14
BATCH = 64
"""The most packets that one indication carries."""


class Harvester:
    """What both kinds of indication share: taking frames out of rings, and buffers back.

    It takes no lock: NDIS's own is enough for a serialized driver.
    """

    def __init__(self, nic: Nic) -> None:
        """Harvest the rings of ``nic``."""
        self.nic = nic

    def wanted(self, queue: int) -> list[Received]:
        """Return the frames that are to go up; the others' buffers are back in the ring. At most one ring."""
        ring = self.nic.receive[queue]
        accepts = self.nic.filters.accepts
        up: list[Received] = []
        for frame in ring.harvest(ring.count):
            at = frame.at
            if (
                frame.errors & _BAD
                or frame.length < _ETHERNET
                or not accepts(bytes(frame.buffers[0].view[at : at + 6]))
            ):
                ring.recycle(frame)
            else:
                up.append(frame)
        ring.ring()
        return up

    def take_back(self, queue: int, frames: Sequence[Received]) -> None:
        """Put the buffers of frames that nobody holds any more where they are needed."""
        self.nic.receive[queue].take_back(frames)

    def info(self, frame: Received) -> dict[PacketInfo, Any]:
        """Return the per-packet information of a frame."""
        found: dict[PacketInfo, Any] = {}
        if frame.status & _VP:
            found[PacketInfo.IEEE_8021Q] = frame.vlan
        if frame.segments:
            found[PacketInfo.TCP_RECV_SEG_COALESCE] = CoalescedSegments(frame.segments)
        on = self.nic.offload
        if on is not NOTHING:
            end = frame.at + min(frame.length, offload.HEADERS_BYTES)
            head = bytes(frame.buffers[0].view[frame.at : end])
            if sums := offload.received(frame.status, frame.errors, head, on):
                found[PacketInfo.TCP_IP_CHECKSUM] = sums
        return found


class SharedHarvester(Harvester):
    """The same for any number of contexts at once: a lock a ring, never held during a call upwards."""

    def __init__(self, nic: Nic) -> None:
        super().__init__(nic)
        self._locks = [nic.ndis.spin_lock("receive ring") for _ in nic.receive]

    def wanted(self, queue: int) -> list[Received]:
        """Return the frames that are to go up."""
        with self._locks[queue]:
            return super().wanted(queue)

    def take_back(self, queue: int, frames: Sequence[Received]) -> None:
        """Put the buffers of frames that nobody holds any more where they are needed."""
        with self._locks[queue]:
            super().take_back(queue, frames)


def chain(frame: Received) -> list[Buffer]:
    """Return NDIS buffers over a frame's bytes."""
    if len(frame.buffers) == 1:
        only = frame.buffers[0]
        return [Buffer(only.view, frame.at, frame.length, only.address)]
    pieces = zip(frame.buffers, frame.lengths, strict=True)
    return [Buffer(buffer.view, 0, length, buffer.address) for buffer, length in pieces if length]


def first_lent(frames: Sequence[Received]) -> int:
    """Return at which of the frames those begin whose buffers are needed back at once."""
    for at, frame in enumerate(frames):
        if frame.is_lent:
            return at
    return len(frames)


class PacketReceiver:
    """Indications of packets: NdisMIndicateReceivePacket.

    Every packet's ``miniport_reserved`` names its queue and its frame until it comes home.
    """

    def __init__(self, nic: Nic, *, deserialized: bool) -> None:
        """Make a pool with a packet for every buffer."""
        self._nic = nic
        self._deserialized = deserialized
        total = sum(ring.spares for ring in nic.receive)
        self._pool = nic.ndis.packet_pool(total)
        self._lock = nic.ndis.spin_lock("receive packets")
        self._harvester = SharedHarvester(nic) if deserialized else Harvester(nic)
        self._allocate = self._allocate_locked if deserialized else self._pool.allocate
        self._free = self._free_locked if deserialized else self._pool.free

    @property
    def out(self) -> int:
        """Packets that are with NDIS or a transport."""
        return self._pool.in_use

    def receive(self, queue: int) -> bool:
        """Indicate what has arrived. False: there was nothing that anybody wants."""
        frames = self._harvester.wanted(queue)
        for at in range(0, len(frames), BATCH):
            self._indicate(queue, frames[at : at + BATCH])
        return bool(frames)

    def return_packet(self, packet: Packet) -> None:
        """MiniportReturnPacket."""
        queue, frame = packet.miniport_reserved
        self._free(packet)
        self._harvester.take_back(queue, (frame,))

    def _indicate(self, queue: int, frames: list[Received]) -> None:
        cut = 0 if frames[0].is_lent else first_lent(frames)
        kept, copied = frames[:cut], frames[cut:]
        if kept:
            packets = self._packets(queue, kept, Status.SUCCESS)
            self._nic.ndis.indicate_receive_packets(packets)
            if not self._deserialized:
                for packet in packets:
                    if packet.status is not Status.PENDING:
                        self.return_packet(packet)
        if copied:  # with RESOURCES transports must copy: each is ours again at once
            packets = self._packets(queue, copied, Status.RESOURCES)
            self._nic.ndis.indicate_receive_packets(packets)
            for packet in packets:
                self._free(packet)
            if self._nic.receive[queue].keeps_buffers:
                self._harvester.take_back(queue, copied)

    def _packets(self, queue: int, frames: list[Received], status: Status) -> list[Packet]:
        packets = []
        for frame in frames:
            packet = self._allocate(chain(frame))
            packet.status = status
            packet.miniport_reserved = (queue, frame)
            packet.info = self._harvester.info(frame)
            packets.append(packet)
        return packets

    def _allocate_locked(self, data: list[Buffer]) -> Packet:
        with self._lock:
            return self._pool.allocate(data)

    def _free_locked(self, packet: Packet) -> None:
        with self._lock:
            self._pool.free(packet)


class ListReceiver:
    """Indications of lists: NdisMIndicateReceiveNetBufferLists."""

    def __init__(self, nic: Nic) -> None:
        self._nic = nic
        self._harvester = SharedHarvester(nic)
        self._out: dict[NetBufferList, tuple[int, Received]] = {}

    @property
    def out(self) -> int:
        """Lists that are with NDIS or a transport."""
        return len(self._out)

    def receive(self, queue: int, *, discard: bool) -> None:
        """Indicate what has arrived; ``discard`` it while the adapter is paused."""
        frames = self._harvester.wanted(queue)
        if discard:
            self._nic.statistics.no_buffer += len(frames)
            self._harvester.take_back(queue, frames)
            return
        for at in range(0, len(frames), BATCH):
            self._indicate(queue, frames[at : at + BATCH])

    def return_lists(self, nbls: list[NetBufferList]) -> None:
        """MiniportReturnNetBufferLists."""
        for nbl in nbls:
            queue, frame = self._out.pop(nbl)
            self._harvester.take_back(queue, (frame,))

    def _indicate(self, queue: int, frames: list[Received]) -> None:
        cut = first_lent(frames)
        kept, copied = frames[:cut], frames[cut:]
        if kept:
            self._nic.ndis.indicate_receive_net_buffer_lists(self._lists(queue, kept))
        if copied:
            nbls = self._lists(queue, copied)
            self._nic.ndis.indicate_receive_net_buffer_lists(nbls, resources=True)
            self.return_lists(nbls)

    def _lists(self, queue: int, frames: list[Received]) -> list[NetBufferList]:
        nbls = []
        for frame in frames:
            nbl = NetBufferList((NetBuffer(chain(frame)),))
            nbl.owner = Owner.MINIPORT
            nbl.info = self._harvester.info(frame)
            self._out[nbl] = (queue, frame)
            nbls.append(nbl)
        return nbls
