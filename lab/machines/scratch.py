"""Private directories for sockets and consoles: gone when their owner ends, swept up when it was killed."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

from device import private_folder
from lab.errors import UsageError

NAME = re.compile(r"ringwalk-(\d+)-")


def make() -> Path:
    """Return a new directory that only this user may enter; the caller removes it. UsageError.

    What a killed Ringwalk of this user left is removed first.
    """
    top = Path(tempfile.gettempdir())
    sweep(top)
    folder = Path(tempfile.mkdtemp(prefix=f"ringwalk-{os.getpid()}-"))
    try:
        private_folder.check(folder, secret=True, remedy="set TMPDIR to a folder of your own")
    except private_folder.FolderError as error:
        folder.rmdir()
        raise UsageError(str(error)) from error
    return folder


def sweep(folder: Path) -> None:
    """Remove the directories whose owner is this user and whose process is gone."""
    for path in folder.glob("ringwalk-*"):
        match = NAME.match(path.name)
        if match and not Path("/proc", match[1]).exists() and path.lstat().st_uid == os.getuid():
            shutil.rmtree(path, ignore_errors=True)
