"""A node of an extended AppleTalk network on one card: sockets of DDP, and the protocols that all nodes have.

Sans I/O: ``receive`` takes frames, ``outbox`` has those to send, ``advance`` lets time pass.
Source: Inside AppleTalk, chapters 4 (DDP), 5 (RTMP) and 6 (AEP).
"""

from __future__ import annotations

import random
from collections import deque
from typing import TYPE_CHECKING

from formats import ethernet
from formats.appletalk import (
    AARP_SNAP,
    ANY_NODE,
    BROADCAST,
    DDP_DATA,
    DDP_SNAP,
    STARTUP,
    Datagram,
    DdpType,
    NodeAddress,
)
from formats.llc import SNAP_SAP, UI, LlcFrame, parse_snap
from protocols.transports.appletalk.aarp import Resolver
from protocols.transports.appletalk.atp import Transactions
from protocols.transports.appletalk.contract import Router
from protocols.transports.appletalk.nbp import Names
from protocols.transports.appletalk.parameters import (
    ECHO_SOCKET,
    FIRST_DYNAMIC,
    LAST_SOCKET,
    NIS_SOCKET,
    RTMP_SOCKET,
    AppletalkError,
    AppletalkParameters,
)
from protocols.transports.appletalk.zones import Zones

if TYPE_CHECKING:
    from protocols.transports.appletalk.contract import Taker

ECHO_REQUEST, ECHO_REPLY = 1, 2
RTMP_HEAD, RTMP_TUPLE, EXTENDED = 4, 6, 0x80
THIS_NETWORK = NodeAddress(0, ANY_NODE)


