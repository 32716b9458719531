"""The little of rtnetlink and ethtool that a private network namespace needs.

It speaks to the kernel and needs no ``ip`` program; it knows nothing of namespaces or cards.

Source: rtnetlink(7), netlink(7); Linux include/uapi/linux/{rtnetlink,if_link,veth,ethtool}.h.
"""

from __future__ import annotations

import ctypes
import fcntl
import ipaddress
import os
import socket
import struct
from typing import Final

_MESSAGE: Final = struct.Struct("=IHHII")
_ATTRIBUTE: Final = struct.Struct("=HH")
_LINK: Final = struct.Struct("=BxHiII")
_ADDRESS: Final = struct.Struct("=BBBBI")
_ERROR: Final = struct.Struct("=i")

_NLMSG_ERROR: Final = 2
_RTM_NEWLINK: Final = 16
_RTM_NEWADDR: Final = 20
_REQUEST_ACK: Final = 0x1 | 0x4
_CREATE_EXCL: Final = 0x400 | 0x200
_IFLA_IFNAME: Final = 3
_IFLA_MTU: Final = 4
_IFLA_LINKINFO: Final = 18
_IFLA_INFO_KIND: Final = 1
_IFLA_INFO_DATA: Final = 2
_VETH_INFO_PEER: Final = 1
_IFA_ADDRESS: Final = 1
_IFA_LOCAL: Final = 2
_IFA_F_NODAD: Final = 0x02  # nobody else is on this cable, and detection takes a second
_IFF_UP: Final = 0x1

_SIOCETHTOOL: Final = 0x8946
_ETHTOOL_GFLAGS: Final = 0x25
_ETHTOOL_SFLAGS: Final = 0x26
_ETHTOOL_STXCSUM: Final = 0x17
_ETHTOOL_STSO: Final = 0x1F
_ETHTOOL_SGSO: Final = 0x24
_ETH_FLAG_TXVLAN: Final = 1 << 7


def _attribute(kind: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(-length % 4)


def _name(name: str) -> bytes:
    return _attribute(_IFLA_IFNAME, name.encode() + b"\0")


class RouteSocket:
    """A NETLINK_ROUTE socket of the current network namespace. Everything raises ``OSError``."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._sequence = 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def set_up(self, name: str, mtu_bytes: int | None = None) -> None:
        """Bring an interface up, with an MTU if one is given."""
        body = _LINK.pack(socket.AF_UNSPEC, 0, socket.if_nametoindex(name), _IFF_UP, _IFF_UP)
        if mtu_bytes is not None:
            body += _attribute(_IFLA_MTU, struct.pack("=I", mtu_bytes))
        self._request(_RTM_NEWLINK, 0, body)

    def add_address(self, name: str, cidr: str) -> None:
        """Give an interface an address; ``cidr`` as in 10.0.0.1/24. Raises ``ValueError`` too."""
        interface = ipaddress.ip_interface(cidr)
        family = socket.AF_INET if interface.version == 4 else socket.AF_INET6
        prefix, index = interface.network.prefixlen, socket.if_nametoindex(name)
        body = _ADDRESS.pack(family, prefix, _IFA_F_NODAD, 0, index)
        body += _attribute(_IFA_LOCAL, interface.ip.packed)
        body += _attribute(_IFA_ADDRESS, interface.ip.packed)
        self._request(_RTM_NEWADDR, _CREATE_EXCL, body)

    def add_veth(self, name: str, peer: str) -> None:
        """Make two interfaces joined by a cable."""
        data = _attribute(_VETH_INFO_PEER, _LINK.pack(0, 0, 0, 0, 0) + _name(peer))
        info = _attribute(_IFLA_INFO_KIND, b"veth\0") + _attribute(_IFLA_INFO_DATA, data)
        body = _LINK.pack(0, 0, 0, 0, 0) + _name(name) + _attribute(_IFLA_LINKINFO, info)
        self._request(_RTM_NEWLINK, _CREATE_EXCL, body)

    def _request(self, kind: int, flags: int, body: bytes) -> None:
        self._sequence += 1
        length = _MESSAGE.size + len(body)
        header = _MESSAGE.pack(length, kind, flags | _REQUEST_ACK, self._sequence, 0)
        self._socket.sendto(header + body, (0, 0))
        while True:
            answer = self._socket.recv(65536)
            _, kind, _, sequence, _ = _MESSAGE.unpack_from(answer)
            if kind == _NLMSG_ERROR and sequence == self._sequence:
                (code,) = _ERROR.unpack_from(answer, _MESSAGE.size)
                if code:
                    raise OSError(-code, os.strerror(-code))
                return


def leave_nothing_undone(name: str) -> None:
    """Make a stack cut, sum and tag what it sends through ``name`` itself, as a cable requires.

    Raises ``OSError``. For the stack's end of a veth pair, whose other end would else see 64 KiB
    frames with partial checksums, and VLAN tags beside the frame.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for command in (_ETHTOOL_STSO, _ETHTOOL_SGSO, _ETHTOOL_STXCSUM):
            _ethtool(control, name, command, 0)
        flags = _ethtool(control, name, _ETHTOOL_GFLAGS, 0)
        _ethtool(control, name, _ETHTOOL_SFLAGS, flags & ~_ETH_FLAG_TXVLAN)


def _ethtool(control: socket.socket, name: str, command: int, value: int) -> int:
    data = ctypes.create_string_buffer(struct.pack("=II", command, value), 8)
    request = struct.pack("16sP16x", name.encode(), ctypes.addressof(data))
    fcntl.ioctl(control, _SIOCETHTOOL, request)
    return int.from_bytes(data.raw[4:8], "little" if struct.pack("=H", 1)[0] else "big")
