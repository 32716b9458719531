"""Malformed vfio-user messages, with a knowledge of what well-formed ones look like.

Pure: a seed gives a ``Volley``, all that one hostile client sends over one connection. Most are nearly
right, since what is wholly wrong is refused at once and reaches no code behind it. Source of the formats:
QEMU's docs/interop/vfio-user.rst.
"""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from device.regs.nic import NIC
from device.vfio_user.protocol import HEADER_BYTES, Command

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MEMORY_BYTES: Final = 0x20_0000
_HEADER: Final = struct.Struct("<HHIII")
_ACCESS: Final = struct.Struct("<QII")
_MAP: Final = struct.Struct("<IIQQQ")
_UNMAP: Final = struct.Struct("<IIQQ")
_IRQS: Final = struct.Struct("<IIIII")
_NUMBERS: Final = (0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 31, 32, 0xFF, 0xFFF, 0x1000, 0xFFFF, 0x1_0000)
_LARGE: Final = (
    1 << 20,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 1,
    1 << 32,
    (1 << 63) - 1,
    1 << 63,
    (1 << 64) - 1,
)
_NO_REPLY: Final = 1 << 4
_OFFSETS: Final = tuple(offset for register in NIC for offset in register.offsets())
_SETTING_UP: Final = (
    "TDBAL0",
    "TDLEN0",
    "TDT0",
    "TDH0",
    "RDBAL0",
    "RDLEN0",
    "RDT0",
    "RDH0",
    "TCTL",
    "RCTL",
    "CTRL",
)


@dataclass(frozen=True, slots=True)
class Shot:
    """Bytes to send at once, the kinds of the descriptors that go with them, and what is done afterwards."""

    data: bytes
    fds: tuple[str, ...] = ()
    truncate: bool = False
    """Cut the memory that was mapped short, once these bytes are out."""


@dataclass(frozen=True, slots=True)
class Volley:
    """One connection of a hostile client."""

    seed: int
    shots: tuple[Shot, ...]
    messages: int


