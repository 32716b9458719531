"""NDIS_PACKET: descriptors and buffers from pools, with exactly one owner at any time.

An owner hands a packet on by ``transfer``; anybody else who tries is stopped there. The module
knows nothing of drivers, queues or adapters.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

from ndis.errors import NdisError
from ndis.status import Status
from ntos.errors import BugCheckError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Memory = bytes | bytearray | memoryview


class Owner(enum.Enum):
    """Who may look into a packet and decide what happens to it."""

    FREE = enum.auto()  # in its pool
    PROTOCOL = enum.auto()
    NDIS = enum.auto()  # in a queue of the wrapper
    MINIPORT = enum.auto()


class PacketInfo(enum.IntEnum):
    """NDIS_PER_PACKET_INFO: keys of ``Packet.info``."""

    TCP_IP_CHECKSUM = 0
    IPSEC = 1
    TCP_LARGE_SEND = 2  # in: the segment size; on completion: payload bytes sent
    CLASSIFICATION_HANDLE = 3
    SCATTER_GATHER_LIST = 5
    IEEE_8021Q = 6  # the 16 bits of the tag
    ORIGINAL_PACKET = 7
    CANCEL_ID = 8
    TCP_RECV_SEG_COALESCE = 16  # NDIS 6.30: an ``ndis.rsc.CoalescedSegments``


class PacketFlags(enum.IntFlag):
    """NDIS_FLAGS_* of a packet."""

    NONE = 0
    PROTOCOL_ID_MASK = 0x0F
    MULTICAST_PACKET = 0x10
    DONT_LOOPBACK = 0x80
    IS_LOOPBACK_PACKET = 0x100
    LOOPBACK_ONLY = 0x200


class OwnershipError(BugCheckError):
    """Somebody passed on a packet that was not theirs."""


class Buffer:
    """NDIS_BUFFER (an MDL): ``length`` bytes of ``memory`` from ``offset``.

    ``address`` is what a bus master puts on the bus for the first byte, when the memory is
    mapped for DMA already; None otherwise.
    """

    __slots__ = ("address", "length", "memory", "offset")

    def __init__(
        self, memory: Memory, offset: int = 0, length: int | None = None, address: int | None = None
    ) -> None:
        """Describe part of ``memory``; all of it from ``offset`` when no length is given."""
        rest = len(memory) - offset
        self.memory = memory
        self.offset = offset
        self.length = rest if length is None else length
        self.address = address
        if offset < 0 or not 0 <= self.length <= rest:
            raise ValueError(f"buffer {offset:#x}+{self.length:#x} outside {len(memory):#x} bytes")

    @property
    def view(self) -> memoryview:
        """The bytes, without a copy."""
        return memoryview(self.memory)[self.offset : self.offset + self.length]

    def adjust_length(self, length: int) -> None:
        """NdisAdjustBufferLength."""
        if not 0 <= length <= len(self.memory) - self.offset:
            raise ValueError(f"length {length:#x} outside the buffer's memory")
        self.length = length


class Packet:
    """NDIS_PACKET with its out-of-band block (NDIS_PACKET_OOB_DATA) and per-packet information.

    Invariant: ``owner`` is the one party that may read, change or pass on the packet.
    """

    __slots__ = (
        "_buffers",
        "buffers",
        "flags",
        "header_size",
        "info",
        "media_specific",
        "miniport_reserved",
        "ndis_reserved",
        "number",
        "owner",
        "pool",
        "protocol_reserved",
        "references",
        "status",
        "time_received_ns",
        "time_sent_ns",
        "time_to_send_ns",
    )

    def __init__(self, pool: PacketPool | None = None, number: int = 0) -> None:
        """Make a free descriptor; pools call this."""
        self.pool = pool
        self.number = number
        self.owner = Owner.FREE
        self.reinitialize()

    def reinitialize(self) -> None:
        """NdisReinitializePacket: forget buffers, out-of-band data and reserved areas."""
        self._buffers: list[Buffer] = []
        """The buffer chain, for NDIS itself, whose looks are not reported."""
        self.buffers = self._buffers
        """The buffer chain, first buffer first."""
        self.info: dict[PacketInfo, Any] = {}
        """Per-packet information."""
        self.status = Status.SUCCESS
        self.flags = PacketFlags.NONE
        self.header_size = 14
        self.media_specific: bytes = b""
        self.time_to_send_ns = 0
        self.time_sent_ns = 0
        self.time_received_ns = 0
        self.references = 0
        self.protocol_reserved: Any = None
        self.miniport_reserved: Any = None
        self.ndis_reserved: Any = None

    @property
    def data(self) -> bytes:
        """All bytes of the chain, copied."""
        buffers = self.buffers
        if len(buffers) == 1:
            only = buffers[0]
            return bytes(memoryview(only.memory)[only.offset : only.offset + only.length])
        return b"".join(b.view for b in buffers)

    @property
    def length(self) -> int:
        """Bytes in the chain: TotalLength of NdisQueryPacket."""
        return sum(b.length for b in self.buffers)

    def peek(self, length: int) -> bytes:
        """Return the first bytes of the first buffer.

        What NDIS itself reads, which is not reported.
        """
        if not self._buffers:
            return b""
        first = self._buffers[0]
        return bytes(first.memory[first.offset : first.offset + min(length, first.length)])

    def snapshot(self) -> bytes:
        """Return all bytes: what NDIS itself reads, which is not reported."""
        return b"".join(b.view for b in self._buffers)

    @property
    def cancel_id(self) -> object:
        """NDIS_GET_PACKET_CANCEL_ID; None when the packet has none."""
        return self.info.get(PacketInfo.CANCEL_ID)

    def chain_buffer_at_back(self, buffer: Buffer) -> None:
        """NdisChainBufferAtBack."""
        self.buffers.append(buffer)

    def chain_buffer_at_front(self, buffer: Buffer) -> None:
        """NdisChainBufferAtFront."""
        self.buffers.insert(0, buffer)

    def unchain_buffer_at_front(self) -> Buffer | None:
        """NdisUnchainBufferAtFront; None when the chain is empty."""
        return self.buffers.pop(0) if self.buffers else None

    def unchain_buffer_at_back(self) -> Buffer | None:
        """NdisUnchainBufferAtBack; None when the chain is empty."""
        return self.buffers.pop() if self.buffers else None

    def copy_to(self, target: Packet, offset: int, length: int) -> int:
        """NdisCopyFromPacketToPacket, to the start of ``target``; return bytes copied."""
        source = memoryview(self.data)[offset : offset + length]
        done = 0
        for buffer in target.buffers:
            part = source[done : done + buffer.length]
            if not part:
                break
            buffer.view[: len(part)] = part
            done += len(part)
        return done

    def transfer(self, source: Owner, target: Owner) -> None:
        """Pass the packet on; raises OwnershipError when ``source`` does not own it.

        Hot paths set ``owner`` themselves and come here only when it is not whom they expect.
        """
        if self.owner is not source:
            raise OwnershipError(
                f"packet {self.number}: {source.name} passes it to {target.name}, "
                f"but {self.owner.name} owns it",
                self,
            )
        self.owner = target

    def __repr__(self) -> str:
        """Name the packet as reports do, without touching its data."""
        return f"<Packet {self.number} {self.owner.name}>"


class WatchedPacket(Packet):
    """A packet that tells its pool's watcher whenever somebody looks at its buffers."""

    __slots__ = ()

    @property
    def buffers(self) -> list[Buffer]:
        """The buffer chain; reading it is reported."""
        if self.pool is not None and self.pool.watch is not None:
            self.pool.watch(self)
        return self._buffers

    @buffers.setter
    def buffers(self, chain: list[Buffer]) -> None:
        self._buffers = chain


