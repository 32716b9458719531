"""Folders that are this user's alone, for caches and sockets: each component of the way is checked.

Another user who owns a component, or may write to it, could put something of their own in its place: a
program that we run, a link to a file that we then empty. So a component belongs to this user or to root,
and nobody else may write to it, but for a sticky folder (/tmp) above one of our own. Without a home nothing
goes to /tmp.

The launcher runs it as a program, before there is an environment: it imports nothing of ours. Source: XDG
Base Directory Specification; path_resolution(7).
"""

from __future__ import annotations

import contextlib
import os
import pwd
import stat
import sys
import tempfile
from pathlib import Path
from typing import Final

NAME: Final = "ringwalk"
_CACHE_REMEDY: Final = "set XDG_CACHE_HOME to a folder of your own"
_RUN_REMEDY: Final = "set XDG_RUNTIME_DIR to a folder of your own"
_GROUP_WRITES, _OTHERS_WRITE = 0o020, 0o002


class FolderError(Exception):
    """A folder that cannot be used: one line says which component, why, and what to do."""

    def __init__(self, path: Path, why: str, remedy: str) -> None:
        super().__init__(f"{path} {why}: {remedy}")
        self.path = path


def cache_root() -> Path:
    """Return the cache's top folder, which need not be there yet. FolderError without a home."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    if named.startswith("/"):
        return Path(named) / NAME
    return _home() / ".cache" / NAME


def run_folder(name: str, most_bytes: int = 80) -> Path:
    """Return this user's folder ``name`` for sockets, made and mode 0700: the first that can be. FolderError.

    ``most_bytes``: how long its path may be, for a socket's has 107 at most.
    """
    candidates = []
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        candidates.append(Path(runtime) / NAME / name)
    with contextlib.suppress(FolderError):
        candidates.append(cache_root() / "run" / name)
    candidates.append(Path(tempfile.gettempdir()) / f"{NAME}-{os.getuid()}" / name)
    refused: FolderError | None = None
    for folder in candidates:
        if len(os.fsencode(folder)) > most_bytes:
            refused = refused or FolderError(folder, "is too long a path for sockets", _RUN_REMEDY)
            continue
        try:
            return made(folder, secret=True, remedy=_RUN_REMEDY)
        except FolderError as error:
            refused = refused or error
    raise refused or AssertionError("there is always a candidate")


def made(folder: Path, *, secret: bool = False, remedy: str = _CACHE_REMEDY) -> Path:
    """Return ``folder``, made with mode 0700 where it was missing, and checked. FolderError.

    ``secret``: nobody else may even read it.
    """
    for part in (*reversed(folder.parents), folder):
        if not os.path.lexists(part):
            try:
                part.mkdir(mode=0o700)
            except FileExistsError:  # another process of ours was faster
                continue
            except OSError as error:
                raise FolderError(part, f"cannot be made ({error.strerror})", remedy) from error
    check(folder, secret=secret, remedy=remedy)
    return folder


def check(folder: Path, *, secret: bool = False, remedy: str = _CACHE_REMEDY) -> None:
    """See that every component of the way is ours or root's, and the folder ours. FolderError."""
    walked = [*reversed(folder.parents), folder]
    resolved = Path(os.path.realpath(folder))
    walked += [*reversed(resolved.parents), resolved]
    for part in walked:
        _check_component(part, remedy)
    status = resolved.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise FolderError(folder, "is no folder of this user's", remedy)
    if _others_write(status) or (secret and status.st_mode & 0o077):
        mode = f"{status.st_mode & 0o7777:04o}"
        raise FolderError(folder, f"is open to others (mode {mode})", f"chmod it, or {remedy}")


def _check_component(part: Path, remedy: str) -> None:
    try:
        status = part.lstat()
    except OSError as error:
        raise FolderError(part, f"cannot be looked at ({error.strerror})", remedy) from error
    if status.st_uid not in (0, os.geteuid()):
        raise FolderError(part, f"belongs to another user ({status.st_uid})", remedy)
    if stat.S_ISLNK(status.st_mode) or status.st_mode & stat.S_ISVTX:
        return  # where a link leads is walked too; in a sticky folder nobody replaces what is ours
    if _others_write(status):
        raise FolderError(part, "can be written by others", remedy)


def _others_write(status: os.stat_result) -> bool:
    """Tell whether anybody but the owner may write; a group that is the owner's alone is not anybody."""
    if status.st_mode & _OTHERS_WRITE:
        return True
    return bool(status.st_mode & _GROUP_WRITES) and not _is_private_group(status)


def _is_private_group(status: os.stat_result) -> bool:
    """Tell a user's own group, as many systems make one for each user (umask 002), from a shared one."""
    import grp  # noqa: PLC0415 - rarely needed, and the launcher waits

    try:
        owner, group = pwd.getpwuid(status.st_uid), grp.getgrgid(status.st_gid)
    except KeyError:
        return False
    return group.gr_name == owner.pw_name and set(group.gr_mem) <= {owner.pw_name}


def _home() -> Path:
    named = os.environ.get("HOME", "")
    if named.startswith("/"):
        return Path(named)
    try:
        home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        why = f"is unknown (HOME is not set, and there is no user {os.getuid()})"
        raise FolderError(Path("~"), why, _CACHE_REMEDY) from None
    if not home.is_dir():
        raise FolderError(home, "is not there (HOME is not set)", _CACHE_REMEDY)
    return home


def main() -> int:
    """Print the cache's folder, made and checked; for the launcher."""
    try:
        print(made(cache_root()))  # noqa: T201 - this is a program
    except FolderError as error:
        print(f"ringwalk: {error}", file=sys.stderr)  # noqa: T201 - the same
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
