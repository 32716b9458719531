"""The fast path by cffi: the same rings, many frames a call, and loops that never hold the GIL.

``TxBurst`` and ``RxBurst`` own a ring each, as ``TxRing`` and ``RxRing`` do; every frame is one descriptor
with a copy. They know no NDIS: protocols that want every packet's own story use the Python path.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final

from device.rings.index import DESCRIPTOR_SIZE
from miniport._burst import ffi, lib
from miniport.pointers import pointer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ndis.hardware import SharedMemory

STAGE_BYTES: Final = 2048


class Bell:
    """How a ring tells its card. ``silent`` tells nobody: the caller does, with ``tail``."""

    def __init__(self, keep: object = None) -> None:
        """Ring nothing. ``keep`` is kept alive as long as the bell."""
        self.raw = ffi.new("struct mp_bell *")
        self._keep = keep

    @classmethod
    def silent(cls) -> Bell:
        """Ring nothing."""
        return cls()

    @classmethod
    def store(cls, address: int, offset: int, keep: object) -> Bell:
        """Store to a mapped BAR at ``address``."""
        bell = cls(keep)
        bell.raw.mmio = ffi.cast("volatile uint32_t *", address)
        bell.raw.offset = offset
        return bell

    @classmethod
    def call(cls, write: int, work: int, device: int, offset: int, keep: object) -> Bell:
        """Call a card in this process: C functions and the device by address, ``work`` 0 for none."""
        bell = cls(keep)
        bell.raw.call = ffi.cast("void (*)(void *, uint32_t, uint32_t)", write)
        bell.raw.work = ffi.cast("uint32_t (*)(void *)", work)
        bell.raw.device = ffi.cast("void *", device)
        bell.raw.offset = offset
        return bell


class Gate:
    """The miniport lock for bursts in serialized mode."""

    def __init__(self) -> None:
        self.raw = ffi.new("uint32_t *")


class Stop:
    """Ends loops: a word that C looks at."""

    def __init__(self) -> None:
        self.raw = ffi.new("uint32_t *")

    def set(self) -> None:
        """End them."""
        self.raw[0] = 1


class TxBurst:
    """A transmit ring for bursts."""

    def __init__(
        self,
        descriptors: SharedMemory,
        stages: SharedMemory,
        count: int,
        bell: Bell,
        gate: Gate | None = None,
    ) -> None:
        """Lay a ring over the memory. With ``gate`` every burst is serialized by it."""
        self.address = descriptors.address
        self.length_bytes = count * DESCRIPTOR_SIZE
        self._keep = (bell, gate, descriptors.view, stages.view)
        self.raw = ffi.new("struct mp_tx *")
        self.raw.ring = pointer(descriptors.view)
        self.raw.stages = pointer(stages.view)
        self.raw.stage_address = stages.address
        self.raw.count = count
        self.raw.gate = ffi.NULL if gate is None else gate.raw
        self.raw.bell = bell.raw[0]
        lib.mp_tx_init(self.raw)

    @property
    def tail(self) -> int:
        """TDT as it is to be."""
        return int(self.raw.tail)

    @property
    def free(self) -> int:
        """Descriptors that are the driver's."""
        return int(lib.mp_tx_free(self.raw))

    @property
    def posted(self) -> int:
        """Frames handed over so far."""
        return int(self.raw.posted)

    @property
    def reaped(self) -> int:
        """Frames that the card was seen to be done with."""
        return int(self.raw.reaped)

    def reap(self) -> int:
        """See which frames the card is done with; return how many."""
        return int(lib.mp_tx_reap(self.raw))

    def send(self, frames: Sequence[bytes]) -> int:
        """Post frames that are ``bytes``; return how many were taken (from the first on)."""
        data = ffi.from_buffer("uint8_t[]", b"".join(frames))
        lengths = ffi.from_buffer("uint32_t[]", array("I", map(len, frames)))
        return int(lib.mp_tx_joined(self.raw, data, lengths, len(frames)))

    def send_batch(self, batch: Batch) -> int:
        """Post a prepared batch; return how many were taken."""
        return int(lib.mp_tx_burst(self.raw, batch.data, batch.frames, batch.count))

    def run(self, frame: bytes, burst: int, frames: int, stop: Stop) -> int:
        """Send copies of one frame until there were ``frames``, or ``stop``; return how many.

        Without the GIL.
        """
        return int(
            lib.mp_tx_loop(self.raw, ffi.from_buffer("uint8_t[]", frame), len(frame), burst, frames, stop.raw)
        )


