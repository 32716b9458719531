"""PPPoE as a call manager: a call is discovery, then PPP; each session is a virtual circuit.

::

     0                   1                   2                   3
    | VER 1 | TYPE 1|     CODE      |          SESSION_ID           |
    |            LENGTH             |           payload             ~

Source: RFC 2516. It is a client (host); the other side is an access concentrator.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ndis.co.family import AddressFamily, Client, VcState, VirtualCircuit
from ndis.co.ppp import IP, Phase, PppSession
from ndis.packet import PacketPool
from ndis.protocol import BindingClient
from ndis.status import Status

if TYPE_CHECKING:
    from ndis.binding import BindContext
    from ndis.open import Open
    from ndis.packet import Packet
    from ndis.wrapper import Ndis
    from ntos.executive.contract import Timer

DISCOVERY, SESSION = b"\x88\x63", b"\x88\x64"
BROADCAST = b"\xff" * 6
SERVICE_NAME, AC_NAME, HOST_UNIQ, AC_COOKIE, RELAY_ID = 0x0101, 0x0102, 0x0103, 0x0104, 0x0110
ERRORS = frozenset({0x0201, 0x0202, 0x0203})
RETRY_NS = 3_000_000_000
TRIES = 5
POOL_SIZE = 64


class Code(enum.IntEnum):
    """CODE of discovery; a session's is 0."""

    SESSION_DATA = 0x00
    PADO = 0x07
    PADI = 0x09
    PADR = 0x19
    PADS = 0x65
    PADT = 0xA7


class CallState(enum.Enum):
    """How far a call is."""

    DISCOVERING = enum.auto()
    REQUESTING = enum.auto()
    NEGOTIATING = enum.auto()
    CONNECTED = enum.auto()
    CLOSED = enum.auto()


Tags = list[tuple[int, bytes]]


def emit_tags(tags: Tags) -> bytes:
    """Put tags together."""
    return b"".join(struct.pack(">HH", kind, len(value)) + value for kind, value in tags)


def parse_tags(raw: bytes) -> Tags | None:
    """Cut tags apart; None when they are malformed."""
    found: Tags = []
    while len(raw) >= 4:
        kind, length = struct.unpack_from(">HH", raw)
        if kind == 0:
            return found
        if length > len(raw) - 4:
            return None
        found.append((kind, raw[4 : 4 + length]))
        raw = raw[4 + length :]
    return found


def emit_frame(to: bytes, source: bytes, code: int, session: int, payload: bytes) -> bytes:
    """Return a whole Ethernet frame."""
    kind = SESSION if code == Code.SESSION_DATA else DISCOVERY
    return to + source + kind + struct.pack(">BBHH", 0x11, code, session, len(payload)) + payload


def parse_frame(frame: bytes) -> tuple[int, int, bytes] | None:
    """Return code, session and payload; None for what is not PPPoE."""
    if frame[12:14] not in {DISCOVERY, SESSION} or len(frame) < 20 or frame[14] != 0x11:
        return None
    _version, code, session, length = struct.unpack_from(">BBHH", frame, 14)
    if length > len(frame) - 20:
        return None
    return code, session, frame[20 : 20 + length]


@dataclass(slots=True)
class Call:
    """One call: the circuit, the concentrator, the session."""

    vc: VirtualCircuit
    uniq: bytes
    service: bytes
    ppp: PppSession
    state: CallState = CallState.DISCOVERING
    peer: bytes = BROADCAST
    session: int = 0
    echoed: Tags = field(default_factory=list)
    tries: int = 0
    timer: Timer | None = None


