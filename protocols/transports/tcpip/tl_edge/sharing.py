"""Who may bind beside whom: the table of "Sharing Transport Addresses" (WDK), and its use.

AFD's sockets are in the same list (``tdi_edge.claims``), so a WSK socket meets them too.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Self

from ntos.io.status import NtError, NtStatus
from protocols.interfaces.tlnpi.npi import BindRequest, Sharing
from protocols.transports.tcpip.tdi_edge.claims import Claim

if TYPE_CHECKING:
    from protocols.interfaces.tdi.address import InternetAddress
    from protocols.transports.tcpip.tdi_edge.claims import Claims


class Result(enum.Enum):
    """What becomes of the second bind."""

    SUCCESS = enum.auto()
    INUSE = enum.auto()
    DENIED = enum.auto()
    CHECK = enum.auto()  # granted by the first socket's security descriptor


S, I, D, C = Result  # noqa: E741 - the table's letters
COLUMNS = tuple((first, wild) for first in Sharing for wild in (True, False))
"""The first bind: how it is shared, whether it is the wildcard address."""
TABLE: dict[tuple[Sharing, bool], tuple[Result, ...]] = {
    # the second bind             default   REUSEADDR EXCLUSIVE  (wildcard, specific each)
    (Sharing.DEFAULT, True): (I, S, I, S, I, S),
    (Sharing.DEFAULT, False): (C, I, C, D, D, I),
    (Sharing.REUSE, True): (D, S, S, S, D, S),
    (Sharing.REUSE, False): (C, D, S, S, D, D),
    (Sharing.EXCLUSIVE, True): (I, I, I, I, I, I),
    (Sharing.EXCLUSIVE, False): (C, I, C, I, D, I),
}
STATUS = {Result.INUSE: NtStatus.ADDRESS_ALREADY_EXISTS, Result.DENIED: NtStatus.ACCESS_DENIED}


class TlClaim(Claim):
    """A claim of ours in TDI's list: the same fields, and what was asked for. Two of them are never equal."""

    request: BindRequest

    def __new__(cls, request: BindRequest, address: InternetAddress) -> Self:
        """Claim ``address``, the request's own with the port that was found."""
        made = super().__new__(
            cls,
            address,
            share=request.sharing is Sharing.REUSE,
            exclusive=request.sharing is Sharing.EXCLUSIVE,
            dual=request.dual,
        )
        made.request = request
        return made

    def __eq__(self, other: object) -> bool:
        """Be found by identity: equal claims may have different security descriptors."""
        return self is other

    __hash__ = object.__hash__


def judge(second: BindRequest, first: BindRequest) -> NtStatus:
    """Say whether ``second`` may be bound while ``first``, which it meets, has the same port."""
    wild = not any(second.local.address), not any(first.local.address)
    found = TABLE[second.sharing, wild[0]][COLUMNS.index((first.sharing, wild[1]))]
    if found is Result.CHECK:
        granted = second.owner in first.security.granted
        return NtStatus.SUCCESS if granted else NtStatus.ACCESS_DENIED
    return STATUS.get(found, NtStatus.SUCCESS)


def take(claims: Claims, request: BindRequest, address: InternetAddress) -> TlClaim:
    """Claim beside all that is claimed already. NtError: ADDRESS_ALREADY_EXISTS, ACCESS_DENIED."""
    asked = TlClaim(request, address)
    for other in claims.overlapping(asked):
        status = judge(request, _request_of(other))
        if not status.ok:
            raise NtError(status, f"port {address.port}")
    claims.hold(asked)
    return asked


def _request_of(claim: Claim) -> BindRequest:
    """Return what was asked for; a TDI address (AFD's) has the default security descriptor."""
    if isinstance(claim, TlClaim):
        return claim.request
    sharing = Sharing.REUSE if claim.share else Sharing.DEFAULT
    return BindRequest(claim.address, Sharing.EXCLUSIVE if claim.exclusive else sharing)
