"""Private directories for sockets and consoles: gone when their owner ends, swept up when it was killed."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

NAME = re.compile(r"ringwalk-(\d+)-")


def make() -> Path:
    """Return a new directory that only this user may enter; the caller removes it.

    What a killed Ringwalk of this user left is removed first.
    """
    sweep(Path(tempfile.gettempdir()))
    return Path(tempfile.mkdtemp(prefix=f"ringwalk-{os.getpid()}-"))


def sweep(folder: Path) -> None:
    """Remove the directories whose owner is this user and whose process is gone."""
    for path in folder.glob("ringwalk-*"):
        match = NAME.match(path.name)
        if match and not Path("/proc", match[1]).exists() and path.stat().st_uid == os.getuid():
            shutil.rmtree(path, ignore_errors=True)
