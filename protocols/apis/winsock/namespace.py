"""Namespace providers and what is made of them: WSALookupService, getaddrinfo.

A provider is asked by name and answers later, through a callback, so that all may be asked at once. The
answer of a provider counts only when every provider before it has answered or failed: success by the order
of the catalog. Source: "Name Space Service Providers" (NSPStartup, NSPLookupServiceBegin).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from protocols.apis.winsock.constants import Af, Ns, Proto, Sock
from protocols.apis.winsock.errors import WinsockError, Wsae
from protocols.apis.winsock.numeric import numeric_host, port_of
from protocols.interfaces.tdi.address import InternetAddress, Ip6Address, internet
from protocols.transports.netbt.message import MessageError, NetbiosName
from protocols.transports.tcpip.addresses import IPV4_ANY, IPV4_LOOPBACK, IPV6_ANY, IPV6_LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ntos.executive.contract import Executive
    from protocols.interfaces.tdi.address import TdiAddress
    from protocols.transports.netbt.names import NameService
    from protocols.transports.tcpip.stack import Stack

MOST_PORT = 0xFFFF
OWN = frozenset({"", "..localmachine"})
"""What getaddrinfo answers with this host's own addresses."""
LOOKUP_TIMEOUT_NS = 15_000_000_000


class NamespaceProvider(Protocol):
    """NSP_ROUTINE, as far as lookups go."""

    @property
    def namespace(self) -> int:
        """NS_*."""

    @property
    def name(self) -> str:
        """What WSAEnumNameSpaceProviders prints."""

    def lookup(self, name: str, done: Callable[[list[TdiAddress]], None]) -> None:
        """NSPLookupServiceBegin: call ``done`` once, with addresses or none."""


class LocalNames:
    """The host's own name, ``localhost``, and the hosts file."""

    namespace = Ns.LOCALNAME
    name = "hosts"

    def __init__(self, stack: Stack, host_name: str, hosts: Mapping[str, list[bytes]] | None = None) -> None:
        """Know the host's name and file."""
        self._stack = stack
        self._host_name = host_name.lower()
        self.hosts = dict(hosts or {})

    def lookup(self, name: str, done: Callable[[list[TdiAddress]], None]) -> None:
        """Answer at once."""
        key = name.lower().rstrip(".")
        if key == "localhost":
            done(_internet([IPV6_LOOPBACK, IPV4_LOOPBACK]))
        elif key in ("", self._host_name):
            interfaces = self._stack.interfaces[1:]
            done(_internet(e.address for i in interfaces for e in i.addresses.values() if e.usable))
        else:
            done(_internet(self.hosts.get(key, [])))


class DnsNames:
    """DNS by the servers of the stack."""

    namespace = Ns.DNS
    name = "Tcpip"

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    def lookup(self, name: str, done: Callable[[list[TdiAddress]], None]) -> None:
        """Ask the servers; without one the answer is none."""
        servers = self._stack.dns_servers()
        if not servers:
            done([])
            return
        self._stack.dns.resolve(name, lambda found: done(_internet(found)), servers)
        self._stack.request_turn()


class LlmnrNames:
    """LLMNR for names of one label."""

    namespace = Ns.LLMNR
    name = "llmnr"

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    def lookup(self, name: str, done: Callable[[list[TdiAddress]], None]) -> None:
        """Ask the link."""
        if "." in name.rstrip("."):
            done([])
            return
        self._stack.llmnr.resolve(name, lambda found: done(_internet(found)))
        self._stack.request_turn()


class NetbtNames:
    """NetBIOS names of the link, by NetBT: what is a host's name there is its workstation's (suffix 00)."""

    namespace = Ns.NETBT
    name = "NetBT"

    def __init__(self, service: NameService) -> None:
        self._service = service

    def lookup(self, name: str, done: Callable[[list[TdiAddress]], None]) -> None:
        """Ask the link; what can be no NetBIOS name has no answer."""
        try:
            asked = NetbiosName.of(name.rstrip("."))
        except MessageError:
            done([])
            return
        if "." in asked.text:
            done([])
            return
        self._service.query(asked, lambda found: done(_internet(found)))


class Lookup:
    """WSALookupServiceBegin to End: the answers of all providers, decided by their order."""

    def __init__(self, providers: list[NamespaceProvider], name: str) -> None:
        self._answers: list[list[TdiAddress] | None] = [None] * len(providers)
        for at, provider in enumerate(providers):
            provider.lookup(name, self._receiver(at))

    @property
    def decided(self) -> bool:
        """Whether the best answer is known."""
        for answer in self._answers:
            if answer is None:
                return False
            if answer:
                return True
        return True

    @property
    def addresses(self) -> list[TdiAddress]:
        """The best answer; none when all have failed."""
        return next((answer for answer in self._answers if answer), [])

    def _receiver(self, at: int) -> Callable[[list[TdiAddress]], None]:
        def receive(found: list[TdiAddress]) -> None:
            self._answers[at] = list(found)

        return receive


class QuerySet(NamedTuple):
    """WSAQUERYSET as WSALookupServiceNext fills it: an answer of one provider."""

    name: str
    namespace: int
    addresses: tuple[TdiAddress, ...]


class Begun:
    """The handle of WSALookupServiceBegin: what is still to be told."""

    def __init__(self, found: list[QuerySet]) -> None:
        """Hold what the providers answered, the first one's first."""
        self.left = found
        self.ended = False


class AddressInfo(NamedTuple):
    """ADDRINFOA."""

    family: Af
    kind: Sock
    protocol: Proto
    canonical: str
    address: InternetAddress


