"""Both edges of an intermediate driver; what is between them is a subclass's.

The driver registers its miniport edge first, then its protocol edge; virtual adapters are made
when a lower adapter is bound. Frames are copied on the way up; the way down shares buffers.
Source: NdisIMRegisterLayeredMiniport, NdisIMInitializeDeviceInstanceEx, README of the MUX sample
(WDK).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from ndis.attributes import Attribute
from ndis.errors import NdisError
from ndis.filter8023 import PacketFilter
from ndis.miniport import Medium, MiniportCharacteristics
from ndis.oids import MacOption, Oid
from ndis.packet import Owner, Packet, PacketFlags, PacketPool
from ndis.protocol import BindingClient
from ndis.requests import InformationBuffer, Request, RequestKind
from ndis.status import Status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ndis.adapter import MiniportAdapter
    from ndis.binding import BindContext
    from ndis.open import Open
    from ndis.upcalls import Upcalls
    from ndis.wrapper import Ndis

POOL_SIZE = 256
_ATTRIBUTES = (
    Attribute.DESERIALIZE
    | Attribute.INTERMEDIATE_DRIVER
    | Attribute.NO_HALT_ON_SUSPEND
    | Attribute.IGNORE_PACKET_TIMEOUT
    | Attribute.IGNORE_REQUEST_TIMEOUT
)


class Origin:
    """A packet from above while copies of it are below; it has succeeded when one of them has."""

    def __init__(self, virtual: VirtualAdapter, packet: Packet, copies: int) -> None:
        """Wait for so many copies."""
        self.virtual = virtual
        self.packet = packet
        self._left = copies
        self._status: Status | None = None

    def back(self, status: Status) -> None:
        """Count a copy that is done; complete the packet after the last."""
        if self._status is None or status is Status.SUCCESS:
            self._status = status
        self._left -= 1
        if not self._left:
            self.virtual.ndis.send_complete(self.packet, self._status)


class LowerBinding(BindingClient):
    """The protocol edge over one adapter."""

    def __init__(self, driver: Intermediate, name: str) -> None:
        """Belong to the driver; ``open`` is set when the adapter is open."""
        self.driver = driver
        self.name = name
        self.open: Open | None = None
        self.connected = True

    def send_complete(self, packet: Packet, status: Status) -> None:
        """ProtocolSendComplete: the original above is complete too."""
        self.driver.sent(packet, status)

    def receive_packet(self, packet: Packet) -> int:
        """ProtocolReceivePacket: copied, so no reference is taken."""
        if not packet.flags & PacketFlags.IS_LOOPBACK_PACKET:
            self.driver.received(self, packet)
        return 0

    def status(self, status: Status, data: object) -> None:
        """ProtocolStatus: the link's is remembered, all go on to the driver."""
        if status in {Status.MEDIA_CONNECT, Status.MEDIA_DISCONNECT}:
            self.connected = status is Status.MEDIA_CONNECT
        self.driver.status_below(self, status, data)


Target = tuple[LowerBinding, bytes | None]
"""A card to send by, and new bytes for the frame; None: as it is."""


