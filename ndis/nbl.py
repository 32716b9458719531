"""NET_BUFFER_LIST and NET_BUFFER: NDIS 6's packets, with clones and one owner at any time.

It knows nothing of adapters. Source: "NET_BUFFER Architecture" (NDIS 6).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ndis.packet import Buffer, Memory, Owner, OwnershipError
from ndis.status import Status
from ntos.errors import BugCheckError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ndis.packet import Packet, PacketInfo


class NetBuffer:
    """NET_BUFFER: one frame. ``data_length`` bytes from ``data_offset`` into the chain of buffers.

    The bytes before ``data_offset`` are unused data space, into which headers grow (``retreat``).
    """

    __slots__ = ("buffers", "data_length", "data_offset")

    def __init__(
        self, buffers: Iterable[Buffer], data_offset: int = 0, data_length: int | None = None
    ) -> None:
        """Describe part of the chain; all from ``data_offset`` when no length is given."""
        self.buffers = list(buffers)
        total = sum(b.length for b in self.buffers)
        self.data_offset = data_offset
        self.data_length = total - data_offset if data_length is None else data_length
        if not 0 <= data_offset <= data_offset + self.data_length <= total:
            raise ValueError(f"{data_offset:#x}+{self.data_length:#x} outside {total:#x} bytes")

    @property
    def data(self) -> bytes:
        """The frame, copied."""
        if len(self.buffers) == 1:
            return bytes(self.buffers[0].view[self.data_offset : self.data_offset + self.data_length])
        whole = b"".join(b.view for b in self.buffers)
        return whole[self.data_offset : self.data_offset + self.data_length]

    def frame_buffers(self) -> list[Buffer]:
        """Return buffers that cover the frame and nothing else, in the same memory."""
        skip, left = self.data_offset, self.data_length
        found = []
        for buffer in self.buffers:
            if skip >= buffer.length:
                skip -= buffer.length
                continue
            length = min(buffer.length - skip, left)
            address = None if buffer.address is None else buffer.address + skip
            found.append(Buffer(buffer.memory, buffer.offset + skip, length, address))
            skip, left = 0, left - length
            if not left:
                break
        return found

    def retreat(self, delta: int) -> None:
        """NdisRetreatNetBufferDataStart.

        Grow at the front, with a new buffer when there is no room.
        """
        if delta > self.data_offset:
            self.buffers.insert(0, Buffer(bytearray(delta)))
            self.data_offset += delta
        self.data_offset -= delta
        self.data_length += delta

    def advance(self, delta: int) -> None:
        """NdisAdvanceNetBufferDataStart: shrink at the front."""
        if delta > self.data_length:
            raise ValueError(f"advance by {delta:#x} of {self.data_length:#x} bytes")
        self.data_offset += delta
        self.data_length -= delta

    def write(self, offset: int, data: bytes) -> None:
        """Put bytes at ``offset`` of the frame, across buffers."""
        at = self.data_offset + offset
        rest = memoryview(data)
        for buffer in self.buffers:
            if at < buffer.length:
                part = rest[: buffer.length - at]
                buffer.view[at : at + len(part)] = part
                rest = rest[len(part) :]
                at = 0
            else:
                at -= buffer.length
            if not rest:
                return
        raise ValueError(f"{len(rest):#x} bytes past the end of the frame")


class NetBufferList:
    """NET_BUFFER_LIST: frames that share information and are completed together.

    Invariants: ``owner`` is the one party that may touch it; a list with living clones is not
    completed.
    """

    __slots__ = (
        "cancel_id",
        "children",
        "info",
        "miniport_reserved",
        "net_buffers",
        "owner",
        "packet",
        "parent",
        "protocol_reserved",
        "references",
        "scratch",
        "source",
        "status",
    )

    def __init__(self, data: Memory | Iterable[NetBuffer] = ()) -> None:
        """Make a list, its maker's, of ready NET_BUFFERs or of the bytes of one frame."""
        if isinstance(data, bytes | bytearray | memoryview):
            data = (NetBuffer([Buffer(data)]),)
        self.net_buffers = list(data)
        self.status = Status.SUCCESS
        self.owner = Owner.PROTOCOL
        self.source: Any = None  # SourceHandle: the open or filter module that made it
        self.parent: NetBufferList | None = None
        self.children = 0
        self.references = 0
        self.cancel_id: object = None
        self.info: dict[PacketInfo, Any] = {}
        self.packet: Packet | None = None  # the NDIS 5 packet that it stands for
        self.protocol_reserved: Any = None
        self.miniport_reserved: Any = None
        self.scratch: Any = None

    @property
    def data(self) -> bytes:
        """The bytes of the first frame."""
        return self.net_buffers[0].data if self.net_buffers else b""

    def transfer(self, source: Owner, target: Owner) -> None:
        """Pass the list on; raises OwnershipError when ``source`` does not own it."""
        if self.owner is not source:
            raise OwnershipError(
                f"list: {source.name} passes it to {target.name}, but {self.owner.name} owns it",
                self,
            )
        self.owner = target

    def clone(self) -> NetBufferList:
        """NdisAllocateCloneNetBufferList: new descriptors over the same memory."""
        twin = NetBufferList(NetBuffer(nb.buffers, nb.data_offset, nb.data_length) for nb in self.net_buffers)
        twin.parent = self
        twin.info = dict(self.info)
        twin.cancel_id = self.cancel_id
        self.children += 1
        return twin

    def free_clone(self) -> NetBufferList:
        """NdisFreeCloneNetBufferList; return the original."""
        parent = self.parent
        if parent is None:
            raise BugCheckError("a list freed as a clone that is none", self)
        self.parent = None
        parent.children -= 1
        return parent
