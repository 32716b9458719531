"""What an administrator can set of an adapter: the registry's keywords, their defaults and their limits.

Keywords with an asterisk are Microsoft's standardized ones ("Standardized INF Keywords for Network Devices").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

T = TypeVar("T")

_OFF: Final = False

MIN_DESCRIPTORS, MAX_DESCRIPTORS = 8, 4096
STANDARD_FRAME_BYTES, JUMBO_FRAME_BYTES = 1514, 9234  # without FCS; the card's limit is 9,238 with it


class Configuration(Protocol):
    """Who can read the registry: ``ndis.upcalls.Upcalls``."""

    def read_configuration(self, keyword: str, default: T) -> T:
        """NdisReadConfiguration."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One adapter's settings."""

    deserialized: bool = False
    transmit_descriptors: int = 256
    receive_descriptors: int = 256
    receive_spares: int = 256
    """Buffers that protocols may hold beyond what the ring needs."""
    transmit_queues: int = 1
    receive_queues: int = 1
    legacy_descriptors: bool = False
    jumbo_bytes: int = STANDARD_FRAME_BYTES
    vlan: bool = False
    coalescing: tuple[bool, bool] = (False, False)
    """Whether a transport may have IPv4, and IPv6, coalesced (RSC); the ring is another then."""
    moderation_us: int = 0
    """Least time between two interrupts; 0: no moderation."""
    completion_ms: int = 0
    """How long a sent packet may wait to be given back when nothing else interrupts; 0: its own interrupt.

    For drivers whose sends and receives share an interrupt (NDIS 5.1).
    """
    network_address: bytes = b""
    """A MAC address in place of the card's own; empty: the card's."""

    @classmethod
    def read(cls, registry: Configuration) -> Settings:
        """Read the keywords; a value outside of its limits becomes the nearest inside."""
        number = registry.read_configuration
        return cls(
            deserialized=number("Deserialized", _OFF),
            transmit_descriptors=_ring(number("*TransmitBuffers", 256)),
            receive_descriptors=_ring(number("*ReceiveBuffers", 256)),
            receive_spares=max(0, min(number("ReceiveSpares", 256), MAX_DESCRIPTORS)),
            transmit_queues=max(1, min(number("TransmitQueues", 1), 2)),
            receive_queues=max(1, min(number("*NumRssQueues", 1), 2)),
            legacy_descriptors=number("LegacyDescriptors", _OFF),
            jumbo_bytes=max(STANDARD_FRAME_BYTES, min(number("*JumboPacket", 1514), JUMBO_FRAME_BYTES)),
            vlan=number("*PriorityVLANTag", _OFF),
            coalescing=(number("*RscIPv4", _OFF), number("*RscIPv6", _OFF)),
            moderation_us=max(0, min(number("InterruptModerationUs", 0), 16_000)),
            completion_ms=max(0, min(number("TransmitCompletionMs", 0), 1000)),
            network_address=_address(number("NetworkAddress", b"")),
        )


def _ring(wanted: int) -> int:
    """Rings are multiples of 8 descriptors: RDLEN and TDLEN count 128 bytes (datasheet, RDLEN)."""
    return max(MIN_DESCRIPTORS, min(wanted, MAX_DESCRIPTORS)) // 8 * 8


def _address(raw: bytes) -> bytes:
    """Accept a unicast address of six bytes, nothing else."""
    return raw if len(raw) == 6 and not raw[0] & 1 else b""
