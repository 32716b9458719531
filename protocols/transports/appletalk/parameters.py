"""AppleTalk's times and limits: data. Source: Inside AppleTalk, 2nd edition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ntos.executive.contract import MILLISECOND, SECOND

RTMP_SOCKET: Final = 1
NIS_SOCKET: Final = 2
"""The names information socket."""
ECHO_SOCKET: Final = 4
ZIS_SOCKET: Final = 6
"""The zone information socket, of routers."""
FIRST_DYNAMIC, LAST_SOCKET = 0x80, 0xFE
"""What is given to those who open any socket."""


@dataclass(frozen=True, slots=True)
class AppletalkParameters:
    """Times in ns. ValueError: a limit that cannot work."""

    probe_ns: int = 200 * MILLISECOND
    probes: int = 10
    request_ns: int = 200 * MILLISECOND
    requests: int = 10
    mapping_ns: int = 120 * SECOND
    """An address that was learned is asked for again after so long."""
    mappings_limit: int = 512
    pending_limit: int = 64
    """Addresses that are asked for at a time."""
    held_limit: int = 8
    """Datagrams that wait for each of them."""
    router_ns: int = 50 * SECOND
    """A router that was silent for so long is forgotten (RTMP's A-ROUTER timer)."""
    netinfo_ns: int = 500 * MILLISECOND
    netinfo_tries: int = 3
    lookup_ns: int = 500 * MILLISECOND
    lookup_tries: int = 3
    lookups_limit: int = 64
    found_limit: int = 256
    """Names that one lookup keeps."""
    names_limit: int = 254
    transaction_ns: int = 2 * SECOND
    """Between ATP's requests."""
    transaction_tries: int = 8
    transactions_limit: int = 64
    release_ns: int = 30 * SECOND
    """What ATP answered exactly once is kept so long (its release timer), unless the request names a time."""
    released_ns: int = 5 * SECOND
    """A released transaction is known so long, to a duplicate of its request that was late."""
    kept_limit: int = 256
    """Transactions of all peers that a responder remembers."""

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if min(getattr(self, name) for name in self.__slots__) < 1:
            raise ValueError(f"impossible AppleTalk parameters: {self}")


class AppletalkError(Exception):
    """A request from above that cannot be met."""
