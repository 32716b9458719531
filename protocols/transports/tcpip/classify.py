"""Classify points: where a filtering engine is asked about packets, ports, connections and data.

The points are those of the Windows Filtering Platform's layers. A stack without a classifier pays one
comparison with None at each of them; with one, a point that the classifier does not name costs little more.
Blocking is silent towards the network and ACCESS_DENIED towards the caller.

::

    program   ALE_BIND  ALE_LISTEN  ALE_CONNECT          ALE_ACCEPT (a SYN, or a peer's first datagram)
                 |          |           |                    |
    TCP, UDP  FLOW_ESTABLISHED, STREAM (both ways, of connections that were established under a classifier)
                                  |                          |
    IP        OUTBOUND_TRANSPORT (not yet in packets)    INBOUND_TRANSPORT (whole: reassembled)
                                  |                          |
    link      OUTBOUND_IPPACKET (as it leaves)           INBOUND_IPPACKET (as it came)

``generation`` counts policies. What was remembered under another one is asked anew: pairs of addresses that
may pass (``Action.PERMIT_PAIR``), and peers of UDP ports. Source: "Filtering Layer Identifiers" (WFP).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from formats import ethernet, ipv4, ipv6
from formats.transport import TCP, UDP
from protocols.transports.tcpip.errors import Failure, NetworkError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from formats.checksum import Buffer
    from protocols.transports.tcpip.link import TxFrame

MOST_PEERS = 4096
"""Of all UDP ports together; beyond it, all are asked anew."""


class Point(enum.Enum):
    """FWPM_LAYER_*, both IP versions of each."""

    INBOUND_IPPACKET = enum.auto()
    OUTBOUND_IPPACKET = enum.auto()
    INBOUND_TRANSPORT = enum.auto()
    OUTBOUND_TRANSPORT = enum.auto()
    ALE_BIND = enum.auto()  # ALE_RESOURCE_ASSIGNMENT
    ALE_LISTEN = enum.auto()  # ALE_AUTH_LISTEN
    ALE_CONNECT = enum.auto()  # ALE_AUTH_CONNECT
    ALE_ACCEPT = enum.auto()  # ALE_AUTH_RECV_ACCEPT
    FLOW_ESTABLISHED = enum.auto()  # ALE_FLOW_ESTABLISHED
    STREAM = enum.auto()


class Action(enum.Enum):
    """What becomes of it."""

    PERMIT = enum.auto()
    BLOCK = enum.auto()
    PERMIT_PAIR = enum.auto()
    """INBOUND_IPPACKET: permit, and do not ask again about these two addresses under this policy."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is asked about. ``local`` and ``remote`` are from this host's view; None is any address.

    ICMP's type and code stand in the ports' place. ``data``: at an IPPACKET point from the IP header on, at a
    TRANSPORT point from the transport header on, at STREAM what is sent or received.
    """

    point: Point
    protocol: int
    local: bytes | None
    local_port: int = 0
    remote: bytes | None = None
    remote_port: int = 0
    is_inbound: bool = False
    interface: int = 0
    data: Buffer = b""


class Classifier(Protocol):
    """A filtering engine, or a toy of one. It must not call the stack back."""

    @property
    def points(self) -> frozenset[Point]:
        """Where it wants to be asked."""

    def classify(self, subject: Subject) -> Action:
        """Decide."""


class OnInterface(Protocol):
    """An interface, as far as its number goes."""

    @property
    def index(self) -> int:
        """The number that programs know it by."""


class ClassifiedPacket(Protocol):
    """A packet that came in (``packet.Packet``)."""

    @property
    def interface(self) -> OnInterface:
        """Where it came in."""

    @property
    def source(self) -> bytes:
        """4 or 16 bytes."""

    @property
    def destination(self) -> bytes:
        """4 or 16 bytes."""

    @property
    def protocol(self) -> int:
        """IPPROTO_*."""

    @property
    def payload(self) -> memoryview:
        """From the transport header on."""

    @property
    def raw(self) -> memoryview:
        """From the IP header on."""


class ClassifiedPath(Protocol):
    """The way of a packet that goes out (``paths.Path``)."""

    @property
    def interface(self) -> OnInterface:
        """By which it leaves."""

    @property
    def source(self) -> bytes:
        """4 or 16 bytes."""

    @property
    def destination(self) -> bytes:
        """4 or 16 bytes."""


class Classification:
    """A stack's classifier, and what is remembered of its answers."""

    def __init__(self, classifier: Classifier, count: Callable[[str], None]) -> None:
        """``count`` is told of each refusal: ``classify.blocked_…``."""
        self.generation = 0
        self._classifier = classifier
        self._count = count
        self._peers: set[tuple[int, bytes, int]] = set()
        self.policy_changed()

    def policy_changed(self) -> None:
        """Ask anew about everything that was remembered."""
        self.generation += 1
        self.points = self._classifier.points
        self._peers.clear()

    # Packets

    def inbound_packet(self, packet: ClassifiedPacket) -> Action:
        """INBOUND_IPPACKET."""
        if Point.INBOUND_IPPACKET not in self.points:
            return Action.PERMIT_PAIR
        return self._ask(
            Subject(
                Point.INBOUND_IPPACKET,
                packet.protocol,
                packet.destination,
                0,
                packet.source,
                is_inbound=True,
                interface=packet.interface.index,
                data=packet.raw,
            )
        )

    def outbound_frames(self, interface: OnInterface, frames: list[TxFrame]) -> list[TxFrame]:
        """OUTBOUND_IPPACKET: return those that may leave. Frames that are no IP are nobody's business."""
        if Point.OUTBOUND_IPPACKET not in self.points:
            return frames
        return [frame for frame in frames if self._may_leave(interface, frame)]

    def inbound_transport(self, packet: ClassifiedPacket) -> bool:
        """INBOUND_TRANSPORT."""
        if Point.INBOUND_TRANSPORT not in self.points:
            return True
        there, here = _ports(packet.protocol, packet.payload)
        return self._permits(
            Subject(
                Point.INBOUND_TRANSPORT,
                packet.protocol,
                packet.destination,
                here,
                packet.source,
                there,
                is_inbound=True,
                interface=packet.interface.index,
                data=packet.payload,
            )
        )

    def outbound_transport(
        self, path: ClassifiedPath, protocol: int, header: bytes, payload: Sequence[Buffer]
    ) -> bool:
        """OUTBOUND_TRANSPORT."""
        if Point.OUTBOUND_TRANSPORT not in self.points:
            return True
        data = b"".join((header, *payload))
        here, there = _ports(protocol, data)
        return self._permits(
            Subject(
                Point.OUTBOUND_TRANSPORT,
                protocol,
                path.source,
                here,
                path.destination,
                there,
                interface=path.interface.index,
                data=data,
            )
        )

    # Ports and connections

    def bind(self, protocol: int, local: bytes | None, port: int) -> None:
        """ALE_BIND: a port is given away, asked for or not. NetworkError(PROHIBITED)."""
        self._require(Subject(Point.ALE_BIND, protocol, local, port))

    def listen(self, local: bytes | None, port: int) -> None:
        """ALE_LISTEN. NetworkError(PROHIBITED)."""
        self._require(Subject(Point.ALE_LISTEN, TCP, local, port))

    def connect(self, local: bytes, port: int, remote: bytes, remote_port: int) -> None:
        """ALE_CONNECT of TCP. NetworkError(PROHIBITED)."""
        self._require(Subject(Point.ALE_CONNECT, TCP, local, port, remote, remote_port))

    def accept(self, local: bytes, port: int, remote: bytes, remote_port: int) -> bool:
        """ALE_ACCEPT of TCP: a SYN."""
        subject = Subject(Point.ALE_ACCEPT, TCP, local, port, remote, remote_port, is_inbound=True)
        return Point.ALE_ACCEPT not in self.points or self._permits(subject)

    def established(
        self, local: bytes, port: int, remote: bytes, remote_port: int, *, is_inbound: bool
    ) -> bool:
        """FLOW_ESTABLISHED."""
        point = Point.FLOW_ESTABLISHED
        subject = Subject(point, TCP, local, port, remote, remote_port, is_inbound=is_inbound)
        return point not in self.points or self._permits(subject)

    def stream(self, subject: Subject) -> bool:
        """STREAM: data of a connection, in order."""
        return self._permits(subject)

    def datagram_to(self, local: bytes | None, port: int, remote: bytes, remote_port: int) -> None:
        """ALE_CONNECT of UDP: the first datagram to a peer. NetworkError(PROHIBITED)."""
        peer = (port, remote, remote_port)
        if peer not in self._peers:
            self._require(Subject(Point.ALE_CONNECT, UDP, local, port, remote, remote_port))
            self._remember(peer)

    def datagram_from(self, local: bytes, port: int, remote: bytes, remote_port: int) -> bool:
        """ALE_ACCEPT of UDP: the first datagram of a peer that nothing was sent to."""
        peer = (port, remote, remote_port)
        if peer in self._peers:
            return True
        if not self.accept_datagram(local, port, remote, remote_port):
            return False
        self._remember(peer)
        return True

    def accept_datagram(self, local: bytes, port: int, remote: bytes, remote_port: int) -> bool:
        """Ask about a datagram, whatever is remembered."""
        subject = Subject(Point.ALE_ACCEPT, UDP, local, port, remote, remote_port, is_inbound=True)
        return Point.ALE_ACCEPT not in self.points or self._permits(subject)

    # Inside

    def _remember(self, peer: tuple[int, bytes, int]) -> None:
        if len(self._peers) >= MOST_PEERS:
            self._peers.clear()
        self._peers.add(peer)

    def _require(self, subject: Subject) -> None:
        if subject.point in self.points and not self._permits(subject):
            raise NetworkError(Failure.PROHIBITED, subject.point.name)

    def _permits(self, subject: Subject) -> bool:
        return self._ask(subject) is not Action.BLOCK

    def _ask(self, subject: Subject) -> Action:
        action = self._classifier.classify(subject)
        if action is Action.BLOCK:
            self._count(f"classify.blocked_{subject.point.name.lower()}")
        return action

    def _may_leave(self, interface: OnInterface, frame: TxFrame) -> bool:
        data = frame.data()
        raw = memoryview(data)[ethernet.HEADER_BYTES :]
        kind = ethernet.ethertype(data)
        if kind == ethernet.IPV4 and len(raw) >= ipv4.HEADER_BYTES:
            protocol, source, destination = raw[9], bytes(raw[12:16]), bytes(raw[16:20])
        elif kind == ethernet.IPV6 and len(raw) >= ipv6.HEADER_BYTES:
            protocol, source, destination = raw[6], bytes(raw[8:24]), bytes(raw[24:40])
        else:
            return True
        point = Point.OUTBOUND_IPPACKET
        return self._permits(
            Subject(point, protocol, source, 0, destination, interface=interface.index, data=raw)
        )


def _ports(protocol: int, data: Buffer) -> tuple[int, int]:
    """Return source and destination port of a transport header, or ICMP's type and code."""
    if protocol in (TCP, UDP) and len(data) >= 4:
        return int.from_bytes(data[:2]), int.from_bytes(data[2:4])
    return (data[0], data[1]) if len(data) >= 2 else (0, 0)
