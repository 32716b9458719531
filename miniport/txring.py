"""One transmit ring: descriptors handed over in order, tokens handed back in order.

It knows neither NDIS nor interrupts: a *token* is whatever stands for a frame above. Sans I/O but for the
doorbell, which is one register write.

::

         clean            tail
           v               v
    +---+---+---+---+---+---+---+---+
    |   | a | b | c | c | c |   |   |     a, b, c: frames that the card has; c needed three descriptors
    +---+---+---+---+---+---+---+---+
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from device.rings.index import DESCRIPTOR_SIZE
from device.rings.transmit import DD, DataTx, LegacyTx, TxCommand
from miniport.driverring import DriverRing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ndis.hardware import SharedMemory
    from ndis.packet import Buffer

STAGE_BYTES = 2048
"""What is copied goes through a stage of this size, one a descriptor."""
ELEMENT_BYTES = 8192
"""The most that one descriptor points to (Linux's E1000_MAX_PER_TXD)."""
SHORTEST_BYTES = 17
"""With TCTL.PSP the card pads to 64 bytes, from this length on (e1000_xmit_frame of e1000e/netdev.c)."""

_DATA = DataTx.FORMAT
_LEGACY = LegacyTx.FORMAT
_STATUS = 12  # offset of STA, in every format
_DTYP_DATA = 1 << 20
_EOP, _IFCS, _RS = TxCommand.EOP, TxCommand.IFCS, TxCommand.RS
_DEXT_BIT, _IC = int(TxCommand.DEXT), int(TxCommand.IC)
_LAST = int(_EOP | _RS)
_EVERY = int(_IFCS)

Token = TypeVar("Token")


@dataclass(frozen=True, slots=True)
class Extras:
    """What a frame asks for beyond being sent; ``PLAIN`` asks for nothing."""

    context: bytes = b""
    """The context descriptor that must be in force; empty: none."""
    command: int = 0
    """More bits of CMD: VLE, TSE."""
    options: int = 0
    """POPTS."""
    special: int = 0
    """The VLAN tag."""
    header: bytes = b""
    """Goes in place of the first bytes of the frame: a header the card is to work on."""


PLAIN = Extras()


class TxRing(DriverRing, Generic[Token]):
    """The driver's half of a transmit ring.

    Invariants: the card owns ``clean`` up to ``tail``; ``free`` + owned + 1 = count; the last descriptor of
    every frame has RS, and its DD is what says that all of the frame's descriptors may be used again.
    """

    def __init__(
        self,
        descriptors: SharedMemory,
        stages: SharedMemory,
        count: int,
        doorbell: Callable[[int], None],
        *,
        legacy: bool = False,
    ) -> None:
        """Lay a ring of ``count`` over ``descriptors``; ``stages`` has ``STAGE_BYTES`` for each."""
        super().__init__(descriptors, count, doorbell)
        self._stages = stages.view
        self._stage_address = stages.address
        self._legacy = legacy
        self.largest_bytes = (count - 3) * STAGE_BYTES
        """No longer frame could ever be sent: an empty ring would not hold it."""
        self._busy: deque[tuple[int, Token]] = deque()  # (index of the last descriptor, token)
        self.reset()

    def reset(self) -> list[Token]:
        """Forget everything; return the tokens of frames that the card had."""
        lost = self.tokens
        self._busy.clear()
        self._clean = 0
        self._context = b""
        self.free = self.count - 1
        self._clear()
        return lost

    @property
    def busy(self) -> int:
        """Frames that the card has."""
        return len(self._busy)

    @property
    def clean(self) -> int:
        """The oldest slot whose frame has not come back."""
        return self._clean

    @property
    def tokens(self) -> list[Token]:
        """The frames that the card has, oldest first."""
        return [token for _, token in self._busy]

    def post(self, token: Token, buffers: Sequence[Buffer], length: int, extras: Extras = PLAIN) -> bool:
        """Hand a frame over; False, and nothing is changed, when there is no room. ``ring`` tells the card.

        Buffers with an address are read by the card where they are; the rest is copied here.
        """
        is_one = SHORTEST_BYTES <= length <= STAGE_BYTES and not extras.header
        if is_one and len(buffers) > 1:
            for buffer in buffers:
                is_one = is_one and buffer.address is None
        if not is_one:
            return self._post_parts(token, _parts(buffers, length, extras.header), extras)
        if extras.context and extras.context != self._context:
            if self.free < 2:
                return False
            self._put_context(extras)
        elif not self.free:
            return False
        tail, address = self._tail, buffers[0].address
        if address is None:
            at = tail * STAGE_BYTES
            address = self._stage_address + at
            left = length
            for buffer in buffers:
                # Most buffers are the whole of their memory: no view is made of those.
                size, piece = buffer.length, buffer.memory
                if size > left or len(piece) != size:
                    size = min(size, left)
                    piece = buffer.view[:size]
                self._stages[at : at + size] = piece
                at += size
                left -= size
            length -= left
        self._describe(address, length, _LAST, extras)
        self._busy.append((tail, token))
        return True

    def reap(self) -> list[Token]:
        """Return the tokens of frames that the card is done with, oldest first; at most one ring."""
        done: list[Token] = []
        busy, ring, last = self._busy, self._ring, -1
        while busy and ring[busy[0][0] * DESCRIPTOR_SIZE + _STATUS] & DD:
            last, token = busy.popleft()
            done.append(token)
        if done:
            clean = last + 1 if last + 1 < self.count else 0
            self.free += (clean - self._clean) % self.count
            self._clean = clean
        return done

    @property
    def has_done(self) -> bool:
        """Whether ``reap`` would return something."""
        busy = self._busy
        return bool(busy) and bool(self._ring[busy[0][0] * DESCRIPTOR_SIZE + _STATUS] & DD)

    def _post_parts(self, token: Token, parts: list[_Part], extras: Extras) -> bool:
        needs_context = bool(extras.context) and extras.context != self._context
        needed = sum(part.descriptors for part in parts) + needs_context
        if needed > self.free:
            return False
        if needs_context:
            self._put_context(extras)
        last = self._tail
        for part in parts:
            for address, length in self._place(part):
                last = self._tail
                self._describe(address, length, 0, extras)
        # The last one was written without EOP: nobody has rung yet, the card has not looked.
        self._ring[last * DESCRIPTOR_SIZE + 11] |= _LAST
        self._busy.append((last, token))
        return True

    def _place(self, part: _Part) -> list[tuple[int, int]]:
        """Return where the card finds each piece of a part; what is not mapped is copied to the stages."""
        if part.address is not None:
            length = part.length
            return [
                (part.address + at, min(ELEMENT_BYTES, length - at)) for at in range(0, length, ELEMENT_BYTES)
            ]
        pieces = []
        index = self._tail
        data = part.joined()
        for at in range(0, part.length, STAGE_BYTES):
            piece = data[at : at + STAGE_BYTES]
            stage = index * STAGE_BYTES
            self._stages[stage : stage + len(piece)] = piece
            pieces.append((self._stage_address + stage, len(piece)))
            index = index + 1 if index + 1 < self.count else 0
        return pieces

    def _put_context(self, extras: Extras) -> None:
        where = self._tail * DESCRIPTOR_SIZE
        self._ring[where : where + DESCRIPTOR_SIZE] = extras.context
        # A segmentation context counts down while it is used: never good twice (datasheet, Transmit).
        self._context = b"" if extras.command & _IC else extras.context
        self._tail = self._tail + 1 if self._tail + 1 < self.count else 0
        self.free -= 1

    def _describe(self, address: int, length: int, last: int, extras: Extras) -> None:
        """Fill the next descriptor; ``last``: EOP and RS, or 0."""
        tail = self._tail
        where = tail * DESCRIPTOR_SIZE
        command = _EVERY | last | extras.command
        if self._legacy:
            _LEGACY.pack_into(self._ring, where, address, length, 0, command, 0, 0, extras.special)
        else:
            word = length | _DTYP_DATA | (command | _DEXT_BIT) << 24
            _DATA.pack_into(self._ring, where, address, word, 0, extras.options, extras.special)
        self._tail = tail + 1 if tail + 1 < self.count else 0
        self.free -= 1


class _Part:
    """Bytes of a frame that go the same way: at one bus address, or copied together."""

    __slots__ = ("address", "length", "pieces")

    def __init__(self, address: int | None) -> None:
        self.address = address
        self.length = 0
        self.pieces: list[memoryview | bytes] = []

    @property
    def descriptors(self) -> int:
        size = STAGE_BYTES if self.address is None else ELEMENT_BYTES
        return -(-self.length // size)

    def add(self, piece: memoryview | bytes) -> None:
        self.pieces.append(piece)
        self.length += len(piece)

    def joined(self) -> memoryview | bytes:
        return self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)


def _parts(buffers: Sequence[Buffer], length: int, header: bytes) -> list[_Part]:
    """Sort a frame's bytes into parts; ``header`` replaces as many bytes at the front."""
    parts: list[_Part] = []
    skip, left = len(header), length - len(header)

    def copied() -> _Part:
        if not parts or parts[-1].address is not None:
            parts.append(_Part(None))
        return parts[-1]

    if header:
        copied().add(header)
    for buffer in buffers:
        drop = min(skip, buffer.length)
        skip -= drop
        piece = buffer.view[drop : drop + left]
        left -= len(piece)
        if not len(piece):
            continue
        if buffer.address is None:
            copied().add(piece)
        else:
            parts.append(_Part(buffer.address + drop))
            parts[-1].add(piece)
    if length < SHORTEST_BYTES:
        parts = [_whole(parts, SHORTEST_BYTES)]
    return parts


def _whole(parts: list[_Part], length: int) -> _Part:
    """Copy a runt with zeros behind it."""
    one = _Part(None)
    one.add(b"".join(bytes(piece) for part in parts for piece in part.pieces).ljust(length, b"\0"))
    return one
