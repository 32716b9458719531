"""What the application has sent and the peer has not acknowledged: the retransmission queue.

Addressed by unwrapped sequence number. Large ``bytes`` are kept as they are and sent as views of
themselves: no copy from the application to the link. Small writes are gathered.
"""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from formats.checksum import Buffer

GATHER_BELOW = 4096  # writes smaller than this are appended to one growing chunk
CHUNK_MAX = 65536


class SendBuffer:
    """Bytes ``start`` up to (not including) ``end``, as chunks."""

    __slots__ = ("_chunks", "_starts", "end", "start")

    def __init__(self, start: int) -> None:
        """Begin empty at a sequence number."""
        self.start = start
        self.end = start
        self._starts: list[int] = []
        self._chunks: list[bytes | bytearray | memoryview] = []

    def __len__(self) -> int:
        """Return how many bytes are held."""
        return self.end - self.start

    def append(self, data: Buffer) -> None:
        """Add bytes at the end. ``bytes`` are kept, other buffers are copied."""
        size = len(data)
        if not size:
            return
        if size < GATHER_BELOW:
            tail = self._chunks[-1] if self._chunks else None
            if isinstance(tail, bytearray) and len(tail) < CHUNK_MAX:
                tail += data
                self.end += size
                return
            chunk: bytes | bytearray | memoryview = bytearray(data)
        else:
            chunk = memoryview(data if isinstance(data, bytes) else bytes(data))
        self._starts.append(self.end)
        self._chunks.append(chunk)
        self.end += size

    def release(self, upto: int) -> None:
        """Forget bytes before ``upto``: they were acknowledged."""
        self.start = min(max(self.start, upto), self.end)
        done = bisect.bisect_right(self._starts, self.start) - 1
        if self.start == self.end:
            done = len(self._starts)
        if done > 0:
            del self._starts[:done]
            del self._chunks[:done]

    def slice(self, sequence: int, length: int) -> list[Buffer]:
        """Return buffers that hold ``length`` bytes from ``sequence`` on."""
        if sequence < self.start or sequence + length > self.end:
            raise ValueError(f"{length} bytes at {sequence:#x} are not in the send buffer")
        out: list[Buffer] = []
        index = bisect.bisect_right(self._starts, sequence) - 1
        while length:
            chunk = self._chunks[index]
            at = sequence - self._starts[index]
            piece = chunk[at : at + length]
            # A bytearray may still grow, so what leaves must not be a view of it.
            out.append(bytes(piece) if isinstance(piece, bytearray) else piece)
            sequence += len(piece)
            length -= len(piece)
            index += 1
        return out