class Node:
    """A node. ``address`` is there once AARP has it and routers were asked."""

    def __init__(self, mac: bytes, now_ns: int = 0, parameters: AppletalkParameters | None = None) -> None:
        """Begin to look for an address. The choice of it comes from the card's own."""
        self.mac, self.now_ns = mac, now_ns
        self.parameters = parameters or AppletalkParameters()
        self.outbox: deque[LlcFrame] = deque()
        self.sockets: dict[int, Taker] = {}
        self.networks = STARTUP
        """The cable's range."""
        self.router: Router | None = None
        self.counters = dict.fromkeys(("received", "sent", "malformed", "no_socket", "not_ours", "unsent"), 0)
        self.chance = random.Random(mac)  # noqa: S311 - spreads nodes over numbers; no secret
        self.aarp = Resolver(
            mac, self._emit, self._send_datagram, self._claimed, self.chance, self.parameters
        )
        self.transactions = Transactions(self)
        self.zones = Zones(self, self.transactions)
        self.names = Names(self, self.zones)
        self.sockets[RTMP_SOCKET] = self._rtmp
        self.sockets[NIS_SOCKET] = self.names.receive
        self.sockets[ECHO_SOCKET] = self._echo
        self.aarp.acquire(now_ns)

    @property
    def address(self) -> NodeAddress | None:
        """Our address; None while it is on trial."""
        return self.aarp.address

    @property
    def multicasts(self) -> frozenset[bytes]:
        """The group addresses that the card has to hear."""
        return frozenset({BROADCAST} | ({self.zones.multicast} if self.zones.multicast else set()))

    # Sockets

    def open_socket(self, number: int, taker: Taker) -> int:
        """Open a socket, 0 for any dynamic one; return its number. AppletalkError: there is none."""
        if number == 0:
            free = (one for one in range(FIRST_DYNAMIC, LAST_SOCKET + 1) if one not in self.sockets)
            number = next(free, 0)
        if not 1 <= number <= LAST_SOCKET or number in self.sockets:
            raise AppletalkError("the socket is in use, or all are")
        self.sockets[number] = taker
        return number

    def close_socket(self, number: int) -> None:
        """Close a socket, with its names and what it transacts."""
        self.sockets.pop(number, None)
        self.names.forget(number)
        self.transactions.forget(number)

    def send(self, to: NodeAddress, to_socket: int, from_socket: int, kind: int, data: bytes) -> None:
        """Send a datagram. AppletalkError: it is too long, or we have no address yet."""
        if len(data) > DDP_DATA:
            raise AppletalkError(f"{len(data)} bytes in a datagram")
        ours = self.address
        if ours is None:
            raise AppletalkError("the node has no address yet")
        self.counters["sent"] += 1
        datagram = Datagram(to, ours, to_socket, from_socket, kind, data)
        if to == ours or (to.network == 0 and to.node == ours.node):
            self._hand_up(datagram)
            return
        payload = datagram.emit()
        if to.is_broadcast:
            self._send_datagram(BROADCAST, payload)
            if to_socket in self.sockets and to_socket not in (RTMP_SOCKET, ECHO_SOCKET, NIS_SOCKET):
                self._hand_up(datagram)
            return
        self.aarp.send(self._next_hop(to, ours), payload, self.now_ns)

    def move(self, networks: tuple[int, int]) -> None:
        """Be on a cable of these networks, with another address if ours is of none of them."""
        self.networks, ours = networks, self.address
        if ours is not None and not networks[0] <= ours.network <= networks[1]:
            self.aarp.acquire(self.now_ns, networks)

    # The wire

    def receive(self, raw: bytes, now_ns: int) -> None:
        """Take a frame."""
        self.now_ns = max(self.now_ns, now_ns)
        frame = LlcFrame.parse(raw)
        found = parse_snap(frame) if frame is not None else None
        if frame is None or found is None or frame.source == self.mac:
            self.counters["malformed"] += found is None
            return
        oui, kind, payload = found
        if (oui, kind) == AARP_SNAP:
            self.aarp.receive(payload, self.now_ns)
        elif (oui, kind) == DDP_SNAP:
            self._ddp(payload)

    def advance(self, now_ns: int) -> None:
        """Let time pass."""
        self.now_ns = max(self.now_ns, now_ns)
        if self.router is not None and self.router.until_ns <= self.now_ns:
            self.router = None
        self.aarp.advance(self.now_ns)
        self.zones.advance(self.now_ns)
        self.names.advance(self.now_ns)
        self.transactions.advance(self.now_ns)

    def next_deadline(self) -> int | None:
        """Return when ``advance`` is due, in ns."""
        parts = (self.aarp, self.zones, self.names, self.transactions)
        due = [one for one in (part.next_deadline() for part in parts) if one is not None]
        if self.router is not None:
            due.append(self.router.until_ns)
        return min(due, default=None)

    def stop(self) -> None:
        """End what waits for peers: the card was unbound."""
        self.names.stop()
        self.transactions.stop()

    def _ddp(self, payload: bytes) -> None:
        datagram = Datagram.parse(payload)
        ours = self.address
        if datagram is None or datagram.source.node in (0, ANY_NODE):  # nobody can be answered there
            self.counters["malformed"] += 1
            return
        to = datagram.destination
        is_here = ours is not None and to.network in (0, ours.network) and to.node in (ours.node, ANY_NODE)
        if not is_here and not (to == THIS_NETWORK and ours is not None):
            self.counters["not_ours"] += 1
            return
        self._hand_up(datagram)

    def _hand_up(self, datagram: Datagram) -> None:
        taker = self.sockets.get(datagram.to_socket)
        if taker is None:
            self.counters["no_socket"] += 1
            return
        self.counters["received"] += 1
        taker(datagram)

    def _next_hop(self, to: NodeAddress, ours: NodeAddress) -> NodeAddress:
        """Return whom of this cable to hand it to."""
        low, high = self.networks
        if to.network == 0:
            return NodeAddress(ours.network, to.node)
        is_local = low <= to.network <= high or STARTUP[0] <= to.network <= STARTUP[1]
        return to if is_local or self.router is None else self.router.address

    def _emit(self, mac: bytes, snap: tuple[bytes, int], payload: bytes) -> None:
        information = snap[0] + snap[1].to_bytes(2) + payload
        self.outbox.append(LlcFrame(mac, self.mac, SNAP_SAP, SNAP_SAP, UI, information))

    def _send_datagram(self, mac: bytes, payload: bytes) -> None:
        self._emit(mac, DDP_SNAP, payload)

    def _claimed(self) -> None:
        self.zones.address_came()

    # Protocols of every node

    def _echo(self, datagram: Datagram) -> None:
        """AEP: send back what was asked."""
        if datagram.kind != DdpType.AEP or datagram.data[:1] != bytes((ECHO_REQUEST,)):
            return
        answer = bytes((ECHO_REPLY,)) + datagram.data[1:]
        self.send(datagram.source, datagram.from_socket, ECHO_SOCKET, DdpType.AEP, answer)

    def _rtmp(self, datagram: Datagram) -> None:
        """RTMP as a node: know a router, and the cable's range from its first tuple."""
        data = datagram.data
        if datagram.kind != DdpType.RTMP or len(data) < RTMP_HEAD + RTMP_TUPLE or data[2] != 8:
            self.counters["malformed"] += datagram.kind == DdpType.RTMP
            return
        low, distance, high = int.from_bytes(data[4:6]), data[6], int.from_bytes(data[7:9])
        router = NodeAddress(int.from_bytes(data[:2]), data[3])
        if distance != EXTENDED or not 1 <= low <= high < STARTUP[0] or router != datagram.source:
            return
        is_new = self.router is None
        self.router = Router(router, self.now_ns + self.parameters.router_ns)
        if is_new and self.networks != (low, high):
            self.zones.ask()


def frame_bytes(frame: LlcFrame) -> bytes:
    """Return the frame as it goes to the card."""
    return ethernet.padded(frame.emit())
