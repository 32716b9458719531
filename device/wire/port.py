"""Whole frames over a wire's descriptor, for the reference engine and for the pumps.

It knows the framings and the errors of Linux's descriptors. It knows nothing of what the frames
mean.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from dataclasses import dataclass
from typing import Final

from device.wire.contract import (
    LARGEST_FRAME_BYTES,
    SMALLEST_FRAME_BYTES,
    Framing,
    MalformedFrame,
    WireClosed,
)
from device.wire.frame import VNET_HEADER, Frame, check_length, emit_vnet_header, parse_vnet
from device.wire.segmentation import segment

_PREFIX_BYTES: Final = 4
_READ_BYTES: Final = VNET_HEADER.size + LARGEST_FRAME_BYTES + 1  # one more shows a truncation
_MOST_DROPS_A_READ: Final = 64  # a flood of malformed frames does not keep read() from returning

PASSING: Final = frozenset(
    {
        errno.ENOBUFS,
        errno.ENOMEM,
        errno.EIO,
        errno.ENETDOWN,
        errno.ENXIO,
        errno.ECONNREFUSED,
        errno.ENOTCONN,
        errno.EDESTADDRREQ,
        errno.EMSGSIZE,
        errno.EINVAL,
        errno.EPERM,
        errno.EACCES,
        errno.EBADFD,
        errno.ENOENT,
    }
)
"""Errors that cost a frame and not the wire. See ``Wire`` for which means what."""

_GONE: Final = frozenset({errno.EPIPE, errno.ECONNRESET, errno.ESHUTDOWN})


@dataclass(slots=True)
class PortStatistics:
    """Frames that a port moved and lost."""

    received: int = 0
    sent: int = 0
    malformed: int = 0
    """Dropped on the way in: a bad header or length."""
    refused: int = 0
    """Dropped on the way out: not what its ``gso`` says, or too long."""
    lost: int = 0
    """Dropped on the way out by a wire that was down, or by the kernel."""


class Port:
    """Reads and writes whole frames on a non-blocking descriptor that somebody else owns.

    ``read`` gives None when there is nothing now. ``write`` gives False when the wire can take
    nothing now, and then the caller keeps the frame; True means taken, which on a cable does not
    mean arrived.
    """

    def __init__(self, fd: int, framing: Framing) -> None:
        """Use ``fd``; with ``Framing.NONE`` reads give nothing and writes are lost."""
        self.fd = fd
        self.framing = framing
        self.statistics = PortStatistics()
        self._buffer = memoryview(bytearray(_READ_BYTES))
        self._unparsed = bytearray()  # of a stream: what came and is not yet a whole frame
        self._to_skip = 0  # of a stream: bytes of a frame too long to keep
        self._unsent: deque[bytes] = deque()

    def read(self) -> Frame | None:
        """Return the next frame, or None. Raises ``WireClosed`` at the end of a stream."""
        for _ in range(_MOST_DROPS_A_READ):
            try:
                frame = self._read_stream() if self.framing is Framing.STREAM else self._read_one()
            except MalformedFrame:
                self.statistics.malformed += 1
                continue
            if frame is not None:
                self.statistics.received += 1
            return frame
        return None

    def write(self, frame: Frame) -> bool:
        """Send a frame, cut into segments where the framing cannot carry ``gso``."""
        if not self.flush():
            return False
        try:
            check_length(len(frame.data))
            if self.framing is Framing.VNET:
                self._unsent.append(emit_vnet_header(frame) + frame.data)
            elif self.framing is Framing.DATAGRAM:
                self._unsent.extend(segment(frame))
            elif self.framing is Framing.STREAM:
                for data in segment(frame):
                    self._unsent.append(len(data).to_bytes(_PREFIX_BYTES, "big") + data)
            else:
                self.statistics.lost += 1
                return True
        except MalformedFrame:
            self.statistics.refused += 1
            return True
        if self.flush() or len(self._unsent) == 0:
            return True
        if self._unsent_is_whole(frame):
            self._unsent.clear()
            return False
        return True  # a part is out: the rest follows with flush()

    def flush(self) -> bool:
        """Send what an earlier write left; False while something is still left."""
        while self._unsent:
            data = self._unsent[0]
            try:
                done = self._send(data)
            except BlockingIOError:
                return False
            except OSError as error:
                if error.errno in _GONE:
                    self._unsent.clear()
                    raise WireClosed(str(error)) from error
                if error.errno not in PASSING:
                    raise
                self._unsent.popleft()
                self.statistics.lost += 1
                continue
            if done < len(data) and self.framing is Framing.STREAM:
                self._unsent[0] = data[done:]
                continue
            self._unsent.popleft()
            self.statistics.sent += 1
        return True

    @property
    def blocked(self) -> bool:
        """Whether a part of a frame waits for the descriptor to become writable."""
        return bool(self._unsent)

    def _unsent_is_whole(self, frame: Frame) -> bool:
        """Tell whether nothing of ``frame`` has left, so that the caller may keep it."""
        extra = {Framing.VNET: VNET_HEADER.size, Framing.STREAM: _PREFIX_BYTES}.get(self.framing, 0)
        return len(self._unsent) == 1 and len(self._unsent[0]) == len(frame.data) + extra

    def _send(self, data: bytes) -> int:
        return os.write(self.fd, data)

    def _receive(self) -> bytes | None:
        """Return one message or a piece of a stream; None when there is nothing now."""
        if self.fd < 0:
            return None
        try:
            length = os.readv(self.fd, [self._buffer])
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno in _GONE:
                raise WireClosed(str(error)) from error
            if error.errno in PASSING:
                return None
            raise
        return bytes(self._buffer[:length])

    def _read_one(self) -> Frame | None:
        message = self._receive()
        if message is None:
            return None
        if not message:
            raise WireClosed("the other end closed")
        if self.framing is Framing.VNET:
            return parse_vnet(message)
        check_length(len(message))
        return Frame(message)

    def _read_stream(self) -> Frame | None:
        while True:
            skipped = min(self._to_skip, len(self._unparsed))
            del self._unparsed[:skipped]
            self._to_skip -= skipped
            if len(self._unparsed) >= _PREFIX_BYTES:
                length = int.from_bytes(self._unparsed[:_PREFIX_BYTES], "big")
                if not SMALLEST_FRAME_BYTES <= length <= LARGEST_FRAME_BYTES:
                    del self._unparsed[:_PREFIX_BYTES]
                    self._to_skip = length
                    raise MalformedFrame(f"a length of {length:#x} in the stream")
                end = _PREFIX_BYTES + length
                if len(self._unparsed) >= end:
                    data = bytes(self._unparsed[_PREFIX_BYTES:end])
                    del self._unparsed[:end]
                    return Frame(data)
            piece = self._receive()
            if piece is None:
                return None
            if not piece:
                raise WireClosed("the other end closed")
            self._unparsed += piece
