"""The service provider interface: the table of functions that Winsock calls, and the catalog of protocols.

A provider's functions are methods of its own: ``WSPSend`` is ``send``. A layered provider has another below
it; what it does not override goes down as it is. Source: "Winsock SPI" (WSPStartup, WSCInstallProvider).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from protocols.apis.winsock.constants import Af, Sock
from protocols.apis.winsock.errors import WinsockError, Wsae

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocols.apis.winsock.helpers.contract import CatalogEntry, WinsockHelper

ENTRIES = (
    *("accept", "address_to_string", "async_select", "bind", "cancel_blocking_call", "cleanup"),
    *("closesocket", "connect", "duplicate_socket", "enum_network_events", "event_select"),
    *("get_overlapped_result", "getpeername", "getsockname", "getsockopt", "get_qos_by_name", "ioctl"),
    *("join_leaf", "listen", "recv", "recv_disconnect", "recvfrom", "select", "send", "send_disconnect"),
    *("sendto", "setsockopt", "shutdown", "socket", "string_to_address"),
)
"""WSPPROC_TABLE: 30 functions."""


class Provider:
    """A transport service provider."""

    lower: Provider | None = None

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the table's functions
        """Hand what is not overridden to the provider below."""
        if name in ENTRIES and self.lower is not None:
            return getattr(self.lower, name)
        if name in ENTRIES:
            raise WinsockError(Wsae.WSAEOPNOTSUPP, name)
        raise AttributeError(name)

    def table(self) -> dict[str, Callable[..., Any]]:
        """WSPStartup: the functions that there are."""
        found = {}
        for name in ENTRIES:
            try:
                found[name] = getattr(self, name)
            except WinsockError:
                continue
        return found


@dataclass(frozen=True, slots=True)
class ProtocolInfo:
    """WSAPROTOCOL_INFO. ``chain``: catalog numbers from this layer down; one for a base protocol."""

    number: int
    name: str
    family: int
    kind: Sock
    protocol: int
    device: str
    helper: WinsockHelper
    chain: tuple[int, ...] = ()
    max_message: int = 0  # 0: a stream

    @property
    def layered(self) -> bool:
        """Whether it is a chain of several layers."""
        return len(self.chain) > 1


class Catalog:
    """The protocol catalog: the first entry that matches is the one that ``socket`` uses."""

    def __init__(self) -> None:
        self.entries: list[ProtocolInfo] = []
        self._providers: dict[int, Provider] = {}
        self._next = 1001

    def install(self, provider: Provider, found: CatalogEntry, helper: WinsockHelper) -> ProtocolInfo:
        """WSCInstallProvider: a base protocol of a helper's, at the end."""
        number = self._number()
        entry = ProtocolInfo(
            number,
            found.name,
            found.family,
            Sock(found.kind),
            found.protocol,
            found.device,
            helper,
            (number,),
            found.max_message,
        )
        self.entries.append(entry)
        self._providers[number] = provider
        return entry

    def install_layer(self, layer: Provider, name: str, over: ProtocolInfo) -> ProtocolInfo:
        """Install a layered provider over an entry, before all others; its chain ends where that does."""
        number = self._number()
        layer.lower = self._providers[over.number]
        entry = ProtocolInfo(
            number,
            f"{name} over [{over.name}]",
            over.family,
            over.kind,
            over.protocol,
            over.device,
            over.helper,
            (number, *over.chain),
            over.max_message,
        )
        self.entries.insert(0, entry)
        self._providers[number] = layer
        return entry

    def deinstall(self, number: int) -> None:
        """WSCDeinstallProvider; chains that contain it go too. WinsockError(WSAEINVAL)."""
        if number not in self._providers:
            raise WinsockError(Wsae.WSAEINVAL, f"catalog entry {number}")
        self.entries = [entry for entry in self.entries if number not in entry.chain]
        del self._providers[number]

    def reorder(self, numbers: list[int]) -> None:
        """WSCWriteProviderOrder."""
        if sorted(numbers) != sorted(entry.number for entry in self.entries):
            raise WinsockError(Wsae.WSAEINVAL, "the order must name every entry once")
        self.entries.sort(key=lambda entry: numbers.index(entry.number))

    def find(self, family: int, kind: int, protocol: int) -> ProtocolInfo:
        """Choose an entry as ``socket`` does. WinsockError says what there is none of."""
        families = [e for e in self.entries if family in (Af.UNSPEC, e.family)]
        if not families:
            raise WinsockError(Wsae.WSAEAFNOSUPPORT, str(family))
        kinds = [e for e in families if kind in (0, e.kind)]
        if not kinds:
            raise WinsockError(Wsae.WSAESOCKTNOSUPPORT, str(kind))
        for entry in kinds:
            if protocol in (0, entry.protocol) or entry.kind is Sock.RAW:
                return entry
        known = any(e.protocol == protocol for e in families)
        raise WinsockError(Wsae.WSAEPROTOTYPE if known else Wsae.WSAEPROTONOSUPPORT, str(protocol))

    def provider(self, entry: ProtocolInfo) -> Provider:
        """Return the provider of an entry's top layer."""
        return self._providers[entry.number]

    def _number(self) -> int:
        number, self._next = self._next, self._next + 1
        return number
