"""Quality of service as Winsock has it: FLOWSPEC and QOS, and the marks that a service type has on the wire.

Layout: ``qos.h`` (FLOWSPEC: eight ULONGs). Marks: Windows' defaults of the packet scheduler ("Service types
mapped to DSCP"), codepoints of RFC 2474; guaranteed service is RFC 2212's, controlled load RFC 2211's.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import ClassVar

NOT_SPECIFIED = 0xFFFF_FFFF


class Service(enum.IntEnum):
    """SERVICETYPE_*."""

    NOTRAFFIC = 0
    BESTEFFORT = 1
    CONTROLLEDLOAD = 2
    GUARANTEED = 3
    NETWORK_CONTROL = 0xA
    QUALITATIVE = 0xD


DSCP: dict[Service, int] = {
    Service.NOTRAFFIC: 0,
    Service.BESTEFFORT: 0,
    Service.CONTROLLEDLOAD: 0x18,
    Service.GUARANTEED: 0x28,
    Service.NETWORK_CONTROL: 0x30,
    Service.QUALITATIVE: 0,
}
"""Six bits of the old TOS octet, less its two lowest."""


@dataclass(frozen=True, slots=True)
class FlowSpec:
    """FLOWSPEC: rates and sizes in bytes, times in microseconds; a service type that may be unknown."""

    FORMAT: ClassVar[struct.Struct] = struct.Struct("<8I")

    token_rate: int = NOT_SPECIFIED
    token_bucket_size: int = NOT_SPECIFIED
    peak_bandwidth: int = NOT_SPECIFIED
    latency_us: int = NOT_SPECIFIED
    delay_variation_us: int = NOT_SPECIFIED
    service: int = Service.NOTRAFFIC
    max_sdu_size: int = NOT_SPECIFIED
    minimum_policed_size: int = NOT_SPECIFIED

    @classmethod
    def parse(cls, raw: bytes) -> FlowSpec:
        """Read 32 bytes. ValueError for any other length."""
        if len(raw) != cls.FORMAT.size:
            raise ValueError(f"{len(raw)} bytes are no FLOWSPEC")
        return cls(*cls.FORMAT.unpack(raw))

    def emit(self) -> bytes:
        """Return the 32 bytes."""
        return self.FORMAT.pack(
            self.token_rate,
            self.token_bucket_size,
            self.peak_bandwidth,
            self.latency_us,
            self.delay_variation_us,
            self.service,
            self.max_sdu_size,
            self.minimum_policed_size,
        )


@dataclass(frozen=True, slots=True)
class Qos:
    """QOS: what is sent and what is received; no provider-specific part."""

    sending: FlowSpec = FlowSpec()
    receiving: FlowSpec = FlowSpec()


def tos_of(asked: Qos) -> int:
    """Return the TOS octet for what is sent. ValueError when there is no such service."""
    return DSCP[Service(asked.sending.service)] << 2
