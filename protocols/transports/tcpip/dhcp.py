"""DHCP client of one interface (RFC 2131 4.4), with conflict detection and lease renewal.

While no server answers, ``LinkLocal`` gives the interface a 169.254 address, and discovery goes on.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from protocols.transports.tcpip import addresses
from protocols.transports.tcpip import dhcp_message as dhcp
from protocols.transports.tcpip.addresses import Prefix
from protocols.transports.tcpip.dhcp_message import DhcpMessage
from protocols.transports.tcpip.errors import NetworkError
from protocols.transports.tcpip.interface import InterfaceAddress
from protocols.transports.tcpip.paths import Path
from protocols.transports.tcpip.routes import Route
from protocols.transports.tcpip.timers import MILLISECOND, SECOND

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocols.transports.tcpip.context import Context
    from protocols.transports.tcpip.interface import Interface
    from protocols.transports.tcpip.ip import Ip
    from protocols.transports.tcpip.link_local import LinkLocal
    from protocols.transports.tcpip.udp import Datagram, Udp, UdpEndpoint

CLIENT_PORT = 68
SERVER_PORT = 67
FIRST_RETRY = 4 * SECOND
MAX_RETRY = 64 * SECOND
FALLBACK_AFTER = 3  # unanswered discovers
MAX_REQUESTS = 4
PROBE_WAIT = 500 * MILLISECOND
DECLINE_WAIT = 10 * SECOND  # RFC 2131 3.1 step 5
SHORTEST_RENEWAL = 60 * SECOND  # RFC 2131 4.4.5
INFINITE = 0xFFFFFFFF
WANTED = bytes((dhcp.SUBNET_MASK, dhcp.ROUTER, dhcp.DNS_SERVERS, dhcp.DOMAIN_NAME, dhcp.T1, dhcp.T2))


class DhcpState(enum.Enum):
    """The states of RFC 2131 figure 5 (INIT-REBOOT is left out: nothing is kept over a restart)."""

    INIT = enum.auto()
    SELECTING = enum.auto()
    REQUESTING = enum.auto()
    PROBING = enum.auto()  # checking by ARP, before use
    BOUND = enum.auto()
    RENEWING = enum.auto()
    REBINDING = enum.auto()


class DhcpClient:
    """Keeps an interface configured. ``add`` and ``remove`` change its address."""

    def __init__(
        self,
        context: Context,
        udp: Udp,
        ip: Ip,
        interface: Interface,
        *,
        fallback: LinkLocal,
        add: Callable[[InterfaceAddress], None],
        remove: Callable[[bytes], None],
    ) -> None:
        """Open port 68 on the interface."""
        self._context = context
        self._udp = udp
        self._ip = ip
        self._interface = interface
        self._fallback = fallback
        self._add = add
        self._remove = remove
        self.state = DhcpState.INIT
        self.lease: DhcpMessage | None = None
        self.server: bytes | None = None
        self.lease_until: int | None = None
        self.dns_servers: list[bytes] = []
        self.domain = ""
        self._offer: DhcpMessage | None = None
        self._xid = 0
        self._tries = 0
        self._began = 0
        self._rebind_at = 0
        self._timer = context.timers.timer(self._tick)
        self._expiry = context.timers.timer(self._expired)
        self._endpoint: UdpEndpoint = udp.bind(None, CLIENT_PORT, self._receive, share=True)
        self._endpoint.interface = interface

    @property
    def address(self) -> bytes | None:
        """The leased address."""
        return self.lease.your if self.lease else None

    def start(self) -> None:
        """Begin (again) to look for a server."""
        self._forget()
        self.state = DhcpState.SELECTING
        self._xid = self._context.random(32)
        self._tries = 0
        self._began = self._context.now
        self._timer.start(self._context.random(30))  # RFC 2131 4.4.1: up to a second or so

    def release(self) -> None:
        """Give the address back (``ipconfig /release``)."""
        if self.lease is not None and self.server is not None:
            message = self._message(dhcp.RELEASE)
            message.client = self.lease.your
            message.options[dhcp.SERVER_ID] = self.server
            self._unicast(message)
        self._forget()
        self._fallback.stop()
        self.state = DhcpState.INIT

    def close(self) -> None:
        """Stop for good."""
        self.release()
        self._endpoint.close()

    def _tick(self) -> None:
        match self.state:
            case DhcpState.SELECTING:
                self._discover()
            case DhcpState.REQUESTING:
                self._request()
            case DhcpState.PROBING:
                self._bind()
            case DhcpState.BOUND | DhcpState.RENEWING | DhcpState.REBINDING:
                self._renew()
            case DhcpState.INIT:
                self.start()

    def _retry(self) -> None:
        base = min(FIRST_RETRY << max(0, self._tries - 1), MAX_RETRY)
        jitter = self._context.random(31) % (2 * SECOND) - SECOND  # RFC 2131 4.1
        self._timer.start(base + jitter)

    def _discover(self) -> None:
        if self._tries >= FALLBACK_AFTER and not self._fallback.active:
            self._fallback.start()
        self._tries += 1
        self._broadcast(self._message(dhcp.DISCOVER))
        self._retry()

    def _request(self) -> None:
        offer = self._offer
        if offer is None or self._tries >= MAX_REQUESTS:
            self.start()
            return
        self._tries += 1
        message = self._message(dhcp.REQUEST)
        message.options[dhcp.REQUESTED_ADDRESS] = offer.your
        message.options[dhcp.SERVER_ID] = offer.options[dhcp.SERVER_ID]
        self._broadcast(message)
        self._retry()

    def _renew(self) -> None:
        lease = self.lease
        if lease is None or self.lease_until is None:
            return
        now = self._context.now
        message = self._message(dhcp.REQUEST)
        message.client = lease.your
        if now < self._rebind_at:
            if self.state is DhcpState.BOUND:
                self._xid = message.xid = self._context.random(32)
                self._began = now
            self.state = DhcpState.RENEWING
            self._unicast(message)
            left = self._rebind_at - now
        else:
            self.state = DhcpState.REBINDING
            self._broadcast(message)
            left = self.lease_until - now
        # RFC 2131 4.4.5: half of what is left, but not below a minute.
        self._timer.start(max(left // 2, min(left + 1, SHORTEST_RENEWAL)))

    def _receive(self, datagram: Datagram) -> None:
        message = dhcp.parse(datagram.data)
        if (
            message is None
            or datagram.source_port != SERVER_PORT
            or message.op != dhcp.REPLY_OP
            or message.xid != self._xid
            or message.mac != self._interface.mac
        ):
            return
        waiting = self.state in (DhcpState.REQUESTING, DhcpState.RENEWING, DhcpState.REBINDING)
        if message.kind == dhcp.OFFER and self.state is DhcpState.SELECTING:
            self._take_offer(message)
        elif message.kind == dhcp.ACK and waiting:
            self._take_ack(message)
        elif message.kind == dhcp.NAK and waiting:
            self._context.counters["dhcp.naks"] += 1
            self.start()

    def _take_offer(self, message: DhcpMessage) -> None:
        if message.address(dhcp.SERVER_ID) is None or not _usable(message.your):
            return
        self._offer = message
        self.state = DhcpState.REQUESTING
        self._tries = 0
        self._request()

    def _take_ack(self, message: DhcpMessage) -> None:
        lease_time = message.number(dhcp.LEASE_TIME)
        if not lease_time or not _usable(message.your):
            return
        if self.state is DhcpState.REQUESTING:
            if self._offer is None or message.your != self._offer.your:
                return
            self._offer = message
            self.state = DhcpState.PROBING
            arp = self._ip.arp[self._interface.index]
            arp.watch(message.your, lambda _mac: self._conflict(message))
            arp.probe(message.your)
            self._timer.start(PROBE_WAIT)
            return
        if self.lease is None or message.your != self.lease.your:
            return
        self._accept(message, lease_time)

    def _conflict(self, message: DhcpMessage) -> None:
        self._context.counters["dhcp.conflicts"] += 1
        self._ip.arp[self._interface.index].unwatch(message.your)
        decline = self._message(dhcp.DECLINE)
        decline.options[dhcp.REQUESTED_ADDRESS] = message.your
        server = message.address(dhcp.SERVER_ID)
        if server is not None:
            decline.options[dhcp.SERVER_ID] = server
        self._broadcast(decline)
        self._forget()
        self.state = DhcpState.INIT
        self._timer.start(DECLINE_WAIT)

    def _bind(self) -> None:
        offer = self._offer
        lease_time = offer.number(dhcp.LEASE_TIME) if offer else None
        if offer is None or not lease_time:
            self.start()
            return
        arp = self._ip.arp[self._interface.index]
        arp.unwatch(offer.your)
        self._fallback.stop()
        mask = offer.address(dhcp.SUBNET_MASK) or b"\xff\xff\xff\x00"
        self._add(InterfaceAddress(offer.your, mask_length(mask), origin="dhcp"))
        arp.announce(offer.your)
        for router in offer.address_list(dhcp.ROUTER)[:1]:
            default = Prefix(bytes(4), 0)
            self._ip.routes.add(Route(default, self._interface, router, origin="dhcp"))
        self._context.counters["dhcp.bound"] += 1
        self._accept(offer, lease_time)

    def _accept(self, message: DhcpMessage, lease_time: int) -> None:
        now = self._context.now
        self.state = DhcpState.BOUND
        self.lease = message
        self.server = message.address(dhcp.SERVER_ID) or self.server
        self.dns_servers = message.address_list(dhcp.DNS_SERVERS)[:4]
        self.domain = message.options.get(dhcp.DOMAIN_NAME, b"").rstrip(b"\0").decode("ascii", "replace")
        self._offer = None
        if lease_time == INFINITE:
            self.lease_until = None
            self._timer.stop()
            self._expiry.stop()
            return
        t1 = message.number(dhcp.T1) or lease_time // 2
        t2 = message.number(dhcp.T2) or lease_time * 7 // 8
        if not 0 < t1 < t2 < lease_time:
            t1, t2 = lease_time // 2, lease_time * 7 // 8
        self.lease_until = now + lease_time * SECOND
        self._rebind_at = now + t2 * SECOND
        self._timer.start(t1 * SECOND)
        self._expiry.start(lease_time * SECOND)

    def _expired(self) -> None:
        self._context.counters["dhcp.expired"] += 1
        self.start()

    def _forget(self) -> None:
        self._timer.stop()
        self._expiry.stop()
        if self.lease is not None:
            self._ip.routes.remove_origin(self._interface, "dhcp")
            self._remove(self.lease.your)
        self.lease = None
        self._offer = None
        self.dns_servers = []

    def _message(self, kind: int) -> DhcpMessage:
        message = DhcpMessage(dhcp.REQUEST_OP, self._xid, self._interface.mac)
        message.seconds = min(0xFFFF, (self._context.now - self._began) // SECOND)
        message.options[dhcp.MESSAGE_TYPE] = bytes((kind,))
        message.options[dhcp.CLIENT_ID] = b"\x01" + self._interface.mac
        if kind in (dhcp.DISCOVER, dhcp.REQUEST):
            message.options[dhcp.PARAMETERS] = WANTED
            message.options[dhcp.MAX_SIZE] = (1472).to_bytes(2)
        return message

    def _broadcast(self, message: DhcpMessage) -> None:
        if self.lease is None:
            # Until we have an address, only a broadcast reaches us whatever else is configured.
            message.flags = dhcp.BROADCAST_FLAG
        to = addresses.IPV4_BROADCAST
        source = self.lease.your if self.lease else addresses.IPV4_ANY
        path = Path(self._interface, source, to, to, self._ip.paths.generation)
        self._udp.transmit(path, CLIENT_PORT, SERVER_PORT, message.build())

    def _unicast(self, message: DhcpMessage) -> None:
        if self.lease is None or self.server is None:
            return
        try:
            path = self._ip.resolve(self.server, self.lease.your)
            self._udp.transmit(path, CLIENT_PORT, SERVER_PORT, message.build())
        except NetworkError:
            self._context.counters["dhcp.out_errors"] += 1


def mask_length(mask: bytes) -> int:
    """Return the prefix length of a subnet mask (the number of leading ones)."""
    return f"{int.from_bytes(mask):032b}0".index("0")


def _usable(address: bytes) -> bool:
    return addresses.is_valid_source(address) and not addresses.is_unspecified(address)
