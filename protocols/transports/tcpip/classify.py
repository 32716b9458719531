"""Classify points: where a filtering engine is asked about packets, ports, connections and data.

The points are those of the Windows Filtering Platform's layers. A stack without a classifier pays one
comparison with None at each of them; with one, a point that the classifier does not name costs little more.
Blocking is silent towards the network and ACCESS_DENIED towards the caller.

::

    program   BIND_REDIRECT  ALE_BIND  ALE_LISTEN  CONNECT_REDIRECT  ALE_CONNECT  RESOURCE_RELEASE
                                                     ALE_ACCEPT (a SYN, or a peer's first datagram)
                 |          |           |                    |
    TCP, UDP  FLOW_ESTABLISHED, STREAM (both ways, of connections that were established under a classifier)
              DATAGRAM_DATA (both ways, UDP)
                                  |                          |
    ICMP      OUTBOUND_ICMP_ERROR                        INBOUND_ICMP_ERROR
    IP        OUTBOUND_TRANSPORT (not yet in packets)    INBOUND_TRANSPORT (whole: reassembled)
                                  |                          |
    link      OUTBOUND_IPPACKET (as it leaves)           INBOUND_IPPACKET (as it came)
              OUTBOUND_MAC_FRAME                         INBOUND_MAC_FRAME (any type)

``generation`` counts policies. What was remembered under another one is asked anew: pairs of addresses that
may pass (``Action.PERMIT_PAIR``), flows (``PERMIT_FLOW``, ``BLOCK_FLOW``), and peers of UDP ports.
Source: "Filtering Layer Identifiers" (WFP).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from formats import ethernet, ipv4, ipv6
from formats.transport import TCP, UDP
from protocols.transports.tcpip.errors import Failure, NetworkError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from formats.checksum import Buffer
    from protocols.transports.tcpip.link import RxFrame, TxFrame

MOST_FLOWS = 4096
"""Whose verdicts are remembered; beyond it, all are asked anew."""
PORTED = frozenset((TCP, UDP))
"""Protocols whose header begins with the two ports; of ICMP, type and code tell flows apart."""
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
    DATAGRAM_DATA = enum.auto()
    INBOUND_ICMP_ERROR = enum.auto()
    OUTBOUND_ICMP_ERROR = enum.auto()
    INBOUND_MAC_FRAME = enum.auto()
    OUTBOUND_MAC_FRAME = enum.auto()
    RESOURCE_RELEASE = enum.auto()  # ALE_RESOURCE_RELEASE: told, not asked
    CONNECT_REDIRECT = enum.auto()  # ALE_CONNECT_REDIRECT
    BIND_REDIRECT = enum.auto()  # ALE_BIND_REDIRECT


class Action(enum.Enum):
    """What becomes of it."""

    PERMIT = enum.auto()
    BLOCK = enum.auto()
    PERMIT_PAIR = enum.auto()
    """INBOUND_IPPACKET: permit, and do not ask again about these two addresses under this policy."""
    PERMIT_FLOW = enum.auto()
    """Transport points, OUTBOUND_IPPACKET: permit, and do not ask again about this flow under this policy."""
    BLOCK_FLOW = enum.auto()
    """The same, for a flow that is blocked."""
    PEND = enum.auto()
    """ALE_CONNECT of TCP, ALE_ACCEPT of a SYN: the engine will say later (``Engine.pend``)."""


BLOCKING = frozenset((Action.BLOCK, Action.BLOCK_FLOW))


@dataclass(frozen=True, slots=True)
class Subject:
    """What is asked about. ``local`` and ``remote`` are from this host's view; None is any address.

    ICMP's type and code stand in the ports' place. ``data``: at an IPPACKET point from the IP header on, at a
    TRANSPORT point from the transport header on, at STREAM what is sent or received, at an ICMP_ERROR point
    the ICMP message, at a MAC_FRAME point the frame. ``injected_by``: what an engine has marked it with.
    ``is_last``: at STREAM, nothing comes behind it.
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
    injected_by: object | None = None
    is_last: bool = False


class Endpoint(NamedTuple):
    """An address, None for any, and a port."""

    address: bytes | None
    port: int


class Classifier(Protocol):
    """A filtering engine, or a toy of one. It must not call the stack back."""

    @property
    def points(self) -> frozenset[Point]:
        """Where it wants to be asked."""

    def classify(self, subject: Subject) -> Action:
        """Decide."""


