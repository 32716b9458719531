"""Socket options of WSK: their names at TLNPI, their defaults, and when they may be set. Data only."""

from __future__ import annotations

from typing import NamedTuple

from protocols.apis.winsock.constants import IpOption, So, Sol, TcpOption
from protocols.apis.wsk.constants import SoWsk


class Option(NamedTuple):
    """An option. ``early``: only before the bind. ``passed``: handed to the transport by its name."""

    name: str
    default: object = 0
    early: bool = False
    passed: bool = True


OPTIONS: dict[tuple[int, int], Option] = {
    (Sol.SOCKET, So.REUSEADDR): Option("reuse", early=True, passed=False),
    (Sol.SOCKET, So.EXCLUSIVEADDRUSE): Option("exclusive", early=True, passed=False),
    (Sol.SOCKET, SoWsk.CONDITIONAL_ACCEPT): Option("conditional", early=True, passed=False),
    (Sol.SOCKET, SoWsk.SECURITY): Option("security", None, early=True, passed=False),
    (Sol.SOCKET, So.RCVBUF): Option("receive_buffer", 65536, passed=False),
    (Sol.SOCKET, So.KEEPALIVE): Option("keepalive"),
    (Sol.SOCKET, So.BROADCAST): Option("broadcast"),
    (Sol.TCP, TcpOption.NODELAY): Option("no_delay"),
    (Sol.IP, IpOption.TTL): Option("ttl", 128),
    (Sol.IP, IpOption.TOS): Option("tos"),
    (Sol.IP, IpOption.DONTFRAGMENT): Option("dont_fragment"),
    (Sol.IP, IpOption.MULTICAST_TTL): Option("multicast_ttl", 1),
    (Sol.IP, IpOption.MULTICAST_LOOP): Option("multicast_loop", 1),
    (Sol.IP, IpOption.ADD_MEMBERSHIP): Option("join", None),
    (Sol.IP, IpOption.DROP_MEMBERSHIP): Option("leave", None),
    (Sol.IPV6, IpOption.V6ONLY): Option("v6_only", 1, early=True, passed=False),
}
NOT_KEPT = frozenset({"join", "leave"})
"""Acts, not values: made when the socket is bound, and forgotten."""
