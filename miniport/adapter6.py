"""The NDIS 6 miniport: lists, pause and restart, a message a queue where the bus grants them.

Always deserialized. States are the table of ``ndis.miniport``; data flows only in RUNNING.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from miniport import interrupt, txpath
from miniport import registers as r
from miniport.deserialized import Lane, Refused, flow
from miniport.hardware import HardwareError
from miniport.link import Link
from miniport.nic import Nic
from miniport.oid import Requests
from miniport.rxpath import ListReceiver
from miniport.txpath import Posted
from ndis.attributes import Attribute
from ndis.errors import NdisError
from ndis.miniport import State, advance
from ndis.oids import PowerState
from ndis.status import Status

if TYPE_CHECKING:
    from miniport.txring import TxRing
    from ndis.nbl import NetBuffer, NetBufferList
    from ndis.requests import InformationBuffer
    from ndis.upcalls import Upcalls


class OutgoingFrame:
    """One NET_BUFFER of a list on its way; the list is complete when all of its frames are."""

    __slots__ = ("buffers", "length", "nbl")

    def __init__(self, nbl: NetBufferList, net_buffer: NetBuffer) -> None:
        self.nbl = nbl
        self.length = net_buffer.data_length
        self.buffers = net_buffer.frame_buffers()

    @property
    def head(self) -> bytes:
        """The first bytes, for the choice of a lane."""
        return b"".join(buffer.view[:38] for buffer in self.buffers[:4])[:38]


def _post(nic: Nic, ring: TxRing[OutgoingFrame], frame: OutgoingFrame) -> Posted:
    work = txpath.post(nic, ring, frame, frame.buffers, frame.length, frame.nbl.info)
    return Posted.FULL if work is None else Posted.TAKEN


class Adapter6:
    """One instance of the card, as NDIS 6 sees it."""

    def __init__(self, ndis: Upcalls) -> None:
        """Read the settings; touch no hardware yet."""
        self._ndis = ndis
        self.nic = Nic(ndis)
        self.state = State.HALTED
        self._link = Link(ndis, self.nic)
        self._left: dict[NetBufferList, int] = {}  # frames of each list that are not done

    # -- coming and going -------------------------------------------------------------------------------

    def initialize_ex(self) -> Status:
        """MiniportInitializeEx."""
        self._ndis.set_attributes(Attribute.BUS_MASTER | Attribute.NO_HALT_ON_SUSPEND)
        try:
            self.nic.acquire(split=True)
        except NdisError as error:
            self.nic.release()
            return error.status
        except HardwareError:
            self.nic.release()
            return Status.DEVICE_FAILED
        self.receiver = ListReceiver(self.nic)
        self._lanes: list[Lane[OutgoingFrame]] = [Lane(self.nic, ring, _post) for ring in self.nic.transmit]
        self._lock = self._ndis.spin_lock("lists")
        self._requests = Requests(self.nic, (6, 0), self._change_power, self._ndis.indicate_status)
        self.nic.start()
        self._link.wait()
        self.state = advance(self.state, "initialize")
        return Status.SUCCESS

    def halt_ex(self) -> None:
        """MiniportHaltEx."""
        self.state = advance(self.state, "halt")
        if not self.nic.hardware.is_gone:
            self.nic.hardware.reset()
        self.nic.release()

    def shutdown_ex(self) -> None:
        """MiniportShutdownEx."""
        self.nic.hardware.reset()

    def pause(self) -> Status:
        """MiniportPause: SUCCESS when nothing is under way, PENDING until the last list is home."""
        # NDIS refuses new sends already. What waits goes home first, while that does not yet end the pause.
        waiting = [frame for lane in self._lanes for frame in lane.empty()]
        self._done(waiting, Status.PAUSED)
        self.state = advance(self.state, "pause")
        if self._is_drained:
            self.state = advance(self.state, "drained")
            return Status.SUCCESS
        return Status.PENDING

    def restart(self) -> Status:
        """MiniportRestart."""
        self.state = advance(self.state, "restart")
        return Status.SUCCESS

    def reset_ex(self) -> tuple[Status, bool]:
        """MiniportResetEx."""
        self.nic.forget_filters()
        try:
            lost = self.nic.restart()
        except HardwareError:
            return Status.DEVICE_FAILED, False
        lost += [frame for lane in self._lanes for frame in lane.empty()]
        self._done(lost, Status.REQUEST_ABORTED)
        return Status.SUCCESS, True

    def check_for_hang_ex(self) -> bool:
        """MiniportCheckForHangEx."""
        if self.nic.is_hung():
            return True
        self._link.look()
        return not self.nic.link_up and any(ring.busy for ring in self.nic.transmit)

    # -- interrupts -----------------------------------------------------------------------------------------

    def interrupt(self, message: int) -> tuple[bool, bool]:
        """MiniportInterrupt, MiniportMessageInterrupt."""
        recognized, _causes = interrupt.acknowledge(self.nic.hardware, self.nic.plan, message)
        return recognized, recognized

    def interrupt_dpc(self, message: int) -> None:
        """MiniportInterruptDPC: serve the queues of this message, one ring's worth; then unmask it."""
        nic = self.nic
        if nic.wake.power is not PowerState.D0:
            return
        source = nic.plan.sources[message]
        for queue in source.transmit:
            self._reap(queue)
        for queue in source.receive:
            if queue < len(nic.receive):
                self.receiver.receive(queue, discard=self.state is not State.RUNNING)
        if source.link:
            self._link.look()
        interrupt.unmask(nic.hardware, nic.plan, message)
        # An event between the last look and the unmasking may have been auto-cleared: look once more.
        left = any(nic.receive[q].has_done for q in source.receive if q < len(nic.receive))
        left = left or any(self._lanes[q].has_done for q in source.transmit if q < len(self._lanes))
        if left:
            nic.hardware.write(r.ICS, source.causes & ~r.ICR_LSC)
        self._check_drained()

    def _reap(self, queue: int) -> None:
        if queue >= len(self._lanes):
            return
        done, refused = self._lanes[queue].reap()
        self._done(done, Status.SUCCESS)
        self._refuse(refused)

    # -- frames ------------------------------------------------------------------------------------------

    def send_net_buffer_lists(self, nbls: list[NetBufferList]) -> None:
        """MiniportSendNetBufferLists."""
        if self.state is not State.RUNNING:
            for nbl in nbls:
                nbl.status = Status.PAUSED
            self._ndis.send_net_buffer_lists_complete(nbls)
            return
        sorted_: list[list[OutgoingFrame]] = [[] for _ in self._lanes]
        for nbl in nbls:
            nbl.status = Status.SUCCESS
            with self._lock:
                self._left[nbl] = len(nbl.net_buffers)
            for net_buffer in nbl.net_buffers:
                frame = OutgoingFrame(nbl, net_buffer)
                lane = flow(frame.head, len(self._lanes)) if len(self._lanes) > 1 else 0
                sorted_[lane].append(frame)
        for number, mine in enumerate(sorted_):
            if mine:
                self._refuse(self._lanes[number].send(mine))

    def return_net_buffer_lists(self, nbls: list[NetBufferList]) -> None:
        """MiniportReturnNetBufferLists."""
        self.receiver.return_lists(nbls)
        self._check_drained()

    def cancel_send(self, cancel_id: object) -> None:
        """MiniportCancelSend: of what waits; the card's frames are on their way."""
        for lane in self._lanes:
            mine = lane.cancel(lambda frame: frame.nbl.cancel_id == cancel_id)
            self._done(mine, Status.REQUEST_ABORTED)

    def _refuse(self, refused: Refused[OutgoingFrame]) -> None:
        for frame, status in refused:
            self.nic.statistics.send_errors += 1
            self._done([frame], status)

    def _done(self, frames: list[OutgoingFrame], status: Status) -> None:
        complete: list[NetBufferList] = []
        with self._lock:
            for frame in frames:
                nbl = frame.nbl
                if status is not Status.SUCCESS:
                    nbl.status = status
                self._left[nbl] -= 1
                if not self._left[nbl]:
                    del self._left[nbl]
                    complete.append(nbl)
        if complete:
            self._ndis.send_net_buffer_lists_complete(complete)
        self._check_drained()

    @property
    def _is_drained(self) -> bool:
        return not self._left and not self.receiver.out

    def _check_drained(self) -> None:
        if self.state is State.PAUSING and self._is_drained:
            self.state = advance(self.state, "drained")
            self._ndis.pause_complete()

    # -- requests and power --------------------------------------------------------------------------------

    def oid_request(self, kind: str, oid: int, buffer: InformationBuffer) -> Status:
        """MiniportOidRequest."""
        return self._requests.query(oid, buffer) if kind == "query" else self._requests.set(oid, buffer)

    def _change_power(self, state: PowerState) -> Status:
        nic = self.nic
        try:
            if state is not PowerState.D0 and nic.wake.power is PowerState.D0:
                lost = nic.sleep(state)
                lost += [frame for lane in self._lanes for frame in lane.empty()]
                self._done(lost, Status.REQUEST_ABORTED)
            elif state is PowerState.D0 and nic.wake.power is not PowerState.D0:
                nic.awaken()
        except HardwareError:
            return Status.DEVICE_FAILED
        return Status.SUCCESS
