"""Link-Local Multicast Name Resolution (RFC 4795): asks for single labels, answers for ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocols.transports.tcpip import dns_message as dns
from protocols.transports.tcpip.errors import NetworkError
from protocols.transports.tcpip.timers import MILLISECOND

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocols.transports.tcpip.context import Context
    from protocols.transports.tcpip.interface import Interface
    from protocols.transports.tcpip.timers import Timer
    from protocols.transports.tcpip.udp import Datagram, Udp, UdpEndpoint

PORT = 5355
GROUP_4 = b"\xe0\x00\x00\xfc"
GROUP_6 = b"\xff\x02" + bytes(11) + b"\x01\x00\x03"
TRIES = 3
TIMEOUT = 100 * MILLISECOND  # JITTER_INTERVAL on IEEE 802 networks (RFC 4795 7)
ANSWER_TTL = 30


class Llmnr:
    """Responder and resolver of a host."""

    def __init__(self, context: Context, udp: Udp, interfaces: list[Interface], host_name: str) -> None:
        self._context = context
        self._udp = udp
        self._interfaces = interfaces
        self.host_name = host_name.lower()
        self._endpoints: dict[int, list[UdpEndpoint]] = {}

    def start(self, interface: Interface) -> None:
        """Answer questions for our name that come from an interface."""
        if interface.index in self._endpoints:
            return
        opened = []
        for version, group in ((4, GROUP_4), (6, GROUP_6)):
            if version == 6 and not self._context.config.ipv6:
                continue
            local = None if version == 4 else bytes(16)
            endpoint = self._udp.bind(local, PORT, lambda d: self._answer(interface, d), share=True)
            endpoint.interface = interface
            endpoint.join(group, interface)
            opened.append(endpoint)
        self._endpoints[interface.index] = opened

    def stop(self, interface: Interface) -> None:
        """Answer no longer."""
        for endpoint in self._endpoints.pop(interface.index, ()):
            endpoint.close()

    def resolve(self, name: str, on_addresses: Callable[[list[bytes]], None]) -> None:
        """Ask all links for a name; the callback gets the addresses of the first who answers."""
        self._context.catch_up()
        _Question(self._context, self._udp, self._interfaces, name.rstrip(".").lower(), on_addresses)

    def _answer(self, interface: Interface, datagram: Datagram) -> None:
        try:
            asked = dns.parse(datagram.data)
        except dns.DnsError:
            return
        # RFC 4795 2.1.1: silently ignore responses, other opcodes, C, TC, and other names.
        if asked.flags & 0xFE00 or asked.name != self.host_name or asked.answers:
            return
        sizes = {dns.A: 4, dns.AAAA: 16}
        size = sizes.get(asked.kind)
        records = [
            (asked.kind, entry.address)
            for entry in interface.addresses.values()
            if entry.usable and len(entry.address) == size
        ]
        raw = dns.response(asked, records, ANSWER_TTL)
        for endpoint in self._endpoints[interface.index]:
            if (endpoint.local is None) == (len(datagram.source) == 4):
                try:
                    endpoint.send(raw, datagram.source, datagram.source_port)
                except NetworkError:
                    self._context.counters["llmnr.out_errors"] += 1


class _Question:
    """One name asked for on every interface and version."""

    def __init__(
        self,
        context: Context,
        udp: Udp,
        interfaces: list[Interface],
        name: str,
        on_addresses: Callable[[list[bytes]], None],
    ) -> None:
        self._context = context
        self._interfaces = [i for i in interfaces if i.up and not i.loopback]
        self._name = name
        self._on_addresses = on_addresses
        self._ident = context.random(16)
        self._tries = 0
        self._found: list[bytes] = []
        self._endpoint = udp.bind(None, 0, self._receive)
        self._timer: Timer = context.timers.timer(self._tick)
        self._tick()

    def _tick(self) -> None:
        if self._tries >= TRIES or self._found:
            self._endpoint.close()
            self._on_addresses(self._found)
            return
        self._tries += 1
        self._timer.start(TIMEOUT * (2 if self._tries == TRIES else 1))
        try:
            questions = [
                (kind, dns.query(self._ident, self._name, kind, recurse=False)) for kind in (dns.A, dns.AAAA)
            ]
        except dns.DnsError:
            self._tries = TRIES
            return
        for interface in self._interfaces:
            self._endpoint.multicast_interface = interface
            for kind, raw in questions:
                group = GROUP_4 if kind == dns.A else GROUP_6
                self._send(raw, group)

    def _send(self, raw: bytes, group: bytes) -> None:
        try:
            self._endpoint.send(raw, group, PORT)
        except NetworkError:
            self._context.counters["llmnr.out_errors"] += 1

    def _receive(self, datagram: Datagram) -> None:
        try:
            answer = dns.parse(datagram.data)
        except dns.DnsError:
            return
        if (
            answer.ident != self._ident
            or datagram.source_port != PORT
            or not answer.flags & dns.RESPONSE
            or answer.name != self._name
        ):
            return
        sizes = {dns.A: 4, dns.AAAA: 16}
        for record in answer.answers:
            if record.name == self._name and len(record.data) == sizes.get(record.kind):
                self._found.append(record.data)
        if self._found:
            self._timer.start_unless_running(0)
