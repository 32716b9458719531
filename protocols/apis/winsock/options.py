"""Socket options of SOL_SOCKET: their names at AFD, and their Windows defaults. Data only.

Those of other levels are a family's, and its helper's (``helpers.contract``).
"""

from __future__ import annotations

from protocols.apis.winsock.constants import So, Sol

AFD_NAMES: dict[tuple[int, int], str] = {
    (Sol.SOCKET, So.REUSEADDR): "reuse",
    (Sol.SOCKET, So.EXCLUSIVEADDRUSE): "exclusive",
    (Sol.SOCKET, So.KEEPALIVE): "keepalive",
    (Sol.SOCKET, So.BROADCAST): "broadcast",
    (Sol.SOCKET, So.DEBUG): "debug",
    (Sol.SOCKET, So.DONTROUTE): "dont_route",
    (Sol.SOCKET, So.LINGER): "linger",
    (Sol.SOCKET, So.OOBINLINE): "oob_inline",
    (Sol.SOCKET, So.SNDBUF): "send_buffer",
    (Sol.SOCKET, So.RCVBUF): "receive_buffer",
    (Sol.SOCKET, So.SNDTIMEO): "send_timeout_ms",
    (Sol.SOCKET, So.RCVTIMEO): "receive_timeout_ms",
}
DEFAULTS: dict[str, object] = {
    "reuse": 0,
    "exclusive": 0,
    "keepalive": 0,
    "broadcast": 0,
    "debug": 0,
    "dont_route": 0,
    "linger": None,
    "oob_inline": 0,
    "send_timeout_ms": 0,
    "receive_timeout_ms": 0,
}
STREAM_ONLY = frozenset({"linger", "oob_inline", "keepalive"})
DATAGRAM_ONLY = frozenset({"broadcast"})
