"""From Python's addresses to TDI's and back, and Python's functions of names over the namespace providers."""

from __future__ import annotations

import errno
import socket as standard
from typing import TYPE_CHECKING, Any

from protocols.apis.winsock.constants import Sock
from protocols.apis.winsock.errors import WinsockError, Wsae
from protocols.apis.winsock.namespace import MOST_PORT, AddressInfo, Hints
from protocols.apis.winsock.numeric import PORTS, numeric_host
from protocols.apis.winsock.pysocket import numbers
from protocols.interfaces.tdi.address import InternetAddress, internet
from protocols.transports.tcpip.addresses import (
    IPV4_ANY,
    IPV4_LOOPBACK,
    IPV6_ANY,
    IPV6_LOOPBACK,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocols.apis.winsock.namespace import Namespaces
    from protocols.apis.winsock.pysocket.base import BaseSocket

MOST_FLOW = 0xFFFFF
HOST_NOT_FOUND = 1
"""``h_errno`` of netdb.h."""
LOOPBACKS = frozenset({IPV4_LOOPBACK, IPV6_LOOPBACK})
GETADDRINFO_FLAGS = sum(
    int(getattr(standard, name, 0))
    for name in (
        *("AI_PASSIVE", "AI_CANONNAME", "AI_NUMERICHOST", "AI_NUMERICSERV"),
        *("AI_ADDRCONFIG", "AI_V4MAPPED", "AI_ALL"),
    )
)


class Resolver:
    """Names for the sockets of one process.

    ``interface_of`` gives the index of the interface that has an IPv4 address; LookupError when none has.
    """

    def __init__(self, names: Namespaces, host_name: str, interface_of: Callable[[bytes], int]) -> None:
        self._names = names
        self.host_name = host_name
        self._interface_of = interface_of

    @staticmethod
    def any_address(family: int) -> InternetAddress:
        """Return the unspecified address, of any port."""
        return internet(IPV6_ANY if family == standard.AF_INET6 else IPV4_ANY)

    def resolved(self, sock: BaseSocket, address: Any, call: str, *, peer: bool = False) -> InternetAddress:  # noqa: ANN401 - whatever a program gives
        """Return a program's address. TypeError, OverflowError, gaierror as Python's own module."""
        is_ipv6 = sock.family == standard.AF_INET6
        family = "AF_INET6" if is_ipv6 else "AF_INET"
        if not isinstance(address, tuple):
            raise TypeError(f"{call}(): {family} address must be tuple, not {type(address).__name__}")
        if not 2 <= len(address) <= (4 if is_ipv6 else 2):
            shape = "(host, port[, flowinfo[, scopeid]])" if is_ipv6 else "a pair (host, port)"
            raise TypeError(f"{family} address must be {shape}")
        host, port, *rest = address
        if not isinstance(host, str | bytes | bytearray):
            raise TypeError(f"str, bytes or bytearray expected, not {type(host).__name__}")
        if not hasattr(port, "__index__"):
            raise TypeError(f"'{type(port).__name__}' object cannot be interpreted as an integer")
        if not 0 <= port <= MOST_PORT:
            raise OverflowError(f"{call}(): port must be 0-{MOST_PORT}.")
        if rest and not 0 <= rest[0] <= MOST_FLOW:
            raise OverflowError(f"{call}(): flowinfo must be 0-{MOST_FLOW}.")
        scope = rest[1] if len(rest) == 2 else 0
        return self._host(sock, _text(host), int(port), scope, peer=peer)

    def _host(self, sock: BaseSocket, host: str, port: int, scope: int, *, peer: bool) -> InternetAddress:
        is_ipv6 = sock.family == standard.AF_INET6
        if not host or (peer and sock.type == standard.SOCK_STREAM and host in ("0.0.0.0", "::")):  # noqa: S104 - compared, not bound
            anywhere, here = (IPV6_ANY, IPV6_LOOPBACK) if is_ipv6 else (IPV4_ANY, IPV4_LOOPBACK)
            return internet(here if peer else anywhere, port)
        if host == "<broadcast>" and not is_ipv6:
            return internet(b"\xff" * 4, port)
        try:
            address = numeric_host(host)
        except ValueError:
            found = self.find(host, None, int(sock.family), int(sock.type))
            return found[0].address.with_port(port)
        if (len(address.address) == 16) != is_ipv6:
            raise standard.gaierror(
                getattr(standard, "EAI_ADDRFAMILY", standard.EAI_NONAME),
                "Address family for hostname not supported",
            )
        return internet(address.address, port, address.interface or scope)

    def find(  # noqa: PLR0917 - getaddrinfo's own arguments
        self, host: str | None, port: int | None, family: int, kind: int = 0, proto: int = 0, flags: int = 0
    ) -> list[AddressInfo]:
        """Ask the namespace providers. gaierror."""
        if family not in numbers.FAMILIES:
            raise standard.gaierror(standard.EAI_FAMILY, "ai_family not supported")
        if kind and kind not in numbers.KINDS:
            raise standard.gaierror(standard.EAI_SOCKTYPE, "ai_socktype not supported")
        hints = Hints(
            numbers.FAMILIES[family],
            Sock(kind) if kind else 0,
            proto,
            passive=bool(flags & standard.AI_PASSIVE),
            numeric=bool(flags & standard.AI_NUMERICHOST),
            canonical=bool(flags & standard.AI_CANONNAME),
        )
        try:
            return self._names.getaddrinfo(host, port or 0, hints)
        except WinsockError as error:
            code = numbers.GAI.get(error.code, standard.EAI_FAIL)
            raise standard.gaierror(code, str(error.strerror)) from None

    def getaddrinfo(  # noqa: PLR0917 - the original's arguments
        self,
        host: str | bytes | None,
        port: str | bytes | int | None,
        family: int = 0,
        type: int = 0,  # noqa: A002 - the standard library's name
        proto: int = 0,
        flags: int = 0,
    ) -> list[tuple[int, int, int, str, tuple[Any, ...]]]:
        """``_socket.getaddrinfo``."""
        if host is not None and not isinstance(host, str | bytes):
            raise TypeError("getaddrinfo() argument 1 must be string or None")
        if flags & ~GETADDRINFO_FLAGS:
            raise standard.gaierror(standard.EAI_BADFLAGS, "Bad value for ai_flags")
        if host is None and port is None:
            raise standard.gaierror(standard.EAI_NONAME, "Name or service not known")
        name = None if host is None else _text(host)
        number = _service(port, numeric=bool(flags & getattr(standard, "AI_NUMERICSERV", 0)))
        return [
            (
                *(numbers.HOST_FAMILIES[one.family], int(one.kind), int(one.protocol)),
                one.canonical,
                address_tuple(one.address),
            )
            for one in self.find(name, number, int(family), int(type), proto, flags)
        ]

    def gethostbyname(self, host: str, /) -> str:
        """Return an IPv4 address of a name. gaierror."""
        return self.gethostbyname_ex(host)[2][0]

    def gethostbyname_ex(self, host: str, /) -> tuple[str, list[str], list[str]]:
        """Return a name, its aliases and its IPv4 addresses. gaierror."""
        name = _text(host)
        if name == "<broadcast>":
            return name, [], ["255.255.255.255"]
        if not name:
            return name, [], ["0.0.0.0"]  # noqa: S104 - what Python's own answers
        found = self.find(name, None, int(standard.AF_INET), int(standard.SOCK_STREAM))
        return name, [], [text(one.address.address) for one in found]

    def gethostbyaddr(self, host: str, /) -> tuple[str, list[str], list[str]]:
        """Return the name of an address that is this host's. herror for others: nothing asks backwards."""
        address = self.find(_text(host), None, 0, int(standard.SOCK_STREAM))[0].address.address
        name = self._name_of(address)
        if name is None:
            raise standard.herror(HOST_NOT_FOUND, "Unknown host")
        return name, [], [text(address)]

    def getnameinfo(self, sockaddr: Any, flags: int, /) -> tuple[str, str]:  # noqa: ANN401 - whatever a program gives
        """Return the host and the service of a numeric address. gaierror, TypeError, OverflowError."""
        if not isinstance(sockaddr, tuple):
            raise TypeError("getnameinfo() argument 1 must be a tuple")
        if not 2 <= len(sockaddr) <= 4 or not isinstance(sockaddr[0], str):
            raise TypeError("getnameinfo(): illegal sockaddr argument")
        host, port = sockaddr[:2]
        if len(sockaddr) > 2 and not 0 <= sockaddr[2] <= MOST_FLOW:
            raise OverflowError("getnameinfo(): flowinfo must be 0-1048575.")
        found = self.find(host, port, 0, int(standard.SOCK_DGRAM), 0, int(standard.AI_NUMERICHOST))
        address = found[0].address.address
        name = None if flags & standard.NI_NUMERICHOST else self._name_of(address)
        if name is None and flags & standard.NI_NAMEREQD:
            raise standard.gaierror(standard.EAI_NONAME, "Name or service not known")
        service = str(port)
        if not flags & standard.NI_NUMERICSERV:
            try:
                service = standard.getservbyport(port, "udp" if flags & standard.NI_DGRAM else "tcp")
            except OSError:
                service = str(port)
        return name or text(address), service

    def _name_of(self, address: bytes) -> str | None:
        if address in LOOPBACKS or (address[:1] == b"\x7f" and len(address) == 4):
            return "localhost"
        try:
            self._interface_of(address)
        except LookupError:
            return None
        return self.host_name

    def option_value(self, form: numbers.Form, value: Any) -> Any:  # noqa: ANN401 - each option has its own type
        """Return an option's value with the interface by its index. OSError(ENODEV)."""
        if form is numbers.Form.GROUP4:
            return value[0], self._index(value[1])
        return self._index(value) if form is numbers.Form.INTERFACE4 and isinstance(value, bytes) else value

    def _index(self, address: bytes) -> int:
        if address == IPV4_ANY:
            return 0
        try:
            return self._interface_of(address)
        except LookupError:
            raise OSError(errno.ENODEV, f"no interface has the address {text(address)}") from None


def address_tuple(address: InternetAddress) -> tuple[Any, ...]:
    """Return a TDI address as Python writes it."""
    if len(address.address) == 16:
        return text(address.address), address.port, 0, address.interface
    return text(address.address), address.port


def _text(host: str | bytes | bytearray) -> str:
    if isinstance(host, str):
        if "\0" in host:
            raise ValueError("host name must not contain null character")
        return host if host.isascii() else host.encode("idna").decode()
    if 0 in host:
        raise ValueError("host name must not contain null character")
    return bytes(host).decode("ascii")


def _service(port: str | bytes | int | None, *, numeric: bool) -> int | None:
    if port is None or isinstance(port, int):
        if port is not None and not 0 <= port <= MOST_PORT:
            raise standard.gaierror(standard.EAI_SERVICE, "Servname not supported for ai_socktype")
        return port
    if not isinstance(port, str | bytes):
        raise OSError("Int or String expected")
    name = port.decode("ascii") if isinstance(port, bytes) else port
    if not name:
        return 0
    if name.isdecimal() and int(name) <= MOST_PORT:
        return int(name)
    if name.lower() in PORTS and not numeric:
        return PORTS[name.lower()]
    try:
        return standard.getservbyname(name)
    except OSError:
        code = Wsae.WSATYPE_NOT_FOUND
        raise standard.gaierror(numbers.GAI[code], "Servname not supported for ai_socktype") from None
