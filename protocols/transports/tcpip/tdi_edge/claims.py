"""Who may have which local address: the Windows meaning of sharing.

The rule is the table of "Using SO_REUSEADDR and SO_EXCLUSIVEADDRUSE" (Microsoft; Windows Server 2003 and
later, one user), to the cell. A dual-mode wildcard covers IPv4's too, so beside it IPv4's own wildcard counts
as a specific address (Wine, dlls/ws2_32/tests/sock.c, tests_exclusive).
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, NamedTuple

from ntos.io.status import NtError, NtStatus
from protocols.interfaces.tdi.address import Ip6Address
from protocols.transports.tcpip.tdi_edge.mapped import local_ip, own, unmapped

if TYPE_CHECKING:
    from protocols.interfaces.tdi.address import InternetAddress
    from protocols.interfaces.tdi.requests import TransportAddress

V6_ONLY = "v6_only"
"""The option that an IPv6 address object is opened with: without it, it serves IPv4 too."""


class Claim(NamedTuple):
    """What one address object has, and in what company."""

    address: InternetAddress
    share: bool = False
    exclusive: bool = False
    dual: bool = False
    """An IPv6 address that serves IPv4 too, by mapped addresses."""

    @classmethod
    def of(cls, asked: TransportAddress) -> Claim:
        """Return what an open asks for. NtError: the address is not TCP/IP's."""
        address = own(asked.address)
        dual = isinstance(address, Ip6Address) and not asked.options.get(V6_ONLY, 1)
        return cls(address, asked.share, asked.exclusive, dual)

    @property
    def ip(self) -> bytes | None:
        """What TCP/IP binds: None is any address of both families."""
        return local_ip(self.address, dual=self.dual)


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
        self._claims: list[Claim] = []

    def take(self, asked: Claim) -> None:
        """Claim. NtError(ADDRESS_ALREADY_EXISTS, ACCESS_DENIED)."""
        for other in self.overlapping(asked):
            first_wild, second_wild = _wild_beside(other, asked), _wild_beside(asked, other)
            column = COLUMNS.index((_asked(asked), second_wild))
            status = TABLE[_asked(other), first_wild][column]
            if status is not OK:
                raise NtError(status, f"port {asked.address.port}")
        self._claims.append(asked)

    def overlapping(self, asked: Claim) -> list[Claim]:
        """Return the claims whose addresses meet this one's."""
        port = asked.address.port
        return [one for one in self._claims if one.address.port == port and _overlap(one, asked)]

    def hold(self, asked: Claim) -> None:
        """Claim by another rule than ``take``'s: the caller has judged."""
        self._claims.append(asked)

    def release(self, asked: Claim) -> None:
        """Give a claim back."""
        self._claims.remove(asked)


def _asked(claim: Claim) -> Asked:
    if claim.exclusive:
        return Asked.EXCLUSIVE
    return Asked.REUSE if claim.share else Asked.DEFAULT


def _overlap(one: Claim, other: Claim) -> bool:
    mine, theirs = one.address.address, other.address.address
    if len(mine) != len(theirs):  # a dual-mode address has IPv4's port too, or a part of it
        wide, narrow = (one, other) if len(mine) == 16 else (other, one)
        ip = wide.ip
        beside = ip == narrow.address.address or not any(narrow.address.address)
        return wide.dual and (ip is None or (len(ip) == len(narrow.address.address) and beside))
    return mine == theirs or not any(mine) or not any(theirs)


def _wild_beside(one: Claim, other: Claim) -> bool:
    """Tell whether an address is the wildcard, seen from another that it meets."""
    mine, theirs = unmapped(one.address.address), unmapped(other.address.address)
    return not any(mine) and not (len(mine) < len(theirs) and not any(theirs))
