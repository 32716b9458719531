"""Sleep and wake-up: what a transport arms, and the registers and the PCI state that it becomes.

The 82574 has magic packet, link change, directed, ARP and IP wake-up, and four flexible filters of 128 bytes
(datasheet, Wake-up, Receive). Source for the requests: OID_PNP_* of NDIS 5.1, NDIS_PM_PACKET_PATTERN.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from device.regs.nic import NIC
from miniport import registers as r
from ndis.errors import NdisError
from ndis.oids import PowerState
from ndis.status import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from miniport.hardware import Hardware

ENABLE_MAGIC_PACKET, ENABLE_PATTERN_MATCH, ENABLE_LINK_CHANGE = 0x1, 0x2, 0x4
SUPPORTED = ENABLE_MAGIC_PACKET | ENABLE_PATTERN_MATCH | ENABLE_LINK_CHANGE

# Priority, Reserved, MaskSize, PatternOffset, PatternSize, PatternFlags; mask and pattern follow.
PATTERN = struct.Struct("<IIIIII")
PATTERNS, PATTERN_BYTES = 4, 128
CAPABILITIES = struct.Struct("<IIII")

_WUFC = NIC["WUFC"]
_PME_EN = r.mask("WUC", "PME_EN", "PME_STATUS")
_APME = r.mask("WUC", "APME")
_PM_CAPABILITY, _PMCSR = 0x01, 4
_PME_ENABLE, _PME_STATUS = 1 << 8, 1 << 15
_D3HOT = 3


@dataclass(frozen=True, slots=True)
class Pattern:
    """One wake-up pattern; bit n of ``mask`` says whether byte n counts."""

    mask: bytes
    pattern: bytes

    @classmethod
    def parse(cls, raw: bytes) -> Pattern:
        """Read NDIS_PM_PACKET_PATTERN. Raises NdisError(INVALID_LENGTH, NOT_SUPPORTED)."""
        if len(raw) < PATTERN.size:
            raise NdisError(Status.INVALID_LENGTH, f"a wake-up pattern of {len(raw)} bytes")
        _, _, mask_size, at, size, _ = PATTERN.unpack_from(raw)
        mask = raw[PATTERN.size : PATTERN.size + mask_size]
        pattern = raw[at : at + size]
        if len(mask) != mask_size or len(pattern) != size or not size:
            raise NdisError(Status.INVALID_LENGTH, "a wake-up pattern outside of its buffer")
        if size > PATTERN_BYTES:
            raise NdisError(Status.NOT_SUPPORTED, f"a wake-up pattern of {size} bytes, the card has 128")
        return cls(mask, pattern)


class Wake:
    """What is armed, and the power state."""

    def __init__(self) -> None:
        """Nothing is armed; the card is awake."""
        self.enabled = 0
        self.patterns: list[Pattern] = []
        self.power = PowerState.D0

    def add(self, pattern: Pattern) -> None:
        """Arm a pattern. Raises NdisError(RESOURCES) when all four filters are taken."""
        if len(self.patterns) == PATTERNS:
            raise NdisError(Status.RESOURCES, "all four flexible filters are taken")
        self.patterns.append(pattern)

    def remove(self, pattern: Pattern) -> None:
        """Take a pattern out. Raises NdisError(FILE_NOT_FOUND) when it is not armed."""
        if pattern not in self.patterns:
            raise NdisError(Status.FILE_NOT_FOUND, "no such wake-up pattern")
        self.patterns.remove(pattern)

    @property
    def filters(self) -> int:
        """WUFC for what is armed."""
        value = _WUFC["MAG"].mask if self.enabled & ENABLE_MAGIC_PACKET else 0
        value |= _WUFC["LNKC"].mask if self.enabled & ENABLE_LINK_CHANGE else 0
        if self.enabled & ENABLE_PATTERN_MATCH:
            value |= _WUFC["FLX"].put((1 << len(self.patterns)) - 1)
        return value

    def arm(self, hardware: Hardware) -> None:
        """Write wake-up filters and patterns, before the card goes to sleep."""
        hardware.write(r.WUS, r.ALL)
        self._write_patterns(hardware)
        hardware.write(r.WUFC, self.filters)
        hardware.write(r.WUC, _PME_EN if self.filters else r.mask("WUC", "PME_STATUS"))

    def disarm(self, hardware: Hardware) -> int:
        """Switch wake-up off after the card woke; return WUS: what woke it."""
        cause = hardware.read(r.WUS)
        hardware.write(r.WUC, r.mask("WUC", "PME_STATUS"))
        hardware.write(r.WUFC, 0)
        hardware.write(r.WUS, r.ALL)
        return cause

    def _write_patterns(self, hardware: Hardware) -> None:
        """Lay the filters side by side: byte n of each in one register, and a mask bit of each in another."""
        for number, one in enumerate(self.patterns):
            hardware.write(NIC["FFLT"].at(number), -(-len(one.pattern) // 8) * 8)
        for at in range(PATTERN_BYTES):
            values = masks = 0
            for number, one in enumerate(self.patterns):
                if at < len(one.pattern) and at // 8 < len(one.mask) and one.mask[at // 8] >> at % 8 & 1:
                    values |= one.pattern[at] << 8 * number
                    masks |= 1 << number
            hardware.write(NIC["FFVT"].at(at), values)
            hardware.write(NIC["FFMT"].at(at), masks)


def find_power(read_config: Callable[[int, int], bytes]) -> int:
    """Return the offset of the power management capability, 0 when there is none."""
    at = read_config(0x34, 1)[0] & ~3
    for _ in range(48):
        if not at:
            return 0
        kind, following = read_config(at, 2)
        if kind == _PM_CAPABILITY:
            return at
        at = following & ~3
    return 0


def power_word(state: PowerState, *, armed: bool) -> bytes:
    """Return what to write to PMCSR to enter a state."""
    level = 0 if state is PowerState.D0 else _D3HOT
    return (level | _PME_STATUS | (_PME_ENABLE if armed else 0)).to_bytes(2, "little")
