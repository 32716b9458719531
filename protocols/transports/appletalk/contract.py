"""What the protocols of a node need of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from formats.appletalk import Datagram, NodeAddress
    from protocols.transports.appletalk.parameters import AppletalkParameters

    Taker = Callable[[Datagram], None]


@dataclass(frozen=True, slots=True)
class Router:
    """The router that was heard last, good until ``until_ns``."""

    address: NodeAddress
    until_ns: int


class Ddp(Protocol):
    """A node, as NBP, ZIP and ATP see it."""

    now_ns: int
    parameters: AppletalkParameters
    chance: random.Random
    networks: tuple[int, int]
    router: Router | None
    sockets: dict[int, Taker]

    @property
    def address(self) -> NodeAddress | None:
        """Our address; None while it is on trial."""

    def open_socket(self, number: int, taker: Taker) -> int:
        """Open a socket, 0 for any; return its number. AppletalkError."""

    def send(self, to: NodeAddress, to_socket: int, from_socket: int, kind: int, data: bytes) -> None:
        """Send a datagram. AppletalkError."""

    def move(self, networks: tuple[int, int]) -> None:
        """Be on a cable of these networks, with another address if ours is of none of them."""