class VirtualAdapter:
    """The miniport edge: one virtual card."""

    def __init__(self, ndis: Upcalls, driver: Intermediate) -> None:
        self.ndis = ndis
        self.driver = driver
        self.address = ndis.read_configuration("NetworkAddress", b"")
        self.packet_filter = PacketFilter.NONE
        self.multicast = b""
        self.pool: PacketPool | None = None
        self._asking = False

    def initialize(self, media: Sequence[Medium]) -> tuple[Status, Medium]:
        """MiniportInitialize."""
        del media
        self.ndis.set_attributes(_ATTRIBUTES)
        self.pool = self.ndis.packet_pool(POOL_SIZE)
        return Status.SUCCESS, Medium.M802_3

    def halt(self) -> None:
        """MiniportHalt."""
        self.driver.virtual_gone(self)

    def reset(self) -> tuple[Status, bool]:
        """MiniportReset: there is no hardware to reset."""
        return Status.SUCCESS, False

    def send_packets(self, packets: list[Packet]) -> None:
        """MiniportSendPackets."""
        for packet in packets:
            self.driver.send(self, packet)

    def return_packet(self, packet: Packet) -> None:
        """MiniportReturnPacket."""
        if packet.pool is not None:
            packet.pool.free(packet)

    def indicate(self, frame: bytes) -> bool:
        """Indicate one frame; False when no descriptor is free, or nobody runs above."""
        if self.pool is None or not self.ndis.is_started:
            return False
        try:
            packet = self.pool.allocate(frame)
        except NdisError:
            return False
        self.ndis.indicate_receive_packets([packet])
        return True

    def wants(self, destination: bytes) -> bool:
        """Whether this adapter's filter lets a frame to ``destination`` through."""
        asked = self.packet_filter
        if asked & PacketFilter.PROMISCUOUS:
            return True
        if not destination[0] & 1:
            return bool(asked & PacketFilter.DIRECTED) and destination == self.address
        if destination == b"\xff" * 6:
            return bool(asked & PacketFilter.BROADCAST)
        groups = [self.multicast[n : n + 6] for n in range(0, len(self.multicast), 6)]
        listed = asked & PacketFilter.MULTICAST and destination in groups
        return bool(listed or asked & PacketFilter.ALL_MULTICAST)

    def query_information(self, oid: int, buffer: InformationBuffer) -> Status:
        """MiniportQueryInformation.

        What is the virtual card's own here, the rest by the card below.
        """
        own = self._own(oid)
        if own is not None:
            return buffer.write(own)
        return self._forward(RequestKind.QUERY, oid, buffer)

    def set_information(self, oid: int, buffer: InformationBuffer) -> Status:
        """MiniportSetInformation: filters are merged for the cards below."""
        buffer.bytes_read = buffer.length
        if oid == Oid.GEN_CURRENT_PACKET_FILTER:
            self.packet_filter = PacketFilter(int.from_bytes(buffer.data[:4], "little"))
        elif oid == Oid.O802_3_MULTICAST_LIST:
            self.multicast = buffer.data
        elif oid == Oid.GEN_CURRENT_LOOKAHEAD:
            return Status.SUCCESS
        else:
            return self._forward(RequestKind.SET, oid, buffer)
        self.driver.update_filters()
        return Status.SUCCESS

    def _own(self, oid: int) -> bytes | None:
        if oid in {Oid.O802_3_CURRENT_ADDRESS, Oid.O802_3_PERMANENT_ADDRESS}:
            return self.address or None
        numbers = {
            Oid.GEN_MAC_OPTIONS: MacOption.NO_LOOPBACK | MacOption.COPY_LOOKAHEAD_DATA,
            Oid.GEN_CURRENT_PACKET_FILTER: self.packet_filter,
            Oid.GEN_MEDIA_CONNECT_STATUS: 0 if self.driver.is_connected else 1,
            Oid.GEN_MAXIMUM_SEND_PACKETS: POOL_SIZE,
        }
        value = numbers.get(Oid(oid)) if oid in set(Oid) else None
        if oid == Oid.PNP_CAPABILITIES:
            return bytes(16)  # no wake-up through a virtual card: all states Unspecified
        return None if value is None else struct.pack("<I", value)

    def _forward(self, kind: RequestKind, oid: int, buffer: InformationBuffer) -> Status:
        lower = self.driver.first_open
        if lower is None:
            return Status.ADAPTER_NOT_READY
        answers: list[Status] = []
        self._asking = True

        def done(request: Request, status: Status) -> None:
            result = _take(request, buffer, status)
            if self._asking:
                answers.append(result)
            else:
                self.ndis.query_information_complete(result)

        below = InformationBuffer(buffer.length, buffer.data if kind is RequestKind.SET else b"")
        request = Request(kind, oid, below, done)
        status = lower.request(request)
        self._asking = False
        if answers:
            return answers[0]
        return status if status is Status.PENDING else _take(request, buffer, status)


