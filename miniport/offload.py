"""From what a packet asks for to descriptors, and from descriptors to what is reported.

Pure functions on the frame's first bytes. Sources: datasheet, Transmit (context descriptor), "TCP/IP Task
Offload" (NDIS 5.1): the transport has put the pseudo-header's sum into the checksum field; for a large send,
without the length.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from device.rings.receive import RxError, RxStatus
from device.rings.transmit import ContextTx, TxCommand, TxOptions
from miniport.txring import PLAIN, Extras
from ndis.errors import NdisError
from ndis.offload import Checksum, Offload, PacketChecksum
from ndis.packet import PacketInfo
from ndis.status import Status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from ndis.packet import Buffer

HEADERS_BYTES = 255
"""HDRLEN, TUCSS and TUCSO are bytes: nothing behind this can be named."""
LARGEST_SEND_BYTES = 0xF_FFFF
"""PAYLEN has 20 bits; the transport is offered less."""

_ETHERNET, _TAG = 14, 4
_VLAN_TYPES = (b"\x81\x00", b"\x88\xa8")
_IPV4, _IPV6 = b"\x08\x00", b"\x86\xdd"
_TCP, _UDP = 6, 17
_TCP_CHECKSUM_AT, _UDP_CHECKSUM_AT, _IP_CHECKSUM_AT = 16, 6, 10
_EXTENSIONS = (0, 43, 60)  # hop-by-hop, routing, destination options
# Plain numbers: an operation on an enum.IntFlag costs as much as a call, and these are done for every frame.
_IXSM, _IPCS, _L4CS = int(RxStatus.IXSM), int(RxStatus.IPCS), int(RxStatus.TCPCS | RxStatus.UDPCS)
_SUM_ERRORS = int(RxError.IPE | RxError.TCPE)
_ASKED_SUMS = int(PacketChecksum.TX_TCP | PacketChecksum.TX_UDP | PacketChecksum.TX_IP)
_KEPT = 1024
"""Answers that are remembered: the same few are asked for again and again."""

_ALL = Checksum.IP_OPTIONS | Checksum.TCP_OPTIONS | Checksum.TCP | Checksum.UDP
CAPABILITIES = Offload(
    v4_transmit=_ALL | Checksum.IP,
    v4_receive=_ALL | Checksum.IP,
    v6_transmit=_ALL,
    v6_receive=_ALL,
    large_send_bytes=0xFE00,
    large_send_segments=2,
)
"""What the card can do with extended descriptors; nothing with legacy ones."""


class Layout(NamedTuple):
    """Where a frame's headers are. ``protocol`` 0: no transport header that could be found."""

    network: int
    transport: int
    protocol: int
    version: int


def front(buffers: Sequence[Buffer], length: int = HEADERS_BYTES) -> bytes:
    """Return the first bytes of a frame, however its buffers are cut."""
    if len(buffers) == 1:
        return bytes(buffers[0].view[:length])
    found = b""
    for buffer in buffers:
        at = buffer.offset
        found += buffer.memory[at : at + min(buffer.length, length - len(found))]
        if len(found) >= length:
            break
    return found


_kept_layout = lru_cache(_KEPT)(Layout)
"""Layouts that are remembered: of a connection's frames all have the same."""


def layout(head: bytes) -> Layout | None:
    """Find the headers; None when it is not IP, or is cut short."""
    at = _ETHERNET
    kind = head[at - 2 : at]
    while kind in _VLAN_TYPES and at < 22:
        at += _TAG
        kind = head[at - 2 : at]
    if kind == _IPV4 and len(head) >= at + 20:
        size = (head[at] & 15) * 4
        return _kept_layout(at, at + size, head[at + 9], 4) if 20 <= size <= len(head) - at else None
    if kind == _IPV6 and len(head) >= at + 40:
        following, transport = head[at + 6], at + 40
        for _ in range(8):
            if following not in _EXTENSIONS or len(head) < transport + 8:
                break
            following, size = head[transport], head[transport + 1] * 8 + 8
            transport += size
        return _kept_layout(at, transport, following, 6) if transport <= len(head) else None
    return None


def extras(info: Mapping[PacketInfo, Any], buffers: Sequence[Buffer], length: int, *, vlan: bool) -> Extras:
    """Return what to put into the descriptors of a frame with this per-packet information.

    Raises NdisError(INVALID_PACKET) for a request that the card cannot carry out on this frame, and
    NdisError(NOT_SUPPORTED) for a tag while the card is not in VLAN mode.
    """
    if not info:
        return PLAIN
    tag = info.get(PacketInfo.IEEE_8021Q)
    if tag is not None and not vlan:
        raise NdisError(Status.NOT_SUPPORTED, "a VLAN tag while tagging is off")
    command, special = (int(TxCommand.VLE), int(tag)) if tag is not None else (0, 0)
    mss = info.get(PacketInfo.TCP_LARGE_SEND)
    if mss:
        return _large_send(front(buffers), length, int(mss), command, special)
    asked = int(info.get(PacketInfo.TCP_IP_CHECKSUM, 0)) & _ASKED_SUMS
    if asked:
        where = layout(front(buffers))
        if where is None:
            raise _not_ip()
        return _checksums(where, asked, command, special)
    return Extras(command=command, special=special) if tag is not None else PLAIN


