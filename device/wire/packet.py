"""AF_PACKET sockets: an interface that exists already, as the cable.

Linux takes a VLAN tag out of a received frame before a packet socket sees it, and tells it beside
the frame (``struct tpacket_auxdata``); plain read(2) would lose it. So a pump reads with
recvmsg(2), puts the tag back and cuts what GRO joined.

Source: packet(7); Linux net/packet/af_packet.c, include/uapi/linux/if_packet.h.
"""

from __future__ import annotations

import errno
import socket
import struct
from typing import Final

from device.wire.carrier import LinkMonitor, open_link_socket
from device.wire.contract import LARGEST_FRAME_BYTES, Framing, WireError
from device.wire.frame import VNET_HEADER, GsoFlag
from device.wire.port import Port
from device.wire.pump import Link, PumpedWire
from device.wire.stage import CutReceived
from formats import ethernet

_SOL_PACKET: Final = 263
_PACKET_ADD_MEMBERSHIP: Final = 1
_PACKET_AUXDATA: Final = 8
_PACKET_VNET_HDR: Final = 15
_PACKET_IGNORE_OUTGOING: Final = 23
_PACKET_MR_PROMISC: Final = 1
_ETH_P_ALL: Final = 3
_AUXDATA: Final = struct.Struct("=IIIHHHH")
_VLAN_VALID: Final = 1 << 4
_TPID_VALID: Final = 1 << 6
_VLAN_TPID: Final = ethernet.VLAN
_TAG_BYTES: Final = ethernet.TAG_BYTES
_TAG_AT: Final = ethernet.TYPE_AT
_MESSAGE_BYTES: Final = VNET_HEADER.size + LARGEST_FRAME_BYTES + 1
_SOCKET_BUFFER_BYTES: Final = 4 << 20


def open_packet_socket(interface: str) -> socket.socket:
    """Return a promiscuous packet socket with virtio-net headers. Raises ``OSError``.

    Promiscuity is a membership of the socket, so the kernel ends it when the socket closes.
    """
    index = socket.if_nametoindex(interface)
    # Protocol 0 until bound: else it would hear every interface between socket() and bind().
    packet = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    try:
        packet.settimeout(0)
        packet.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
        packet.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
        packet.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        packet.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BUFFER_BYTES)
        packet.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER_BYTES)
        packet.bind((interface, _ETH_P_ALL))
        membership = struct.pack("=iHH8x", index, _PACKET_MR_PROMISC, 0)
        packet.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, membership)
    except OSError:
        packet.close()
        raise
    return packet


def restore_tag(message: bytes, auxdata: bytes) -> bytes:
    """Return a VNET message with the VLAN tag that Linux took out put back.

    ``auxdata`` is the control message PACKET_AUXDATA, empty if there was none.
    """
    if len(auxdata) < _AUXDATA.size or len(message) < VNET_HEADER.size + 14:
        return message
    status, _, _, _, _, tci, tpid = _AUXDATA.unpack_from(auxdata)
    if not status & _VLAN_VALID:
        return message
    flags, kind, hdr_len, size, start, offset = VNET_HEADER.unpack_from(message)
    if flags & GsoFlag.NEEDS_CSUM:
        start += _TAG_BYTES
    if hdr_len:
        hdr_len += _TAG_BYTES
    header = VNET_HEADER.pack(flags, kind, hdr_len & 0xFFFF, size, start & 0xFFFF, offset)
    tag = struct.pack("!HH", tpid if status & _TPID_VALID else _VLAN_TPID, tci)
    split = VNET_HEADER.size + _TAG_AT
    return header + message[VNET_HEADER.size : split] + tag + message[split:]


class PacketPort(Port):
    """A port on a packet socket that has virtio-net headers and auxiliary data on."""

    def __init__(self, packet: socket.socket) -> None:
        """Use ``packet``, which the caller owns."""
        super().__init__(packet.fileno(), Framing.VNET)
        self._packet = packet

    def _receive(self) -> bytes | None:
        space = socket.CMSG_SPACE(_AUXDATA.size)
        try:
            message, control, _, _ = self._packet.recvmsg(_MESSAGE_BYTES, space)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno in (errno.ENETDOWN, errno.ENXIO, errno.ENODEV):
                return None  # the interface went down or away; it may come back
            raise
        found = (d for level, kind, d in control if (level, kind) == (_SOL_PACKET, _PACKET_AUXDATA))
        return restore_tag(message, next(found, b""))


def packet_index(packet: socket.socket) -> int:
    """Return the index of the interface that a bound packet socket has."""
    return socket.if_nametoindex(packet.getsockname()[0])


def packet_link(packet: socket.socket) -> Link:
    """Return a far end that is ``packet``, which is closed with it."""
    return Link(PacketPort(packet), packet.close)


def open_packet_wire(spec: str, interface: str, *, started: bool = True) -> PumpedWire:
    """Return a wire that is the cable of ``interface``. Raises ``WireError``."""
    try:
        packet = open_packet_socket(interface)
        monitor = LinkMonitor(open_link_socket(), packet_index(packet))
    except PermissionError as error:
        raise WireError(f"{spec}: a packet socket needs CAP_NET_RAW; run as root, or use netns") from error
    except OSError as error:
        raise WireError(f"{spec}: {error.strerror or error}; see: ip link") from error
    far = packet_link(packet)
    return PumpedWire(spec, Framing.VNET, far, [CutReceived()], monitor=monitor, started=started)