class PacketPool:
    """NdisAllocatePacketPool: at most ``size`` packets at a time, all of one holder.

    ``holder`` is who owns a packet that comes out of the pool and to whom it must have come home
    before it goes back in.
    """

    def __init__(
        self,
        size: int,
        holder: Owner = Owner.PROTOCOL,
        watch: Callable[[Packet], None] | None = None,
    ) -> None:
        """Reserve ``size`` descriptors.

        With ``watch``, packets report every look at their buffers.
        """
        kind = WatchedPacket if watch is not None else Packet
        self.size = size
        self.holder = holder
        self.watch = watch
        self._free: list[Packet] = [kind(self, n) for n in range(size)]
        self._busy: set[Packet] = set()

    def allocate(self, data: Memory | Iterable[Memory | Buffer] | None = None) -> Packet:
        """NdisAllocatePacket, with one buffer for each piece of data.

        Raises NdisError(RESOURCES).
        """
        if not self._free:
            raise NdisError(Status.RESOURCES, f"all {self.size} packets of the pool are in use")
        packet = self._free.pop()
        self._busy.add(packet)
        packet.reinitialize()
        packet.owner = self.holder
        if data is not None:
            chain = packet._buffers  # noqa: SLF001 - same module: filling is not looking
            for piece in (data,) if isinstance(data, bytes | bytearray | memoryview) else data:
                chain.append(piece if isinstance(piece, Buffer) else Buffer(piece))
        return packet

    def free(self, packet: Packet) -> None:
        """NdisFreePacket. Only its holder may free a packet."""
        if packet.pool is not self or packet not in self._busy:
            raise BugCheckError(f"{packet!r} freed into a pool it did not come from", packet)
        if packet.owner is not self.holder:
            packet.transfer(self.holder, Owner.FREE)  # which raises
        packet.owner = Owner.FREE
        self._busy.discard(packet)
        self._free.append(packet)

    @property
    def in_use(self) -> int:
        """NdisPacketPoolUsage."""
        return len(self._busy)

    @property
    def busy(self) -> list[Packet]:
        """Packets that are out, in the order of their numbers."""
        return sorted(self._busy, key=lambda p: p.number)
