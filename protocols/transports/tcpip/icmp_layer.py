"""ICMP and ICMPv6 on a host: answers echo, sends errors within a rate, passes errors up.

Neighbour discovery and MLD hang their handlers into ``handlers6``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from formats.ipv4 import HEADER as IPV4_HEADER
from formats.ipv6 import HEADER as IPV6_HEADER
from formats.ipv6 import Ipv6Error, ParameterProblemError, walk
from formats.transport import ICMP, ICMPV6
from protocols.transports.tcpip import icmp, packet
from protocols.transports.tcpip.errors import NetworkError
from protocols.transports.tcpip.icmp import ErrorKind, ErrorReport, Message
from protocols.transports.tcpip.ip import SendOptions
from protocols.transports.tcpip.timers import SECOND

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocols.transports.tcpip.context import Context
    from protocols.transports.tcpip.interface import Interface
    from protocols.transports.tcpip.ip import Ip
    from protocols.transports.tcpip.link import TxFrame
    from protocols.transports.tcpip.packet import Packet


class IcmpLayer:
    """Transport for protocols 1 and 58."""

    def __init__(self, context: Context, ip: Ip) -> None:
        """Hang in under IP for both protocols and as the one who complains."""
        self._context = context
        self._ip = ip
        self._tokens = context.config.icmp_errors_per_second
        self._refilled = context.now
        self.handlers6: dict[int, Callable[[Packet, Message], None]] = {}
        self.echo_replies: Callable[[Packet, Message], None] | None = None
        self.echo_errors: Callable[[ErrorReport], None] | None = None
        ip.transports[ICMP] = self
        ip.transports[ICMPV6] = self
        ip.complain = self.complain

    def receive(self, about: Packet) -> None:
        """Handle an ICMP or ICMPv6 packet."""
        count = self._context.counters
        version = about.version
        if (about.protocol == ICMPV6) != (version == 6):
            count["icmp.in_errors"] += 1
            return
        message = icmp.parse(about.payload, about.source, about.destination, verified=about.l4_verified)
        if message is None:
            count[f"icmpv{version}.in_errors"] += 1
            return
        count[f"icmpv{version}.in_messages"] += 1
        if version == 4:
            self._receive4(about, message)
        else:
            self._receive6(about, message)

    def icmp_error(self, report: ErrorReport) -> None:
        """Pass an error about one of our echo requests on."""
        if self.echo_errors is not None:
            self.echo_errors(report)

    def complain(self, about: Packet, kind: ErrorKind, value: int) -> None:
        """Answer a packet with an error; ``value`` is an MTU or a pointer."""
        if not icmp.may_answer(about) or not self._take_token():
            return
        v4 = about.version == 4
        type_, code = icmp.ON_WIRE[kind].v4 if v4 else icmp.ON_WIRE[kind].v6
        try:
            source = about.destination if self._ip.paths.is_local(about.destination) else None
            path = self._ip.resolve(about.source, source)
        except NetworkError:
            return
        if v4:
            rest = value << 24 if kind is ErrorKind.PARAMETER else value
            body = icmp.build4(type_, code, rest, about.raw[: icmp.QUOTE_4])
        else:
            body = icmp.build6(type_, code, value, about.raw[: icmp.QUOTE_6], (path.source, path.destination))
        classification = self._context.classification
        if classification is not None and not classification.outbound_error(
            path, ICMP if v4 else ICMPV6, body
        ):
            return
        self._context.counters[f"icmp.out_{kind.name.lower()}"] += 1
        self._ip.send(path, ICMP if v4 else ICMPV6, body, [])

    def _take_token(self) -> bool:
        rate = self._context.config.icmp_errors_per_second
        elapsed = self._context.now - self._refilled
        earned = elapsed * rate // SECOND
        if earned:
            self._tokens = min(rate, self._tokens + earned)
            self._refilled = self._context.now
        if not self._tokens:
            self._context.counters["icmp.out_rate_limited"] += 1
            return False
        self._tokens -= 1
        return True

    def _receive4(self, about: Packet, message: Message) -> None:
        if message.kind == icmp.ECHO_REQUEST:
            self._echo(about, message)
        elif message.kind == icmp.ECHO_REPLY:
            if self.echo_replies is not None:
                self.echo_replies(about, message)
        elif (message.kind, message.code) in icmp.KIND_4:
            self._report4(about, message, icmp.KIND_4[message.kind, message.code])

    def _receive6(self, about: Packet, message: Message) -> None:
        if message.kind == icmp.ECHO_REQUEST_6:
            self._echo(about, message)
        elif message.kind == icmp.ECHO_REPLY_6:
            if self.echo_replies is not None:
                self.echo_replies(about, message)
        elif (message.kind, message.code) in icmp.KIND_6:
            self._report6(about, message, icmp.KIND_6[message.kind, message.code])
        elif message.kind in self.handlers6:
            self.handlers6[message.kind](about, message)

    def _echo(self, about: Packet, message: Message) -> None:
        # RFC 1122 3.2.2.6 lets a host ignore echo to broadcast and multicast in IPv4: it is a
        # classic amplifier. RFC 4443 4.2 wants multicast echo answered in IPv6.
        v4 = about.version == 4
        unicast = self._ip.paths.is_local(about.destination)
        if v4 and not unicast:
            return
        try:
            path = self._ip.resolve(
                about.source,
                about.destination if unicast else None,
                None if about.interface.loopback else about.interface,
            )
            if v4:
                reply = icmp.build4(icmp.ECHO_REPLY, 0, message.rest, message.body)
            else:
                reply = icmp.build6(
                    icmp.ECHO_REPLY_6, 0, message.rest, message.body, (path.source, path.destination)
                )
            options = SendOptions(tos=about.tos)
            self._ip.send(path, about.protocol, reply, [], options)
        except NetworkError:
            self._context.counters["icmp.out_errors"] += 1

    def _report4(self, about: Packet, message: Message, kind: ErrorKind) -> None:
        body = message.body
        if len(body) < 28 or body[0] >> 4 != 4 or len(body) < (body[0] & 15) * 4 + 8:
            self._context.counters["icmpv4.in_errors"] += 1
            return
        _, _, total, _, word, _, protocol, _, source, destination = IPV4_HEADER.unpack_from(body)
        if word & 0x1FFF or (body[0] & 15) < 5:
            return
        self._pass(
            about,
            ErrorReport(
                kind,
                about.source,
                source,
                destination,
                protocol,
                body[(body[0] & 15) * 4 :],
                message.rest & 0xFFFF if kind is ErrorKind.TOO_BIG else 0,
                total,
            ),
        )

    def _report6(self, about: Packet, message: Message, kind: ErrorKind) -> None:
        body = message.body
        if len(body) < 48 or body[0] >> 4 != 6:
            self._context.counters["icmpv6.in_errors"] += 1
            return
        _, size, next_header, _, source, destination = IPV6_HEADER.unpack_from(body)
        try:
            chain = walk(body, next_header)
        except (Ipv6Error, ParameterProblemError):
            return
        if len(body) < chain.offset + 8 or (chain.fragment and chain.fragment.offset):
            return
        self._pass(
            about,
            ErrorReport(
                kind,
                about.source,
                source,
                destination,
                chain.protocol,
                body[chain.offset :],
                message.rest if kind is ErrorKind.TOO_BIG else 0,
                size + 40,
            ),
        )

    def _pass(self, about: Packet, report: ErrorReport) -> None:
        # Only errors about packets that we can have sent are believed.
        transport = self._ip.transports.get(report.protocol)
        if transport is None or not self._ip.paths.is_local(report.source):
            self._context.counters["icmp.in_lies"] += 1
            return
        classification = self._context.classification
        if classification is not None and not classification.inbound_error(about):
            return
        transport.icmp_error(report)

    def own_packet_failed(self, interface: Interface, frame: TxFrame) -> None:
        """Report that a neighbour does not answer: to our transport, or to whom we forward for."""
        raw = memoryview(frame.data())
        v4 = raw[0] >> 4 == 4
        fixed = 20 if v4 else 40
        if len(raw) < fixed + 8:
            return
        source = bytes(raw[12:16] if v4 else raw[8:24])
        destination = bytes(raw[16:20] if v4 else raw[24:40])
        protocol = raw[9] if v4 else raw[6]
        header = (raw[0] & 15) * 4 if v4 else 40
        if self._ip.paths.is_local(source):
            transport = self._ip.transports.get(protocol)
            if transport is not None:
                kind = ErrorKind.HOST_UNREACHABLE
                report = ErrorReport(kind, source, source, destination, protocol, raw[header:], 0, len(raw))
                transport.icmp_error(report)
            return
        about = packet.Packet(interface, source, destination, protocol, payload=raw[header:], raw=raw)
        self.complain(about, ErrorKind.HOST_UNREACHABLE, 0)
