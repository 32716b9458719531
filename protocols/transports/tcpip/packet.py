"""An IP packet that came in, as the layers above IP see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from protocols.transports.tcpip.interface import Interface
    from protocols.transports.tcpip.link import RxFrame


class Packet:
    """One whole packet (reassembled when it came in fragments).

    ``raw`` begins at the IP header: what ICMP errors quote. ``extra`` holds payloads of directly
    following TCP segments that were joined to this one. ``link_cast`` is true when the frame was
    sent to a multicast or broadcast MAC, which no error may answer unless ``answer_groups`` is set.
    """

    __slots__ = (
        "answer_groups",
        "destination",
        "extra",
        "interface",
        "l4_verified",
        "link_cast",
        "lso_mss",
        "payload",
        "protocol",
        "raw",
        "source",
        "tos",
        "ttl",
    )

    def __init__(
        self,
        interface: Interface,
        source: bytes,
        destination: bytes,
        protocol: int,
        *,
        payload: memoryview,
        raw: memoryview,
        ttl: int = 0,
        tos: int = 0,
        frame: RxFrame | None = None,
    ) -> None:
        """Take over what the link says of the frame that it came in; without one nothing is verified."""
        self.answer_groups = False
        self.interface = interface
        self.source = source
        self.destination = destination
        self.protocol = protocol
        self.payload = payload
        self.raw = raw
        self.ttl = ttl
        self.tos = tos
        self.extra: list[memoryview]
        if frame is not None:
            self.l4_verified = frame.l4_verified
            self.lso_mss = frame.lso_mss
            self.extra = frame.extra
            self.link_cast = bool(frame.data[0] & 1)
        else:
            self.l4_verified = self.link_cast = False
            self.lso_mss = 0
            self.extra = []

    def become(self, head: bytes, payload: bytes) -> None:
        """Be a whole datagram from now on, which nobody has verified, and no fragment of it."""
        self.raw = memoryview(head + payload)
        self.payload = self.raw[len(head) :]
        self.l4_verified = False
        self.extra = []

    def quotation(self, length: int) -> Packet:
        """Return a copy of the first bytes, for an ICMP error when the frame is gone."""
        raw = memoryview(bytes(self.raw[:length]))
        start = len(self.raw) - len(self.payload)
        one = Packet(
            self.interface, self.source, self.destination, self.protocol, payload=raw[start:], raw=raw
        )
        one.link_cast = self.link_cast
        return one

    @property
    def version(self) -> int:
        """4 or 6."""
        return 4 if len(self.source) == 4 else 6
