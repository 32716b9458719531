"""Indications: from the driver through the filter to every open that wants the frame, and back.

Two styles: whole packets with references (NDIS 4 and later), and header + lookahead with
TransferData. NDIS's own loopback is here too. Source: NdisMIndicateReceivePacket,
NdisMEthIndicateReceive, NdisReturnPackets.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from ndis.events import Kind
from ndis.oids import ProtocolOption
from ndis.packet import Buffer, Owner, Packet, PacketFlags
from ndis.ports import Border
from ndis.status import Status
from ntos.errors import BugCheckError

if TYPE_CHECKING:
    from ndis.filter8023 import EthFilter
    from ndis.lifecycle import AdapterState
    from ndis.ports import Bound
    from ndis.sends import SendPath

# Held on a packet by NDIS while protocols are still being called: a return on another CPU cannot
# bring the count to zero before the last protocol has said how many references it takes.
_INDICATING = 1 << 16
_DONT_LOOPBACK, _LOOPBACK_ONLY = int(PacketFlags.DONT_LOOPBACK), int(PacketFlags.LOOPBACK_ONLY)


class Lent(Protocol):
    """The path of lists, which takes back lists that were indicated as packets."""

    def release(self, nbl: Any) -> None:  # noqa: ANN401 - NdisReserved of a packet, whose owner knows what it is
        """Drop one reference of an indicated list."""


class ReceiveHost(Border, Protocol):
    """What the receives need of their adapter. ``may_indicate``: whether the driver may, in this state."""

    state: AdapterState
    may_indicate: bool
    opens: tuple[Bound, ...]
    filter: EthFilter
    sends: SendPath

    @property
    def serialized(self) -> bool:
        """Whether NDIS queues and locks for this driver."""

    @property
    def lists(self) -> Lent:
        """The path of lists."""


class Receives:
    """Receive packets that protocols hold.

    Invariant: a packet is a key of ``taken`` exactly while protocols own it.
    """

    def __init__(self, adapter: ReceiveHost) -> None:
        self._adapter = adapter
        self._lock = adapter.executive.spin_lock("receive references")
        self.taken: dict[Packet, int] = {}
        self._received: dict[Bound, None] = {}  # of the lookahead indications since the last Complete

    def indicate_packets(self, packets: list[Packet]) -> None:
        """NdisMIndicateReceivePacket.

        For a serialized driver each ``packet.status`` is PENDING (protocols have it) or SUCCESS or
        RESOURCES (it is the driver's again) on return. RESOURCES from the driver covers every
        later packet.
        """
        adapter = self._adapter
        resources = False
        home: list[Packet] = []
        received: dict[Bound, None] = {}
        now_ns = adapter.executive.now_ns()
        for packet in packets:
            resources = resources or packet.status is Status.RESOURCES
            if adapter.observer is not None:
                adapter.emit(Kind.INDICATE, "packet", packet, resources=resources)
            if not adapter.may_indicate:
                self._refuse()
            left = self._indicate(packet, received, now_ns, resources=resources)
            if not left and not resources:
                home.append(packet)
        self.receive_complete(received)
        if home and not adapter.serialized:
            self._return_to_driver(home)

    def return_packets(self, packets: list[Packet], open_: Bound | None = None) -> None:
        """NdisReturnPackets: one reference of each."""
        adapter = self._adapter
        done = []
        for packet in packets:
            if adapter.observer is not None:
                adapter.emit(Kind.RETURN, "return", packet, open=open_)
            self._lock.acquire()
            known = packet in self.taken
            if known:
                packet.references -= 1
                if packet.references == 0:
                    del self.taken[packet]
                    done.append(packet)
            self._lock.release()
            if not known:
                raise BugCheckError(f"{packet!r} returned, but no protocol has it", packet)
        for packet in done:
            packet.transfer(Owner.PROTOCOL, Owner.MINIPORT)
        lent = [p for p in done if p.pool is None]  # made by NDIS around a NET_BUFFER_LIST
        for packet in lent:
            adapter.lists.release(packet.ndis_reserved)
        self._return_to_driver([p for p in done if p.pool is not None])

    def eth_indicate(self, context: object, header: bytes, lookahead: bytes, size: int) -> None:
        """NdisMEthIndicateReceive.

        ``size`` is the payload's length; ``context`` names it to TransferData.
        """
        adapter = self._adapter
        if adapter.observer is not None:
            adapter.emit(Kind.INDICATE, "lookahead", None, header=header, lookahead=len(lookahead), size=size)
        if not adapter.may_indicate:
            self._refuse()
        for open_ in adapter.opens:
            if adapter.filter.wanted(open_, header[:6]):
                self._received[open_] = None
                open_.callout("receive", context, header, lookahead, size)

    def eth_indicate_complete(self) -> None:
        """NdisMEthIndicateReceiveComplete."""
        received, self._received = self._received, {}
        self.receive_complete(received)

    def loop_back(self, sender: Bound, packets: list[Packet]) -> list[Packet]:
        """Indicate what comes back to this machine; return what must go to the wire."""
        wire = []
        received: dict[Bound, None] = {}
        for packet in packets:
            flags = int(packet.flags)
            own = False
            if not flags & _DONT_LOOPBACK:
                own = packet.peek(6) == self._adapter.filter.address
                self.loop_one(sender, packet.snapshot(), received)
            if own or flags & _LOOPBACK_ONLY:
                self._adapter.sends.give_back(packet, Owner.NDIS, Status.SUCCESS)
            else:
                wire.append(packet)
        if received:
            self.receive_complete(received)
        return wire

    def loop_one(self, sender: Bound, frame: bytes, received: dict[Bound, None]) -> None:
        """Indicate a copy of a sent frame to each open that wants it, noted in ``received``."""
        adapter = self._adapter
        destination = frame[:6]
        for open_ in adapter.opens:
            own = open_ is sender and bool(sender.options & ProtocolOption.NO_LOOPBACK)
            if own or not adapter.filter.loops_back(open_, destination):
                continue
            copy = Packet()
            copy.owner = Owner.PROTOCOL
            copy.chain_buffer_at_back(Buffer(frame))
            copy.flags = PacketFlags.IS_LOOPBACK_PACKET
            copy.status = Status.RESOURCES  # NDIS needs it back at once: protocols copy
            received[open_] = None
            open_.deliver(copy, resources=True)

    def _indicate(self, packet: Packet, received: dict[Bound, None], now_ns: int, *, resources: bool) -> int:
        adapter = self._adapter
        if packet.owner is not Owner.MINIPORT:
            packet.transfer(Owner.MINIPORT, Owner.PROTOCOL)  # which raises
        packet.owner = Owner.PROTOCOL
        packet.references = _INDICATING
        if resources:
            packet.status = Status.RESOURCES
        self.taken[packet] = now_ns
        destination = packet.peek(6)
        references = 0
        for open_ in adapter.opens:
            if adapter.filter.wanted(open_, destination):
                received[open_] = None
                references += open_.deliver(packet, resources=resources)
        if not references and packet.references == _INDICATING:  # nobody has taken it, or has it to return
            del self.taken[packet]
            packet.references = left = 0
        else:
            left = self._settle(packet, references)
        if left == 0:
            if packet.owner is not Owner.PROTOCOL:
                packet.transfer(Owner.PROTOCOL, Owner.MINIPORT)  # which raises
            packet.owner = Owner.MINIPORT
            packet.status = Status.RESOURCES if resources else Status.SUCCESS
        return left

    def _settle(self, packet: Packet, references: int) -> int:
        """Take note of how many references were taken; return how many of them have not come back."""
        self._lock.acquire()
        packet.references += references - _INDICATING
        left = packet.references
        if left > 0:
            packet.status = Status.PENDING
        else:
            self.taken.pop(packet, None)
        self._lock.release()
        if left < 0:
            raise BugCheckError(f"{packet!r} returned {-left} times too often", packet)
        return left

    def _return_to_driver(self, packets: list[Packet]) -> None:
        adapter = self._adapter
        give = adapter.handlers.get("return_packet")
        for packet in packets:
            if adapter.observer is not None:
                adapter.emit(Kind.RETURNED, "returned", packet)
            if give is not None:
                adapter.gate.post(partial(adapter.enter, "return_packet", give, packet))

    def receive_complete(self, received: dict[Bound, None]) -> None:
        """Call ReceiveComplete of every open that got something."""
        observed = self._adapter.observer is not None
        for open_ in received:
            if observed:
                open_.callout("receive_complete")
            else:
                open_.client.receive_complete()

    def _refuse(self) -> NoReturn:
        raise BugCheckError(f"receive indicated while {self._adapter.state.name}")
