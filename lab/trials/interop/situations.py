"""What our Winsock answers in each situation of ``winsock/situations.c``: the same calls in its order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ntos.executive.dispatcher import Event
from protocols.apis.win32.overlapped import Overlapped
from protocols.apis.winsock.constants import Af, Io, IpOption, Msg, Proto, Shut, So, Sock, Sol
from protocols.apis.winsock.errors import WinsockError
from protocols.interfaces.tdi.address import IpxAddress, internet
from protocols.transports.tcpip.addresses import parse

if TYPE_CHECKING:
    from collections.abc import Callable

CLOSED, LOCAL = 4999, 5101
ANY = bytes(4)
SECOND = 1_000_000_000


class Situations:
    """One process, one run of all situations. ``answers`` has a code for each, 0 where the call succeeded."""

    def __init__(self, winsock: Any, host: str, port: int, nobody: str) -> None:  # noqa: ANN401 - Winsock, locked
        """``host``:``port`` is the echo server, the next port resets; at ``nobody`` no host answers."""
        self.answers: dict[str, int] = {}
        self._ws = winsock
        self._host = parse(host)
        self._echo, self._reset = internet(self._host, port), internet(self._host, port + 1)
        self._closed, self._nobody = internet(self._host, CLOSED), internet(parse(nobody), 80)

    def run(self) -> dict[str, int]:
        """Go through all of them; the process's Winsock is not started yet, and is at the end."""
        self._library()
        self._ws.startup()
        for part in (self._opening, self._binding, self._connecting, self._streams, self._datagrams):
            part()
        self._waiting()
        return self.answers

    def _say(self, name: str, call: Callable[..., object], *arguments: object) -> None:
        try:
            call(*arguments)
        except WinsockError as error:
            self.answers[name] = int(error.code)
        else:
            self.answers[name] = 0

    def _tcp(self) -> int:
        return int(self._ws.socket(Af.INET, Sock.STREAM, 0))

    def _udp(self) -> int:
        return int(self._ws.socket(Af.INET, Sock.DGRAM, 0))

    def _connected(self) -> int:
        number = self._tcp()
        self._ws.connect(number, self._echo)
        return number

    def _option(self, number: int, option: int) -> None:
        self._ws.setsockopt(number, Sol.SOCKET, option, 1)

    def _patience(self, number: int, milliseconds: int) -> None:
        self._ws.setsockopt(number, Sol.SOCKET, So.RCVTIMEO, milliseconds)

    def _nonblocking(self, number: int) -> None:
        self._ws.ioctlsocket(number, Io.FIONBIO, 1)

    def _library(self) -> None:
        self._say("socket before WSAStartup", self._tcp)
        self._say("WSAStartup of version 0.9", self._ws.startup, (0, 9))

    def _opening(self) -> None:
        ws, say = self._ws, self._say
        say("socket of an unknown family", ws.socket, 99, Sock.STREAM, 0)
        say("socket of an unknown type", ws.socket, Af.INET, 99, 0)
        say("a stream socket by UDP", ws.socket, Af.INET, Sock.STREAM, Proto.UDP)
        number = self._tcp()
        ws.closesocket(number)
        say("closesocket of a closed socket", ws.closesocket, number)
        say("send on a closed socket", ws.send, number, b"x")

    def _binding(self) -> None:
        ws, say = self._ws, self._say
        a, b, c, d, e, f, g, h = (self._udp() if n == 2 else self._tcp() for n in range(8))
        ws.bind(a, internet(ANY, LOCAL))
        say("bind to a port in use", ws.bind, b, internet(ANY, LOCAL))
        say("bind of a bound socket", ws.bind, a, internet(ANY, LOCAL + 1))
        say("bind to another host's address", ws.bind, d, internet(parse("192.0.2.1"), 0))
        say("bind of IPv4 to an IPv6 address", ws.bind, d, internet(bytes(16), LOCAL))
        say("listen unbound", ws.listen, d, 1)
        say("listen on a datagram socket", ws.listen, c, 1)
        self._option(e, So.EXCLUSIVEADDRUSE)
        ws.bind(e, internet(ANY, LOCAL + 2))
        self._option(f, So.REUSEADDR)
        say("SO_REUSEADDR beside SO_EXCLUSIVEADDRUSE", ws.bind, f, internet(ANY, LOCAL + 2))
        self._option(g, So.REUSEADDR)
        ws.bind(g, internet(ANY, LOCAL + 3))
        self._option(h, So.REUSEADDR)
        say("SO_REUSEADDR twice", ws.bind, h, internet(ANY, LOCAL + 3))
        say("SO_EXCLUSIVEADDRUSE after bind", self._option, a, So.EXCLUSIVEADDRUSE)
        say("accept without listen", ws.accept, a)
        ws.listen(a, 1)
        say("connect of a listening socket", ws.connect, a, self._echo)
        self._nonblocking(a)
        say("accept, non-blocking, nobody came", ws.accept, a)
        for number in (a, b, c, d, e, f, g, h):
            ws.closesocket(number)

    def _connecting(self) -> None:
        ws, say = self._ws, self._say
        a, b = self._tcp(), self._tcp()
        say("connect to a closed port", ws.connect, self._tcp(), self._closed)
        say("connect to 0.0.0.0", ws.connect, self._tcp(), internet(ANY, 80))
        say("connect to port 0", ws.connect, self._tcp(), internet(self._host, 0))
        # An address of ours has no family field: its length is the family.
        say("connect to an unknown family", ws.connect, self._tcp(), IpxAddress(1, b"\1" * 6, 80))
        far_away = internet(parse("198.51.100.1"), 80)
        say("connect to a network without a route", ws.connect, self._tcp(), far_away)
        say("recv unconnected", ws.recv, a, bytearray(1))
        say("send unconnected", ws.send, a, b"x")
        say("shutdown unconnected", ws.shutdown, a, Shut.SEND)
        say("getpeername unconnected", ws.getpeername, self._tcp())
        say("getsockname unbound", ws.getsockname, self._tcp())
        self._nonblocking(b)
        say("connect, non-blocking", ws.connect, b, self._nobody)
        say("connect while connecting", ws.connect, b, self._nobody)
        ws.closesocket(a)
        ws.closesocket(b)

    def _streams(self) -> None:
        ws, say = self._ws, self._say
        a = self._connected()
        say("connect of a connected socket", ws.connect, a, self._echo)
        say("listen on a connected socket", ws.listen, a, 1)
        say("shutdown of an unknown direction", ws.shutdown, a, 99)
        self._patience(a, 600)
        say("recv with SO_RCVTIMEO, nothing came", ws.recv, a, bytearray(1))
        say("recv of urgent data, none came", ws.recv, a, bytearray(1), Msg.OOB)
        ws.closesocket(a)
        a = self._connected()
        self._nonblocking(a)
        say("recv, non-blocking, nothing came", ws.recv, a, bytearray(1))
        ws.shutdown(a, Shut.SEND)
        say("send after shutdown", ws.send, a, b"x")
        ws.closesocket(a)
        a = self._connected()
        ws.shutdown(a, Shut.RECEIVE)
        say("recv after shutdown", ws.recv, a, bytearray(1))
        say("an unknown option", self._option, a, 0x7777)
        group = (parse("224.0.0.99"), ANY)
        say("a datagram's option on a stream", ws.setsockopt, a, Sol.IP, IpOption.ADD_MEMBERSHIP, group)
        say("an unknown ioctlsocket", ws.ioctlsocket, a, 0x4004_0001)
        ws.closesocket(a)
        a = self._tcp()
        ws.connect(a, self._reset)
        ws.send(a, b"x")
        say("recv after the peer's reset", ws.recv, a, bytearray(1))
        say("send after the peer's reset", ws.send, a, b"x")
        ws.closesocket(a)

    def _datagrams(self) -> None:
        ws, say = self._ws, self._say
        a, b, c, d = (self._udp() for _ in range(4))
        self._patience(a, 5000)
        ws.sendto(a, b"more than four", self._echo)
        say("recv of a longer datagram", ws.recv, a, bytearray(4))
        say("a datagram too long", ws.sendto, a, bytes(65508), self._echo)
        say("broadcast without SO_BROADCAST", ws.sendto, a, b"x", internet(b"\xff" * 4, CLOSED))
        say("a datagram to port 0", ws.sendto, a, b"x", internet(self._host, 0))
        say("send of a datagram to nobody", ws.send, b, b"x")
        self._patience(b, 600)
        say("recv of a datagram unbound", ws.recv, b, bytearray(4))
        say("accept on a datagram socket", ws.accept, a)
        ws.connect(c, self._closed)
        self._patience(c, 3000)
        ws.send(c, b"x")
        say("recv after ICMP port unreachable, connected", ws.recv, c, bytearray(4))
        self._patience(d, 1500)
        ws.sendto(d, b"x", self._closed)
        say("recv after ICMP port unreachable, unconnected", ws.recv, d, bytearray(4))
        for number in (a, b, c, d):
            ws.closesocket(number)

    def _waiting(self) -> None:
        ws, say = self._ws, self._say
        say("select without a socket", ws.select, [], [], [], 0)
        a, gone = self._connected(), self._tcp()
        ws.closesocket(gone)
        say("select of a closed socket", ws.select, [gone], [], [], 0)
        pending = Overlapped(Event())
        say("WSARecv overlapped, nothing came", ws.recv, a, bytearray(1), 0, pending)
        say("its result, not waiting", ws.get_overlapped_result, a, pending)
        ws.win32.cancel_io(a)
        ws.wait_for_multiple_events([pending.event], 2 * SECOND)
        say("its result after CancelIo", ws.get_overlapped_result, a, pending)
        ws.closesocket(a)