@dataclass(frozen=True, slots=True)
class Hints:
    """What getaddrinfo is to look for."""

    family: int = Af.UNSPEC
    kind: int = 0
    protocol: int = 0
    passive: bool = False
    numeric: bool = False
    canonical: bool = False


class Namespaces:
    """The namespace catalog of a process, in order."""

    def __init__(self, executive: Executive) -> None:
        self._executive = executive
        self.providers: list[NamespaceProvider] = []

    def empty(self) -> Namespaces:
        """Return another catalog of this process, without a provider."""
        return Namespaces(self._executive)

    def install(self, provider: NamespaceProvider) -> None:
        """WSCInstallNameSpace: at the end."""
        self.providers.append(provider)

    def deinstall(self, namespace: int) -> None:
        """WSCUnInstallNameSpace."""
        self.providers = [one for one in self.providers if one.namespace != namespace]

    def enumerate(self) -> list[tuple[int, str]]:
        """WSAEnumNameSpaceProviders."""
        return [(int(one.namespace), one.name) for one in self.providers]

    def lookup(self, name: str, namespace: int = Ns.ALL) -> list[TdiAddress]:
        """WSALookupServiceBegin, Next, End: the addresses of a name. WSASERVICE_NOT_FOUND."""
        asked = [one for one in self.providers if namespace in (Ns.ALL, one.namespace)]
        found = Lookup(asked, name)
        if not found.decided:
            self._executive.wait(lambda: found.decided, f"the address of {name}", LOOKUP_TIMEOUT_NS)
        if not found.addresses:
            raise WinsockError(Wsae.WSASERVICE_NOT_FOUND, name)
        return found.addresses

    def lookup_service_begin(self, name: str, namespace: int = Ns.ALL) -> Begun:
        """WSALookupServiceBegin: ask all, and wait. WSASERVICE_NOT_FOUND; WSAEINVAL: no such namespace."""
        asked = [one for one in self.providers if namespace in (Ns.ALL, one.namespace)]
        if not asked:
            raise WinsockError(Wsae.WSAEINVAL, f"there is no provider of namespace {namespace}")
        found: list[list[TdiAddress] | None] = [None] * len(asked)

        def receiver(at: int) -> Callable[[list[TdiAddress]], None]:
            return lambda addresses: found.__setitem__(at, list(addresses))

        for at, provider in enumerate(asked):
            provider.lookup(name, receiver(at))
        self._executive.wait(lambda: None not in found, f"answers about {name}", LOOKUP_TIMEOUT_NS)
        sets = [
            QuerySet(name, one.namespace, tuple(addresses))
            for one, addresses in zip(asked, found, strict=True)
            if addresses
        ]
        if not sets:
            raise WinsockError(Wsae.WSASERVICE_NOT_FOUND, name)
        return Begun(sets)

    @staticmethod
    def lookup_service_next(handle: Begun) -> QuerySet:
        """WSALookupServiceNext: another provider's answer. WSA_E_NO_MORE, WSA_INVALID_HANDLE: it ended."""
        if handle.ended:
            raise WinsockError(Wsae.WSA_INVALID_HANDLE, "the lookup has ended")
        if not handle.left:
            raise WinsockError(Wsae.WSA_E_NO_MORE)
        return handle.left.pop(0)

    @staticmethod
    def lookup_service_end(handle: Begun) -> None:
        """WSALookupServiceEnd. WSA_INVALID_HANDLE the second time."""
        if handle.ended:
            raise WinsockError(Wsae.WSA_INVALID_HANDLE, "the lookup has ended")
        handle.ended = True

    def getaddrinfo(
        self, host: str | None, service: str | int | None, hints: Hints | None = None
    ) -> list[AddressInfo]:
        """Resolve host and service, IPv6 first as Windows sorts. WSAHOST_NOT_FOUND, WSATYPE_NOT_FOUND."""
        asked = hints or Hints()
        if host is None and service is None:
            raise WinsockError(Wsae.WSAHOST_NOT_FOUND)
        port = port_of(service)
        addresses = self._addresses(host, asked)
        kinds = [
            (kind, protocol)
            for kind, protocol in ((Sock.STREAM, Proto.TCP), (Sock.DGRAM, Proto.UDP))
            if asked.kind in (0, kind) and asked.protocol in (0, protocol)
        ]
        found = []
        for address in sorted(dict.fromkeys(addresses), key=lambda one: len(one.address), reverse=True):
            family = Af.INET6 if isinstance(address, Ip6Address) else Af.INET
            if asked.family in (Af.UNSPEC, family):
                for kind, protocol in kinds:
                    canonical = (host or "") if asked.canonical else ""
                    found.append(AddressInfo(family, kind, protocol, canonical, address.with_port(port)))
        if not found:
            raise WinsockError(Wsae.WSANO_DATA if addresses else Wsae.WSAHOST_NOT_FOUND, host or "")
        return found

    def _addresses(self, host: str | None, asked: Hints) -> list[InternetAddress]:
        """Return the addresses of either IP version; getaddrinfo knows no other family."""
        if host is None:
            any_or_loopback = [IPV6_ANY, IPV4_ANY] if asked.passive else [IPV6_LOOPBACK, IPV4_LOOPBACK]
            return [internet(one) for one in any_or_loopback]
        try:
            return [numeric_host(host)]
        except ValueError:
            if asked.numeric:
                raise WinsockError(Wsae.WSAHOST_NOT_FOUND, host) from None
        try:
            found = self.lookup("" if host in OWN else host)
        except WinsockError:
            raise WinsockError(Wsae.WSAHOST_NOT_FOUND, host) from None
        return [one for one in found if isinstance(one, InternetAddress)]


def _internet(addresses: Iterable[bytes]) -> list[TdiAddress]:
    return [internet(one) for one in addresses]
