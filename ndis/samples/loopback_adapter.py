"""A whole miniport without hardware.

What it sends goes onto a ``Cable``, alone on which it hears itself.

It is the tutorial's example (docs/write-a-miniport.md). One class serves both modes: serialized,
NDIS queues and locks; deserialized, the driver does. Its "ring" has ``slots`` places, its
"interrupt" is a timer.
"""

from __future__ import annotations

import struct
from collections import deque
from typing import TYPE_CHECKING

from ndis.attributes import Attribute
from ndis.filter8023 import BROADCAST, PacketFilter
from ndis.miniport import Medium
from ndis.oids import MacOption, Oid
from ndis.samples.cable import Cable
from ndis.status import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ndis.packet import Packet
    from ndis.requests import InformationBuffer
    from ndis.upcalls import Upcalls

FRAME_BYTES = 1514
ADDRESS = bytes.fromhex("020000000001")


class LoopbackAdapter:
    """One adapter.

    Each packet is in exactly one of ``_waiting`` and NDIS's or the protocol's hands.
    """

    def __init__(self, ndis: Upcalls) -> None:
        """Read the configuration; touch nothing yet."""
        self._ndis = ndis
        self._cable = ndis.read_configuration("Cable", Cable())
        self._slots = ndis.read_configuration("Slots", 8)
        self._deserialized = ndis.read_configuration("Deserialized", False)  # noqa: FBT003 - a default
        self._address = ndis.read_configuration("NetworkAddress", ADDRESS)
        self._lock = ndis.spin_lock("loopback")
        self._waiting: deque[Packet] = deque()  # to be put on the cable
        self._arrived: deque[bytes] = deque()  # off the cable
        self._armed = False
        self._halting = False
        self._inside = 0  # interrupts that are running
        self._filter = PacketFilter.NONE
        self._multicast = b""
        self._lookahead = FRAME_BYTES
        self._counters = dict.fromkeys(("sent", "received", "no_buffer"), 0)

    def initialize(self, media: Sequence[Medium]) -> tuple[Status, Medium]:
        """MiniportInitialize."""
        if Medium.M802_3 not in media:
            return Status.UNSUPPORTED_MEDIA, Medium.M802_3
        self._ndis.set_attributes(Attribute.DESERIALIZE if self._deserialized else Attribute.NONE)
        self._halting, self._armed = False, False
        self._timer = self._ndis.timer(self._interrupt)
        self._pool = self._ndis.packet_pool(self._slots)
        self._cable.stations.append(self)
        return Status.SUCCESS, Medium.M802_3

    def halt(self) -> None:
        """MiniportHalt."""
        self._cable.stations.remove(self)
        with self._lock:
            self._halting = True
        self._timer.cancel()
        self._ndis.wait(lambda: self._inside == 0, "the last interrupt")

    def reset(self) -> tuple[Status, bool]:
        """MiniportReset: the "hardware" forgets its filters, so AddressingReset is true."""
        with self._lock:
            lost = list(self._waiting)
            self._waiting.clear()
            self._arrived.clear()
        self._filter, self._multicast = PacketFilter.NONE, b""
        if self._deserialized:  # a serialized driver's packets are aborted by NDIS
            self._complete(lost, Status.REQUEST_ABORTED)
        return Status.SUCCESS, True

    def send_packets(self, packets: list[Packet]) -> None:
        """MiniportSendPackets."""
        with self._lock:
            for packet in packets:
                full = not self._deserialized and len(self._waiting) >= self._slots
                packet.status = Status.RESOURCES if full else Status.PENDING
                if full:
                    break  # NDIS takes back this one and all after it
                self._waiting.append(packet)
        self._arm()

    def cancel_send_packets(self, cancel_id: object) -> None:
        """MiniportCancelSendPackets."""
        with self._lock:
            mine = [p for p in self._waiting if p.cancel_id == cancel_id]
            self._waiting = deque(p for p in self._waiting if p.cancel_id != cancel_id)
        self._complete(mine, Status.REQUEST_ABORTED)

    def return_packet(self, packet: Packet) -> None:
        """MiniportReturnPacket."""
        with self._lock:
            self._pool.free(packet)

    def frame_arrives(self, frame: bytes) -> None:
        """Take a frame off the cable: the hardware's side."""
        with self._lock:
            self._arrived.append(frame)
        self._arm()

    def query_information(self, oid: int, buffer: InformationBuffer) -> Status:
        """MiniportQueryInformation."""
        answer = self._answers().get(Oid(oid)) if oid in set(Oid) else None
        return Status.NOT_SUPPORTED if answer is None else buffer.write(answer)

    def set_information(self, oid: int, buffer: InformationBuffer) -> Status:
        """MiniportSetInformation."""
        if oid == Oid.O802_3_MULTICAST_LIST:
            self._multicast = buffer.data
            buffer.bytes_read = buffer.length
            return Status.SUCCESS
        if oid not in (Oid.GEN_CURRENT_PACKET_FILTER, Oid.GEN_CURRENT_LOOKAHEAD):
            return Status.NOT_SUPPORTED
        value = buffer.read_number()
        if value is None:
            return Status.INVALID_LENGTH
        if oid == Oid.GEN_CURRENT_PACKET_FILTER:
            self._filter = PacketFilter(value)
        else:
            self._lookahead = value
        return Status.SUCCESS

    def _arm(self) -> None:
        with self._lock:
            if not self._armed and not self._halting:
                self._armed = True
                self._timer.set(0)

    def _interrupt(self) -> None:
        with self._lock:
            if self._halting:
                return
            self._inside += 1
        self._serve()
        with self._lock:
            self._inside -= 1

    def _serve(self) -> None:
        with self._lock:
            self._armed = False
            sent, self._waiting = list(self._waiting), deque()
        for packet in sent:
            self._cable.carry(self, packet.data)
        self._counters["sent"] += len(sent)
        self._complete(sent, Status.SUCCESS)
        with self._lock:
            arrived, self._arrived = list(self._arrived), deque()
        self._indicate([f for f in arrived if self._accepts(f[:6])])

    def _complete(self, packets: list[Packet], status: Status) -> None:
        for packet in packets:  # never with the lock held: the protocol may send again at once
            self._ndis.send_complete(packet, status)

    def _indicate(self, frames: list[bytes]) -> None:
        for frame in frames:
            with self._lock:
                packet = self._pool.allocate(frame) if self._pool.in_use < self._slots else None
                last = self._pool.in_use == self._slots
            if packet is None:
                self._counters["no_buffer"] += 1
                continue
            # With the last descriptor protocols must copy: it comes straight back.
            packet.status = Status.RESOURCES if last else Status.SUCCESS
            self._counters["received"] += 1
            self._ndis.indicate_receive_packets([packet])
            if last or (not self._deserialized and packet.status is not Status.PENDING):
                self.return_packet(packet)

    def _accepts(self, destination: bytes) -> bool:
        groups = [self._multicast[n : n + 6] for n in range(0, len(self._multicast), 6)]
        wanted = self._filter
        return bool(
            wanted & PacketFilter.PROMISCUOUS
            or (wanted & PacketFilter.DIRECTED and destination == self._address)
            or (wanted & PacketFilter.BROADCAST and destination == BROADCAST)
            or (wanted & PacketFilter.MULTICAST and destination in groups)
            or (wanted & PacketFilter.ALL_MULTICAST and destination[0] & 1 and destination != BROADCAST)
        )

    def _answers(self) -> dict[Oid, bytes]:
        alone = len(self._cable.stations) == 1
        options = MacOption.COPY_LOOKAHEAD_DATA | (MacOption(0) if alone else MacOption.NO_LOOPBACK)
        numbers = {
            Oid.GEN_HARDWARE_STATUS: 0,
            Oid.GEN_MEDIA_SUPPORTED: Medium.M802_3,
            Oid.GEN_MEDIA_IN_USE: Medium.M802_3,
            Oid.GEN_MAXIMUM_LOOKAHEAD: FRAME_BYTES - 14,
            Oid.GEN_CURRENT_LOOKAHEAD: self._lookahead,
            Oid.GEN_MAXIMUM_FRAME_SIZE: FRAME_BYTES - 14,
            Oid.GEN_MAXIMUM_TOTAL_SIZE: FRAME_BYTES,
            Oid.GEN_LINK_SPEED: 10_000_000,  # in units of 100 bit/s
            Oid.GEN_TRANSMIT_BUFFER_SPACE: FRAME_BYTES * self._slots,
            Oid.GEN_RECEIVE_BUFFER_SPACE: FRAME_BYTES * self._slots,
            Oid.GEN_TRANSMIT_BLOCK_SIZE: FRAME_BYTES,
            Oid.GEN_RECEIVE_BLOCK_SIZE: FRAME_BYTES,
            Oid.GEN_VENDOR_ID: 0x00FF_FFFF,
            Oid.GEN_VENDOR_DRIVER_VERSION: 0x0001_0000,
            Oid.GEN_CURRENT_PACKET_FILTER: self._filter,
            Oid.GEN_MAC_OPTIONS: options,
            Oid.GEN_MEDIA_CONNECT_STATUS: 0,
            Oid.GEN_MAXIMUM_SEND_PACKETS: self._slots,
            Oid.GEN_XMIT_OK: self._counters["sent"],
            Oid.GEN_RCV_OK: self._counters["received"],
            Oid.GEN_XMIT_ERROR: 0,
            Oid.GEN_RCV_ERROR: 0,
            Oid.GEN_RCV_NO_BUFFER: self._counters["no_buffer"],
            Oid.O802_3_MAXIMUM_LIST_SIZE: 32,
            Oid.O802_3_RCV_ERROR_ALIGNMENT: 0,
            Oid.O802_3_XMIT_ONE_COLLISION: 0,
            Oid.O802_3_XMIT_MORE_COLLISIONS: 0,
        }
        answers = {oid: struct.pack("<I", value) for oid, value in numbers.items()}
        answers[Oid.GEN_DRIVER_VERSION] = struct.pack("<H", 0x0501)
        answers[Oid.GEN_VENDOR_DESCRIPTION] = b"Ringwalk loopback adapter\0"
        answers[Oid.O802_3_PERMANENT_ADDRESS] = self._address
        answers[Oid.O802_3_CURRENT_ADDRESS] = self._address
        answers[Oid.O802_3_MULTICAST_LIST] = self._multicast
        supported = [*answers, Oid.GEN_SUPPORTED_LIST]
        answers[Oid.GEN_SUPPORTED_LIST] = struct.pack(f"<{len(supported)}I", *supported)
        return answers
