"""Receive side scaling: the parameters that a transport sets, and the registers that they become.

Source: NDIS_RECEIVE_SCALE_PARAMETERS in ``ntddndis.h``; datasheet, RSS and Receive Registers.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from device.regs.nic import NIC
from miniport import registers as r
from ndis.errors import NdisError
from ndis.status import Status

if TYPE_CHECKING:
    from miniport.hardware import Hardware

# The header is type, revision and size. Then come flags, base CPU number and hash information;
# then size and offset of the indirection table, and of the secret key.
PARAMETERS = struct.Struct("<BBHHHIHxxIHxxI")
CAPABILITIES = struct.Struct("<BBHIIII")
OBJECT_TYPE_CAPABILITIES, OBJECT_TYPE_PARAMETERS = 0x88, 0x89
FLAG_DISABLE = 0x0010
HASH_TOEPLITZ = 1
HASH_IPV4, HASH_TCP_IPV4, HASH_IPV6, HASH_TCP_IPV6 = 0x100, 0x200, 0x400, 0x1000
KEY_BYTES, TABLE_ENTRIES = 40, 128

_MRQC_BITS = (
    (HASH_TCP_IPV4, NIC["MRQC"]["TCPIPV4"].mask),
    (HASH_IPV4, NIC["MRQC"]["IPV4"].mask),
    (HASH_TCP_IPV6, NIC["MRQC"]["TCPIPV6EX"].mask),
    (HASH_IPV6, NIC["MRQC"]["IPV6"].mask),
)
HASH_TYPES = HASH_IPV4 | HASH_TCP_IPV4 | HASH_IPV6 | HASH_TCP_IPV6
DEFAULT_KEY = bytes.fromhex(
    "6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa"
)
"""The key of "Verifying the RSS Hash Calculation"."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """What RSS is to do. ``table`` has one queue number an entry; ``types`` 0: it is off."""

    types: int = 0
    key: bytes = DEFAULT_KEY
    table: bytes = bytes(TABLE_ENTRIES)

    @classmethod
    def over(cls, queues: int) -> Scaling:
        """Spread every kind of flow over the queues."""
        return cls(HASH_TYPES, DEFAULT_KEY, bytes(n % queues for n in range(TABLE_ENTRIES)))

    @classmethod
    def parse(cls, raw: bytes, queues: int) -> Scaling:
        """Read NDIS_RECEIVE_SCALE_PARAMETERS; CPU numbers become queues.

        Raises NdisError(INVALID_LENGTH, INVALID_DATA).
        """
        if len(raw) < PARAMETERS.size:
            raise NdisError(Status.INVALID_LENGTH, f"RSS parameters of {len(raw)} bytes")
        _, _, _, flags, _base, hashing, table_size, table_at, key_size, key_at = PARAMETERS.unpack_from(raw)
        if flags & FLAG_DISABLE or not hashing:
            return cls()
        table, key = raw[table_at : table_at + table_size], raw[key_at : key_at + key_size]
        if not table or len(table) != table_size or len(key) != key_size or key_size > KEY_BYTES:
            raise NdisError(Status.INVALID_DATA, "RSS table or key outside of the buffer")
        if not hashing & HASH_TOEPLITZ or hashing & ~0xFF & ~HASH_TYPES:
            raise NdisError(Status.INVALID_DATA, f"RSS hash {hashing:#x}")
        whole = bytes(table[n % len(table)] % queues for n in range(TABLE_ENTRIES))
        return cls(hashing & ~0xFF, key.ljust(KEY_BYTES, b"\0"), whole)

    def emit(self) -> bytes:
        """Return the structure that ``parse`` reads."""
        at = PARAMETERS.size
        flags = 0 if self.types else FLAG_DISABLE
        hashing = self.types | HASH_TOEPLITZ if self.types else 0
        head = PARAMETERS.pack(
            *(OBJECT_TYPE_PARAMETERS, 1, at, flags, 0, hashing),
            *(len(self.table), at, len(self.key), at + len(self.table)),
        )
        return head + self.table + self.key

    def apply(self, hardware: Hardware) -> None:
        """Write key, table, hash types and the switch."""
        for at in range(KEY_BYTES // 4):
            word = int.from_bytes(self.key[4 * at : 4 * at + 4], "little")
            hardware.write(r.RSSRK0 + 4 * at, word)
        for at in range(TABLE_ENTRIES // 4):
            entries = bytes(queue << 7 for queue in self.table[4 * at : 4 * at + 4])
            hardware.write(r.RETA0 + 4 * at, int.from_bytes(entries, "little"))
        types = sum(bits for flag, bits in _MRQC_BITS if self.types & flag)
        hardware.write(r.MRQC, types | r.MRQC_RSS if types else 0)


def capabilities(queues: int) -> bytes:
    """Return NDIS_RECEIVE_SCALE_CAPABILITIES."""
    return CAPABILITIES.pack(
        *(OBJECT_TYPE_CAPABILITIES, 1, CAPABILITIES.size),
        *(HASH_TOEPLITZ | HASH_TYPES, queues, queues, queues),
    )
