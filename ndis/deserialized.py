"""Deserialized miniports: the driver queues, the driver locks.

NDIS passes every call straight through, on whatever CPU it comes. Out-of-band status on return is
ignored; each packet is completed by NdisMSendComplete. Source: "Deserialized NDIS Miniport
Drivers" (NDIS 5.1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ndis.events import Kind
from ndis.packet import Packet, PacketFlags
from ndis.sends import Sends
from ndis.status import Status
from ntos.executive.irql import Irql

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntos.executive.irql import IrqlModel

R = TypeVar("R")


class OpenGate:
    """No lock at all: a call is made at once at DISPATCH_LEVEL, beside any other."""

    holder: int | None = None

    def __init__(self, irql: IrqlModel) -> None:
        self._irql = irql

    def post(self, call: Callable[[], None]) -> None:
        """Make the call now."""
        irql = self._irql
        before = irql.raise_to(Irql.DISPATCH)
        try:
            call()
        finally:
            irql.lower_to(before)

    def exclusive(self, call: Callable[[], R]) -> R:
        """Make the call now, at the level of the caller."""
        return call()


class DeserializedSends(Sends):
    """Hands every packet to the driver at once; the driver's own FIFO keeps the rest."""

    @property
    def queued(self) -> list[Packet]:
        """Nothing: NDIS has no queue for a deserialized driver."""
        return []

    def submit(self, packets: list[Packet]) -> None:
        """Call the driver in this context."""
        self.adapter.gate.post(lambda: self._send(packets))

    def resources_available(self) -> None:
        """NdisMSendResourcesAvailable means nothing here: nothing of NDIS's waits."""

    def abort_queued(self, status: Status) -> None:
        """Do nothing: nothing is queued here."""

    def cancel(self, cancel_id: object) -> None:
        """MiniportCancelSendPackets, when the driver has it."""
        adapter = self.adapter
        cancel = adapter.handlers.get("cancel_send_packets")
        if cancel is not None:
            adapter.gate.post(lambda: adapter.enter("cancel_send_packets", cancel, cancel_id))

    def after_reset(self) -> None:
        """Do nothing: the driver itself completes what it had."""

    def resume(self) -> None:
        """Do nothing: nothing waited here."""

    def _send(self, packets: list[Packet]) -> None:
        adapter = self.adapter
        self.hand_over(packets)
        if self.send_packets is not None:
            for packet in packets:
                packet.status = Status.PENDING
            adapter.enter("send_packets", self.send_packets, packets)
            if adapter.observer is not None:
                self._report(packets)
            return
        for packet in packets:
            status = adapter.enter("send", self.send_single, packet, packet.flags or PacketFlags.NONE)
            if adapter.observer is not None:
                adapter.emit(Kind.SEND_STATUS, status.name, packet, index=0, last=True)

    def _report(self, packets: list[Packet]) -> None:
        for at, packet in enumerate(packets):
            if packet in self.outstanding:
                self.adapter.emit(
                    Kind.SEND_STATUS,
                    packet.status.name,
                    packet,
                    index=at,
                    last=packet is packets[-1],
                )
