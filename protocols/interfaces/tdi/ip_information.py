"""What a client of an IP transport may ask besides TDI's own queries: the host's interfaces.

NT's clients ask for the same by IOCTL_TCP_QUERY_INFORMATION_EX (IPAddrEntry, IFEntry); here it is an action.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

IP_INTERFACES: Final = "ip interfaces"
"""The action; its result is a tuple of ``IpInterface``, loopback's left out."""


@dataclass(frozen=True, slots=True)
class IpEntry:
    """An address that an interface may use. ``broadcast`` is its network's, empty for IPv6."""

    address: bytes
    broadcast: bytes = b""


@dataclass(frozen=True, slots=True)
class IpInterface:
    """One interface. ``index`` is what a datagram's ``source`` and details name it by."""

    index: int
    mac: bytes
    is_up: bool
    entries: tuple[IpEntry, ...]
