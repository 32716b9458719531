"""Who may have which local address: the Windows meaning of sharing.

The rule is the table of "Using SO_REUSEADDR and SO_EXCLUSIVEADDRUSE" (Microsoft; Windows Server 2003 and
later, one user), to the cell. A dual-mode wildcard covers IPv4's too, so beside it IPv4's own wildcard counts
as a specific address (Wine, dlls/ws2_32/tests/sock.c, tests_exclusive).
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from ntos.io.status import NtError, NtStatus
from protocols.transports.tcpip.tdi_edge.mapped import local_ip, unmapped

if TYPE_CHECKING:
    from protocols.interfaces.tdi.requests import TransportAddress


class Asked(enum.Enum):
    """What a socket has asked for before its bind."""

    DEFAULT = enum.auto()
    REUSE = enum.auto()
    EXCLUSIVE = enum.auto()


OK, INUSE, DENIED = NtStatus.SUCCESS, NtStatus.ADDRESS_ALREADY_EXISTS, NtStatus.ACCESS_DENIED
COLUMNS = tuple((asked, wild) for asked in Asked for wild in (True, False))
"""The second bind: what it has asked for, whether it is the wildcard."""
TABLE: dict[tuple[Asked, bool], tuple[NtStatus, ...]] = {
    # the first bind, and then       DEFAULT        REUSE           EXCLUSIVE     (wildcard, specific each)
    (Asked.DEFAULT, True): (INUSE, OK, DENIED, OK, INUSE, OK),
    (Asked.DEFAULT, False): (OK, INUSE, OK, DENIED, INUSE, INUSE),
    (Asked.REUSE, True): (INUSE, OK, OK, OK, INUSE, OK),
    (Asked.REUSE, False): (OK, INUSE, OK, OK, INUSE, INUSE),
    (Asked.EXCLUSIVE, True): (INUSE, DENIED, DENIED, DENIED, INUSE, DENIED),
    (Asked.EXCLUSIVE, False): (OK, INUSE, OK, DENIED, INUSE, INUSE),
}


class Claims:
    """The addresses that address objects of one transport have."""

    def __init__(self) -> None:
        self._claims: list[TransportAddress] = []

    def take(self, asked: TransportAddress) -> None:
        """Claim. NtError(ADDRESS_ALREADY_EXISTS, ACCESS_DENIED)."""
        for other in self.overlapping(asked):
            first_wild, second_wild = _wild_beside(other, asked), _wild_beside(asked, other)
            column = COLUMNS.index((_asked(asked), second_wild))
            status = TABLE[_asked(other), first_wild][column]
            if status is not OK:
                raise NtError(status, f"port {asked.address.port}")
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


def _asked(claim: TransportAddress) -> Asked:
    if claim.exclusive:
        return Asked.EXCLUSIVE
    return Asked.REUSE if claim.share else Asked.DEFAULT


def _overlap(one: TransportAddress, other: TransportAddress) -> bool:
    mine, theirs = one.address.address, other.address.address
    if len(mine) != len(theirs):  # a dual-mode address has IPv4's port too, or a part of it
        wide, narrow = (one, other) if len(mine) == 16 else (other, one)
        ip = local_ip(wide)
        beside = ip == narrow.address.address or not any(narrow.address.address)
        return wide.dual and (ip is None or (len(ip) == len(narrow.address.address) and beside))
    return mine == theirs or not any(mine) or not any(theirs)


def _wild_beside(one: TransportAddress, other: TransportAddress) -> bool:
    """Tell whether an address is the wildcard, seen from another that it meets."""
    mine, theirs = unmapped(one.address.address), unmapped(other.address.address)
    return not any(mine) and not (len(mine) < len(theirs) and not any(theirs))
