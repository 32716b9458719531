"""Sending in serialized mode: NDIS queues and NDIS locks, the driver says RESOURCES when its ring is full.

No lock and no queue is in here; one ring, because NDIS keeps the order of all packets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from miniport.latesends import LateSends
from miniport.txpath import Posted, finish, post_packet
from ndis.errors import NdisError
from ndis.status import Status

if TYPE_CHECKING:
    from miniport.nic import Nic
    from ndis.packet import Packet


class SerializedSender:
    """``miniport.txpath.Sender`` for a serialized driver."""

    def __init__(self, nic: Nic) -> None:
        self._nic = nic
        self._late = LateSends(nic, self.reap)

    def send(self, packets: list[Packet]) -> None:
        """MiniportSendPackets: set each status; NDIS takes back the first RESOURCES and all after."""
        nic = self._nic
        ring = nic.transmit[0]
        for packet in packets:
            try:
                outcome = post_packet(nic, ring, packet)
            except NdisError as refused:
                nic.statistics.send_errors += 1
                packet.status = refused.status
                continue
            packet.status = Status.PENDING if outcome is Posted.TAKEN else Status.RESOURCES
            if outcome is Posted.FULL:
                break
        ring.ring()
        self._late.sent()

    def reap(self) -> bool:
        """Complete what the card is done with; NDIS sends on from its queue by itself."""
        ndis = self._nic.ndis
        done = self._nic.transmit[0].reap()
        self._late.reaped()
        for packet in done:
            if packet.miniport_reserved:
                finish(packet)
            ndis.send_complete(packet, Status.SUCCESS)
        return bool(done)

    def stop(self) -> None:
        """Look at the ring no more by itself."""
        self._late.stop()

    def cancel(self, cancel_id: object) -> None:
        """Do nothing: what waits, waits in NDIS's queue, and what is in the ring leaves."""

    def abandon(self, lost: list[Any], status: Status) -> None:
        """Complete the packets before a sleep; a reset's are NDIS's to complete."""
        for packet in lost:
            self._nic.ndis.send_complete(packet, status)

    @property
    def has_done(self) -> bool:
        """Whether ``reap`` would find something."""
        return self._nic.transmit[0].has_done
