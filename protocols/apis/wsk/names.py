"""WskGetAddressInfo and WskGetNameInfo by Winsock's namespace providers, not waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ntos.io.status import NtError, NtStatus
from protocols.apis.winsock.constants import Ns
from protocols.apis.winsock.errors import WinsockError
from protocols.apis.winsock.namespace import Hints, LocalNames, Lookup, Namespaces
from protocols.apis.winsock.numeric import PORTS
from protocols.transports.tcpip.addresses import parse, text

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocols.apis.winsock.namespace import AddressInfo, NamespaceProvider
    from protocols.interfaces.tdi.address import InternetAddress, TdiAddress


class Told:
    """A provider, each of whose answers is also told of."""

    def __init__(self, provider: NamespaceProvider, told: Callable[[], None]) -> None:
        self.namespace, self.name = provider.namespace, provider.name
        self._provider = provider
        self._told = told

    def lookup(self, name: str, done: Callable[[list[TdiAddress]], None]) -> None:
        """Ask it."""

        def receive(found: list[TdiAddress]) -> None:
            done(found)
            self._told()

        self._provider.lookup(name, receive)


class Known:
    """A provider that has the answer already."""

    namespace, name = int(Ns.ALL), "answer"

    def __init__(self, addresses: list[TdiAddress]) -> None:
        self._addresses = addresses

    def lookup(self, name: str, done: Callable[[list[TdiAddress]], None]) -> None:
        """Answer at once."""
        del name
        done(self._addresses)


class Question(NamedTuple):
    """What WskGetAddressInfo is asked."""

    node: str | None
    service: str | int | None
    hints: Hints | None
    namespace: int = Ns.ALL


def resolve(
    names: Namespaces, question: Question, answered: Callable[[NtStatus, list[AddressInfo]], None]
) -> None:
    """Ask all providers at once; ``answered`` is called once, perhaps before this returns."""
    node, hints = question.node, question.hints
    if not node or (hints is not None and hints.numeric) or _is_numeric(node):
        answered(*_formatted(names, [], question))
        return
    asked = [one for one in names.providers if question.namespace in (Ns.ALL, one.namespace)]
    lookups: list[Lookup] = []
    finished: list[bool] = []

    def told() -> None:
        if lookups and lookups[0].decided and not finished:
            finished.append(True)
            answered(*_formatted(names, lookups[0].addresses, question))

    lookups.append(Lookup([Told(one, told) for one in asked], node))
    told()


def name_info(names: Namespaces, address: InternetAddress, *, numeric: bool) -> tuple[str, str]:
    """Return node and service name. NtError(NO_MATCH): a name was wanted and the hosts file has none."""
    service = next((name for name, port in PORTS.items() if port == address.port), str(address.port))
    if numeric:
        return text(address.address), str(address.port)
    for provider in names.providers:
        if isinstance(provider, LocalNames):
            for name, addresses in provider.hosts.items():
                if address.address in addresses:
                    return name, service
    raise NtError(NtStatus.NO_MATCH, text(address.address))


def _is_numeric(node: str) -> bool:
    try:
        parse(node)
    except ValueError:
        return False
    return True


def _formatted(
    names: Namespaces, addresses: list[TdiAddress], question: Question
) -> tuple[NtStatus, list[AddressInfo]]:
    formatter = names.empty()
    formatter.install(Known(addresses))
    try:
        return NtStatus.SUCCESS, formatter.getaddrinfo(question.node, question.service, question.hints)
    except WinsockError:
        return NtStatus.NO_MATCH, []
