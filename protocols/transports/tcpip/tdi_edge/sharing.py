"""Who may have which local address beside whom: one table for TDI's clients (AFD, so Winsock) and for WSK.

The table is that of "Sharing Transport Addresses" (WDK). Where it says CHECK, the second socket's token is
checked against the first one's security descriptor. A Winsock socket lets its own user in: so the two tables
of "Using SO_REUSEADDR and SO_EXCLUSIVEADDRUSE" (for one user and for several) follow from this one, but for
one cell. A WSK socket lets nobody in unless it has a descriptor that does.

Of two addresses the one that contains the other is the wildcard, the other is specific: 0.0.0.0 is specific
beside a dual-mode ``::``, which has all of IPv4 and of IPv6.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ntos.io.status import NtError, NtStatus
from ntos.object.access import FILE_MAPPING, FileAccess
from ntos.object.access_check import access_check
from ntos.object.acl import Acl, allow
from ntos.object.descriptor import SecurityDescriptor
from protocols.interfaces.tdi.address import Ip6Address
from protocols.interfaces.tlnpi.npi import SYSTEM, Sharing
from protocols.transports.tcpip.addresses import is_unspecified
from protocols.transports.tcpip.tdi_edge.mapped import local_ip, own

if TYPE_CHECKING:
    from ntos.object.token import Token
    from protocols.interfaces.tdi.address import InternetAddress
    from protocols.interfaces.tdi.requests import TransportAddress
    from protocols.interfaces.tlnpi.npi import BindRequest

V6_ONLY = "v6_only"
"""The option that an IPv6 address object is opened with: without it, it serves IPv4 too."""
SHARE_ADDRESS = FileAccess.READ_DATA | FileAccess.WRITE_DATA
"""The access that CHECK asks for. Ours: the documents do not name it."""


class Result(enum.Enum):
    """What becomes of the second bind."""

    SUCCESS = enum.auto()
    INUSE = enum.auto()
    DENIED = enum.auto()
    CHECK = enum.auto()  # granted by the first socket's security descriptor


S, I, D, C = Result  # noqa: E741 - the table's letters
COLUMNS = tuple((first, wild) for first in Sharing for wild in (True, False))
"""The first bind: how it is shared, whether it is the wildcard address."""
Table = dict[tuple[Sharing, bool], tuple[Result, ...]]
TABLE: Table = {
    # the second bind             default   REUSEADDR EXCLUSIVE  (wildcard, specific each)
    (Sharing.DEFAULT, True): (I, S, I, S, I, S),
    (Sharing.DEFAULT, False): (C, I, C, D, D, I),
    (Sharing.REUSE, True): (D, S, S, S, D, S),
    (Sharing.REUSE, False): (C, D, S, S, D, D),
    (Sharing.EXCLUSIVE, True): (I, I, I, I, I, I),
    (Sharing.EXCLUSIVE, False): (C, I, C, I, D, I),
}
WINSOCK_TABLE: Table = {**TABLE, (Sharing.DEFAULT, False): (C, I, C, I, D, I)}
"""For a second bind of Winsock's: the cell behind REUSEADDR on the same specific address differs."""
STATUS = {Result.INUSE: NtStatus.ADDRESS_ALREADY_EXISTS, Result.DENIED: NtStatus.ACCESS_DENIED}
NOBODY = SecurityDescriptor(dacl=Acl())
"""WSK's default: the address is not shared where it takes a check."""


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """A local address that somebody has. Two claims are never equal, whatever they ask for."""

    address: InternetAddress
    sharing: Sharing
    owner: Token
    security: SecurityDescriptor
    dual: bool = False
    is_winsock: bool = False
    """Whose table it is judged by, as the second."""

    @property
    def ip(self) -> bytes | None:
        """What TCP/IP binds: None is any address of both families."""
        return local_ip(self.address, dual=self.dual)

    @classmethod
    def of_tdi(cls, asked: TransportAddress) -> Claim:
        """Return what opening an address object claims. NtError: the address is not TCP/IP's."""
        address = own(asked.address)
        dual = isinstance(address, Ip6Address) and not asked.options.get(V6_ONLY, 1)
        sharing = Sharing.EXCLUSIVE if asked.exclusive else Sharing.REUSE if asked.share else Sharing.DEFAULT
        owner = asked.owner or SYSTEM
        security = SecurityDescriptor(owner.user, dacl=Acl((allow(owner.user, SHARE_ADDRESS),)))
        return cls(address, sharing, owner, security, dual, is_winsock=True)

    @classmethod
    def of_tlnpi(cls, asked: BindRequest, address: InternetAddress) -> Claim:
        """Return what a bind of WSK's claims."""
        return cls(address, asked.sharing, asked.owner, asked.security or NOBODY, asked.dual)


class Claims:
    """The addresses that sockets of one transport have."""

    def __init__(self) -> None:
        self._claims: list[Claim] = []

    def take(self, asked: Claim) -> Claim:
        """Claim beside all that is claimed. NtError(ADDRESS_ALREADY_EXISTS, ACCESS_DENIED)."""
        for other in self._claims:
            if other.address.port == asked.address.port:
                status = judge(asked, other)
                if not status.ok:
                    raise NtError(status, f"port {asked.address.port}")
        self._claims.append(asked)
        return asked

    def release(self, claim: Claim) -> None:
        """Give a claim back."""
        self._claims.remove(claim)


def judge(second: Claim, first: Claim) -> NtStatus:
    """Say whether ``second`` may be bound while ``first`` has the same port."""
    wild = wildcards(second, first)
    if wild is None:
        return NtStatus.SUCCESS
    table = WINSOCK_TABLE if second.is_winsock else TABLE
    found = table[second.sharing, wild[0]][COLUMNS.index((first.sharing, wild[1]))]
    if found is not Result.CHECK:
        return STATUS.get(found, NtStatus.SUCCESS)
    try:
        access_check(first.security, second.owner, SHARE_ADDRESS, FILE_MAPPING)
    except NtError:
        return NtStatus.ACCESS_DENIED
    return NtStatus.SUCCESS


def wildcards(one: Claim, other: Claim) -> tuple[bool, bool] | None:
    """Return which of two addresses is the wildcard beside the other; None when they do not meet."""
    mine, theirs = one.ip, other.ip
    if mine == theirs:
        both = mine is None or is_unspecified(mine)
        return both, both
    if mine is None or theirs is None:
        whole = mine is None, theirs is None
        narrow = theirs if mine is None else mine
        is_all_of_ipv6 = narrow is not None and len(narrow) == 16 and is_unspecified(narrow)
        return (True, True) if is_all_of_ipv6 else whole
    if len(mine) != len(theirs) or not (is_unspecified(mine) or is_unspecified(theirs)):
        return None
    return is_unspecified(mine), is_unspecified(theirs)
