"""NBF's timers and limits, and the parameters of its links: data. The names are those of NT's registry.

Source: "NBF Registry Entries", Windows NT Resource Kit: AddNameQueryRetries, NameQueryTimeout,
DefaultT1Timeout, LlcMaxWindowSize …
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Final

from ntos.executive.contract import MILLISECOND, SECOND
from protocols.interfaces.llc import LinkParameters

FUNCTIONAL_ADDRESS: Final = bytes.fromhex("030000000001")
"""Where all NetBIOS stations of an Ethernet listen."""
BROADCAST_NAME: Final = b"*" + bytes(15)
"""As an address of TDI: all stations' broadcast datagrams."""
LARGEST_MESSAGE: Final = 131_070
"""A send of NetBIOS: two buffers of FFFF bytes (CHAIN.SEND)."""
LARGEST_DATAGRAM: Final = 512


@dataclass(frozen=True, slots=True)
class NbfParameters:
    """Times in ns. ValueError: a limit that cannot work."""

    add_name_query_ns: int = 500 * MILLISECOND
    add_name_query_retries: int = 3
    name_query_ns: int = 500 * MILLISECOND
    name_query_retries: int = 3
    general_ns: int = 500 * MILLISECOND
    """Between STATUS_QUERY frames, and for SESSION_INITIALIZE and its answer, ``general_retries`` times."""
    general_retries: int = 3
    session_alive_ns: int = 30 * SECOND
    """A session over which nothing went for so long asks its link: SESSION_ALIVE."""
    link_idle_ns: int = 5 * SECOND
    """A link without a session is taken down after so long."""
    names_limit: int = 254
    sessions_limit: int = 254
    offers_limit: int = 64
    """Sessions of all peers that were offered by NAME_RECOGNIZED and not begun."""
    queries_limit: int = 64
    link: LinkParameters = field(
        default_factory=lambda: LinkParameters(
            t1_ns=600 * MILLISECOND, t2_ns=150 * MILLISECOND, ti_ns=30 * SECOND, n2=8, window=10
        )
    )

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        times = self.add_name_query_ns, self.name_query_ns, self.general_ns
        tries = self.add_name_query_retries, self.name_query_retries, self.general_retries
        rest = (
            self.session_alive_ns,
            self.link_idle_ns,
            self.names_limit,
            self.offers_limit,
            self.queries_limit,
        )
        if min(*times, *tries, *rest) < 1 or not 1 <= self.sessions_limit <= 254 or self.names_limit > 254:
            raise ValueError(f"impossible NBF parameters: {self}")


class EndReason(enum.Enum):
    """Why a session is not there, or a name cannot be had."""

    HUNG_UP = "we hung up"
    ABORTED = "we ended it without waiting for what was sent"
    PEER_ENDED = "the peer sent SESSION_END"
    PEER_ABORTED = "the peer sent SESSION_END, abnormal"
    NAME_NOT_FOUND = "nobody answered NAME_QUERY"
    NO_LISTEN = "the name is there, and nobody listens"
    CANNOT = "the peer has no room for a session"
    LINK_LOST = "the link went down"
    TIMED_OUT = "the peer did not go on with the session"
    REFUSED = "our client refused the call"
    PROTOCOL_ERROR = "the peer broke the protocol"
    NAME_IN_USE = "another station has the name"
    TABLE_FULL = "our table is full"
    UNBOUND = "the network card was unbound"


class NbfError(Exception):
    """A request from above that cannot be met; ``reason`` says which."""

    def __init__(self, reason: EndReason) -> None:
        super().__init__(reason.value)
        self.reason = reason
