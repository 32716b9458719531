"""wshtcpip.dll: AF_INET and AF_INET6 over TCP/IP's devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from protocols.apis.winsock.constants import Af, Io, IpOption, Leaf, Proto, Sock, Sol, TcpOption
from protocols.apis.winsock.errors import WinsockError, Wsae
from protocols.apis.winsock.helpers.contract import CatalogEntry, WinsockHelper
from protocols.interfaces.tdi.address import InternetAddress, Ip6Address, IpAddress, internet
from protocols.transports.tcpip.addresses import IPV4_BROADCAST, is_multicast
from protocols.transports.tcpip.tdi_edge.devices import RAWIP, TCP, UDP

if TYPE_CHECKING:
    from collections.abc import Mapping

    from protocols.apis.winsock.helpers.contract import Ask, HelpedProvider, HelpedSocket
    from protocols.interfaces.tdi.address import TdiAddress


def _protocols(family: Af, name: str) -> tuple[CatalogEntry, ...]:
    return (
        CatalogEntry(f"MSAFD Tcpip [TCP/{name}]", family, Sock.STREAM, Proto.TCP, TCP),
        CatalogEntry(f"MSAFD Tcpip [UDP/{name}]", family, Sock.DGRAM, Proto.UDP, UDP, 65467),
        CatalogEntry(f"MSAFD Tcpip [RAW/{name}]", family, Sock.RAW, 0, RAWIP, 32767),
    )


class TcpipHelper(WinsockHelper):
    """TCP/IP's rules: ports, groups, dual mode."""

    catalog = (*_protocols(Af.INET, "IP"), *_protocols(Af.INET6, "IPv6"))
    addresses: ClassVar[Mapping[int, type[TdiAddress]]] = {Af.INET: IpAddress, Af.INET6: Ip6Address}
    options: ClassVar[Mapping[tuple[int, int], str]] = {
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
        (Sol.TCP, TcpOption.KEEPINTVL): "keepalive_interval_s",
        (Sol.TCP, TcpOption.KEEPCNT): "keepalive_probes",
        (Sol.IPV6, IpOption.V6ONLY): "v6_only",
        (Sol.IPV6, IpOption.PKTINFO): "packet_info",
        (Sol.IPV6, IpOption.TTL): "ttl",
        (Sol.IPV6, IpOption.MULTICAST_TTL): "multicast_ttl",
        (Sol.IPV6, IpOption.MULTICAST_LOOP): "multicast_loop",
        (Sol.IPV6, IpOption.MULTICAST_IF): "multicast_interface",
        (Sol.IPV6, IpOption.ADD_MEMBERSHIP): "join",
        (Sol.IPV6, IpOption.DROP_MEMBERSHIP): "leave",
    }
    defaults: ClassVar[Mapping[str, object]] = {
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
        "keepalive_interval_s": 1,
        "keepalive_probes": 10,
    }
    family_defaults: ClassVar[Mapping[tuple[int, str], object]] = {(Af.INET6, "ttl"): 64}
    stream_defaults: ClassVar[Mapping[str, object]] = {"dont_fragment": 1}
    datagram_only = frozenset(
        {"packet_info", "join", "leave", "multicast_ttl", "multicast_loop", "multicast_interface"}
    )
    stream_only = frozenset({"no_delay", "keepalive_s", "keepalive_interval_s", "keepalive_probes"})

    def any_address(self, family: int) -> TdiAddress:
        """0.0.0.0 or ::, of any port."""
        return internet(bytes(16 if family == Af.INET6 else 4))

    def check_peer(self, socket: HelpedSocket, address: TdiAddress) -> None:
        """Refuse port 0, and for streams the unspecified address: WSAEADDRNOTAVAIL."""
        port = address.port if isinstance(address, InternetAddress) else 0
        if (socket.stream and address.is_any) or (not port and socket.kind != Sock.RAW):
            raise WinsockError(Wsae.WSAEADDRNOTAVAIL, "port 0, or any address")

    def check_option(self, socket: HelpedSocket, name: str, value: object) -> None:
        """Dual mode is decided before the bind; only groups are joined. WSAEINVAL."""
        if name == "v6_only" and (socket.bound or socket.family != Af.INET6):
            raise WinsockError(Wsae.WSAEINVAL, "IPV6_V6ONLY is for IPv6 sockets that are not bound yet")
        if name == "ttl" and not value:
            raise WinsockError(Wsae.WSAEINVAL, "no packet has 0 hops to go")
        of_family = 16 if socket.family == Af.INET6 else 4
        if name in ("join", "leave") and not (isinstance(value, tuple) and len(value[0]) == of_family):
            raise WinsockError(Wsae.WSAEINVAL, "a group of the other family")

    def ioctl(self, socket: HelpedSocket, code: int, argument: object, ask: Ask) -> Any:  # noqa: ANN401 - each code has its own
        """SIO_ADDRESS_LIST_QUERY, SIO_ROUTING_INTERFACE_QUERY, SIO_GET_BROADCAST_ADDRESS.

        WSAEFAULT: no address to ask about. WSAENETUNREACH: no way to it.
        """
        if code == Io.ADDRESS_LIST_QUERY:
            kind = self.addresses[socket.family]
            return [one for one in ask("addresses") if isinstance(one, kind)]
        if code == Io.ROUTING_INTERFACE_QUERY:
            if not isinstance(argument, InternetAddress):
                raise WinsockError(Wsae.WSAEFAULT, "SIO_ROUTING_INTERFACE_QUERY wants an address")
            self.check_address(socket.family, argument)
            return ask("source", remote=argument)
        if code == Io.GET_BROADCAST_ADDRESS and socket.family == Af.INET and not socket.stream:
            return internet(IPV4_BROADCAST)
        return super().ioctl(socket, code, argument, ask)

    def join_leaf(
        self, provider: HelpedProvider, socket: HelpedSocket, address: TdiAddress, flags: int
    ) -> None:
        """WSHJoinLeaf: become a receiver of a group, or send to it by ``send`` alone.

        WSAEINVAL: no JL_* flag, or no group. WSAEOPNOTSUPP: a stream has no leaves.
        """
        if socket.stream:
            raise WinsockError(Wsae.WSAEOPNOTSUPP, "a stream has no leaves")
        is_group = isinstance(address, InternetAddress) and is_multicast(address.address)
        if flags not in set(Leaf) or not isinstance(address, InternetAddress) or not is_group:
            raise WinsockError(Wsae.WSAEINVAL, "no group, or no JL_* flag")
        if flags == Leaf.SENDER_ONLY:
            provider.connect(socket, address)
            return
        if not socket.bound:
            provider.bind(socket, internet(bytes(len(address.address)), address.port))
        level = Sol.IPV6 if socket.family == Af.INET6 else Sol.IP
        provider.setsockopt(socket, level, IpOption.ADD_MEMBERSHIP, (address.address, address.interface))
