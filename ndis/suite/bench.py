"""What tests of miniports share: a recording transport, and a machine that joins it to a driver."""

from __future__ import annotations

# ruff: noqa: ARG002 - handlers have the arguments of the contract
import struct
from typing import TYPE_CHECKING

from ndis.filter8023 import PacketFilter
from ndis.miniport import MiniportCharacteristics
from ndis.oids import Oid
from ndis.protocol import BindingClient
from ndis.requests import Request
from ndis.samples.scripted import ADDRESS, Script
from ndis.status import Status
from ndis.wrapper import Ndis
from ntos.executive.virtual import VirtualExecutive

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ndis.adapter import MiniportAdapter
    from ndis.binding import BindContext
    from ndis.events import Observer
    from ndis.hardware import Fault, Hardware
    from ndis.open import Open
    from ndis.packet import Packet

OTHER = bytes.fromhex("020000000002")
EVERYTHING = PacketFilter.DIRECTED | PacketFilter.BROADCAST | PacketFilter.MULTICAST


def frame(number: int, to: bytes = OTHER, length: int = 60) -> bytes:
    """Make a frame that can be told from others."""
    return (to + ADDRESS + b"\x88\xb5" + number.to_bytes(4, "big")).ljust(length, b"\0")


class Recorder(BindingClient):
    """A transport that writes down what happens and keeps ``keep`` references of each packet."""

    def __init__(self, keep: int = 0) -> None:
        """Keep ``keep`` references of every packet that may be kept."""
        self.keep = keep
        self.held: list[Packet] = []
        self.received: list[bytes] = []
        self.sent: list[tuple[Packet, Status]] = []
        self.requests: list[tuple[Request, Status]] = []
        self.statuses: list[Status] = []
        self.log: list[str] = []

    def receive_packet(self, packet: Packet) -> int:
        """ProtocolReceivePacket."""
        self.received.append(packet.data)
        if self.keep and packet.status is not Status.RESOURCES:
            self.held.append(packet)
            return self.keep
        return 0

    def receive(self, context: object, header: bytes, lookahead: bytes, packet_size: int) -> Status:
        """ProtocolReceive."""
        self.received.append(header + lookahead)
        return Status.SUCCESS

    def receive_complete(self) -> None:
        """ProtocolReceiveComplete."""
        self.log.append("receive_complete")

    def send_complete(self, packet: Packet, status: Status) -> None:
        """ProtocolSendComplete."""
        self.sent.append((packet, status))

    def request_complete(self, request: Request, status: Status) -> None:
        """ProtocolRequestComplete."""
        self.requests.append((request, status))

    def status(self, status: Status, data: object) -> None:
        """ProtocolStatus."""
        self.statuses.append(status)

    def reset_complete(self, status: Status) -> None:
        """ProtocolResetComplete."""
        self.log.append(f"reset_complete {status.name}")

    def open_adapter_complete(self, status: Status) -> None:
        """ProtocolOpenAdapterComplete."""
        self.log.append(f"open_adapter_complete {status.name}")

    def close_adapter_complete(self, status: Status) -> None:
        """ProtocolCloseAdapterComplete."""
        self.log.append(f"close_adapter_complete {status.name}")


class Transport:
    """A protocol driver whose every binding is a given client."""

    def __init__(self, client: BindingClient) -> None:
        self.client = client

    def bind_adapter(self, context: BindContext) -> Status:
        """ProtocolBindAdapter."""
        context.open(self.client)
        return Status.SUCCESS

    def unbind_adapter(self, open_: Open) -> Status:
        """ProtocolUnbindAdapter."""
        return open_.close()


class Machine:
    """One adapter, one transport, a virtual clock."""

    def __init__(
        self,
        miniport: type = Script,
        client: BindingClient | None = None,
        *,
        observer: Observer | None = None,
        hardware: Hardware | None = None,
        configuration: Mapping[str, object] | None = None,
        inject: Fault | None = None,
        version: tuple[int, int] = (5, 1),
        packet_filter: int = EVERYTHING,
    ) -> None:
        """Register, add, bind, and set the transport's packet filter."""
        self.executive = VirtualExecutive()
        self.ndis = Ndis(self.executive, observer)
        self.client = client if client is not None else Recorder()
        self.registered = self.ndis.register_miniport(MiniportCharacteristics.of(miniport, version))
        self.adapter: MiniportAdapter = self.ndis.add_adapter(
            self.registered, "card0", hardware, configuration, inject
        )
        self.protocol = self.ndis.register_protocol("test", Transport(self.client))
        self.open = self.ndis.bind(self.protocol, self.adapter)
        self.pool = self.ndis.packet_pool(256)
        if packet_filter:
            self.set(Oid.GEN_CURRENT_PACKET_FILTER, struct.pack("<I", packet_filter))

    @property
    def driver(self) -> Script:
        """The driver's adapter object."""
        driver = self.adapter.driver
        if not isinstance(driver, Script):
            raise TypeError(f"{driver!r} is no Script")
        return driver

    @property
    def recorder(self) -> Recorder:
        """The transport's record."""
        if not isinstance(self.client, Recorder):
            raise TypeError(f"{self.client!r} is no Recorder")
        return self.client

    def send(self, *frames: bytes) -> list[Packet]:
        """Send one array; return its packets."""
        packets = [self.pool.allocate(f) for f in frames]
        self.open.send_packets(packets)
        return packets

    def set(self, oid: int, data: bytes) -> Request:
        """Ask to set."""
        request = Request.set(oid, data)
        self.open.request(request)
        return request

    def query(self, oid: int, length: int = 256) -> Request:
        """Ask."""
        request = Request.query(oid, length)
        self.open.request(request)
        return request
