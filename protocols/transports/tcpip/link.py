"""The edge to whatever carries frames: an NDIS binding, a TAP device, or a test's wire.

The core sees only this. A ``TxFrame`` says what work was left to the link (checksum insertion,
large send); an ``RxFrame`` says what the link has already checked or joined. The meanings are
those of NDIS task offload, in the form that ``virtio_net_hdr`` also has, so both adapters are thin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from formats.checksum import Buffer


@dataclass(frozen=True, slots=True)
class Offload:
    """What a link does for us. Sizes in bytes; 0 means that it does not."""

    tx_ipv4_checksum: bool = False
    tx_tcp_checksum: bool = False
    tx_udp_checksum: bool = False
    lso_v4_max_bytes: int = 0
    lso_v6_max_bytes: int = 0


class TxFrame:
    """A frame on its way out, as a list of buffers that lie end to end.

    ``checksum_start`` and ``checksum_offset``: when ``checksum_start`` is not 0, the link sums from
    that byte of the frame to its end and stores the complement ``checksum_offset`` bytes further.
    The field already holds the pseudo header's sum.
    ``lso_mss``: when not 0, the link cuts the TCP payload in pieces of that many bytes.
    ``ipv4_checksum``: the link fills in the IPv4 header's checksum.
    """

    __slots__ = ("buffers", "checksum_offset", "checksum_start", "ipv4_checksum", "lso_mss")

    def __init__(self, buffers: list[Buffer]) -> None:
        """Start with no work left to the link."""
        self.buffers = buffers
        self.checksum_start = 0
        self.checksum_offset = 0
        self.lso_mss = 0
        self.ipv4_checksum = False

    def __len__(self) -> int:
        """Return the frame's length in bytes."""
        return sum(map(len, self.buffers))

    def data(self) -> bytes:
        """Return the frame in one piece, as it stands (work for the link not done)."""
        return b"".join(self.buffers)


class RxFrame:
    """A frame that came in.

    ``ip_verified``, ``l4_verified``: the link has checked those checksums and found them right.
    ``lso_mss``: the link joined several TCP segments of this size to one (0: it did not).
    ``extra``: payloads of directly following segments of the same flow, joined by ``coalesce``.
    """

    __slots__ = ("data", "extra", "ip_verified", "l4_verified", "lso_mss")

    def __init__(
        self,
        data: Buffer,
        *,
        ip_verified: bool = False,
        l4_verified: bool = False,
        lso_mss: int = 0,
    ) -> None:
        """Wrap the bytes from destination MAC to the end of the payload (no FCS)."""
        self.data = data
        self.ip_verified = ip_verified
        self.l4_verified = l4_verified
        self.lso_mss = lso_mss
        self.extra: list[memoryview] = []


class Link(Protocol):
    """What an adapter below offers. ``mtu`` counts the bytes above the Ethernet header."""

    @property
    def name(self) -> str:
        """The name that ``ipconfig`` prints."""

    @property
    def mac(self) -> bytes:
        """The station address, 6 bytes."""

    @property
    def mtu(self) -> int:
        """The largest IP packet, in bytes."""

    @property
    def offload(self) -> Offload:
        """What the link does for us."""

    def send(self, frames: Sequence[TxFrame]) -> None:
        """Take frames, in order. May drop; never blocks, never calls the stack back."""

    def set_multicast(self, groups: frozenset[bytes]) -> None:
        """Replace the multicast MACs to receive (OID_802_3_MULTICAST_LIST)."""