class PppoeManager(BindingClient):
    """The call manager over one Ethernet adapter: bind it, then open its address family."""

    def __init__(self, ndis: Ndis) -> None:
        self._ndis = ndis
        self._calls: dict[VirtualCircuit, Call] = {}
        self._pool = PacketPool(POOL_SIZE)
        self._open: Open | None = None
        self._uniq = 0
        self.family: AddressFamily | None = None
        self.protocol = ndis.register_protocol("PPPoE", self)

    # The protocol edge.

    def bind_adapter(self, context: BindContext) -> Status:
        """ProtocolBindAdapter."""
        self._open = context.open(self)
        return Status.SUCCESS

    def unbind_adapter(self, open_: Open) -> Status:
        """ProtocolUnbindAdapter: hang up, then close."""
        for call in list(self._calls.values()):
            self._lost(call, Status.CLOSING)
        return open_.close()

    def open_family(self, client: Client) -> AddressFamily:
        """NdisClOpenAddressFamily."""
        if self._open is None:
            raise ValueError("PPPoE is not bound")
        self.family = AddressFamily(self._open.adapter, self, client)
        return self.family

    def send_complete(self, packet: Packet, status: Status) -> None:
        """ProtocolSendComplete."""
        del status
        self._pool.free(packet)

    def receive_packet(self, packet: Packet) -> int:
        """ProtocolReceivePacket."""
        frame = packet.data
        parsed = parse_frame(frame)
        if parsed is not None:
            code, session, payload = parsed
            if code == Code.SESSION_DATA:
                self._session_data(frame[6:12], session, payload)
            else:
                self._discovery(frame[6:12], code, session, payload)
        return 0

    # The call manager.

    def register_sap(self, sap: str) -> Status:
        """ProtocolCmRegisterSap: a host takes no calls."""
        del sap
        return Status.NOT_SUPPORTED

    def deregister_sap(self, sap: str) -> None:
        """ProtocolCmDeregisterSap."""

    def make_call(self, vc: VirtualCircuit, parameters: dict[str, Any]) -> Status:
        """ProtocolCmMakeCall.

        ``service``, ``user`` and ``password`` are taken from the parameters.
        """
        self._uniq += 1
        uniq = self._uniq.to_bytes(4, "big")
        ppp = PppSession(b"RW" + uniq[2:], parameters.get("user", ""), parameters.get("password", ""))
        call = Call(vc, uniq, str(parameters.get("service", "")).encode(), ppp)
        self._calls[vc] = call
        self._try(call)
        return Status.PENDING

    def close_call(self, vc: VirtualCircuit) -> Status:
        """ProtocolCmCloseCall: Terminate-Request and PADT."""
        call = self._calls.pop(vc, None)
        if call is not None:
            for frame in call.ppp.terminate():
                self._send_session(call, frame)
            self._end(call)
        return Status.SUCCESS

    def incoming_call_complete(self, status: Status, vc: VirtualCircuit) -> None:
        """ProtocolCmIncomingCallComplete."""

    def add_party(self, vc: VirtualCircuit, party: object) -> Status:
        """ProtocolCmAddParty: PPP is point to point."""
        del vc, party
        return Status.NOT_SUPPORTED

    def drop_party(self, vc: VirtualCircuit, party: object) -> Status:
        """ProtocolCmDropParty."""
        del vc, party
        return Status.NOT_SUPPORTED

    def co_send(self, vc: VirtualCircuit, data: bytes) -> Status:
        """MiniportCoSendPackets: one IP datagram."""
        self._send_session(self._calls[vc], IP.to_bytes(2, "big") + data)
        return Status.SUCCESS

    # Discovery.

    def _try(self, call: Call) -> None:
        if call.state is CallState.CONNECTED or call.state is CallState.CLOSED:
            return
        call.tries += 1
        if call.tries > TRIES:
            self._lost(call, Status.FAILURE)
            return
        if call.state is CallState.NEGOTIATING:
            for frame in call.ppp.tick():
                self._send_session(call, frame)
        else:
            self._ask(call)
        executive = self._ndis.executive
        call.timer = executive.call_at(executive.now_ns() + RETRY_NS, "pppoe", lambda: self._try(call))

    def _ask(self, call: Call) -> None:
        tags = [(SERVICE_NAME, call.service), (HOST_UNIQ, call.uniq), *call.echoed]
        code = Code.PADI if call.state is CallState.DISCOVERING else Code.PADR
        self._send(call.peer, code, 0, emit_tags(tags))

    def _discovery(self, source: bytes, code: int, session: int, payload: bytes) -> None:
        if code == Code.PADT:
            wanted = (source, session)
            for gone in [c for c in self._calls.values() if (c.peer, c.session) == wanted]:
                self._lost(gone, Status.CLOSED)
            return
        tags = parse_tags(payload)
        uniq = dict(tags).get(HOST_UNIQ) if tags is not None else None
        call = next((c for c in self._calls.values() if c.uniq == uniq), None)
        if call is None or tags is None:
            return
        failed = any(kind in ERRORS for kind, _ in tags)
        if code == Code.PADO and call.state is CallState.DISCOVERING and not failed:
            call.state, call.peer, call.tries = CallState.REQUESTING, source, 0
            call.echoed = [t for t in tags if t[0] in {AC_COOKIE, RELAY_ID}]
            self._again(call)
        elif code == Code.PADS and call.state is CallState.REQUESTING and source == call.peer:
            if failed or not session:
                self._lost(call, Status.NOT_ACCEPTED)
                return
            call.state, call.session, call.tries = CallState.NEGOTIATING, session, 0
            self._again(call)

    def _again(self, call: Call) -> None:
        if call.timer is not None:
            call.timer.cancel()
        self._try(call)

    # The session.

    def _session_data(self, source: bytes, session: int, payload: bytes) -> None:
        wanted = (source, session)
        call = next((c for c in self._calls.values() if (c.peer, c.session) == wanted), None)
        if call is None or self.family is None or len(payload) < 2:
            return
        if int.from_bytes(payload[:2], "big") == IP:
            if call.vc.state is VcState.ACTIVE:
                self.family.indicate(call.vc, payload[2:])
            return
        for frame in call.ppp.receive(payload):
            self._send_session(call, frame)
        if call.ppp.phase is Phase.OPENED and call.state is CallState.NEGOTIATING:
            self._connected(call)
        elif call.ppp.phase is Phase.TERMINATED:
            self._lost(call, Status.CLOSED)

    def _connected(self, call: Call) -> None:
        call.state = CallState.CONNECTED
        if call.timer is not None:
            call.timer.cancel()
        call.vc.move("activate")
        call.vc.parameters = {"session": call.session, "address": call.ppp.address}
        call.vc.family.call_made(Status.SUCCESS, call.vc)

    def _lost(self, call: Call, status: Status) -> None:
        """End a call that the network, or the other side, has ended."""
        connected = call.state is CallState.CONNECTED
        self._calls.pop(call.vc, None)
        self._end(call)
        if connected:
            call.vc.family.dispatch_incoming_close_call(status, call.vc)
        else:
            call.vc.family.call_made(Status.FAILURE, call.vc)

    def _end(self, call: Call) -> None:
        if call.timer is not None:
            call.timer.cancel()
        if call.session:
            self._send(call.peer, Code.PADT, call.session, b"")
        if call.vc.state is VcState.ACTIVE:
            call.vc.move("deactivate")
        call.state = CallState.CLOSED

    def _send_session(self, call: Call, payload: bytes) -> None:
        self._send(call.peer, Code.SESSION_DATA, call.session, payload)

    def _send(self, to: bytes, code: int, session: int, payload: bytes) -> None:
        if self._open is not None:
            source = self._open.adapter.filter.address
            frame = emit_frame(to, source, code, session, payload).ljust(60, b"\0")
            self._open.send_packets([self._pool.allocate(frame)])
