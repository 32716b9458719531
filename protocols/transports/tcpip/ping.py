"""Echo requests (``ping``) and hop-limited ones (``tracert``); RFC 792, RFC 4443 4.1."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from formats.transport import ICMP, ICMPV6
from protocols.transports.tcpip import icmp
from protocols.transports.tcpip.ip import SendOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocols.transports.tcpip.context import Context
    from protocols.transports.tcpip.icmp import ErrorKind, ErrorReport, Message
    from protocols.transports.tcpip.icmp_layer import IcmpLayer
    from protocols.transports.tcpip.ip import Ip
    from protocols.transports.tcpip.packet import Packet
    from protocols.transports.tcpip.timers import Timer


class EchoResult(NamedTuple):
    """How an echo request ended: ``error`` None and ``source`` set for a reply.

    ``source`` None: nothing came in time. ``rtt`` in nanoseconds.
    """

    source: bytes | None
    rtt: int
    ttl: int
    data: bytes
    error: ErrorKind | None


class Pinger:
    """Outstanding echo requests of a host."""

    def __init__(self, context: Context, ip: Ip, icmp_layer: IcmpLayer) -> None:
        """Take ICMP's echo replies and errors."""
        self._context = context
        self._ip = ip
        self._sequence = 0
        self._identifier = context.random(16)
        self._waiting: dict[int, tuple[int, Timer, Callable[[EchoResult], None]]] = {}
        icmp_layer.echo_replies = self._reply
        icmp_layer.echo_errors = self._error

    def ping(
        self,
        destination: bytes,
        on_result: Callable[[EchoResult], None],
        *,
        data: bytes = b"abcdefghijklmnopqrstuvwabcdefghi",
        timeout: int = 4_000_000_000,
        ttl: int = 0,
        source: bytes | None = None,
        dont_fragment: bool = False,
    ) -> None:
        """Send one request; ``on_result`` is called once. NetworkError when it cannot be sent."""
        self._context.catch_up()
        path = self._ip.resolve(destination, source)
        self._sequence = (self._sequence + 1) & 0xFFFF
        sequence = self._sequence
        rest = self._identifier << 16 | sequence
        if len(destination) == 4:
            raw = icmp.build4(icmp.ECHO_REQUEST, 0, rest, data)
            protocol = ICMP
        else:
            raw = icmp.build6(icmp.ECHO_REQUEST_6, 0, rest, data, (path.source, destination))
            protocol = ICMPV6
        timer = self._context.timers.timer(
            lambda: self._finish(sequence, EchoResult(None, timeout, 0, b"", None))
        )
        options = SendOptions(ttl=ttl, dont_fragment=dont_fragment)
        self._ip.send(path, protocol, raw, [], options)
        self._waiting[sequence] = (self._context.now, timer, on_result)
        timer.start(timeout)

    def _reply(self, about: Packet, message: Message) -> None:
        if message.rest >> 16 == self._identifier:
            self._end(message.rest & 0xFFFF, about.source, about.ttl, bytes(message.body), None)

    def _error(self, report: ErrorReport) -> None:
        if report.kind is icmp.ErrorKind.TOO_BIG:
            self._ip.paths.lower_mtu(report.destination, report.mtu, report.packet_bytes)
        kind, _, _, rest = icmp.HEADER.unpack_from(report.quoted)
        if kind in (icmp.ECHO_REQUEST, icmp.ECHO_REQUEST_6) and rest >> 16 == self._identifier:
            self._end(rest & 0xFFFF, report.reporter, 0, b"", report.kind)

    def _end(self, sequence: int, source: bytes, ttl: int, data: bytes, error: ErrorKind | None) -> None:
        if sequence in self._waiting:
            rtt = self._context.now - self._waiting[sequence][0]
            self._finish(sequence, EchoResult(source, rtt, ttl, data, error))

    def _finish(self, sequence: int, result: EchoResult) -> None:
        _, timer, on_result = self._waiting.pop(sequence)
        timer.stop()
        on_result(result)