class Engine:
    """A classifier that does more than decide. This base does nothing more."""

    wants_single_packets = False
    """It takes packets apart, so those that came in are not joined."""

    @property
    def points(self) -> frozenset[Point]:
        """Where it wants to be asked."""
        return frozenset()

    def classify(self, subject: Subject) -> Action:
        """Decide. It must not call the stack back."""
        del subject
        return Action.PERMIT

    def run(self) -> None:
        """Do what was put off while the stack was inside: inject packets, complete operations."""

    def edit(self, subject: Subject) -> Buffer | None:
        """STREAM: return what goes on in place of ``subject.data``; None resets the connection."""
        return None if self.classify(subject) in BLOCKING else subject.data

    def redirect(self, subject: Subject) -> Endpoint | None:
        """CONNECT_REDIRECT: return another remote end; BIND_REDIRECT: another local one. None: as it is."""

    def pend(self, subject: Subject, resume: Callable[[bool], None]) -> None:
        """Call ``resume`` once, out of ``run``, with whether what it said PEND to may go on."""

    def flow_ended(self, subject: Subject) -> None:
        """Forget a connection that is gone."""


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
        self.injecting: tuple[Point, object] | None = None
        """Whose packet an engine is just putting in, and at which point: what answers it is nobody's."""
        self.engine = classifier if isinstance(classifier, Engine) else None
        self._classifier = classifier
        self._count = count
        self._flows: dict[tuple[object, ...], bool] = {}
        self._peers: set[tuple[int, bytes, int]] = set()
        self.policy_changed()

    def policy_changed(self) -> None:
        """Ask anew about everything that was remembered."""
        self.generation += 1
        self.points = self._classifier.points
        self._asks_inbound_transport = Point.INBOUND_TRANSPORT in self.points
        self._asks_outbound_transport = Point.OUTBOUND_TRANSPORT in self.points
        self._asks_frames = bool(self.points & {Point.OUTBOUND_IPPACKET, Point.OUTBOUND_MAC_FRAME})
        self._peers.clear()
        self._flows.clear()

    # Frames

    def inbound_frames(self, interface: OnInterface, frames: Sequence[RxFrame]) -> Sequence[RxFrame]:
        """INBOUND_MAC_FRAME: return those that may come in."""
        if Point.INBOUND_MAC_FRAME not in self.points:
            return frames
        return [
            frame
            for frame in frames
            if self._permits(
                Subject(
                    Point.INBOUND_MAC_FRAME,
                    0,
                    None,
                    is_inbound=True,
                    interface=interface.index,
                    data=frame.data,
                )
            )
        ]

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
                injected_by=self._injected_by(Point.INBOUND_IPPACKET),
            )
        )

    def outbound_frames(self, interface: OnInterface, frames: list[TxFrame]) -> list[TxFrame]:
        """OUTBOUND_IPPACKET, for frames that are IP, then OUTBOUND_MAC_FRAME: return those that may leave."""
        if not self._asks_frames:
            return frames
        return [frame for frame in frames if self._may_leave(interface, frame)]

    def inbound_transport(self, packet: ClassifiedPacket) -> bool:
        """INBOUND_TRANSPORT."""
        if not self._asks_inbound_transport:
            return True
        ports = bytes(packet.payload[:4] if packet.protocol in PORTED else packet.payload[:2])
        index = packet.interface.index
        flow = (packet.destination, packet.source, packet.protocol, ports, index, True)
        if self._flows.get(flow) and self.injecting is None:
            return True
        there, here = _ports(packet.protocol, packet.payload)
        return self._permits_flow(
            Point.INBOUND_TRANSPORT,
            flow,
            lambda: Subject(
                Point.INBOUND_TRANSPORT,
                packet.protocol,
                packet.destination,
                here,
                packet.source,
                there,
                is_inbound=True,
                interface=packet.interface.index,
                data=packet.payload,
                injected_by=self._injected_by(Point.INBOUND_TRANSPORT),
            ),
        )

    def outbound_transport(
        self, path: ClassifiedPath, protocol: int, header: bytes, payload: Sequence[Buffer]
    ) -> bool:
        """OUTBOUND_TRANSPORT."""
        if not self._asks_outbound_transport:
            return True
        head = header if len(header) >= 4 else b"".join((header, *payload))
        ports = head[:4] if protocol in PORTED else head[:2]
        index = path.interface.index
        flow = (path.source, path.destination, protocol, ports, index, False)
        if self._flows.get(flow) and self.injecting is None:
            return True
        here, there = _ports(protocol, head)
        return self._permits_flow(
            Point.OUTBOUND_TRANSPORT,
            flow,
            lambda: Subject(
                Point.OUTBOUND_TRANSPORT,
                protocol,
                path.source,
                here,
                path.destination,
                there,
                interface=path.interface.index,
                data=b"".join((header, *payload)),
                injected_by=self._injected_by(Point.OUTBOUND_TRANSPORT),
            ),
        )

    def datagram_data(  # noqa: PLR0917 - a datagram's two ends
        self,
        interface: OnInterface,
        local: bytes,
        port: int,
        remote: bytes,
        remote_port: int,
        data: Buffer,
        *,
        is_inbound: bool,
    ) -> bool:
        """DATAGRAM_DATA of UDP: what a program sends or is given."""
        if Point.DATAGRAM_DATA not in self.points:
            return True
        return self._permits(
            Subject(
                Point.DATAGRAM_DATA,
                UDP,
                local,
                port,
                remote,
                remote_port,
                is_inbound,
                interface.index,
                data,
            )
        )

    def inbound_error(self, packet: ClassifiedPacket) -> bool:
        """INBOUND_ICMP_ERROR: an error about a packet of ours."""
        ends = (packet.destination, packet.source)
        return self._icmp_error(
            Point.INBOUND_ICMP_ERROR, packet.protocol, ends, packet.interface, packet.payload
        )

    def outbound_error(self, path: ClassifiedPath, protocol: int, message: bytes) -> bool:
        """OUTBOUND_ICMP_ERROR: an error of ours."""
        ends = (path.source, path.destination)
        return self._icmp_error(Point.OUTBOUND_ICMP_ERROR, protocol, ends, path.interface, message)

    def _icmp_error(
        self,
        point: Point,
        protocol: int,
        ends: tuple[bytes, bytes],
        interface: OnInterface,
        data: Buffer,
    ) -> bool:
        if point not in self.points:
            return True
        here, there = _ports(protocol, data)
        is_inbound = point is Point.INBOUND_ICMP_ERROR
        return self._permits(
            Subject(point, protocol, ends[0], here, ends[1], there, is_inbound, interface.index, data)
        )

    # Ports and connections

    def bind(self, protocol: int, local: bytes | None, port: int) -> None:
        """ALE_BIND: a port is given away, asked for or not. NetworkError(PROHIBITED)."""
        self._require(Subject(Point.ALE_BIND, protocol, local, port))

    def listen(self, local: bytes | None, port: int) -> None:
        """ALE_LISTEN. NetworkError(PROHIBITED)."""
        self._require(Subject(Point.ALE_LISTEN, TCP, local, port))

    def released(self, protocol: int, local: bytes | None, port: int) -> None:
        """RESOURCE_RELEASE: a port is given back."""
        if Point.RESOURCE_RELEASE in self.points:
            self._classifier.classify(Subject(Point.RESOURCE_RELEASE, protocol, local, port))

    def redirect_bind(self, protocol: int, local: bytes | None, port: int) -> Endpoint:
        """BIND_REDIRECT: return the local end to take."""
        found = None
        if self.engine is not None and Point.BIND_REDIRECT in self.points:
            found = self.engine.redirect(Subject(Point.BIND_REDIRECT, protocol, local, port))
        return found or Endpoint(local, port)

    def redirect_connect(self, local: bytes | None, port: int, remote: bytes, remote_port: int) -> Endpoint:
        """CONNECT_REDIRECT of TCP: return the remote end to connect to."""
        found = None
        if self.engine is not None and Point.CONNECT_REDIRECT in self.points:
            subject = Subject(Point.CONNECT_REDIRECT, TCP, local, port, remote, remote_port)
            found = self.engine.redirect(subject)
        return found or Endpoint(remote, remote_port)

    def connect(
        self, local: bytes, port: int, remote: bytes, remote_port: int, resume: Callable[[bool], None]
    ) -> bool:
        """ALE_CONNECT of TCP; False: ``resume`` is called later. NetworkError(PROHIBITED)."""
        if Point.ALE_CONNECT not in self.points:
            return True
        subject = Subject(Point.ALE_CONNECT, TCP, local, port, remote, remote_port)
        action = self._ask(subject)
        if action in BLOCKING:
            raise NetworkError(Failure.PROHIBITED, subject.point.name)
        if action is Action.PEND and self.engine is not None:
            self.engine.pend(subject, resume)
        return action is not Action.PEND

    def accept(
        self, local: bytes, port: int, remote: bytes, remote_port: int, resume: Callable[[bool], None]
    ) -> bool:
        """ALE_ACCEPT of TCP: a SYN. False: it is dropped, or ``resume`` is called later."""
        if Point.ALE_ACCEPT not in self.points:
            return True
        subject = Subject(Point.ALE_ACCEPT, TCP, local, port, remote, remote_port, is_inbound=True)
        action = self._ask(subject)
        if action is Action.PEND and self.engine is not None:
            self.engine.pend(subject, resume)
        return action is not Action.PEND and action not in BLOCKING

    def established(
        self, local: bytes, port: int, remote: bytes, remote_port: int, *, is_inbound: bool
    ) -> bool:
        """FLOW_ESTABLISHED."""
        point = Point.FLOW_ESTABLISHED
        subject = Subject(point, TCP, local, port, remote, remote_port, is_inbound=is_inbound)
        return point not in self.points or self._permits(subject)

    def stream(self, subject: Subject) -> Buffer | None:
        """STREAM: data of a connection, in order. Return what goes on; None: the connection is reset."""
        if self.engine is not None:
            found = self.engine.edit(subject)
            if found is None:
                self._count("classify.blocked_stream")
            return found
        return subject.data if not len(subject.data) or self._permits(subject) else None

    def flow_ended(self, local: bytes, port: int, remote: bytes, remote_port: int) -> None:
        """Tell that a connection is gone."""
        if self.engine is not None:
            subject = Subject(Point.FLOW_ESTABLISHED, TCP, local, port, remote, remote_port)
            self.engine.flow_ended(subject)

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

    def _injected_by(self, point: Point) -> object | None:
        return self.injecting[1] if self.injecting is not None and self.injecting[0] is point else None

    def _remember(self, peer: tuple[int, bytes, int]) -> None:
        if len(self._peers) >= MOST_PEERS:
            self._peers.clear()
        self._peers.add(peer)

    def _require(self, subject: Subject) -> None:
        if subject.point in self.points and not self._permits(subject):
            raise NetworkError(Failure.PROHIBITED, subject.point.name)

    def _permits(self, subject: Subject) -> bool:
        return self._ask(subject) not in BLOCKING

    def _permits_flow(self, point: Point, flow: tuple[object, ...], subject: Callable[[], Subject]) -> bool:
        """Answer from memory, or ask and remember what is said of the whole flow."""
        known = self._flows.get(flow) if self.injecting is None else None
        if known is not None:
            if not known:
                self._count(f"classify.blocked_{point.name.lower()}")
            return known
        action = self._ask(subject())
        if action in {Action.PERMIT_FLOW, Action.BLOCK_FLOW}:
            if len(self._flows) >= MOST_FLOWS:
                self._flows.clear()
            self._flows[flow] = action is Action.PERMIT_FLOW
        return action not in BLOCKING

    def _ask(self, subject: Subject) -> Action:
        action = self._classifier.classify(subject)
        if action in BLOCKING:
            self._count(f"classify.blocked_{subject.point.name.lower()}")
        return action

    def _may_leave(self, interface: OnInterface, frame: TxFrame) -> bool:
        injected_by = getattr(frame, "injected_by", None)
        is_mac = getattr(frame, "injected_at", None) is Point.OUTBOUND_MAC_FRAME
        is_packets = Point.OUTBOUND_IPPACKET in self.points and not is_mac  # else it is below that already
        if is_packets and not self._packet_may_leave(interface, frame, injected_by):
            return False
        if Point.OUTBOUND_MAC_FRAME not in self.points:
            return True
        point, index, by = Point.OUTBOUND_MAC_FRAME, interface.index, injected_by if is_mac else None
        return self._permits(Subject(point, 0, None, interface=index, data=frame.data(), injected_by=by))

    def _packet_may_leave(self, interface: OnInterface, frame: TxFrame, injected_by: object | None) -> bool:
        data = bytes(frame.buffers[0])
        if len(data) < ethernet.HEADER_BYTES + ipv6.HEADER_BYTES:
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
        index = interface.index

        def subject() -> Subject:
            whole = memoryview(frame.data())[ethernet.HEADER_BYTES :]
            return Subject(
                point, protocol, source, 0, destination, interface=index, data=whole, injected_by=injected_by
            )

        if injected_by is not None:
            return self._permits(subject())
        return self._permits_flow(point, (source, destination, index), subject)


def _ports(protocol: int, data: Buffer) -> tuple[int, int]:
    """Return source and destination port of a transport header, or ICMP's type and code."""
    if protocol in (TCP, UDP) and len(data) >= 4:
        return int.from_bytes(data[:2]), int.from_bytes(data[2:4])
    return (data[0], data[1]) if len(data) >= 2 else (0, 0)
