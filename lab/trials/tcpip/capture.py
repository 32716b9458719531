"""Writes frames to a classic pcap file, for tshark and Wireshark to read."""

from __future__ import annotations

import time
from struct import Struct
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

HEADER = Struct("=IHHiIII")
RECORD = Struct("=IIII")
MAGIC_NANOSECONDS = 0xA1B23C4D
ETHERNET = 1
SNAP_BYTES = 1 << 18


class PcapWriter:
    """A capture file with nanosecond times."""

    def __init__(self, path: Path) -> None:
        """Create the file."""
        self._file = path.open("wb")
        self._file.write(HEADER.pack(MAGIC_NANOSECONDS, 2, 4, 0, 0, SNAP_BYTES, ETHERNET))

    def __enter__(self) -> Self:
        """Use as a context."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the file."""
        self._file.close()

    def write(self, frame: bytes) -> None:
        """Add a frame, with the present time."""
        seconds, rest = divmod(time.time_ns(), 1_000_000_000)
        self._file.write(RECORD.pack(seconds, rest, len(frame), len(frame)) + frame)