def _take(request: Request, buffer: InformationBuffer, status: Status) -> Status:
    """Copy the answer from below into the buffer above."""
    buffer.bytes_needed = request.buffer.bytes_needed
    if status is Status.SUCCESS and request.kind is RequestKind.QUERY:
        return buffer.write(request.buffer.answer)
    return status


class Intermediate:
    """An intermediate driver. Subclasses say where frames go, in ``route`` and ``deliver``."""

    def __init__(self, ndis: Ndis, name: str) -> None:
        """Register the miniport edge, then the protocol edge."""
        self.ndis = ndis
        self.name = name
        self.lowers: list[LowerBinding] = []
        self.virtuals: list[VirtualAdapter] = []
        self.adapters: list[MiniportAdapter] = []
        self.miniport = ndis.register_miniport(
            MiniportCharacteristics.of(
                VirtualAdapter, create=lambda upcalls: VirtualAdapter(upcalls, self), name=name
            )
        )
        self._pool = ndis.packet_pool(POOL_SIZE)
        self._told: dict[LowerBinding, tuple[int, bytes]] = {}
        self._up = True
        self.protocol = ndis.register_protocol(name, self)

    @property
    def first_open(self) -> Open | None:
        """The open that answers what all lower cards would answer alike."""
        return self.lowers[0].open if self.lowers else None

    @property
    def is_connected(self) -> bool:
        """Whether any card below has a link."""
        return any(lower.connected for lower in self.lowers)

    # What a subclass decides.

    def lower_bound(self, lower: LowerBinding) -> None:
        """Make virtual adapters over a new lower binding."""
        raise NotImplementedError

    def route(self, virtual: VirtualAdapter, packet: Packet) -> Target | None:
        """Return the binding a packet leaves by, and new bytes for it; None: it is dropped."""
        raise NotImplementedError

    def routes(self, virtual: VirtualAdapter, packet: Packet) -> list[Target]:
        """Return all bindings that a packet leaves by: ``route``'s, unless a driver sends it by several."""
        target = self.route(virtual, packet)
        return [target] if target is not None else []

    def deliver(self, lower: LowerBinding, frame: bytes) -> list[tuple[VirtualAdapter, bytes]]:
        """Return which virtual adapters get a received frame, and in which form."""
        raise NotImplementedError

    def filters(self, lower: LowerBinding) -> tuple[PacketFilter, bytes]:
        """Return packet filter and multicast list for a lower card.

        Promiscuous iff anybody listens.
        """
        del lower
        listening = any(v.packet_filter for v in self.virtuals)
        return (PacketFilter.PROMISCUOUS if listening else PacketFilter.NONE), b""

    # Binding.

    def bind_adapter(self, context: BindContext) -> Status:
        """ProtocolBindAdapter: open the card, then make the virtual cards over it."""
        lower = LowerBinding(self, context.adapter.name)
        lower.open = context.open(lower)
        lower.connected = context.adapter.media_connected
        self.lowers.append(lower)
        self.lower_bound(lower)
        self.update_filters()
        return Status.SUCCESS

    def unbind_adapter(self, open_: Open) -> Status:
        """ProtocolUnbindAdapter: the virtual cards over it go first, then it is closed."""
        lower = next(x for x in self.lowers if x.open is open_)
        self.lower_unbound(lower)
        self.lowers.remove(lower)
        self._told.pop(lower, None)
        return open_.close()

    def lower_unbound(self, lower: LowerBinding) -> None:
        """Deinitialize the virtual adapters when the last card below goes."""
        if self.lowers == [lower]:
            for adapter in list(self.adapters):
                self.ndis.remove_adapter(adapter)

    def add_virtual(self, name: str, configuration: Mapping[str, object]) -> VirtualAdapter:
        """NdisIMInitializeDeviceInstanceEx."""
        adapter = self.ndis.add_adapter(self.miniport, name, None, configuration)
        virtual = adapter.driver
        if not isinstance(virtual, VirtualAdapter):
            raise TypeError(f"{virtual!r} is no virtual adapter")
        self.adapters.append(adapter)
        self.virtuals.append(virtual)
        return virtual

    def virtual_gone(self, virtual: VirtualAdapter) -> None:
        """Forget a virtual adapter that is halted."""
        self.virtuals.remove(virtual)
        self.adapters = [a for a in self.adapters if a.driver is not virtual]

    # Data.

    def send(self, virtual: VirtualAdapter, packet: Packet) -> None:
        """Pass one packet down, as a packet of this driver's own over the same buffers."""
        targets = [one for one in self.routes(virtual, packet) if one[0].open is not None]
        if not targets:
            virtual.ndis.send_complete(packet, Status.MEDIA_DISCONNECTED)
            return
        origin = Origin(virtual, packet, len(targets))
        for lower, data in targets:
            self._send_below(lower, data, origin)

    def send_own(self, lower: LowerBinding, frame: bytes) -> None:
        """Send a frame that this driver made."""
        self._send_below(lower, frame, None)

    def sent(self, packet: Packet, status: Status) -> None:
        """Complete the original of a packet when the last of its copies has come back from below."""
        origin = packet.protocol_reserved
        self._pool.free(packet)
        if origin is not None:
            origin.back(status)

    def received(self, lower: LowerBinding, packet: Packet) -> None:
        """Take one frame from below."""
        for virtual, frame in self.deliver(lower, packet.data):
            if virtual.wants(frame[:6]):
                virtual.indicate(frame)

    def status_below(self, lower: LowerBinding, status: Status, data: object) -> None:
        """Forward a status; the link's only when the virtual cards' changes."""
        del lower
        if status in {Status.MEDIA_CONNECT, Status.MEDIA_DISCONNECT}:
            self.link_changed()
        elif status not in {Status.RESET_START, Status.RESET_END}:
            for virtual in self.virtuals:
                virtual.ndis.indicate_status(status, data)

    def link_changed(self) -> None:
        """Tell the adapters above when the team as a whole gains or loses its link."""
        up = self.is_connected
        if up != self._up:
            self._up = up
            news = Status.MEDIA_CONNECT if up else Status.MEDIA_DISCONNECT
            for virtual in self.virtuals:
                virtual.ndis.indicate_status(news)
                virtual.ndis.indicate_status_complete()

    def update_filters(self) -> None:
        """Set filter and multicast list of the cards below, where they have changed."""
        for lower in self.lowers:
            wanted = self.filters(lower)
            before = self._told.get(lower, (0, b""))
            if lower.open is None or wanted == before:
                continue
            self._told[lower] = (int(wanted[0]), wanted[1])
            if wanted[1] != before[1]:
                lower.open.request(Request.set(Oid.O802_3_MULTICAST_LIST, wanted[1]))
            raw = struct.pack("<I", wanted[0])
            lower.open.request(Request.set(Oid.GEN_CURRENT_PACKET_FILTER, raw))

    def _send_below(
        self,
        lower: LowerBinding,
        data: bytes | None,
        origin: Origin | None,
    ) -> None:
        try:
            shared = data if data is not None or origin is None else origin.packet.buffers
            mine = self._pool.allocate(shared)
        except NdisError:
            if origin is not None:
                origin.back(Status.RESOURCES)
            return
        if origin is not None:
            mine.protocol_reserved = origin
            mine.info.update(origin.packet.info)
        mine.flags |= PacketFlags.DONT_LOOPBACK  # NDIS has looped it back above this driver
        if lower.open is None or mine.owner is not Owner.PROTOCOL:
            raise NdisError(Status.ADAPTER_NOT_OPEN, lower.name)
        lower.open.send_packets([mine])
