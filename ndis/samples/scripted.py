"""A miniport that does as it is told: for tests of NDIS, and of transports. No hardware."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from ndis.attributes import Attribute
from ndis.oids import Oid
from ndis.status import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ndis.miniport import Medium
    from ndis.packet import Packet
    from ndis.requests import InformationBuffer
    from ndis.upcalls import Upcalls

ADDRESS = bytes.fromhex("020000000001")

NUMBERS = {
    Oid.GEN_MAXIMUM_SEND_PACKETS: 8,
    Oid.O802_3_MAXIMUM_LIST_SIZE: 4,
    Oid.GEN_MAC_OPTIONS: 0,
    Oid.GEN_MAXIMUM_TOTAL_SIZE: 1514,
    Oid.GEN_MEDIA_CONNECT_STATUS: 0,
    Oid.GEN_XMIT_OK: 7,
}


class Script:
    """A miniport that does as told: ``verdicts`` are the statuses of the next packets."""

    attributes = Attribute.NONE

    def __init__(self, ndis: Upcalls) -> None:
        """Accept everything with PENDING, answer a few OIDs."""
        self.ndis = ndis
        self.log: list[str] = []
        self.got: list[Packet] = []
        self.verdicts: list[Status] = []
        self.returned: list[Packet] = []
        self.sets: list[tuple[int, bytes]] = []
        self.numbers = dict(NUMBERS)
        self.pend: set[int] = set()
        self.hung = False
        self.reset_result: tuple[Status, bool] = (Status.SUCCESS, False)

    def initialize(self, media: Sequence[Medium]) -> tuple[Status, Medium]:
        """MiniportInitialize."""
        self.ndis.set_attributes(self.attributes)
        return Status.SUCCESS, media[0]

    def halt(self) -> None:
        """MiniportHalt."""
        self.log.append("halt")

    def reset(self) -> tuple[Status, bool]:
        """MiniportReset: ``reset_result``."""
        self.log.append("reset")
        return self.reset_result

    def check_for_hang(self) -> bool:
        """MiniportCheckForHang: ``hung``."""
        return self.hung

    def send_packets(self, packets: list[Packet]) -> None:
        """MiniportSendPackets: the next ``verdicts``, then PENDING."""
        self.log.append(f"send {len(packets)}")
        for packet in packets:
            packet.status = self.verdicts.pop(0) if self.verdicts else Status.PENDING
            self.got.append(packet)

    def return_packet(self, packet: Packet) -> None:
        """MiniportReturnPacket."""
        self.returned.append(packet)

    def query_information(self, oid: int, buffer: InformationBuffer) -> Status:
        """MiniportQueryInformation: ``numbers``; PENDING for the OIDs in ``pend``."""
        if oid in self.pend:
            self.log.append(f"query {oid:#x}")
            return Status.PENDING
        if oid == Oid.O802_3_CURRENT_ADDRESS:
            return buffer.write(ADDRESS)
        if oid in self.numbers:
            return buffer.write(struct.pack("<I", self.numbers[Oid(oid)]))
        return Status.NOT_SUPPORTED

    def set_information(self, oid: int, buffer: InformationBuffer) -> Status:
        """MiniportSetInformation: noted in ``sets``; PENDING for the OIDs in ``pend``."""
        self.sets.append((oid, buffer.data))
        buffer.bytes_read = buffer.length
        return Status.PENDING if oid in self.pend else Status.SUCCESS


class FreeScript(Script):
    """The same, deserialized."""

    attributes = Attribute.DESERIALIZE
