"""Socket options: their names at AFD, and their Windows defaults. Data only."""

from __future__ import annotations

from protocols.apis.winsock.constants import IpOption, So, Sol, TcpOption

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
    (Sol.IP, IpOption.TTL): "ttl",
    (Sol.IP, IpOption.TOS): "tos",
    (Sol.IP, IpOption.MULTICAST_TTL): "multicast_ttl",
    (Sol.IP, IpOption.MULTICAST_LOOP): "multicast_loop",
    (Sol.IP, IpOption.MULTICAST_IF): "multicast_interface",
    (Sol.IP, IpOption.ADD_MEMBERSHIP): "join",
    (Sol.IP, IpOption.DROP_MEMBERSHIP): "leave",
    (Sol.IP, IpOption.DONTFRAGMENT): "dont_fragment",
    (Sol.IP, IpOption.PKTINFO): "packet_info",
    (Sol.TCP, TcpOption.NODELAY): "no_delay",
    (Sol.TCP, TcpOption.KEEPALIVE): "keepalive_s",
    (Sol.IPV6, IpOption.V6ONLY): "v6_only",
    (Sol.IPV6, IpOption.PKTINFO): "packet_info",
    (Sol.IPV6, IpOption.TTL): "ttl",
    (Sol.IPV6, IpOption.MULTICAST_TTL): "multicast_ttl",
    (Sol.IPV6, IpOption.MULTICAST_LOOP): "multicast_loop",
    (Sol.IPV6, IpOption.MULTICAST_IF): "multicast_interface",
    (Sol.IPV6, IpOption.ADD_MEMBERSHIP): "join",
    (Sol.IPV6, IpOption.DROP_MEMBERSHIP): "leave",
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
    "ttl": 128,
    "tos": 0,
    "multicast_ttl": 1,
    "multicast_loop": 1,
    "multicast_interface": 0,
    "dont_fragment": 0,
    "packet_info": 0,
    "v6_only": 1,
    "no_delay": 0,
    "keepalive_s": 7200,
}
STREAM_ONLY = frozenset({"linger", "oob_inline", "keepalive", "no_delay", "keepalive_s"})
DATAGRAM_ONLY = frozenset(
    {"broadcast", "packet_info", "join", "leave", "multicast_ttl", "multicast_loop", "multicast_interface"}
)
