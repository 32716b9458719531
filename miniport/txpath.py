"""From an NDIS packet to a ring, for both modes: what is posted or refused, what a completion reports."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, Protocol

from miniport import offload
from miniport.txring import PLAIN
from ndis.errors import NdisError
from ndis.packet import PacketInfo
from ndis.status import Status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from miniport.nic import Nic
    from miniport.txring import Extras, TxRing
    from ndis.packet import Buffer, Packet


class Posted(enum.Enum):
    """What became of a frame that was offered to a ring."""

    TAKEN = enum.auto()
    FULL = enum.auto()


class Sender(Protocol):
    """How an NDIS 5 adapter sends: ``serialized`` or ``deserialized``."""

    def send(self, packets: list[Packet]) -> None:
        """MiniportSendPackets."""

    def reap(self) -> bool:
        """Complete what the card is done with; for the DPC. False: there was nothing."""

    def stop(self) -> None:
        """Look at the rings no more by itself: the adapter halts."""

    def cancel(self, cancel_id: object) -> None:
        """MiniportCancelSendPackets."""

    def abandon(self, lost: list[Any], status: Status) -> None:
        """Deal with packets that the card had when it was reset, and with what waits."""

    @property
    def has_done(self) -> bool:
        """Whether ``reap`` would find something."""


def post(  # noqa: PLR0917 - a frame is its token, its bytes and what it asks for
    nic: Nic,
    ring: TxRing[Any],
    token: object,
    buffers: Sequence[Buffer],
    length: int,
    info: Mapping[PacketInfo, Any],
) -> Extras | None:
    """Offer one frame to a ring; return what was asked of the card for it, None when the ring is full.

    Raises NdisError with the status for a frame that can never be sent.
    """
    if not nic.link_up:
        raise NdisError(Status.MEDIA_DISCONNECTED, "no link")
    settings, work = nic.settings, PLAIN
    if info:
        if settings.legacy_descriptors and info.keys() & _NEEDS_CONTEXT and _asks(info):
            raise NdisError(Status.NOT_SUPPORTED, "offloads need extended descriptors")
        work = offload.extras(info, buffers, length, vlan=settings.vlan)
    if length > settings.jumbo_bytes and not work.header:
        limit = settings.jumbo_bytes
        raise NdisError(Status.INVALID_LENGTH, f"{length:#x} bytes, the limit is {limit:#x}")
    if length > ring.largest_bytes:
        raise NdisError(Status.INVALID_LENGTH, f"{length:#x} bytes do not fit the ring")
    return work if ring.post(token, buffers, length, work) else None


_NEEDS_CONTEXT = {PacketInfo.TCP_IP_CHECKSUM, PacketInfo.TCP_LARGE_SEND}


def _asks(info: Mapping[PacketInfo, Any]) -> bool:
    return any(info.get(key) for key in _NEEDS_CONTEXT)


def post_packet(nic: Nic, ring: TxRing[Packet], packet: Packet) -> Posted:
    """Offer a packet to a ring; NdisError as ``post``.

    A large send leaves its payload's length in ``miniport_reserved`` for ``finish``.
    """
    buffers = packet.buffers
    length = 0
    for buffer in buffers:
        length += buffer.length
    work = post(nic, ring, packet, buffers, length, packet.info)
    if work is None:
        return Posted.FULL
    packet.miniport_reserved = length - len(work.header) if work.header else 0
    nic.note_dma(ring.address, ring.length_bytes)
    return Posted.TAKEN


def finish(packet: Packet) -> None:
    """Report in the packet what was sent, before it is completed."""
    if packet.miniport_reserved:
        packet.info[PacketInfo.TCP_LARGE_SEND] = packet.miniport_reserved
        packet.miniport_reserved = None
