"""NET_BUFFER_LISTs through an adapter, and the translation between the two generations.

An NDIS 6 driver gets lists; packets of NDIS 5 transports are wrapped in one each. An NDIS 5 driver
gets packets; lists are taken apart into one packet a frame. Light-weight filters sit above the
driver (``ndis.lwf``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ndis.events import Kind
from ndis.nbl import NetBuffer, NetBufferList
from ndis.oids import MacOption
from ndis.packet import Owner, Packet, PacketInfo
from ndis.sends import SendHost, Sends
from ndis.status import Status
from ntos.errors import BugCheckError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ndis.filter8023 import EthFilter
    from ndis.lifecycle import AdapterState
    from ndis.ports import Bound, Filters
    from ndis.receive import Receives
    from ndis.sends import SendPath

_INDICATING = 1 << 16  # see ndis.receive


class ListHost(SendHost, Protocol):
    """What the path of lists needs of its adapter."""

    state: AdapterState
    may_indicate: bool
    mac_options: MacOption
    opens: tuple[Bound, ...]
    filter: EthFilter
    sends: SendPath
    receives: Receives


class _Parts:
    """Stands in for the open of the packets that one list was taken apart into."""

    def __init__(self, path: ListSends, nbl: NetBufferList) -> None:
        self._path = path
        self.nbl = nbl
        self.left = len(nbl.net_buffers)

    def send_completed(self, packet: Packet, status: Status) -> None:
        """Complete the list with its last frame; one failure is the failure of all."""
        packet.owner = Owner.FREE
        if status is not Status.SUCCESS:
            self.nbl.status = status
        self.left -= 1
        if self.left == 0:
            self._path.list_done(self.nbl)


class ListSends(Sends):
    """The path of lists, down and up.

    Invariants: a list is a key of ``outstanding_lists`` exactly while it is below the protocol,
    and of ``indicated`` exactly while protocols hold it.
    """

    adapter: ListHost

    def __init__(self, adapter: ListHost) -> None:
        """Start with nothing under way."""
        super().__init__(adapter)
        self._lock = adapter.executive.spin_lock("list references")
        self.outstanding_lists: dict[NetBufferList, int] = {}
        self.indicated: dict[NetBufferList, int] = {}
        self.stack: Filters | None = None

    # The SendPath that an NDIS 6 adapter has for NDIS 5 transports.

    @property
    def queued(self) -> list[Packet]:
        """Nothing: an NDIS 6 driver has its own queue."""
        return []

    def submit(self, packets: list[Packet]) -> None:
        """Wrap every packet in a list and send those."""
        lists = []
        for packet in packets:
            nbl = NetBufferList((NetBuffer(packet._buffers),))  # noqa: SLF001 - NDIS wraps, it does not look
            nbl.packet = packet
            nbl.source = packet.ndis_reserved
            nbl.cancel_id = packet.cancel_id
            nbl.info = dict(packet.info)
            nbl.owner = Owner.NDIS
            lists.append(nbl)
        self.hand_over(packets)
        self._down(lists)

    def complete(self, packet: Packet, _status: Status) -> None:
        """Stop: an NDIS 6 driver has no NdisMSendComplete."""
        raise BugCheckError(f"NdisMSendComplete of {packet!r} by an NDIS 6 driver", packet)

    def resources_available(self) -> None:
        """Do nothing: nothing of NDIS's waits."""

    def abort_queued(self, status: Status) -> None:
        """Do nothing: nothing is queued here."""

    def cancel(self, cancel_id: object) -> None:
        """MiniportCancelSend."""
        adapter = self.adapter
        if adapter.ndis6:
            cancel = adapter.handler("cancel_send")
            adapter.gate.post(lambda: adapter.enter("cancel_send", cancel, cancel_id))

    def after_reset(self) -> None:
        """Do nothing: the driver itself completes what it had."""

    def resume(self) -> None:
        """Do nothing: nothing waited here."""

    # Down.

    def submit_lists(self, open_: Bound, nbls: list[NetBufferList]) -> None:
        """NdisSendNetBufferLists."""
        adapter = self.adapter
        now_ns = adapter.executive.now_ns()
        for nbl in nbls:
            nbl.transfer(Owner.PROTOCOL, Owner.NDIS)
            nbl.source = open_
            self.outstanding_lists[nbl] = now_ns
            if adapter.observer is not None:
                adapter.emit(Kind.SUBMIT, "submit", nbl, open=open_)
        refusal = adapter.refusal  # read once: a reset may end on another CPU meanwhile
        if refusal is not None:
            for nbl in nbls:
                nbl.status = refusal
                self.list_done(nbl)
            return
        wire = self._loop_back(open_, nbls)
        if adapter.ndis6:
            self._down(wire)
        elif wire:
            adapter.sends.submit([p for nbl in wire for p in self._take_apart(nbl)])

    def to_driver(self, nbls: list[NetBufferList]) -> None:
        """Give lists that NDIS owns to the driver: the bottom of the filter stack."""
        adapter = self.adapter
        now_ns = adapter.executive.now_ns()
        for nbl in nbls:
            nbl.transfer(Owner.NDIS, Owner.MINIPORT)
            nbl.status = Status.PENDING
            self.outstanding_lists[nbl] = now_ns
            if adapter.observer is not None:
                adapter.emit(Kind.SEND, "send", nbl)
        send = adapter.handler("send_net_buffer_lists")
        adapter.gate.post(lambda: adapter.enter("send_net_buffer_lists", send, nbls))

    def complete_lists(self, nbls: Sequence[NetBufferList]) -> None:
        """NdisMSendNetBufferListsComplete."""
        adapter = self.adapter
        for nbl in nbls:
            if adapter.observer is not None:
                adapter.emit(Kind.SEND_COMPLETE, nbl.status.name, nbl)
            if nbl not in self.outstanding_lists or nbl.owner is not Owner.MINIPORT:
                raise BugCheckError("a list completed that is not with the driver", nbl)
            nbl.transfer(Owner.MINIPORT, Owner.NDIS)
        if self.stack is not None:
            self.stack.send_completed(list(nbls))
        else:
            for nbl in nbls:
                self.list_done(nbl)

    def list_done(self, nbl: NetBufferList) -> None:
        """Give a list that NDIS owns back to the protocol it came from."""
        self.outstanding_lists.pop(nbl, None)
        packet = nbl.packet
        if packet is not None:
            self.forget(packet)
            self.give_back(packet, Owner.MINIPORT, nbl.status)
            return
        nbl.transfer(Owner.NDIS, Owner.PROTOCOL)
        if self.adapter.observer is not None:
            self.adapter.emit(Kind.COMPLETED, nbl.status.name, nbl)
        nbl.source.callout("send_net_buffer_lists_complete", [nbl])
        nbl.source.check_closed()

    def _down(self, nbls: list[NetBufferList]) -> None:
        if not nbls:
            return
        if self.stack is not None:
            self.stack.send(nbls)
        else:
            self.to_driver(nbls)

    def _take_apart(self, nbl: NetBufferList) -> list[Packet]:
        parts = _Parts(self, nbl)
        nbl.status = Status.SUCCESS
        packets = []
        for net_buffer in nbl.net_buffers:
            packet = Packet()
            packet.owner = Owner.NDIS
            packet.ndis_reserved = parts
            packet.info.update(nbl.info)
            if nbl.cancel_id is not None:
                packet.info[PacketInfo.CANCEL_ID] = nbl.cancel_id
            for buffer in net_buffer.frame_buffers():
                packet.chain_buffer_at_back(buffer)
            packets.append(packet)
        return packets

    def _loop_back(self, open_: Bound, nbls: list[NetBufferList]) -> list[NetBufferList]:
        adapter = self.adapter
        if not adapter.mac_options & MacOption.NO_LOOPBACK:
            return nbls
        wire = []
        received: dict[Bound, None] = {}
        for nbl in nbls:
            for net_buffer in nbl.net_buffers:
                adapter.receives.loop_one(open_, net_buffer.data, received)
            if all(nb.data[:6] == adapter.filter.address for nb in nbl.net_buffers):
                nbl.status = Status.SUCCESS
                self.list_done(nbl)
            else:
                wire.append(nbl)
        adapter.receives.receive_complete(received)
        return wire

    # Up.

    def indicate_lists(self, nbls: Sequence[NetBufferList], resources: bool) -> None:  # noqa: FBT001 - passed on by upcall()
        """NdisMIndicateReceiveNetBufferLists."""
        adapter = self.adapter
        for nbl in nbls:
            if adapter.observer is not None:
                adapter.emit(Kind.INDICATE, "list", nbl, resources=resources)
            if not adapter.may_indicate:
                raise BugCheckError(f"receive indicated while {adapter.state.name}")
            nbl.transfer(Owner.MINIPORT, Owner.NDIS)
            self.indicated[nbl] = adapter.executive.now_ns()
        if self.stack is not None:
            self.stack.receive(list(nbls), resources=resources)
        else:
            self.to_protocols(list(nbls), resources=resources)
        if resources:
            for nbl in nbls:
                self._home(nbl)

    def to_protocols(self, nbls: list[NetBufferList], *, resources: bool) -> None:
        """Indicate lists that NDIS owns to the opens: the top of the filter stack."""
        adapter = self.adapter
        received: dict[Bound, None] = {}
        unwanted = []
        for nbl in nbls:
            nbl.transfer(Owner.NDIS, Owner.PROTOCOL)
            nbl.references = _INDICATING
            destination = nbl.data[:6]
            taken = 0
            for open_ in adapter.opens:
                if adapter.filter.wanted(open_, destination):
                    received[open_] = None
                    taken += self._deliver(open_, nbl, resources=resources)
            self._lock.acquire()
            nbl.references += taken - _INDICATING
            left = nbl.references
            self._lock.release()
            if left == 0 or resources:
                nbl.transfer(Owner.PROTOCOL, Owner.NDIS)
                unwanted.append(nbl)
        adapter.receives.receive_complete(received)
        if unwanted and not resources:
            self._returned(unwanted)

    def return_lists(self, nbls: list[NetBufferList]) -> None:
        """NdisReturnNetBufferLists: one reference of each."""
        for nbl in nbls:
            if self.adapter.observer is not None:
                self.adapter.emit(Kind.RETURN, "return", nbl)
            if nbl.packet is not None:  # made here around an NDIS 5 packet
                self.adapter.receives.return_packets([nbl.packet])
            else:
                self.release(nbl)

    def release(self, nbl: NetBufferList) -> None:
        """Drop one reference of an indicated list."""
        self._lock.acquire()
        known = nbl.owner is Owner.PROTOCOL and nbl.references > 0
        nbl.references -= 1
        last = nbl.references == 0
        self._lock.release()
        if not known:
            raise BugCheckError("a list returned that no protocol has", nbl)
        if last:
            nbl.transfer(Owner.PROTOCOL, Owner.NDIS)
            self._returned([nbl])

    def return_to_driver(self, nbls: list[NetBufferList]) -> None:
        """MiniportReturnNetBufferLists: the bottom of the filter stack."""
        adapter = self.adapter
        for nbl in nbls:
            self._home(nbl)
            if adapter.observer is not None:
                adapter.emit(Kind.RETURNED, "returned", nbl)
        give = adapter.handler("return_net_buffer_lists")
        adapter.gate.post(lambda: adapter.enter("return_net_buffer_lists", give, nbls))

    def deliver_packet(self, open_: Bound, packet: Packet, *, resources: bool) -> int:
        """Indicate an NDIS 5 packet to an NDIS 6 transport; return the references it takes."""
        nbl = NetBufferList((NetBuffer(packet.buffers),))
        nbl.packet = packet
        nbl.info = dict(packet.info)
        open_.callout("receive_net_buffer_lists", [nbl], resources)
        return 0 if resources else 1

    def _deliver(self, open_: Bound, nbl: NetBufferList, *, resources: bool) -> int:
        if open_.receives_lists:
            open_.callout("receive_net_buffer_lists", [nbl], resources)
            return 0 if resources else 1
        packet = Packet()
        packet.owner = Owner.PROTOCOL
        packet.ndis_reserved = nbl
        packet.info.update(nbl.info)
        packet.status = Status.RESOURCES if resources else Status.SUCCESS
        for buffer in nbl.net_buffers[0].frame_buffers():
            packet.chain_buffer_at_back(buffer)
        receives = self.adapter.receives
        packet.references = _INDICATING
        receives.taken[packet] = self.adapter.executive.now_ns()
        taken = open_.deliver(packet, resources=resources)
        self._lock.acquire()
        packet.references += taken - _INDICATING
        left = packet.references
        self._lock.release()
        if left == 0:
            receives.taken.pop(packet, None)
        return min(left, 1)

    def _returned(self, nbls: list[NetBufferList]) -> None:
        if self.stack is not None:
            self.stack.returned(nbls)
        else:
            self.return_to_driver(nbls)

    def _home(self, nbl: NetBufferList) -> None:
        nbl.transfer(Owner.NDIS, Owner.MINIPORT)
        self.indicated.pop(nbl, None)
