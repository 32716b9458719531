"""What goes into and comes out of an engine, as values. It knows no engine, socket or thread."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class GsoType(enum.Enum):
    """What a frame that is still to be segmented holds."""

    TCPV4 = 1
    TCPV6 = 4
    UDP = 3


@dataclass(frozen=True, slots=True)
class Offload:
    """Work left to the wire: virtio_net_hdr's fields (linux/virtio_net.h), absent parts are None or 0.

    ``csum_start``/``csum_offset``: the checksum from ``csum_start`` to the frame's end goes to
    ``csum_start + csum_offset``; the pseudo-header's sum is there already. ``gso``: the payload is
    cut into pieces of ``gso_size`` bytes behind ``hdr_len`` bytes of headers.
    """

    csum_start: int = 0
    csum_offset: int = 0
    needs_csum: bool = False
    gso: GsoType | None = None
    hdr_len: int = 0
    gso_size: int = 0
    ecn: bool = False

    def frames(self, length: int) -> int:
        """Return how many frames a cable carries of ``length`` bytes that the wire is to cut."""
        return 1 if self.gso is None else -(-(length - self.hdr_len) // self.gso_size)


class FrameSent(NamedTuple):
    """A whole frame left for the wire, without its FCS.

    A named tuple: one is made for each frame, and a frozen dataclass takes twice as long to make.
    """

    data: bytes
    offload: Offload | None = None

    @property
    def frames(self) -> int:
        """How many frames of the cable it is: more than one where the wire is to cut it."""
        return 1 if self.offload is None else self.offload.frames(len(self.data))


@dataclass(frozen=True, slots=True)
class MessageSignalled:
    """An interrupt message left: MSI (vector 0) or MSI-X."""

    vector: int


@dataclass(frozen=True, slots=True)
class LineChanged:
    """The INTx line changed its level."""

    asserted: bool


@dataclass(frozen=True, slots=True)
class DmaFault:
    """The device touched an address that no DMA region covers; the queue went on as hardware would."""

    address: int
    length: int
    write: bool


@dataclass(frozen=True, slots=True)
class WakeRaised:
    """A frame or a link change matched WUFC while a wake-up was armed."""

    cause: int


Effect = FrameSent | MessageSignalled | LineChanged | DmaFault | WakeRaised


class DmaError(Exception):
    """The device touched an address no DMA region covers."""

    def __init__(self, address: int, length: int) -> None:
        """Keep the range, so that a trace can name it."""
        super().__init__(f"DMA fault at {address:#x}+{length:#x}")
        self.address = address
        self.length = length


class GuestMemory(Protocol):
    """The guest's memory as the card's bus master sees it.

    Both calls raise ``DmaError`` where no region with the right covers every byte of the range;
    addresses wrap at 2**64 as the bus would, which no region covers.
    """

    def read(self, address: int, length: int) -> bytes:
        """Return ``length`` bytes."""

    def write(self, address: int, data: bytes) -> None:
        """Store the bytes."""
