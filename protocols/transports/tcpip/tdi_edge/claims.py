"""Who may have which local address: the Windows meaning of sharing.

Two address objects may have one address only if both ask to share (SO_REUSEADDR) and neither is exclusive;
a wildcard and a specific address of one port conflict only if one is exclusive. Source: "Using
SO_REUSEADDR and SO_EXCLUSIVEADDRUSE" (Microsoft); the table of that page is the rule here, for one user.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntos.io.status import NtError, NtStatus
from protocols.transports.tcpip.tdi_edge.mapped import local_ip, unmapped

if TYPE_CHECKING:
    from protocols.interfaces.tdi.requests import TransportAddress


class Claims:
    """The addresses that address objects of one transport have."""

    def __init__(self) -> None:
        """Start with none."""
        self._claims: list[TransportAddress] = []

    def take(self, asked: TransportAddress) -> None:
        """Claim. NtError(SHARING_VIOLATION, ADDRESS_ALREADY_EXISTS)."""
        for other in self._claims:
            if other.address.port != asked.address.port or not _overlap(other, asked):
                continue
            if other.exclusive or asked.exclusive:
                raise NtError(NtStatus.SHARING_VIOLATION, f"port {asked.address.port}")
            same = _same(other, asked)
            if same and not (other.share and asked.share):
                raise NtError(NtStatus.ADDRESS_ALREADY_EXISTS, f"port {asked.address.port}")
        self._claims.append(asked)

    def overlapping(self, asked: TransportAddress) -> list[TransportAddress]:
        """Return the claims whose addresses meet this one's."""
        port = asked.address.port
        return [one for one in self._claims if one.address.port == port and _overlap(one, asked)]

    def hold(self, asked: TransportAddress) -> None:
        """Claim by another rule than ``take``'s: the caller has judged."""
        self._claims.append(asked)

    def release(self, asked: TransportAddress) -> None:
        """Give a claim back."""
        self._claims.remove(asked)


def _overlap(one: TransportAddress, other: TransportAddress) -> bool:
    mine, theirs = one.address.address, other.address.address
    if len(mine) != len(theirs):  # a dual-mode address has IPv4's port too, or a part of it
        wide, narrow = (one, other) if len(mine) == 16 else (other, one)
        ip = local_ip(wide)
        return wide.dual and (ip is None or ip == narrow.address.address or not any(narrow.address.address))
    return len(mine) == len(theirs) and (mine == theirs or not any(mine) or not any(theirs))


def _same(one: TransportAddress, other: TransportAddress) -> bool:
    mine, theirs = unmapped(one.address.address), unmapped(other.address.address)
    return mine == theirs or not (any(mine) or any(theirs))
