"""IPv4 in IPv6's clothes: what a dual-mode socket (IPV6_V6ONLY off) sees of IPv4 peers (RFC 4291 2.5.5.2).

Below TDI an IPv4 packet has 4-byte addresses; a dual-mode address object shows them as ``::ffff:a.b.c.d``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntos.io.status import NtError, NtStatus
from protocols.interfaces.tdi.address import InternetAddress, internet
from protocols.transports.tcpip.addresses import is_unspecified

if TYPE_CHECKING:
    from protocols.interfaces.tdi.address import TdiAddress

PREFIX = bytes(10) + b"\xff\xff"


def mapped(address: bytes) -> bytes:
    """Return 16 bytes for an address of either family."""
    return PREFIX + address if len(address) == 4 else address


def unmapped(address: bytes) -> bytes:
    """Return the 4 bytes of a mapped address, any other as it is."""
    return address[12:] if len(address) == 16 and address.startswith(PREFIX) else address


def outward(address: InternetAddress, *, dual: bool) -> InternetAddress:
    """Return an address as the client of an address object sees it."""
    if not dual:
        return address
    return internet(mapped(address.address), address.port, address.interface)


def inward(address: InternetAddress, *, dual: bool) -> InternetAddress:
    """Return an address as TCP/IP knows it."""
    if not dual:
        return address
    return internet(unmapped(address.address), address.port, address.interface)


def own(address: TdiAddress | None) -> InternetAddress:
    """Return an address of a type that is TCP/IP's. NtError(INVALID_ADDRESS_COMPONENT) for any other."""
    if not isinstance(address, InternetAddress):
        raise NtError(NtStatus.INVALID_ADDRESS_COMPONENT, f"{address!r} is no address of TCP/IP")
    return address


def local_ip(address: InternetAddress, *, dual: bool) -> bytes | None:
    """Return what an address object binds: None is any address of both families."""
    ip = address.address
    if not dual:
        return ip
    return None if is_unspecified(ip) else unmapped(ip)
