"""Recordings as files: read from one, or written to one that is opened while we may."""

from __future__ import annotations

import mmap
import sys
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from device.native_serving import Tape
from device.trace.recording import Recording, RecordingError
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

    def close(self) -> bool:
        """Close the file; say on stderr if it lacks something, and return that. The card was closed."""
        self.file.close()
        trouble = self.recorder.stop().trouble() if self.recorder is not None else None
        if trouble is not None:
            print(f"ringwalk: {self.path}: {trouble}", file=sys.stderr, flush=True)
        return trouble is not None


def open_recording(path: Path | None) -> RecordingFile | None:
    """Open a file for a recording, empty; None: none is wanted. UsageError."""
    if path is None:
        return None
    try:
        return RecordingFile(path, path.open("wb", buffering=0))
    except OSError as error:
        raise UsageError(f"--record {path}: {error.strerror}; give a file that can be written") from error


def load(path: Path, *, partial: bool = False) -> Recording:
    """Read a recording. UsageError where it is none."""
    try:
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return Recording(memoryview(data), partial=partial)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except ValueError as error:  # mmap's word for an empty file
        raise UsageError(f"{path}: this is no Ringwalk recording: it is empty") from error
    except RecordingError as error:
        hint = "" if error.offset == 0 else "; --partial takes what is whole before that"
        raise UsageError(f"{path}: {error}{hint}") from error
