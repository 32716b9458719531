"""AppleTalk nodes on a wire that loses, duplicates and reorders, in virtual time; a router's end. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from formats.appletalk import AARP_SNAP, BROADCAST, DDP_SNAP, Aarp, Datagram, DdpType, NodeAddress
from formats.llc import parse_snap
from ntos.executive.contract import SECOND
from protocols.transports.appletalk.node import Node
from protocols.transports.appletalk.parameters import RTMP_SOCKET, ZIS_SOCKET
from protocols.transports.appletalk.zones import GET_NET_INFO, NET_INFO
from tests.support.lossy_wire import LossyWire

if TYPE_CHECKING:
    from formats.llc import LlcFrame
    from protocols.transports.appletalk.parameters import AppletalkParameters

MULTICAST = bytes.fromhex("090007000005")


class Lan:
    """Nodes on one wire."""

    def __init__(self, count: int = 2, seed: int = 0, parameters: AppletalkParameters | None = None) -> None:
        self.now_ns = SECOND
        self.nodes = [Node(bytes((2, 0, 0, 0, 0, at + 1)), self.now_ns, parameters) for at in range(count)]
        self.frames: list[LlcFrame] = []
        """All that were sent, in order."""
        self.wire = LossyWire(seed)

    def run(self, time_ns: int = 4 * SECOND) -> None:
        """Carry frames and run timers for so long."""
        end = self.now_ns + time_ns
        while True:
            for node in self.nodes:
                node.advance(self.now_ns)
            self._collect()
            due = [one for one in (node.next_deadline() for node in self.nodes) if one is not None]
            if self.wire.due_ns is not None:
                due.append(self.wire.due_ns)
            if not due or min(due) > end:
                self.now_ns = end
                return
            self.now_ns = max(self.now_ns, min(due))
            for to, raw in self.wire.arrived(self.now_ns):
                self.nodes[to].receive(raw, self.now_ns)

    def address(self, at: int) -> NodeAddress:
        """Return a node's address, which it must have by now."""
        found = self.nodes[at].address
        assert found is not None
        return found

    def aarp(self) -> list[Aarp]:
        """Return the AARP packets that were sent."""
        found = [parse_snap(one) for one in self.frames]
        packets = [Aarp.parse(one[2]) for one in found if one is not None and one[:2] == AARP_SNAP]
        return [one for one in packets if one is not None]

    def datagrams(self) -> list[Datagram]:
        """Return the datagrams that were sent."""
        found = [parse_snap(one) for one in self.frames]
        packets = [Datagram.parse(one[2]) for one in found if one is not None and one[:2] == DDP_SNAP]
        return [one for one in packets if one is not None]

    def _collect(self) -> None:
        for at, node in enumerate(self.nodes):
            while node.outbox:
                frame = node.outbox.popleft()
                self.frames.append(frame)
                for to, other in enumerate(self.nodes):
                    if to != at and frame.destination in (other.mac, BROADCAST):
                        self.wire.send(to, frame.emit(), self.now_ns)


class RouterEnd:
    """Makes a node the seed router of its cable: it answers GetNetInfo, and sends RTMP when told to."""

    def __init__(self, node: Node, networks: tuple[int, int], zone: bytes = b"Twilight") -> None:
        self.node, self.networks, self.zone = node, networks, zone
        node.networks = networks
        node.aarp.acquire(node.now_ns, networks)
        node.open_socket(ZIS_SOCKET, self._zip)

    def announce(self) -> None:
        """Send RTMP data."""
        ours, (low, high) = self.node.address, self.networks
        assert ours is not None
        head = ours.network.to_bytes(2) + bytes((8, ours.node))
        first = low.to_bytes(2) + b"\x80" + high.to_bytes(2) + b"\x82"
        self.node.send(NodeAddress(0, 0xFF), RTMP_SOCKET, RTMP_SOCKET, DdpType.RTMP, head + first)

    def _zip(self, datagram: Datagram) -> None:
        if datagram.kind == DdpType.ATP:
            self.node.transactions.receive(datagram)
            return
        if datagram.kind != DdpType.ZIP or datagram.data[0] != GET_NET_INFO:
            return
        asked = datagram.data[7 : 7 + datagram.data[6]]
        is_known = asked.lower() == self.zone.lower()
        low, high = self.networks
        answer = bytes((NET_INFO, 0 if is_known else 0x80)) + low.to_bytes(2) + high.to_bytes(2)
        answer += bytes((len(asked),)) + asked + bytes((6,)) + MULTICAST
        if not is_known:
            answer += bytes((len(self.zone),)) + self.zone
        to = NodeAddress(0, 0xFF) if not low <= datagram.source.network <= high else datagram.source
        self.node.send(to, datagram.from_socket, ZIS_SOCKET, DdpType.ZIP, answer)
