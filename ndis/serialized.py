"""Serialized miniports.

NDIS queues, NDIS locks.

``SerializedGate`` is the miniport lock, held across every MiniportXxx entry except the ISR: who
finds it taken leaves his call behind, and the holder makes it before he lets go.
``SerializedSends`` is NDIS's FIFO of packets and its answer to RESOURCES. Source: "Serialized NDIS
Miniport Drivers", "Multipacket Sends" (NDIS 5.1).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, TypeVar

from ndis.events import Kind
from ndis.packet import Owner, Packet, PacketFlags
from ndis.sends import Sends
from ndis.status import Status
from ntos.executive.contract import expect
from ntos.executive.irql import Irql

if TYPE_CHECKING:
    from collections.abc import Callable

    from ndis.sends import SendHost
    from ntos.executive.contract import Executive
    from ntos.executive.irql import IrqlModel

R = TypeVar("R")


class SerializedGate:
    """The miniport lock.

    Invariants: at most one context is inside; calls are made in the order of arrival; one that found
    the lock taken is made by the holder, or by the next, and ``exclusive`` overtakes none.
    """

    def __init__(self, executive: Executive, irql: IrqlModel) -> None:
        self._executive = executive
        self._irql = irql
        self._guard = executive.spin_lock("miniport queue")
        self._deferred: deque[Callable[[], None]] = deque()
        self.holder: int | None = None

    def post(self, call: Callable[[], None]) -> None:
        """Make the call inside the lock at DISPATCH_LEVEL: now, or when the holder comes to it."""
        deferred, irql = self._deferred, self._irql
        deferred.append(call)
        while deferred:  # again: somebody may have left one between the holder's last look and his letting go
            self._guard.acquire()
            mine = self.holder is None
            if mine:
                self.holder = self._executive.context()
            self._guard.release()
            if not mine:
                return
            before = irql.raise_to(Irql.DISPATCH)
            try:
                while deferred:
                    deferred.popleft()()
            finally:
                irql.lower_to(before)
            self.holder = None

    def exclusive(self, call: Callable[[], R]) -> R:
        """Make the call inside the lock at PASSIVE_LEVEL, and wait for the lock first."""
        while not self._take():
            expect(self._executive, self._is_free, "the miniport lock")
        try:
            return call()
        finally:
            self.holder = None
            self.post(_nothing)  # and what was left here meanwhile

    def _is_free(self) -> bool:
        return self.holder is None and not self._deferred

    def _take(self) -> bool:
        self._guard.acquire()
        free = self._is_free()
        if free:
            self.holder = self._executive.context()
        self._guard.release()
        return free


def _nothing() -> None:
    """Be the call of somebody who only wants the others made."""


class SerializedSends(Sends):
    """NDIS's queue of packets for one serialized driver.

    Invariants: packets reach the driver in the order of submission; ``_stalled`` only after a
    RESOURCES and until the driver completes a packet or says SendResourcesAvailable.
    """

    def __init__(self, adapter: SendHost) -> None:
        """Start with an empty queue."""
        super().__init__(adapter)
        self._queue: deque[Packet] = deque()
        self._stalled = False
        self._wakes = 0

    @property
    def queued(self) -> list[Packet]:
        """Packets in NDIS's queue, next one first."""
        return list(self._queue)

    def submit(self, packets: list[Packet]) -> None:
        """Queue packets that NDIS owns, and start sending if the driver is free."""
        self._queue.extend(packets)
        self.adapter.gate.post(self._start)

    def resources_available(self) -> None:
        """NdisMSendResourcesAvailable."""
        self._wake()

    def complete(self, packet: Packet, status: Status) -> None:
        """NdisMSendComplete: give the packet back to its protocol; there may be room again."""
        super().complete(packet, status)
        self._wake()

    def abort_queued(self, status: Status) -> None:
        """Complete what the driver has not got."""
        while self._queue:
            self.give_back(self._queue.popleft(), Owner.NDIS, status)

    def cancel(self, cancel_id: object) -> None:
        """Complete queued packets of this id; those with the driver are the driver's."""
        mine = [p for p in self._queue if p.cancel_id == cancel_id]
        for packet in mine:
            self._queue.remove(packet)
            self.give_back(packet, Owner.NDIS, Status.REQUEST_ABORTED)

    def after_reset(self) -> None:
        """Take back what the driver has forgotten, and forget the stall."""
        for packet in list(self.outstanding):
            self.forget(packet)
            self.give_back(packet, Owner.MINIPORT, Status.REQUEST_ABORTED)
        self._stalled = False

    def resume(self) -> None:
        """Send on, after a reset or a pause."""
        self._wake()

    def _wake(self) -> None:
        self._wakes += 1
        self._stalled = False
        if self._queue:
            self.adapter.gate.post(self._start)

    def _start(self) -> None:
        adapter = self.adapter
        send_packets = self.send_packets
        while self._queue and not self._stalled and adapter.refusal is None:
            if send_packets is not None:
                self._send_array(send_packets)
            else:
                self._send_one()

    def _send_array(self, send_packets: Callable[[list[Packet]], None]) -> None:
        adapter, queue = self.adapter, self._queue
        if len(queue) <= adapter.max_send_packets:
            batch = list(queue)
            queue.clear()
        else:
            batch = [queue.popleft() for _ in range(adapter.max_send_packets)]
        wakes = self._wakes
        for packet in batch:
            packet.status = Status.PENDING
        self.hand_over(batch)
        if adapter.observer is None:
            send_packets(list(batch))
        else:
            adapter.enter("send_packets", send_packets, list(batch))
        for at, packet in enumerate(batch):
            if packet not in self.outstanding:  # completed inside the call
                continue
            status = packet.status
            if adapter.observer is not None:
                adapter.emit(Kind.SEND_STATUS, status.name, packet, index=at, last=packet is batch[-1])
            if status is Status.RESOURCES:
                self._requeue([p for p in batch[at:] if p in self.outstanding], wakes)
                return
            if status is not Status.PENDING:
                self.forget(packet)
                self.give_back(packet, Owner.MINIPORT, status)

    def _send_one(self) -> None:
        adapter = self.adapter
        packet = self._queue.popleft()
        wakes = self._wakes
        self.hand_over([packet])
        status = adapter.enter("send", self.send_single, packet, packet.flags or PacketFlags.NONE)
        if packet not in self.outstanding:
            return
        if adapter.observer is not None:
            adapter.emit(Kind.SEND_STATUS, status.name, packet, index=0, last=True)
        if status is Status.RESOURCES:
            self._requeue([packet], wakes)
        elif status is not Status.PENDING:
            self.forget(packet)
            self.give_back(packet, Owner.MINIPORT, status)

    def _requeue(self, packets: list[Packet], wakes: int) -> None:
        # Packet k and all later ones go back to the head, whatever status the later ones carry.
        for packet in packets:
            self.forget(packet)
            packet.transfer(Owner.MINIPORT, Owner.NDIS)
            if self.adapter.observer is not None:
                self.adapter.emit(Kind.REQUEUE, "requeue", packet)
        self._queue.extendleft(reversed(packets))
        # A completion during the call has freed room already: ask again instead of waiting for
        # another.
        self._stalled = wakes == self._wakes
