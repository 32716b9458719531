"""The per-user cache: where downloaded and built things live, and how they get there whole.

It knows nothing of what is stored: only that a directory appears complete or not at all, and that one
process at a time may prepare it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from device import private_folder
from lab.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def root() -> Path:
    """Return the cache's top directory, whose way was checked as far as it is there. UsageError."""
    try:
        top = private_folder.cache_root()
        if top.exists():
            private_folder.check(top)
    except private_folder.FolderError as error:
        raise UsageError(str(error)) from error
    return top


def directory(*parts: str) -> Path:
    """Return a directory of the cache, made if it was missing.

    Raises ``UsageError`` where the user may not write, or somebody else may.
    """
    try:
        return private_folder.made(private_folder.cache_root().joinpath(*parts))
    except private_folder.FolderError as error:
        raise UsageError(str(error)) from error


@contextmanager
def exclusive(name: str, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the cache's lock ``name``; call ``waiting`` once when another process has it."""
    path = directory() / f"{name}.lock"
    # Never through a link: what it names would be opened for writing.
    with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "w") as lock:  # noqa: PTH123
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting is not None:
                waiting()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Give an empty directory that becomes ``target`` when the block ends well.

    What was at ``target`` is removed only then; after an error nothing is left behind. A full disk is
    the user's to mend, and says so.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield new
        new.chmod(0o755)
        if target.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
            target.rename(old / target.name)
            new.rename(target)
            shutil.rmtree(old)
        else:
            new.rename(target)
    except OSError as error:
        if error.errno in FULL:
            raise full_disk(target) from error
        raise
    finally:
        shutil.rmtree(new, ignore_errors=True)


def full_disk(where: Path) -> UsageError:
    """Return the error for a disk that has no room left."""
    return UsageError(
        f"the disk that holds {where} is full: free some space, or set XDG_CACHE_HOME to another disk"
    )


def free_bytes() -> int:
    """Return how much room the cache's disk has for this user."""
    return shutil.disk_usage(directory()).free
