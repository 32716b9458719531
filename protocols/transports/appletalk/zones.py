"""ZIP as a node: the cable's range and our zone from a router. Source: Inside AppleTalk, chapter 8.

::

    GetNetInfo       05 00 0000 0000 length zone
    its answer       06 flags first last length zone length multicast [length default zone]
    Notify           07 flags first last length old zone length multicast length new zone
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from formats.appletalk import STARTUP, Datagram, DdpType, NodeAddress
from protocols.transports.appletalk.parameters import ZIS_SOCKET, AppletalkError
from protocols.transports.appletalk.strings import take_string

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocols.transports.appletalk.atp import Outcome, Transactions
    from protocols.transports.appletalk.contract import Ddp

GET_NET_INFO: Final = 5
NET_INFO: Final = 6
GET_MY_ZONE, GET_ZONE_LIST, GET_LOCAL_ZONES = 7, 8, 9
"""In the first user byte of a transaction."""
LAST_ZONES: Final = 1
"""In the first user byte of the answer: no more zones follow."""
ZONE_INVALID: Final = 0x80
USE_BROADCAST: Final = 0x40
ZONE_BYTES: Final = 32
_FIXED: Final = 6
MOST_PAGES: Final = 256
"""Answers that a list of zones is read from; the router says when it ends, we say when it must."""


class Zones:
    """A node's zone. It asks on any socket that it opens for the answer."""

    def __init__(self, node: Ddp, transactions: Transactions) -> None:
        self._node, self._transactions = node, transactions
        self.zone = b"*"
        self.multicast = b""
        self._left = 0
        self._due_ns: int | None = None
        self._socket = node.open_socket(0, self._receive)

    def address_came(self) -> None:
        """Ask for the network as soon as a provisional address is there."""
        address = self._node.address
        if address is not None and self._node.networks == STARTUP:
            self.ask()

    def ask(self) -> None:
        """Send GetNetInfo, a few times, until a router answers."""
        self._left, self._due_ns = self._node.parameters.netinfo_tries, self._node.now_ns

    def advance(self, now_ns: int) -> None:
        """Ask again."""
        if self._due_ns is None or self._due_ns > now_ns:
            return
        if not self._left or self._node.address is None:
            self._due_ns = None
            return
        self._left -= 1
        self._due_ns = now_ns + self._node.parameters.netinfo_ns
        wanted = b"" if self.zone == b"*" else self.zone
        asked = bytes((GET_NET_INFO, 0, 0, 0, 0, 0, len(wanted))) + wanted
        self._node.send(NodeAddress(0, 0xFF), ZIS_SOCKET, self._socket, DdpType.ZIP, asked)

    def next_deadline(self) -> int | None:
        """Return when the next question is due."""
        return self._due_ns

    def read(self, function: int, done: Callable[[list[bytes] | None], None]) -> None:
        """Ask the router for zones, all pages; None: it does not answer. AppletalkError: there is none."""
        if self._node.router is None:
            raise AppletalkError("no router is known")
        self._page(function, 1, [], done, MOST_PAGES)

    def _page(
        self,
        function: int,
        first: int,
        found: list[bytes],
        done: Callable[[list[bytes] | None], None],
        left: int,
    ) -> None:
        router = self._node.router
        if router is None or not left:
            done(None)
            return

        def answered(outcome: Outcome | None) -> None:
            if outcome is None or not outcome.responses:
                done(None)
                return
            user, data = outcome.responses[0]
            page = _strings(data, int.from_bytes(user[2:4]))
            found.extend(page)
            if function == GET_MY_ZONE or user[0] == LAST_ZONES or not page:
                done(found)
            else:
                self._page(function, first + len(page), found, done, left - 1)

        user = bytes((function, 0)) + (first & 0xFFFF).to_bytes(2)
        try:
            self._transactions.request(
                self._socket, router.address, ZIS_SOCKET, user, b"", 1, answered, exactly_once=False
            )
        except AppletalkError:  # too many at a time: as if the router were silent
            done(None)

    def _receive(self, datagram: Datagram) -> None:
        if datagram.kind == DdpType.ATP:
            self._transactions.receive(datagram)
            return
        data = datagram.data
        if datagram.kind != DdpType.ZIP or len(data) < _FIXED or data[0] != NET_INFO or self._due_ns is None:
            return
        flags, low, high = data[1], int.from_bytes(data[2:4]), int.from_bytes(data[4:6])
        zone = take_string(data, _FIXED)
        group = take_string(data, zone[1]) if zone is not None else None
        if zone is None or group is None or not 1 <= low <= high < STARTUP[0]:
            return
        name = zone[0]
        if flags & ZONE_INVALID:
            other = take_string(data, group[1])
            name = other[0] if other is not None else b""
        self._due_ns = None
        if 1 <= len(name) <= ZONE_BYTES:
            self.zone = name
        is_group = len(group[0]) == 6 and group[0][:5] == bytes.fromhex("0900070000")
        self.multicast = group[0] if is_group and not flags & USE_BROADCAST else b""
        self._node.move((low, high))


def _strings(data: bytes, count: int) -> list[bytes]:
    """Return at most ``count`` strings: the data ends the loop, whatever the number says."""
    found: list[bytes] = []
    at = 0
    while len(found) < count:
        taken = take_string(data, at)
        if taken is None:
            break
        found.append(taken[0])
        at = taken[1]
    return found