class Batch:
    """Frames laid one behind the other, for ``send_batch``: made once, sent often."""

    def __init__(self, frames: Sequence[bytes]) -> None:
        self.count = len(frames)
        self.data = ffi.new("uint8_t[]", b"".join(frames))
        self.frames = ffi.new("struct mp_frame[]", self.count)
        at = 0
        for number, frame in enumerate(frames):
            self.frames[number].at = at
            self.frames[number].length = len(frame)
            at += len(frame)


class RxBurst:
    """A receive ring for bursts: each slot keeps its buffer, frames are copied out."""

    def __init__(self, descriptors: SharedMemory, buffers: SharedMemory, count: int, bell: Bell) -> None:
        """Lay a ring over the memory; nothing is armed before ``start``."""
        self.address = descriptors.address
        self.length_bytes = count * DESCRIPTOR_SIZE
        self._keep = (bell, descriptors.view, buffers.view)
        self.raw = ffi.new("struct mp_rx *")
        self.raw.ring = pointer(descriptors.view)
        self.raw.buffers = pointer(buffers.view)
        self.raw.buffer_address = buffers.address
        self.raw.count = count
        self.raw.bell = bell.raw[0]
        self._room = ffi.new("uint8_t[]", count * STAGE_BYTES)
        self._frames = ffi.new("struct mp_frame[]", count)

    @property
    def tail(self) -> int:
        """RDT as it is to be."""
        return int(self.raw.tail)

    @property
    def counts(self) -> tuple[int, int, int]:
        """Frames and octets taken, and frames dropped."""
        return int(self.raw.frames), int(self.raw.octets), int(self.raw.errors)

    def start(self) -> None:
        """Arm every slot but one, and ring."""
        lib.mp_rx_init(self.raw)

    def receive(self, most: int) -> list[bytes]:
        """Take up to ``most`` frames out of the ring."""
        size = ffi.sizeof(self._room)
        taken = lib.mp_rx_burst(self.raw, self._room, size, self._frames, min(most, int(self.raw.count)))
        buffer = ffi.buffer(self._room)
        return [
            bytes(buffer[self._frames[n].at : self._frames[n].at + self._frames[n].length])
            for n in range(taken)
        ]

    def run(self, burst: int, frames: int, stop: Stop) -> int:
        """Take and count frames until there were ``frames``, or ``stop``. Without the GIL."""
        return int(lib.mp_rx_loop(self.raw, burst, frames, stop.raw))


class NullCard:
    """A card that is done with every descriptor at once: with it, the driver is what is measured."""

    def __init__(self) -> None:
        """Make the card; ``bell`` is for its one ring, ``attach`` names that ring."""
        self._raw = ffi.new("struct mp_null *")
        self._ring: TxBurst | None = None

    @property
    def bell(self) -> Bell:
        """The card's doorbell."""
        write = int(ffi.cast("uintptr_t", ffi.addressof(lib, "mp_null_doorbell")))
        return Bell.call(write, 0, int(ffi.cast("uintptr_t", self._raw)), 0, self)

    def attach(self, ring: TxBurst) -> None:
        """Name the ring, which lives as long as the card: C has its address."""
        self._ring = ring
        self._raw.tx = ring.raw

    @property
    def frames(self) -> int:
        """Frames taken."""
        return int(self._raw.frames)
