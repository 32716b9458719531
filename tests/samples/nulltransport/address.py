"""Where a datagram of the null transport goes: a station and a channel of it."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import ClassVar, Self

from protocols.interfaces.tdi.address import AddressError, TdiAddress

ANY_STATION = bytes(6)


@dataclass(frozen=True, slots=True)
class NullAddress(TdiAddress):
    """``station`` is a MAC address, all zero for any card of ours; channel 0 is any."""

    TYPE: ClassVar[int] = 0x4E55
    FORMAT: ClassVar[Struct] = Struct(">6sH")

    station: bytes
    channel: int = 0

    def __post_init__(self) -> None:
        """Check the fields. AddressError."""
        if len(self.station) != 6 or not 0 <= self.channel <= 0xFFFF:
            raise AddressError(f"station {self.station.hex()}, channel {self.channel}")

    @property
    def is_any(self) -> bool:
        """Whether it names no station."""
        return self.station == ANY_STATION

    def emit(self) -> bytes:
        """Return the 8 bytes."""
        return self.FORMAT.pack(self.station, self.channel)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read them. AddressError."""
        if len(data) < cls.FORMAT.size:
            raise AddressError(f"{len(data)} bytes are no address of the null transport")
        return cls(*cls.FORMAT.unpack_from(data))
