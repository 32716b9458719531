"""The NDIS 5.1 miniport: the entry points, serialized or deserialized by one attribute.

Each handler is a thin middle between NDIS and ``Nic``. Serialized, NDIS's lock is around everything here but
``isr``; deserialized, locks are in ``deserialized`` and ``rxpath``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from miniport import interrupt
from miniport import registers as r
from miniport.deserialized import DeserializedSender
from miniport.hardware import HardwareError
from miniport.link import Link
from miniport.nic import Nic
from miniport.oid import Requests
from miniport.rxpath import PacketReceiver
from miniport.serialized import SerializedSender
from ndis.attributes import Attribute
from ndis.errors import NdisError
from ndis.miniport import Medium
from ndis.oids import PowerState
from ndis.status import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from miniport.txpath import Sender
    from ndis.packet import Packet
    from ndis.requests import InformationBuffer
    from ndis.upcalls import Upcalls


class Adapter:
    """One instance of the card, as NDIS 5.1 sees it (MP_ADAPTER in the samples)."""

    def __init__(self, ndis: Upcalls) -> None:
        """Read the settings; touch no hardware yet."""
        self._ndis = ndis
        self.nic = Nic(ndis)
        self._causes = 0
        self._link = Link(ndis, self.nic)

    # -- coming and going -------------------------------------------------------------------------------

    def initialize(self, media: Sequence[Medium]) -> tuple[Status, Medium]:
        """MiniportInitialize: take the card; give all back when one thing fails."""
        if Medium.M802_3 not in media:
            return Status.UNSUPPORTED_MEDIA, Medium.M802_3
        deserialized = self.nic.settings.deserialized
        attributes = Attribute.BUS_MASTER | Attribute.NO_HALT_ON_SUSPEND | Attribute.SURPRISE_REMOVE_OK
        self._ndis.set_attributes(attributes | (Attribute.DESERIALIZE if deserialized else Attribute.NONE))
        try:
            self.nic.acquire(split=False)
        except NdisError as error:
            self.nic.release()
            return error.status, Medium.M802_3
        except HardwareError:
            self.nic.release()
            return Status.DEVICE_FAILED, Medium.M802_3
        self.receiver = PacketReceiver(self.nic, deserialized=deserialized)
        self.sender: Sender = DeserializedSender(self.nic) if deserialized else SerializedSender(self.nic)
        self._requests = Requests(self.nic, (5, 1), self._change_power)
        self.nic.start()
        self._link.wait()
        return Status.SUCCESS, Medium.M802_3

    def halt(self) -> None:
        """MiniportHalt."""
        self.sender.stop()
        if not self.nic.hardware.is_gone:
            self.nic.hardware.reset()
        self.nic.release()

    def shutdown(self) -> None:
        """MiniportShutdown: the machine goes down; stop DMA, give nothing back."""
        self.nic.hardware.reset()

    def reset(self) -> tuple[Status, bool]:
        """MiniportReset: the filters are forgotten, so AddressingReset is true.

        Serialized, NDIS completes what the card had; deserialized, the driver does.
        """
        self.nic.forget_filters()
        try:
            lost = self.nic.restart()
        except HardwareError:
            return Status.DEVICE_FAILED, False
        if self.nic.settings.deserialized:
            self.sender.abandon(lost, Status.REQUEST_ABORTED)
        return Status.SUCCESS, True

    def check_for_hang(self) -> bool:
        """MiniportCheckForHang: also gathers counters before they wrap, and looks at the link."""
        if self.nic.is_hung():
            return True
        self._link.look()
        return not self.nic.link_up and any(ring.busy for ring in self.nic.transmit)

    # -- interrupts -----------------------------------------------------------------------------------------

    def isr(self) -> tuple[bool, bool]:
        """MiniportISR: InterruptRecognized and QueueMiniportHandleInterrupt."""
        if self.nic.plan.clears_itself:
            return True, True
        recognized, causes = interrupt.acknowledge(self.nic.hardware, self.nic.plan, 0)
        self._causes |= causes
        return recognized, recognized

    def handle_interrupt(self) -> None:
        """MiniportHandleInterrupt: one ring's worth of each queue, then the rest interrupts again.

        It unmasks what the ISR masked. MiniportEnableInterrupt would do it too, but NDIS would call that at
        device level each time, though mostly there is nothing to unmask.
        """
        nic, how = self.nic, self.nic.plan
        if nic.wake.power is not PowerState.D0:
            return
        had_work = self._serve_queues()
        if not how.clears_itself:
            causes = self._ndis.synchronize_with_interrupt(nic.interrupts[0], self._take_causes)
        else:
            causes = 0
            if not had_work:  # it came for another reason; one that comes with a frame CheckForHang finds
                causes = interrupt.other_causes(nic.hardware, how)
                self._serve_queues()
        if causes & r.ICR_LSC:
            self._link.look()
        left = not how.withheld and self.sender.has_done
        for ring in nic.receive:
            left = left or ring.has_done
        if left:
            nic.hardware.write(r.ICS, how.sources[0].causes & ~r.ICR_LSC)
        if not how.clears_itself and nic.wake.power is PowerState.D0:
            interrupt.unmask_all(nic.hardware, how)

    def _serve_queues(self) -> bool:
        had_work = self.sender.reap()
        for queue in range(len(self.nic.receive)):
            had_work = self.receiver.receive(queue) or had_work
        return had_work

    def _take_causes(self) -> int:
        causes, self._causes = self._causes, 0
        return causes

    # -- frames ------------------------------------------------------------------------------------------

    def send_packets(self, packets: list[Packet]) -> None:
        """MiniportSendPackets."""
        self.sender.send(packets)

    def cancel_send_packets(self, cancel_id: object) -> None:
        """MiniportCancelSendPackets."""
        self.sender.cancel(cancel_id)

    def return_packet(self, packet: Packet) -> None:
        """MiniportReturnPacket."""
        self.receiver.return_packet(packet)

    # -- requests and power --------------------------------------------------------------------------------

    def query_information(self, oid: int, buffer: InformationBuffer) -> Status:
        """MiniportQueryInformation."""
        return self._requests.query(oid, buffer)

    def set_information(self, oid: int, buffer: InformationBuffer) -> Status:
        """MiniportSetInformation."""
        return self._requests.set(oid, buffer)

    def _change_power(self, state: PowerState) -> Status:
        nic = self.nic
        try:
            if state is not PowerState.D0 and nic.wake.power is PowerState.D0:
                self.sender.abandon(nic.sleep(state), Status.REQUEST_ABORTED)
            elif state is PowerState.D0 and nic.wake.power is not PowerState.D0:
                nic.awaken()
        except HardwareError:
            return Status.DEVICE_FAILED
        return Status.SUCCESS
