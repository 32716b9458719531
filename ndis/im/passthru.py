"""PASSTHRU: one virtual adapter over each card, everything passes; and a capture of what passes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from formats import pcapng
from ndis.filter8023 import PacketFilter
from ndis.im.edge import Intermediate, LowerBinding, VirtualAdapter

if TYPE_CHECKING:
    from collections.abc import Callable

    from ndis.im.edge import Target
    from ndis.packet import Packet
    from ndis.wrapper import Ndis


class Passthru(Intermediate):
    """One to one. The virtual adapter has the card's address, filter and multicast list."""

    def __init__(self, ndis: Ndis, name: str = "Passthru") -> None:
        super().__init__(ndis, name)
        self._pairs: list[tuple[LowerBinding, VirtualAdapter]] = []

    def lower_bound(self, lower: LowerBinding) -> None:
        """Make the card's twin."""
        if lower.open is not None:
            address = lower.open.adapter.filter.address
            twin = self.add_virtual(f"{self.name}-{lower.name}", {"NetworkAddress": address})
            self._pairs.append((lower, twin))

    def lower_unbound(self, lower: LowerBinding) -> None:
        """Take the twin away."""
        for adapter in [a for a in self.adapters if a.driver is self._above(lower)]:
            self.ndis.remove_adapter(adapter)
        self._pairs = [pair for pair in self._pairs if pair[0] is not lower]

    def route(self, virtual: VirtualAdapter, packet: Packet) -> Target | None:
        """Straight down."""
        del packet
        return next(((low, None) for low, twin in self._pairs if twin is virtual), None)

    def deliver(self, lower: LowerBinding, frame: bytes) -> list[tuple[VirtualAdapter, bytes]]:
        """Straight up."""
        above = self._above(lower)
        return [(above, frame)] if above is not None else []

    def filters(self, lower: LowerBinding) -> tuple[PacketFilter, bytes]:
        """Return the twin's own."""
        above = self._above(lower)
        return (above.packet_filter, above.multicast) if above else (PacketFilter.NONE, b"")

    def _above(self, lower: LowerBinding) -> VirtualAdapter | None:
        return next((twin for low, twin in self._pairs if low is lower), None)


class Capture(Passthru):
    """A PASSTHRU that writes every frame in both directions to a sink, as pcapng."""

    def __init__(self, ndis: Ndis, sink: Callable[[bytes], None], name: str = "Capture") -> None:
        """Begin the file; ``sink`` takes bytes in order."""
        super().__init__(ndis, name)
        self._sink = sink
        self._interfaces: list[str] = []
        sink(pcapng.section_header("ndis.im.passthru"))

    def lower_bound(self, lower: LowerBinding) -> None:
        """Describe the new interface."""
        self._interfaces.append(lower.name)
        self._sink(pcapng.interface_description(lower.name))
        super().lower_bound(lower)

    def route(self, virtual: VirtualAdapter, packet: Packet) -> Target | None:
        """Write what leaves."""
        target = super().route(virtual, packet)
        if target is not None:
            self._write(target[0], packet.data, pcapng.Direction.OUTBOUND)
        return target

    def deliver(self, lower: LowerBinding, frame: bytes) -> list[tuple[VirtualAdapter, bytes]]:
        """Write what arrives."""
        self._write(lower, frame, pcapng.Direction.INBOUND)
        return super().deliver(lower, frame)

    def _write(self, lower: LowerBinding, frame: bytes, direction: pcapng.Direction) -> None:
        number = self._interfaces.index(lower.name)
        self._sink(pcapng.enhanced_packet(frame, self.ndis.executive.now_ns(), direction, number))
