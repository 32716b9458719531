"""What a helper DLL says of its families: catalog, addresses, options, groups.

A transport of one's own derives ``WinsockHelper`` and gives ``catalog``, ``addresses`` and ``any_address``;
the rest has defaults. Source: "Winsock Helper DLLs" (Windows DDK).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from ntos.netcfg.driver import DriverObject
from protocols.apis.winsock.errors import WinsockError, Wsae
from protocols.interfaces.tdi.address import AddressError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from protocols.interfaces.tdi.address import TdiAddress


class CatalogEntry(NamedTuple):
    """One protocol of a transport: WSAPROTOCOL_INFO without its number. ``max_message`` 0: a stream."""

    name: str
    family: int
    kind: int
    protocol: int
    device: str
    max_message: int = 0


class HelpedSocket(Protocol):
    """What a helper sees of a socket."""

    @property
    def stream(self) -> bool:
        """Whether it is a stream."""

    @property
    def bound(self) -> bool:
        """Whether it has a local address."""

    @property
    def family(self) -> int:
        """AF_*."""

    @property
    def kind(self) -> int:
        """SOCK_*."""


class HelpedProvider(Protocol):
    """What a helper may ask of the provider that asks it. ``Any`` is the provider's own socket."""

    def bind(self, handle: Any, address: TdiAddress) -> None:  # noqa: ANN401 - see above
        """WSPBind."""

    def connect(self, handle: Any, address: TdiAddress) -> None:  # noqa: ANN401 - see above
        """WSPConnect."""

    def setsockopt(self, handle: Any, level: int, option: int, value: Any) -> None:  # noqa: ANN401 - see above
        """WSPSetSockOpt."""


class Ask(Protocol):
    """TDI_ACTION at the socket's transport."""

    def __call__(self, name: str, **arguments: Any) -> Any:  # noqa: ANN401 - each action has its own
        """Return the action's result. NtError."""


class WinsockHelper(DriverObject):
    """The functions, with what most families do. A refusal is a WinsockError."""

    catalog: ClassVar[tuple[CatalogEntry, ...]]
    addresses: ClassVar[Mapping[int, type[TdiAddress]]]
    """By family."""
    options: ClassVar[Mapping[tuple[int, int], str]] = {}
    """Options beside SOL_SOCKET's, (level, option), by the name that the transport knows."""
    defaults: ClassVar[Mapping[str, object]] = {}
    """What those options are before they are set."""
    family_defaults: ClassVar[Mapping[tuple[int, str], object]] = {}
    """Of these, (family, name), those that another family has otherwise."""
    stream_defaults: ClassVar[Mapping[str, object]] = {}
    """Of these, those that a stream has otherwise."""
    datagram_only: ClassVar[frozenset[str]] = frozenset()
    stream_only: ClassVar[frozenset[str]] = frozenset()

    def any_address(self, family: int) -> TdiAddress:
        """WSHGetWildcardSockaddr: what a socket is bound to that was not bound."""
        raise NotImplementedError

    def default_of(self, family: int, name: str) -> object:
        """Return what an option of the family is before it is set."""
        return self.family_defaults.get((family, name), self.defaults.get(name, 0))

    def check_address(self, family: int, address: TdiAddress) -> None:
        """Refuse an address of another family: WSAEAFNOSUPPORT."""
        if not isinstance(address, self.addresses[family]):
            raise WinsockError(Wsae.WSAEAFNOSUPPORT, f"{address!r} in family {family}")

    def check_peer(self, socket: HelpedSocket, address: TdiAddress) -> None:
        """Refuse an address that nobody can be reached at: WSAEADDRNOTAVAIL."""
        del socket
        if address.is_any:
            raise WinsockError(Wsae.WSAEADDRNOTAVAIL, "any address is nobody's")

    def check_option(self, socket: HelpedSocket, name: str, value: object) -> None:
        """Refuse an option's value, or the moment for it: WSAEINVAL."""

    def ioctl(self, socket: HelpedSocket, code: int, argument: object, ask: Ask) -> Any:  # noqa: ANN401 - each code has its own
        """WSHIoctl: a control that means something to this family alone. WSAEOPNOTSUPP."""
        del socket, argument, ask
        raise WinsockError(Wsae.WSAEOPNOTSUPP, f"{code:#x}")

    def join_leaf(
        self, provider: HelpedProvider, socket: HelpedSocket, address: TdiAddress, flags: int
    ) -> None:
        """WSHJoinLeaf: this family has no groups."""
        del provider, socket, address, flags
        raise WinsockError(Wsae.WSAEOPNOTSUPP, "this family has no groups")

    def parse_sockaddr(self, raw: bytes) -> TdiAddress:
        """Read a ``sockaddr``: the family in two bytes, then TDI's. WSAEAFNOSUPPORT, WSAEFAULT."""
        family = int.from_bytes(raw[:2], "little")
        if len(raw) < 2 or family not in self.addresses:
            raise WinsockError(Wsae.WSAEAFNOSUPPORT, f"family {family}")
        try:
            return self.addresses[family].parse(raw[2:])
        except AddressError as error:
            raise WinsockError(Wsae.WSAEFAULT, str(error)) from error

    def emit_sockaddr(self, address: TdiAddress) -> bytes:
        """Return an address as a ``sockaddr``. WSAEAFNOSUPPORT."""
        for family, kind in self.addresses.items():
            if isinstance(address, kind):
                return family.to_bytes(2, "little") + address.emit()
        raise WinsockError(Wsae.WSAEAFNOSUPPORT, repr(address))
