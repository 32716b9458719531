"""A whole stack in one process: a card, its bus, the miniport, NDIS, and one transport on top.

It is the one place outside of tests that joins driver and device. Time is the executive's: virtual by
default, so that everything can be stepped.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, TypedDict

from device.engine.reference import ReferenceEngine
from miniport.adapter import Adapter
from miniport.adapter6 import Adapter6
from miniport.hal.inprocess import InProcessBus
from miniport.hal.pci import Signalling
from ndis.miniport import MiniportCharacteristics
from ndis.oids import Oid
from ndis.requests import Request
from ndis.suite.bench import EVERYTHING, Recorder, Transport
from ndis.wrapper import Ndis
from ntos.executive.virtual import VirtualExecutive

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Unpack

    from miniport.hal.inprocess import EngineFactory
    from ndis.adapter import MiniportAdapter
    from ndis.events import Observer
    from ndis.hardware import Fault, Hardware
    from ndis.miniport import Version
    from ndis.packet import Packet, PacketInfo
    from ndis.protocol import BindingClient
    from ndis.upcalls import Upcalls
    from ntos.executive.live import LiveExecutive

MAC = bytes.fromhex("525400825701")
ADAPTERS: dict[Version, type] = {(5, 1): Adapter, (6, 0): Adapter6}


class Settings(TypedDict, total=False):
    """What a ``Stack`` may be told, whatever bus its card is on."""

    version: Version
    configuration: Mapping[str, object] | None
    client: BindingClient | None
    observer: Observer | None
    inject: Fault | None
    packet_filter: int


class Stack:
    """One adapter with one transport, on a bus that somebody else made."""

    def __init__(
        self,
        executive: VirtualExecutive | LiveExecutive,
        hardware: Hardware,
        *,
        version: Version = (5, 1),
        configuration: Mapping[str, object] | None = None,
        client: BindingClient | None = None,
        observer: Observer | None = None,
        inject: Fault | None = None,
        packet_filter: int = EVERYTHING,
        ndis: Ndis | None = None,
        create: Callable[[Upcalls], object] | None = None,
    ) -> None:
        """Register, add, bind, and set the transport's packet filter.

        ``ndis`` is used in place of a new one with ``observer``; ``create`` may make the driver's object.
        """
        self.executive = executive
        self.ndis = ndis or Ndis(executive, observer)
        self.client = client if client is not None else Recorder()
        characteristics = MiniportCharacteristics.of(ADAPTERS[version], version, create)
        self.miniport = self.ndis.register_miniport(characteristics)
        self.adapter: MiniportAdapter = self.ndis.add_adapter(
            self.miniport, "82574L", hardware, configuration, inject
        )
        self.protocol = self.ndis.register_protocol("demo", Transport(self.client))
        self.open = self.ndis.bind(self.protocol, self.adapter)
        self.pool = self.ndis.packet_pool(1024)
        if packet_filter:
            self.set(Oid.GEN_CURRENT_PACKET_FILTER, struct.pack("<I", packet_filter))

    @property
    def recorder(self) -> Recorder:
        """The transport's record. TypeError when the client is another."""
        if not isinstance(self.client, Recorder):
            raise TypeError(f"{self.client!r} is no Recorder")
        return self.client

    def send(self, *frames: bytes, info: Mapping[PacketInfo, Any] | None = None) -> list[Packet]:
        """Send one array of packets; ``info`` goes to each."""
        packets = [self.pool.allocate(frame) for frame in frames]
        for packet in packets:
            packet.info.update(info or {})
        self.open.send_packets(packets)
        return packets

    def set(self, oid: int, data: bytes) -> Request:
        """Ask to set, and let it happen."""
        request = Request.set(oid, data)
        self.open.request(request)
        self.executive.run()
        return request

    def query(self, oid: int, length: int = 256) -> Request:
        """Ask, and let it be answered."""
        request = Request.query(oid, length)
        self.open.request(request)
        self.executive.run()
        return request

    def halt(self) -> None:
        """Take the adapter away."""
        self.ndis.remove_adapter(self.adapter)


class LocalStack(Stack):
    """A stack over a card in this process."""

    def __init__(
        self,
        *,
        engine: EngineFactory = ReferenceEngine,
        mode: Signalling = Signalling.MSIX,
        **settings: Unpack[Settings],
    ) -> None:
        """Power a card on and put the stack over it."""
        self.clock = VirtualExecutive()
        self.bus = InProcessBus(engine, self.clock, MAC, mode=mode)
        super().__init__(self.clock, self.bus, **settings)

    def settle(self) -> list[bytes]:
        """Run what is queued; return the frames that left the card."""
        self.executive.run()
        return self.bus.drain()
