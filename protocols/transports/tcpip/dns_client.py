"""A stub resolver: UDP with retries over the servers, TCP when an answer is cut off, and a cache.

Sources: RFC 1035 7, RFC 5452 (random port and identifier, question compared), RFC 7766, RFC 2308.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from protocols.transports.tcpip import dns_message as dns
from protocols.transports.tcpip.errors import NetworkError
from protocols.transports.tcpip.tcp.connection import ConnectionHandler
from protocols.transports.tcpip.timers import SECOND

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocols.transports.tcpip.context import Context
    from protocols.transports.tcpip.dns_message import DnsMessage
    from protocols.transports.tcpip.errors import Failure
    from protocols.transports.tcpip.tcp.connection import Connection
    from protocols.transports.tcpip.tcp.service import Tcp
    from protocols.transports.tcpip.udp import Datagram, Udp, UdpEndpoint

PORT = 53
TIMEOUTS = (1 * SECOND, 2 * SECOND, 4 * SECOND)
TCP_TIMEOUT = 10 * SECOND
MAX_CACHE = 1024
MAX_CHAIN = 8  # of CNAMEs
MAX_TTL = 86400
NEGATIVE_TTL = 30


class Cached(NamedTuple):
    """An answer and when it is too old."""

    addresses: list[bytes]
    until: int


class DnsClient:
    """Looks up host addresses. ``servers`` is the list set by hand."""

    def __init__(self, context: Context, udp: Udp, tcp: Tcp) -> None:
        """Start with an empty cache."""
        self._context = context
        self._udp = udp
        self._tcp = tcp
        self.servers: list[bytes] = []
        self.cache: dict[tuple[str, int], Cached] = {}

    def resolve(
        self,
        name: str,
        on_addresses: Callable[[list[bytes]], None],
        servers: list[bytes],
        kinds: tuple[int, ...] = (dns.A, dns.AAAA),
    ) -> None:
        """Look up all ``kinds``; the callback gets the addresses in their order, or nothing."""
        self._context.catch_up()
        name = name.rstrip(".").lower()
        found: dict[int, list[bytes]] = {}

        def collect(kind: int, addresses: list[bytes]) -> None:
            found[kind] = addresses
            if len(found) == len(kinds):
                on_addresses([a for k in kinds for a in found[k]])

        for kind in kinds:
            self._one(name, kind, collect, servers)

    def _one(
        self,
        name: str,
        kind: int,
        collect: Callable[[int, list[bytes]], None],
        servers: list[bytes],
    ) -> None:
        cached = self.cache.get((name, kind))
        if cached is not None and cached.until > self._context.now:
            collect(kind, cached.addresses)
            return
        try:
            dns.encode_name(name)
        except dns.DnsError:
            collect(kind, [])
            return
        _Lookup(
            self._context,
            self._udp,
            self._tcp,
            self._store,
            servers=servers,
            name=name,
            kind=kind,
            collect=collect,
        )

    def _store(self, name: str, kind: int, addresses: list[bytes], ttl: int) -> None:
        if len(self.cache) >= MAX_CACHE:
            self.cache.pop(next(iter(self.cache)))
        until = self._context.now + min(ttl, MAX_TTL) * SECOND
        self.cache[name, kind] = Cached(addresses, until)


class _Lookup(ConnectionHandler):
    """One question to the servers in turn."""

    def __init__(
        self,
        context: Context,
        udp: Udp,
        tcp: Tcp,
        store: Callable[[str, int, list[bytes], int], None],
        *,
        servers: list[bytes],
        name: str,
        kind: int,
        collect: Callable[[int, list[bytes]], None],
    ) -> None:
        self._context = context
        self._udp = udp
        self._tcp = tcp
        self._store = store
        self._servers = servers
        self._name = name
        self._kind = kind
        self._collect = collect
        self._try = 0
        self._ident = 0
        self._server = b""
        self._endpoint: UdpEndpoint | None = None
        self._connection: Connection | None = None
        self._stream = b""
        self._timer = context.timers.timer(self._next)
        self._next()

    def _next(self) -> None:
        self._close()
        if self._try >= len(TIMEOUTS) * len(self._servers):
            self._finish([])
            return
        self._server = self._servers[self._try % len(self._servers)]
        timeout = TIMEOUTS[self._try // len(self._servers)]
        self._try += 1
        self._ident = self._context.random(16)
        self._timer.start(timeout)
        self._context.counters["dns.queries"] += 1
        try:
            # A fresh port for every question: RFC 5452 9.2.
            self._endpoint = self._udp.bind(None, 0, self._on_datagram)
            self._endpoint.on_error = lambda _report: self._timer.start(0)
            self._endpoint.connect(self._server, PORT)
            self._endpoint.send(dns.query(self._ident, self._name, self._kind))
        except NetworkError:
            self._timer.start(0)

    def _on_datagram(self, datagram: Datagram) -> None:
        answer = self._matching(bytes(datagram.data))
        if answer is None:
            self._context.counters["dns.mismatches"] += 1
        elif answer.flags & dns.TRUNCATED:
            self._ask_by_tcp()
        else:
            self._take(answer)

    def _matching(self, raw: bytes) -> DnsMessage | None:
        try:
            answer = dns.parse(raw)
        except dns.DnsError:
            return None
        if answer.ident != self._ident or not answer.flags & dns.RESPONSE:
            return None
        return answer if (answer.name, answer.kind) == (self._name, self._kind) else None

    def _take(self, answer: DnsMessage) -> None:
        if answer.rcode not in (0, dns.NAME_ERROR):
            self._timer.start(0)  # the next server may know
            return
        found, ttl = _follow(answer, self._name, self._kind)
        if not found:
            soa = [dns.soa_minimum(r) for r in answer.authorities if r.kind == dns.SOA]
            ttl = min(soa, default=NEGATIVE_TTL)
        self._store(self._name, self._kind, found, ttl)
        self._finish(found)

    def _ask_by_tcp(self) -> None:
        self._context.counters["dns.tcp_queries"] += 1
        self._close()
        self._timer.start(TCP_TIMEOUT)
        self._stream = b""
        try:
            self._connection = self._tcp.connect(self._server, PORT, self)
        except NetworkError:
            self._timer.start(0)

    def connected(self, connection: Connection) -> None:
        """Ask again, with a length in front (RFC 1035 4.2.2)."""
        raw = dns.query(self._ident, self._name, self._kind)
        connection.send(len(raw).to_bytes(2) + raw)

    def readable(self, connection: Connection) -> None:
        """Gather the answer."""
        self._stream += connection.receive()
        size = int.from_bytes(self._stream[:2])
        if len(self._stream) < 2 + size or len(self._stream) < 2:
            return
        answer = self._matching(self._stream[2 : 2 + size])
        if answer is None:
            self._timer.start(0)
        else:
            self._take(answer)

    def closed(self, connection: Connection, failure: Failure | None) -> None:
        """Try the next server when this one hangs up without an answer."""
        del failure
        if connection is self._connection:
            self._connection = None
            self._timer.start(0)

    def _close(self) -> None:
        self._timer.stop()
        if self._endpoint is not None:
            self._endpoint.close()
            self._endpoint = None
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()

    def _finish(self, addresses: list[bytes]) -> None:
        self._close()
        self._collect(self._kind, addresses)


def _follow(answer: DnsMessage, name: str, kind: int) -> tuple[list[bytes], int]:
    """Walk the CNAMEs of an answer to its addresses; return them and the smallest TTL."""
    ttl = MAX_TTL
    size = 4 if kind == dns.A else 16
    for _ in range(MAX_CHAIN):
        found = [r for r in answer.answers if r.name == name and r.kind == kind]
        if found:
            data = [r.data for r in found if len(r.data) == size]
            return data, min([ttl, *(r.ttl for r in found)])
        alias = next((r for r in answer.answers if r.name == name and r.kind == dns.CNAME), None)
        if alias is None:
            break
        ttl = min(ttl, alias.ttl)
        name = alias.target
    return [], 0
