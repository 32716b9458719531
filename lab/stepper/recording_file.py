"""A file that the native engine's recording goes to: opened while we may, told about when it is closed."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from device.native_serving import Tape
from lab.errors import UsageError
from lab.stepper.live import RECORD_LIMIT_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from device.trace.native import NativeRecorder


@dataclass(slots=True)
class RecordingFile:
    """A recording that is being made."""

    path: Path
    file: IO[bytes]
    recorder: NativeRecorder | None = None
    """Who writes; known once the card is powered on."""

    @property
    def tape(self) -> Tape:
        """What the card is to be given."""
        return Tape(self.file.fileno(), RECORD_LIMIT_BYTES)

    def close(self) -> None:
        """Close the file, and say on stderr if it lacks something. The card was closed."""
        self.file.close()
        trouble = self.recorder.stop().trouble() if self.recorder is not None else None
        if trouble is not None:
            print(f"ringwalk: {self.path}: {trouble}", file=sys.stderr, flush=True)


def open_recording(path: Path | None) -> RecordingFile | None:
    """Open a file for a recording, empty; None: none is wanted. UsageError."""
    if path is None:
        return None
    try:
        return RecordingFile(path, path.open("wb", buffering=0))
    except OSError as error:
        raise UsageError(f"--record {path}: {error.strerror}; give a file that can be written") from error
