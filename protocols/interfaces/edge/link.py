"""One binding of a transport to an adapter: an NDIS protocol's handlers below, the transport's frames above.

Frames that come in are copied out of the miniport's buffers and wait in an inbox; the transport is not
entered from NDIS's calls, since it may itself be in the middle of a send. ``wake`` asks for its turn.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ndis.errors import NdisError
from ndis.oids import Oid
from ndis.packet import Buffer, Packet, PacketFlags
from ndis.protocol import BindingClient, NetEvent, PnPEvent
from ndis.requests import Request
from ndis.status import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ndis.open import Open
    from ndis.packet import Memory, PacketInfo, PacketPool
    from protocols.interfaces.edge.wanted import Wanted

Sent = TypeVar("Sent")
"""What the transport hands to ``send``."""
Received = TypeVar("Received")
"""What ``received`` makes of a packet."""
WAITING_LIMIT = 4096
INBOX_LIMIT = 4096
_MEDIA = {Status.MEDIA_CONNECT: True, Status.MEDIA_DISCONNECT: False}


class EdgeLink(BindingClient, Generic[Sent, Received]):
    """An adapter as a transport sees it. The driver sets ``mac``, ``mtu`` and ``up`` when it binds.

    Invariant: a packet is out of the pool exactly while the miniport has it. After ``stop`` nothing is sent.
    """

    wanted: Wanted | None = None
    """Which frames are the transport's; None: all, it looks itself."""

    def __init__(
        self,
        name: str,
        pool: PacketPool,
        wake: Callable[[], None],
        reorder: Callable[[Sequence[str]], None] = lambda _: None,
    ) -> None:
        """Start closed; ``opened`` makes it usable. ``reorder`` is told a new order of the adapters."""
        self.name = name
        self.mac = bytes(6)
        self.mtu = 0
        """The most bytes above the Ethernet header."""
        self.up = True
        """Whether it is bound and its cable is plugged."""
        self.told_up = True
        """What the transport was told last of ``up``."""
        self.counters = dict.fromkeys(("inbox_overflow", "send_overflow", "send_errors", "not_ours"), 0)
        self.waiting: deque[Sent] = deque()
        """What no packet was free for; ``submit`` when one has come back."""
        self.inbox: list[Received] = []
        """What has come, oldest first; the driver takes the list and leaves an empty one."""
        self._open: Open | None = None
        self._pool = pool
        self._wake = wake
        self._reorder = reorder
        self._groups: frozenset[bytes] = frozenset()
        self._asked: set[Request] = set()
        self._stopping = False

    # What a transport says of its frames

    def prepare(self, frame: Sent) -> tuple[Sequence[Memory], dict[PacketInfo, Any]]:
        """Return a frame's pieces, from the destination address on, and what is asked of the card for it."""
        raise NotImplementedError

    def received(self, packet: Packet) -> Received:
        """Return what the inbox keeps of a packet; the packet's memory stays the miniport's: copy."""
        raise NotImplementedError

    # To the transport

    def opened(self, open_: Open) -> None:
        """Take the open that NDIS gave us."""
        self._open = open_

    def send(self, frames: Sequence[Sent]) -> None:
        """Hand frames to NDIS; those that no packet is free for wait, and beyond a limit are lost."""
        if self._open is None or self._stopping:
            return
        for frame in frames:
            if len(self.waiting) >= WAITING_LIMIT:
                self.counters["send_overflow"] += 1
            else:
                self.waiting.append(frame)
        self.submit()

    def set_multicast(self, groups: frozenset[bytes]) -> None:
        """OID_802_3_MULTICAST_LIST: replace the group addresses to receive."""
        self._groups = groups
        if self._open is not None and not self._stopping:
            request = Request.set(Oid.O802_3_MULTICAST_LIST, b"".join(sorted(groups)))
            self._asked.add(request)
            if self._open.request(request) is not Status.PENDING:
                self._asked.discard(request)

    # BindingClient, to NDIS

    def receive_packet(self, packet: Packet) -> int:
        """ProtocolReceivePacket: copy; the packet stays the miniport's."""
        inbox, wanted = self.inbox, self.wanted
        if wanted is not None and not wanted.takes(packet.data):
            self.counters["not_ours"] += 1
            return 0
        if len(inbox) >= INBOX_LIMIT:
            self.counters["inbox_overflow"] += 1
            return 0
        if not inbox:  # else the driver's turn is queued already, and will empty it
            self._wake()
        inbox.append(self.received(packet))
        return 0

    def send_complete(self, packet: Packet, status: Status) -> None:
        """ProtocolSendComplete."""
        if status is not Status.SUCCESS:
            self.counters["send_errors"] += 1
        self._pool.free(packet)
        if self.waiting:
            self._wake()  # not from here: the miniport is in the middle of its completions

    def request_complete(self, request: Request, status: Status) -> None:
        """ProtocolRequestComplete."""
        del status
        self._asked.discard(request)

    def status(self, status: Status, data: object) -> None:
        """ProtocolStatus: the cable was plugged or pulled."""
        del data
        if status in _MEDIA and not self._stopping:
            self.up = _MEDIA[status]
            self._wake()

    def pnp_event(self, event: PnPEvent) -> Status:
        """ProtocolPnPEvent: nothing stands in the way of power changes and removal."""
        if event.code is NetEvent.BIND_LIST:
            self._reorder(event.data)
        return Status.SUCCESS if event.code in NetEvent else Status.NOT_SUPPORTED

    # For the driver

    def submit(self) -> None:
        """Send what waits, as far as packets are free."""
        packets: list[Packet] = []
        waiting = self.waiting
        while waiting:
            pieces, info = self.prepare(waiting[0])
            try:
                packet = self._pool.allocate(list(map(Buffer, pieces)))
            except NdisError:
                break  # all are at the miniport: send_complete comes back to it
            waiting.popleft()
            # A transport loops its own traffic, if any; NDIS's copy would come back to it as a stranger's.
            packet.flags = PacketFlags.DONT_LOOPBACK
            if info:
                packet.info.update(info)
            packets.append(packet)
        if packets and self._open is not None:
            self._open.send_packets(packets)

    def stop(self) -> None:
        """Begin ProtocolUnbindAdapter: no send and no request after this."""
        self._stopping = True
        self.up = self.told_up = False
        self.waiting.clear()

    @property
    def is_idle(self) -> bool:
        """Whether all packets and requests are back, as NdisCloseAdapter wants it."""
        return not self._pool.in_use and not self._asked

    def close(self) -> Status:
        """End ProtocolUnbindAdapter: let go of the adapter. Only after ``stop``, when ``is_idle``."""
        open_, self._open = self._open, None
        return open_.close() if open_ is not None else Status.SUCCESS
