"""IP and MAC addresses as ``bytes``: 4, 16 or 6 of them, hashable, cut straight out of a frame.

Sources: RFC 4291 (IPv6), RFC 6890 (special ranges), RFC 1112 6.4 and RFC 2464 7 (multicast MACs).
"""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

IPV4_ANY = bytes(4)
IPV6_ANY = bytes(16)
IPV4_BROADCAST = b"\xff\xff\xff\xff"
IPV4_ALL_HOSTS = b"\xe0\x00\x00\x01"
IPV4_LOOPBACK = b"\x7f\x00\x00\x01"
IPV6_LOOPBACK = bytes(15) + b"\x01"
IPV6_ALL_NODES = b"\xff\x02" + bytes(13) + b"\x01"
IPV6_ALL_ROUTERS = b"\xff\x02" + bytes(13) + b"\x02"
IPV6_LINK_LOCAL_PREFIX = b"\xfe\x80" + bytes(6)
MAC_BROADCAST = b"\xff" * 6


def parse(text: str) -> bytes:
    """Return the 4 or 16 bytes of a textual address; ValueError when it is none."""
    return ipaddress.ip_address(text).packed


def text(address: bytes) -> str:
    """Return the usual spelling of an IPv4 or IPv6 address."""
    return str(ipaddress.ip_address(address))


def mac_text(mac: bytes) -> str:
    """Return a MAC as Windows prints it: ``52-54-00-12-34-56``."""
    return mac.hex("-")


class Prefix(NamedTuple):
    """A network: an address whose bits beyond ``length`` are zero."""

    network: bytes
    length: int

    @classmethod
    def of(cls, address: bytes, length: int) -> Prefix:
        """Return the prefix of ``length`` bits that holds ``address``."""
        bits = len(address) * 8
        if not 0 <= length <= bits:
            raise ValueError(f"a prefix length of {length} does not fit {bits} bits")
        mask = ((1 << length) - 1) << (bits - length)
        return cls((int.from_bytes(address) & mask).to_bytes(len(address)), length)

    @classmethod
    def parse(cls, text: str) -> Prefix:
        """Return the prefix written as ``10.0.0.0/8``; host bits are cleared."""
        network = ipaddress.ip_network(text, strict=False)
        return cls(network.network_address.packed, network.prefixlen)

    def __contains__(self, address: object) -> bool:
        """Tell whether an address is in this network."""
        if not isinstance(address, bytes) or len(address) != len(self.network):
            return False
        shift = len(address) * 8 - self.length
        return int.from_bytes(address) >> shift == int.from_bytes(self.network) >> shift

    def broadcast(self) -> bytes:
        """Return the directed broadcast address (meaningful for IPv4 up to /30)."""
        bits = len(self.network) * 8
        host = (1 << (bits - self.length)) - 1
        return (int.from_bytes(self.network) | host).to_bytes(len(self.network))

    def __str__(self) -> str:
        """Return ``network/length``."""
        return f"{text(self.network)}/{self.length}"


def is_multicast(address: bytes) -> bool:
    """Tell whether it is 224.0.0.0/4 or ff00::/8."""
    if len(address) == 4:
        return 224 <= address[0] < 240
    return address[0] == 0xFF


def is_link_local(address: bytes) -> bool:
    """Tell whether it is 169.254.0.0/16 or fe80::/10."""
    if len(address) == 4:
        return address[:2] == b"\xa9\xfe"
    return address[0] == 0xFE and address[1] & 0xC0 == 0x80


def is_loopback(address: bytes) -> bool:
    """Tell whether it is 127.0.0.0/8 or ::1."""
    return address[0] == 127 if len(address) == 4 else address == IPV6_LOOPBACK


def is_unspecified(address: bytes) -> bool:
    """Tell whether all bits are zero."""
    return not any(address)


def is_valid_source(address: bytes) -> bool:
    """Tell whether a packet from a wire may carry it as its source (RFC 1122 3.2.1.3)."""
    if is_multicast(address) or is_loopback(address):
        return False
    return len(address) == 16 or address[0] < 240


def multicast_mac(group: bytes) -> bytes:
    """Return the Ethernet address of a group (RFC 1112 6.4; RFC 2464 7)."""
    if len(group) == 4:
        return bytes((0x01, 0x00, 0x5E, group[1] & 0x7F, group[2], group[3]))
    return b"\x33\x33" + group[12:]


def solicited_node(address: bytes) -> bytes:
    """Return the solicited-node group of an IPv6 address (RFC 4291 2.7.1)."""
    return b"\xff\x02" + bytes(9) + b"\x01\xff" + address[13:]


def eui64(mac: bytes) -> bytes:
    """Return the modified EUI-64 interface identifier (RFC 4291 appendix A)."""
    return bytes((mac[0] ^ 2,)) + mac[1:3] + b"\xff\xfe" + mac[3:]
