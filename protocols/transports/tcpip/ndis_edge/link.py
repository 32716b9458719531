"""One binding of TCP/IP to an adapter: an NDIS protocol's handlers below, a ``Link`` above.

Frames that come in are copied out of the miniport's buffers and wait in an inbox; TCP/IP is not entered
from NDIS's calls, since it may itself be in the middle of a send. ``wake`` asks for its turn.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from ndis.errors import NdisError
from ndis.offload import NOTHING
from ndis.oids import Oid
from ndis.packet import Buffer, Packet, PacketFlags
from ndis.protocol import BindingClient, NetEvent, PnPEvent
from ndis.requests import Request
from ndis.status import Status
from protocols.transports.tcpip.link import Offload
from protocols.transports.tcpip.ndis_edge import offloads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ndis.packet import PacketInfo, PacketPool
    from ndis.protocol import Open
    from protocols.transports.tcpip.interface import Interface
    from protocols.transports.tcpip.link import RxFrame, TxFrame

PACKETS = 1024
"""Packets at the miniport at a time; frames beyond them wait in ``waiting``."""
WAITING_LIMIT = 4096
INBOX_LIMIT = 4096
_LINK = {Status.MEDIA_CONNECT: True, Status.MEDIA_DISCONNECT: False}


class NdisLink(BindingClient):
    """An adapter as TCP/IP sees it. The properties are set once, by ``TcpipDriver``."""

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
        self.offload = Offload()
        self.tasks = NOTHING
        self.coalescing = False
        self.up = True
        self.counters = dict.fromkeys(("inbox_overflow", "send_overflow", "send_errors"), 0)
        self.interface: Interface
        self._open: Open | None = None
        self._pool = pool
        self._wake = wake
        self._reorder = reorder
        self.waiting: deque[TxFrame] = deque()
        """Frames that no packet was free for; ``submit`` when one has come back."""
        self.inbox: list[RxFrame] = []
        """Frames that have come, oldest first; the driver takes the list and leaves an empty one."""
        self._groups: frozenset[bytes] = frozenset()
        self._asked: set[Request] = set()
        self._stopping = False

    def opened(self, open_: Open) -> None:
        """Take the open that NDIS gave us."""
        self._open = open_

    # Link, to TCP/IP

    def send(self, frames: Sequence[TxFrame]) -> None:
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
        """OID_802_3_MULTICAST_LIST."""
        self._groups = groups
        if self._open is not None and not self._stopping:
            request = Request.set(Oid.O802_3_MULTICAST_LIST, b"".join(sorted(groups)))
            self._asked.add(request)
            if self._open.request(request) is not Status.PENDING:
                self._asked.discard(request)

    def replaces(self, link: NdisLink) -> bool:
        """Whether ``link``, over the same adapter, can have this one's interface: a rebinding."""
        return (self.mac, self.mtu, self.offload) == (link.mac, link.mtu, link.offload)

    def succeed(self, before: NdisLink) -> None:
        """Take over the interface of the link that was unbound: its addresses, routes and groups."""
        self.interface = before.interface
        self.interface.link = self
        self.set_multicast(before._groups)

    # BindingClient, to NDIS

    def receive_packet(self, packet: Packet) -> int:
        """ProtocolReceivePacket: copy; the packet stays the miniport's."""
        inbox = self.inbox
        if len(inbox) >= INBOX_LIMIT:
            self.counters["inbox_overflow"] += 1
            return 0
        if not inbox:  # else somebody is awake already, on his way to empty it
            self._wake()
        inbox.append(offloads.received(packet.data, packet.info))
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
        if status in _LINK:
            self.up = _LINK[status]
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
            frame = waiting[0]
            pieces = offloads.buffers(frame) if frame.lso_mss else frame.buffers
            try:
                packet = self._pool.allocate(list(map(Buffer, pieces)))
            except NdisError:
                break  # all are at the miniport: send_complete comes back to it
            waiting.popleft()
            # TCP/IP loops its own traffic; NDIS's copy of a solicitation would look like a duplicate address.
            packet.flags = PacketFlags.DONT_LOOPBACK
            info: dict[PacketInfo, Any] = offloads.packet_info(frame)
            if info:
                packet.info.update(info)
            packets.append(packet)
        if packets and self._open is not None:
            self._open.send_packets(packets)

    def stop(self) -> None:
        """Begin ProtocolUnbindAdapter: no send and no request after this."""
        self._stopping = True
        self.waiting.clear()

    @property
    def is_idle(self) -> bool:
        """Whether all packets and requests are back, as NdisCloseAdapter wants it."""
        return not self._pool.in_use and not self._asked

    def close(self) -> Status:
        """End ProtocolUnbindAdapter: let go of the adapter. Only after ``stop``, when ``is_idle``."""
        open_, self._open = self._open, None
        return open_.close() if open_ is not None else Status.SUCCESS