def _not_ip() -> NdisError:
    return NdisError(Status.INVALID_PACKET, "an offload for a frame that is not IP")


@lru_cache(_KEPT)
def _checksums(where: Layout, asked: int, command: int, special: int) -> Extras:
    options, kind, offset = TxOptions.NONE, TxCommand.DEXT, 0
    if asked & PacketChecksum.TX_IP and where.version == 4:
        options |= TxOptions.IXSM
    if asked & PacketChecksum.TX_TCP and where.protocol == _TCP:
        options |= TxOptions.TXSM
        kind |= TxCommand.EOP
        offset = _TCP_CHECKSUM_AT
    elif asked & PacketChecksum.TX_UDP and where.protocol == _UDP:
        options |= TxOptions.TXSM
        offset = _UDP_CHECKSUM_AT
    if where.version == 4:
        kind |= TxCommand.IFCS
    context = ContextTx(
        ipcss=where.network,
        ipcso=where.network + _IP_CHECKSUM_AT,
        ipcse=where.transport - 1,
        tucss=where.transport,
        tucso=where.transport + offset,
        command=kind,
    )
    return Extras(context.emit(), command, int(options), special)


def _large_send(head: bytes, length: int, mss: int, command: int, special: int) -> Extras:
    where = layout(head)
    if where is None:
        raise _not_ip()
    if where.protocol != _TCP or len(head) < where.transport + 20:
        raise NdisError(Status.INVALID_PACKET, "a large send that is not TCP")
    size = where.transport + (head[where.transport + 12] >> 4) * 4
    if not where.transport + 20 <= size <= min(len(head), length):
        raise NdisError(Status.INVALID_PACKET, f"a large send with a header of {size:#x} bytes")
    if not 0 < length - size <= LARGEST_SEND_BYTES or not 0 < mss <= 0xFFFF:
        raise NdisError(Status.INVALID_PACKET, f"a large send of {length:#x} bytes in pieces of {mss:#x}")
    header = bytearray(head[:size])
    kind = TxCommand.DEXT | TxCommand.EOP | TxCommand.IC | TxCommand.RS
    if where.version == 4:
        kind |= TxCommand.IFCS
        # The card adds each segment's length to what is there, and sums the header anew.
        struct.pack_into(">H", header, where.network + 2, 0)
        struct.pack_into(">H", header, where.network + _IP_CHECKSUM_AT, 0)
    else:
        struct.pack_into(">H", header, where.network + 4, 0)
    context = ContextTx(
        ipcss=where.network,
        ipcso=where.network + _IP_CHECKSUM_AT,
        ipcse=where.transport - 1 if where.version == 4 else 0,
        tucss=where.transport,
        tucso=where.transport + _TCP_CHECKSUM_AT,
        paylen=length - size,
        command=kind & ~TxCommand.RS,
        hdrlen=size,
        mss=mss,
    )
    options = TxOptions.TXSM | (TxOptions.IXSM if where.version == 4 else TxOptions.NONE)
    return Extras(context.emit(), int(command | TxCommand.IC), int(options), special, bytes(header))


def received(status: int, errors: int, head: bytes, on: Offload) -> PacketChecksum:
    """Return what to report of a received frame's checksums, of those that are switched on."""
    checked = status & (_IPCS | _L4CS)
    if status & _IXSM or not checked:
        return PacketChecksum.NONE
    where = layout(head)
    if where is None:
        return PacketChecksum.NONE
    wanted = on.v4_receive if where.version == 4 else on.v6_receive
    return _verdict(checked, errors & _SUM_ERRORS, wanted, where.protocol)


@lru_cache(_KEPT)
def _verdict(status: int, errors: int, wanted: int, protocol: int) -> PacketChecksum:
    """Return what to report of a frame whose checksums were looked at (bits of RxStatus and RxError)."""
    found = PacketChecksum.NONE
    if status & RxStatus.IPCS and wanted & Checksum.IP:
        bad = errors & RxError.IPE
        found |= PacketChecksum.RX_IP_FAILED if bad else PacketChecksum.RX_IP_SUCCEEDED
    if status & (RxStatus.TCPCS | RxStatus.UDPCS):
        bad = errors & RxError.TCPE
        if protocol == _TCP and wanted & Checksum.TCP:
            found |= PacketChecksum.RX_TCP_FAILED if bad else PacketChecksum.RX_TCP_SUCCEEDED
        elif protocol == _UDP and wanted & Checksum.UDP:
            found |= PacketChecksum.RX_UDP_FAILED if bad else PacketChecksum.RX_UDP_SUCCEEDED
    return found