class _Draw:
    """Draws messages."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)  # noqa: S311 - a seed is to say the whole of a failure
        self._number = 0

    def u32(self) -> int:
        return self.rng.choice(_NUMBERS) if self.rng.random() < 0.8 else self.rng.choice(_LARGE) & 0xFFFF_FFFF

    def u64(self) -> int:
        return self.rng.choice(_NUMBERS) if self.rng.random() < 0.6 else self.rng.choice(_LARGE)

    # -- payloads, each with the kinds of its descriptors -----------------------------------------

    def access(self) -> tuple[int, int, int]:
        """Draw offset, region, count: mostly of something that exists."""
        rng = self.rng
        chance = rng.random()
        if chance < 0.6:
            return rng.choice(_OFFSETS), 0, 4
        if chance < 0.75:
            return rng.randrange(0, 256), 7, rng.choice((1, 2, 4, 8, 256, 4096))
        if chance < 0.85:
            return rng.randrange(0, 0x4000), 3, rng.choice((1, 2, 3, 4, 8, 0x4000))
        return self.u64(), rng.randrange(12), self.u32()

    def read(self) -> tuple[bytes, tuple[str, ...]]:
        return _ACCESS.pack(*self.access()), ()

    def write(self) -> tuple[bytes, tuple[str, ...]]:
        rng = self.rng
        if rng.random() < 0.5:  # a register that makes work
            name = rng.choice(_SETTING_UP)
            value = rng.choice((0, 2, 8, 128, 0x1000, 0x8002, rng.getrandbits(32)))
            return _ACCESS.pack(NIC[name].offset, 0, 4) + value.to_bytes(4, "little"), ()
        offset, region, count = self.access()
        return _ACCESS.pack(offset, region, count) + rng.randbytes(min(count, 5000)), ()

    def multi(self) -> tuple[bytes, tuple[str, ...]]:
        count = self.rng.choice((0, 1, 2, 8, 100))
        said = count if self.rng.random() < 0.8 else self.u64()
        body = b"".join(_ACCESS.pack(*self.access()) + self.rng.randbytes(8) for _ in range(count))
        return struct.pack("<Q", said) + body, ()

    def dma_map(self) -> tuple[bytes, tuple[str, ...]]:
        rng = self.rng
        if rng.random() < 0.6:
            start = rng.choice((0, 0, 0x1000, 0x10_0000))
            size = rng.choice((0x1000, 0x8000, 0x10_0000, MEMORY_BYTES - start))
            return _MAP.pack(32, 3, start, start, size), ("memory",)
        fds = tuple(rng.choice(("memory", "eventfd", "pipe", "null")) for _ in range(rng.randrange(3)))
        return _MAP.pack(self.u32(), self.u32(), self.u64(), self.u64(), self.u64()), fds

    def dma_unmap(self) -> tuple[bytes, tuple[str, ...]]:
        if self.rng.random() < 0.5:
            return _UNMAP.pack(24, 0, 0, 1 << 59), ()
        return _UNMAP.pack(24, self.rng.choice((0, 0, 1, 2)), self.u64(), self.u64()), ()

    def set_irqs(self) -> tuple[bytes, tuple[str, ...]]:
        rng = self.rng
        count = rng.choice((0, 1, 1, 2, 5))
        if rng.random() < 0.6:
            return _IRQS.pack(20, 0x24, rng.choice((0, 1, 2, 2)), 0, count), ("eventfd",) * count
        kinds = tuple(
            rng.choice(("eventfd", "pipe", "null", "memory")) for _ in range(rng.choice((0, 1, 2, 5, 16)))
        )
        flags = rng.getrandbits(6)
        return _IRQS.pack(self.u32(), flags, rng.randrange(7), self.u32(), self.u32()) + rng.randbytes(
            count
        ), kinds

    def info(self) -> tuple[bytes, tuple[str, ...]]:
        return struct.pack("<IIII", self.u32(), self.u32(), self.u32(), self.u32()), ()

    def longer_info(self) -> tuple[bytes, tuple[str, ...]]:
        return struct.pack("<IIIIQQ", self.u32(), 0, self.rng.randrange(12), 0, 0, 0), ()

    def feature(self) -> tuple[bytes, tuple[str, ...]]:
        return struct.pack("<II", self.u32(), self.rng.getrandbits(20)) + self.rng.randbytes(8), ()

    def version(self) -> tuple[bytes, tuple[str, ...]]:
        text = self.rng.choice(
            (b"", b"{}\0", b'{"capabilities":{"max_msg_fds":-1}}\0', b'{"capabilities":[]}\0', b"\xff\xfe")
        )
        return struct.pack("<HH", self.rng.choice((0, 0, 1, 0xFFFF)), self.rng.choice((0, 1))) + text, ()

    def anything(self) -> tuple[bytes, tuple[str, ...]]:
        return self.rng.randbytes(self.rng.choice((0, 1, 15, 16, 40, 1000))), ()

    # -- messages ---------------------------------------------------------------------------------------

    def message(self) -> Shot:
        """Draw one message, often spoilt."""
        rng = self.rng
        command, make = rng.choices(_MESSAGES, _WEIGHTS)[0]
        payload, fds = make(self)
        number = int(command)
        flags = _NO_REPLY if rng.random() < 0.3 else 0
        spoil = rng.random()
        size = HEADER_BYTES + len(payload)
        if spoil < 0.05:
            payload = payload[: rng.randrange(len(payload) + 1)]
            size = HEADER_BYTES + len(payload)
        elif spoil < 0.08:
            payload += rng.randbytes(rng.choice((1, 4, 100)))
            size = HEADER_BYTES + len(payload)
        elif spoil < 0.11:
            number = rng.choice((0, 16, 17, 0xFFFF, rng.getrandbits(16), *map(int, Command)))
        elif spoil < 0.14 and payload:
            changed = bytearray(payload)
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
            payload = bytes(changed)
        elif spoil < 0.16:
            flags = rng.getrandbits(32) & ~0xF if rng.random() < 0.95 else rng.getrandbits(32)
        if rng.random() < 0.005:
            fds = (*fds, *(("null",) * rng.choice((1, 1, 8, 8, 17))))
        self._number = self._number + 1 & 0xFFFF
        header = _HEADER.pack(
            self._number, number, size & 0xFFFF_FFFF, flags, self.u32() if spoil > 0.98 else 0
        )
        return Shot(header + payload, fds, truncate=rng.random() < 0.004)

    def ending(self) -> Shot:
        """Draw what a connection ends with: an end in the middle, a size that is a lie, or nothing more."""
        rng = self.rng
        chance = rng.random()
        if chance < 0.3:
            whole = self.message()
            return Shot(whole.data[: rng.randrange(1, len(whole.data))], whole.fds)
        if chance < 0.6:
            size = rng.choice((0, 1, 15, 17, 0x10_0000, 0x7FFF_FFFF, 0xFFFF_FFFF))
            return Shot(_HEADER.pack(1, rng.randrange(18), size, 0, 0) + rng.randbytes(rng.randrange(64)))
        if chance < 0.7:
            return Shot(rng.randbytes(rng.randrange(1, 200)))
        return Shot(b"")


_MESSAGES: Final[Sequence[tuple[Command, Callable[[_Draw], tuple[bytes, tuple[str, ...]]]]]] = (
    (Command.REGION_WRITE, _Draw.write),
    (Command.REGION_READ, _Draw.read),
    (Command.REGION_WRITE_MULTI, _Draw.multi),
    (Command.DMA_MAP, _Draw.dma_map),
    (Command.DMA_UNMAP, _Draw.dma_unmap),
    (Command.DEVICE_SET_IRQS, _Draw.set_irqs),
    (Command.DEVICE_GET_INFO, _Draw.info),
    (Command.DEVICE_GET_IRQ_INFO, _Draw.info),
    (Command.DEVICE_GET_REGION_INFO, _Draw.longer_info),
    (Command.DEVICE_GET_REGION_IO_FDS, _Draw.info),
    (Command.DEVICE_FEATURE, _Draw.feature),
    (Command.DEVICE_RESET, lambda _: (b"", ())),
    (Command.VERSION, _Draw.version),
    (Command.DMA_READ, _Draw.anything),
    (Command.MIG_DATA_READ, _Draw.anything),
)
_WEIGHTS: Final = (30, 25, 4, 8, 4, 6, 2, 2, 3, 2, 2, 1, 1, 1, 1)
_VERSION: Final = _HEADER.pack(0, Command.VERSION, HEADER_BYTES + 4, 0, 0) + bytes(4)


def make(seed: int, most: int = 100) -> Volley:
    """Return what the hostile client of a seed sends: about ``most`` messages at the most."""
    draw = _Draw(seed)
    shots = [Shot(_VERSION)] if draw.rng.random() < 0.95 else []
    shots += [draw.message() for _ in range(draw.rng.randrange(most // 4, most))]
    shots.append(draw.ending())
    return Volley(seed, tuple(shots), len(shots))
