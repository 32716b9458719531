"""Raw IP endpoints (RawIP): whole protocols for an application to speak itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocols.transports.tcpip.ip import SendOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from formats.checksum import Buffer
    from protocols.transports.tcpip.ip import Ip
    from protocols.transports.tcpip.packet import Packet


class RawEndpoint:
    """Receives copies of all packets of one protocol and version, and sends such packets."""

    def __init__(self, ip: Ip, version: int, protocol: int, on_packet: Callable[[Packet], None]) -> None:
        """Hang in beside the transports; ``protocol`` 0 listens to all."""
        self._ip = ip
        self._version = version
        self._protocol = protocol
        self._on_packet = on_packet
        self.local: bytes | None = None
        self.ttl = 0
        self.tos = 0
        ip.raw_listeners.append(self._hear)

    def send(
        self, data: Buffer, destination: bytes, *, ip_options: bytes = b"", local: bytes | None = None
    ) -> None:
        """Send a payload; the IP header is made here. NetworkError when it cannot be sent."""
        path = self._ip.resolve(destination, local or self.local)
        options = SendOptions(ttl=self.ttl, tos=self.tos, ip_options=ip_options)
        self._ip.send(path, self._protocol, bytes(data), [], options)

    def close(self) -> None:
        """Stop listening."""
        if self._hear in self._ip.raw_listeners:
            self._ip.raw_listeners.remove(self._hear)

    def _hear(self, packet: Packet) -> bool:
        if packet.version != self._version or self._protocol not in (0, packet.protocol):
            return False
        if self.local is not None and packet.destination != self.local:
            return False
        self._on_packet(packet)
        return True
