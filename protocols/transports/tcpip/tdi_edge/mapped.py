"""IPv4 in IPv6's clothes: what a dual-mode socket (IPV6_V6ONLY off) sees of IPv4 peers (RFC 4291 2.5.5.2).

Below TDI an IPv4 packet has 4-byte addresses; a dual-mode address object shows them as ``::ffff:a.b.c.d``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocols.transports.tcpip.addresses import is_unspecified

if TYPE_CHECKING:
    from protocols.interfaces.tdi.requests import TaAddress, TransportAddress

PREFIX = bytes(10) + b"\xff\xff"


def mapped(address: bytes) -> bytes:
    """Return 16 bytes for an address of either family."""
    return PREFIX + address if len(address) == 4 else address


def unmapped(address: bytes) -> bytes:
    """Return the 4 bytes of a mapped address, any other as it is."""
    return address[12:] if len(address) == 16 and address.startswith(PREFIX) else address


def outward(address: TaAddress, *, dual: bool) -> TaAddress:
    """Return an address as the client of an address object sees it."""
    return address._replace(address=mapped(address.address)) if dual else address


def inward(address: TaAddress, *, dual: bool) -> TaAddress:
    """Return an address as TCP/IP knows it."""
    return address._replace(address=unmapped(address.address)) if dual else address


def local_ip(asked: TransportAddress) -> bytes | None:
    """Return what an address object binds: None is any address of both families."""
    ip = asked.address.address
    if not asked.dual:
        return ip
    return None if is_unspecified(ip) else unmapped(ip)
