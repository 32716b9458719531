"""What the cases of the suite are made of: the rig they run on, and a transport that sends and listens."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Protocol

from ndis.oids import Oid
from ndis.requests import Request
from ndis.status import Status
from ndis.suite.bench import Recorder, Transport

if TYPE_CHECKING:
    from ndis.adapter import MiniportAdapter
    from ndis.open import Open
    from ndis.packet import Packet
    from ndis.wrapper import Ndis

ETHERTYPE = b"\x88\xb5"  # IEEE 802 local experimental
STRESS = 500


class Rig(Protocol):
    """What runs a case: adapters on one wire, and time."""

    @property
    def ndis(self) -> Ndis:
        """The wrapper."""

    @property
    def adapters(self) -> list[MiniportAdapter]:
        """One adapter, or two that hear each other."""

    def settle(self) -> None:
        """Return when what was begun has come to an end: some tens of milliseconds."""


class CaseError(Exception):
    """A miniport did not do what the case asks."""


class Party:
    """A transport bound to one adapter for one case."""

    def __init__(self, rig: Rig, card: int = 0, packet_filter: int = 0) -> None:
        """Bind, and set a packet filter when it is not 0."""
        self.rig = rig
        self.adapter = rig.adapters[card]
        self.client = Recorder()
        self.protocol = rig.ndis.register_protocol("suite", Transport(self.client))
        self.open: Open = rig.ndis.bind(self.protocol, self.adapter)
        self.pool = rig.ndis.packet_pool(STRESS)
        if packet_filter:
            self.set(Oid.GEN_CURRENT_PACKET_FILTER, struct.pack("<I", packet_filter))

    @property
    def address(self) -> bytes:
        """The card's address."""
        return self.adapter.filter.address

    def close(self) -> None:
        """Unbind."""
        self.rig.ndis.deregister_protocol(self.protocol)
        self.rig.settle()
        for packet, _ in self.client.sent:
            self.pool.free(packet)
        self.rig.ndis.free_packet_pool(self.pool)

    def set(self, oid: int, data: bytes) -> None:
        """Set, and insist on SUCCESS."""
        request = self.ask(Request.set(oid, data))
        check(request.status is Status.SUCCESS, f"{request!r}")

    def ask(self, request: Request) -> Request:
        """Ask, and wait for the answer."""
        self.open.request(request)
        for _ in range(50):
            if request.status is not Status.PENDING:
                return request
            self.rig.settle()
        raise CaseError(f"{request!r} is not answered")

    def send(self, *frames: bytes) -> list[Packet]:
        """Send one array."""
        packets = [self.pool.allocate(f) for f in frames]
        self.open.send_packets(packets)
        return packets

    def await_sent(self, count: int) -> None:
        """Wait until ``count`` packets have come back."""
        for _ in range(200):
            if len(self.client.sent) >= count:
                break
            self.rig.settle()
        came = len(self.client.sent)
        check(came == count, f"{came} of {count} sends completed")

    def heard(self) -> list[bytes]:
        """Return the suite's frames that were received, without padding, and forget them."""
        self.rig.settle()
        frames = [f for f in self.client.received if f[12:14] == ETHERTYPE]
        self.client.received.clear()
        return frames


def check(ok: bool, why: str) -> None:  # noqa: FBT001 - what is asserted
    """Raise CaseError unless ``ok``."""
    if not ok:
        raise CaseError(why)
