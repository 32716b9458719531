"""What Microsoft's reference of each Winsock function documents for each situation. Data only.

The words after a code are the page's condition, in short. Where a page leaves the choice, or
contradicts another, every code that it allows is there.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocols.apis.winsock.errors import Wsae


@dataclass(frozen=True, slots=True)
class Documented:
    """The page, the codes that it allows, and the condition it gives."""

    page: str
    codes: tuple[int, ...]
    condition: str


def _of(page: str, code: Wsae | int, condition: str, *also: int) -> Documented:
    return Documented(page, (int(code), *map(int, also)), condition)


SITUATIONS: dict[str, Documented] = {
    "socket before WSAStartup": _of("socket", Wsae.WSANOTINITIALISED, "WSAStartup must come first"),
    "WSAStartup of version 0.9": _of("WSAStartup", Wsae.WSAVERNOTSUPPORTED, "the version is not provided"),
    "socket of an unknown family": _of("socket", Wsae.WSAEAFNOSUPPORT, "the family is not supported"),
    "socket of an unknown type": _of(
        "socket", Wsae.WSAESOCKTNOSUPPORT, "the type is not supported in this family"
    ),
    "a stream socket by UDP": _of(
        "socket", Wsae.WSAEPROTONOSUPPORT, "the protocol is not supported", Wsae.WSAEPROTOTYPE
    ),
    "closesocket of a closed socket": _of("closesocket", Wsae.WSAENOTSOCK, "no socket"),
    "send on a closed socket": _of("send", Wsae.WSAENOTSOCK, "no socket"),
    "bind to a port in use": _of("bind", Wsae.WSAEADDRINUSE, "one use of each address, without SO_REUSEADDR"),
    "bind of a bound socket": _of("bind", Wsae.WSAEINVAL, "already bound to an address"),
    "bind to another host's address": _of("bind", Wsae.WSAEADDRNOTAVAIL, "not valid on this machine"),
    "bind of IPv4 to an IPv6 address": _of(
        "bind", Wsae.WSAEFAULT, "name's format does not fit the family", Wsae.WSAEAFNOSUPPORT, Wsae.WSAEINVAL
    ),
    "listen unbound": _of("listen", Wsae.WSAEINVAL, "not bound"),
    "listen on a datagram socket": _of("listen", Wsae.WSAEOPNOTSUPP, "listen is not supported by the type"),
    "SO_REUSEADDR beside SO_EXCLUSIVEADDRUSE": _of(
        "Using SO_REUSEADDR and SO_EXCLUSIVEADDRUSE", Wsae.WSAEACCES, "the first is exclusive"
    ),
    "SO_REUSEADDR twice": _of("Using SO_REUSEADDR and SO_EXCLUSIVEADDRUSE", 0, "both may bind"),
    "SO_EXCLUSIVEADDRUSE after bind": _of("SO_EXCLUSIVEADDRUSE", Wsae.WSAEINVAL, "to be set before bind"),
    "accept without listen": _of("accept", Wsae.WSAEINVAL, "listen was not called"),
    "connect of a listening socket": _of("connect", Wsae.WSAEINVAL, "s is a listening socket"),
    "accept, non-blocking, nobody came": _of("accept", Wsae.WSAEWOULDBLOCK, "no connection to accept"),
    "connect to a closed port": _of("connect", Wsae.WSAECONNREFUSED, "forcefully rejected"),
    "connect to 0.0.0.0": _of("connect", Wsae.WSAEADDRNOTAVAIL, "no valid remote address (as INADDR_ANY)"),
    "connect to port 0": _of("connect", Wsae.WSAEADDRNOTAVAIL, "no valid remote address"),
    "connect to an unknown family": _of(
        "connect", Wsae.WSAEAFNOSUPPORT, "the family cannot be used with this socket", Wsae.WSAEFAULT
    ),
    "connect to a network without a route": _of(
        "connect", Wsae.WSAENETUNREACH, "the network cannot be reached", Wsae.WSAEHOSTUNREACH
    ),
    "recv unconnected": _of("recv", Wsae.WSAENOTCONN, "not connected"),
    "send unconnected": _of("send", Wsae.WSAENOTCONN, "not connected"),
    "shutdown unconnected": _of("shutdown", Wsae.WSAENOTCONN, "not connected (connection-oriented)"),
    "getpeername unconnected": _of("getpeername", Wsae.WSAENOTCONN, "not connected"),
    "getsockname unbound": _of("getsockname", Wsae.WSAEINVAL, "not bound"),
    "connect, non-blocking": _of("connect", Wsae.WSAEWOULDBLOCK, "cannot be completed at once"),
    "connect while connecting": _of("connect", Wsae.WSAEALREADY, "a non-blocking connect is in progress"),
    "connect of a connected socket": _of("connect", Wsae.WSAEISCONN, "already connected"),
    "listen on a connected socket": _of("listen", Wsae.WSAEISCONN, "already connected"),
    "shutdown of an unknown direction": _of("shutdown", Wsae.WSAEINVAL, "how is not valid"),
    "recv with SO_RCVTIMEO, nothing came": _of("SO_RCVTIMEO", Wsae.WSAETIMEDOUT, "the time elapsed"),
    "recv of urgent data, none came": _of(
        "SO_RCVTIMEO", Wsae.WSAETIMEDOUT, "the time elapsed; MSG_OOB waits as other receiving does"
    ),
    "recv, non-blocking, nothing came": _of("recv", Wsae.WSAEWOULDBLOCK, "the operation would block"),
    "send after shutdown": _of("send", Wsae.WSAESHUTDOWN, "shut down for sending"),
    "recv after shutdown": _of("recv", Wsae.WSAESHUTDOWN, "shut down for receiving"),
    "an unknown option": _of("setsockopt", Wsae.WSAENOPROTOOPT, "the option is unknown"),
    "a datagram's option on a stream": _of(
        "setsockopt", Wsae.WSAENOPROTOOPT, "not supported by the socket", Wsae.WSAEINVAL
    ),
    "an unknown ioctlsocket": _of("WSAIoctl", Wsae.WSAEOPNOTSUPP, "the command cannot be realized"),
    "recv after the peer's reset": _of("recv", Wsae.WSAECONNRESET, "reset by the remote side"),
    "send after the peer's reset": _of(
        "send", Wsae.WSAECONNRESET, "reset by the remote side", Wsae.WSAECONNABORTED
    ),
    "recv of a longer datagram": _of("recv", Wsae.WSAEMSGSIZE, "too large for the buffer, cut"),
    "a datagram too long": _of("sendto", Wsae.WSAEMSGSIZE, "larger than the transport's maximum"),
    "broadcast without SO_BROADCAST": _of("sendto", Wsae.WSAEACCES, "SO_BROADCAST was not set"),
    "a datagram to port 0": _of("sendto", Wsae.WSAEADDRNOTAVAIL, "no valid remote address"),
    "send of a datagram to nobody": _of("send", Wsae.WSAENOTCONN, "not connected"),
    "recv of a datagram unbound": _of("recv", Wsae.WSAEINVAL, "not bound"),
    "accept on a datagram socket": _of("accept", Wsae.WSAEOPNOTSUPP, "not a connection-oriented socket"),
    "recv after ICMP port unreachable, connected": _of(
        "recv", Wsae.WSAECONNRESET, "an earlier send met port unreachable"
    ),
    "recv after ICMP port unreachable, unconnected": _of(
        "recvfrom", Wsae.WSAECONNRESET, "an earlier send met port unreachable"
    ),
    "select without a socket": _of("select", Wsae.WSAEINVAL, "all three sets are null"),
    "select of a closed socket": _of("select", Wsae.WSAENOTSOCK, "a set has what is no socket"),
    "WSARecv overlapped, nothing came": _of("WSARecv", Wsae.WSA_IO_PENDING, "begun, completes later"),
    "its result, not waiting": _of("WSAGetOverlappedResult", Wsae.WSA_IO_INCOMPLETE, "not yet completed"),
    "its result after CancelIo": _of("WSARecv", Wsae.WSA_OPERATION_ABORTED, "cancelled"),
}
