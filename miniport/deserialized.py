"""Sending in deserialized mode: the driver queues and locks, a queue of its own for each ring.

Any number of contexts may be in here at once. A lane's lock covers its ring and its FIFO, never a call
upwards. A flow keeps to one lane, so its order is kept.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from miniport.latesends import LateSends
from miniport.txpath import Posted, finish, post_packet
from ndis.errors import NdisError
from ndis.status import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from miniport.nic import Nic
    from miniport.txring import TxRing
    from ndis.packet import Packet

T = TypeVar("T")
Refused = list[tuple[T, Status]]


def flow(head: bytes, lanes: int) -> int:
    """Return the lane of a frame: the same for every frame of one flow."""
    if lanes == 1 or len(head) < 38:
        return 0
    # Addresses of Ethernet, and of IPv4 with its ports; for anything else those bytes are as good as any.
    value = int.from_bytes(head[:12], "big") ^ int.from_bytes(head[26:38], "big")
    value ^= value >> 48
    value ^= value >> 16
    value ^= value >> 8
    return value % lanes


class Lane(Generic[T]):
    """One ring and the frames that wait for it.

    Invariant: while ``_waiting`` is not empty, new frames go to its end: none overtakes.
    """

    def __init__(self, nic: Nic, ring: TxRing[T], post: Callable[[Nic, TxRing[T], T], Posted]) -> None:
        """Own ``ring``; ``post`` offers a frame to it."""
        self._nic = nic
        self._ring = ring
        self._post = post
        self._waiting: deque[T] = deque()
        self._lock = nic.ndis.spin_lock("transmit lane")

    def send(self, frames: list[T]) -> Refused[T]:
        """Post what fits, keep the rest; return what can never be sent."""
        with self._lock:
            self._waiting.extend(frames)
            return self._fill()

    def reap(self) -> tuple[list[T], Refused[T]]:
        """Return what the card is done with, and what of the waiting was refused."""
        with self._lock:
            done = self._ring.reap()
            return done, self._fill() if self._waiting else []

    def cancel(self, chosen: Callable[[T], bool]) -> list[T]:
        """Take frames out that wait."""
        with self._lock:
            mine = [frame for frame in self._waiting if chosen(frame)]
            self._waiting = deque(frame for frame in self._waiting if not chosen(frame))
        return mine

    def empty(self) -> list[T]:
        """Take out everything that waits."""
        return self.cancel(lambda _: True)

    @property
    def has_done(self) -> bool:
        """Whether ``reap`` would find something."""
        return self._ring.has_done

    def _fill(self) -> Refused[T]:
        refused: Refused[T] = []
        while self._waiting:
            try:
                if self._post(self._nic, self._ring, self._waiting[0]) is Posted.FULL:
                    break
                self._waiting.popleft()
            except NdisError as error:
                refused.append((self._waiting.popleft(), error.status))
        self._ring.ring()
        return refused


class DeserializedSender:
    """``miniport.txpath.Sender`` for a deserialized driver."""

    def __init__(self, nic: Nic) -> None:
        """Make a lane for each ring."""
        self._nic = nic
        self._lanes: list[Lane[Packet]] = [Lane(nic, ring, post_packet) for ring in nic.transmit]
        self._late = LateSends(nic, self.reap)

    def send(self, packets: list[Packet]) -> None:
        """MiniportSendPackets: every packet is completed by NdisMSendComplete, sooner or later."""
        lanes = self._lanes
        if len(lanes) == 1:
            self._complete_refused(lanes[0].send(packets))
            self._late.sent()
            return
        sorted_: list[list[Packet]] = [[] for _ in lanes]
        for packet in packets:
            buffers = packet.buffers
            head = bytes(buffers[0].view[:38]) if buffers[0].length >= 38 else packet.data[:38]
            sorted_[flow(head, len(lanes))].append(packet)
        for lane, mine in zip(lanes, sorted_, strict=True):
            if mine:
                self._complete_refused(lane.send(mine))
        self._late.sent()

    def reap(self) -> bool:
        """Complete what the card is done with, and post what waited."""
        any_done = False
        for lane in self._lanes:
            done, refused = lane.reap()
            any_done = any_done or bool(done)
            for packet in done:
                finish(packet)
                self._nic.ndis.send_complete(packet, Status.SUCCESS)
            self._complete_refused(refused)
        self._late.reaped()
        return any_done

    def stop(self) -> None:
        """Look at the rings no more by itself."""
        self._late.stop()

    def cancel(self, cancel_id: object) -> None:
        """MiniportCancelSendPackets: of what waits; the card's are on their way."""
        for lane in self._lanes:
            for packet in lane.cancel(lambda one: one.cancel_id == cancel_id):
                self._nic.ndis.send_complete(packet, Status.REQUEST_ABORTED)

    def abandon(self, lost: list[Any], status: Status) -> None:
        """Complete what the card had and what waits."""
        waiting = [packet for lane in self._lanes for packet in lane.empty()]
        for packet in [*lost, *waiting]:
            self._nic.ndis.send_complete(packet, status)

    @property
    def has_done(self) -> bool:
        """Whether ``reap`` would find something."""
        return any(lane.has_done for lane in self._lanes)

    def _complete_refused(self, refused: Refused[Packet]) -> None:
        for packet, status in refused:
            self._nic.statistics.send_errors += 1
            self._nic.ndis.send_complete(packet, status)
