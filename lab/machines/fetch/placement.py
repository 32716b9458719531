"""Puts an archive's members below a folder, and never anywhere else, whatever the archive says.

Names with ``..`` and absolute ones are refused; a link that the archive brought is followed only to where
it leads inside; an absolute link becomes a relative one, as if the folder were the root. Devices, FIFOs,
owners, set-user-id bits are left out. The folder is private while it is filled: nobody else changes it
meanwhile.
"""

from __future__ import annotations

import os
import posixpath
import shutil
import tarfile
from pathlib import Path
from typing import IO

_MODE = 0o755


class Placement:
    """The folder that is filled."""

    def __init__(self, root: Path) -> None:
        """Fill ``root``, which is there."""
        self._root = Path(os.path.realpath(root))

    def member(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        """Place one member of a tar. TarError: it would leave the folder, or does not fit what is there."""
        if member.isdir():
            self._folder(_parts(member.name))
        elif member.issym():
            self.link(member.name, member.linkname)
        elif member.islnk():
            self._second_name(member.name, member.linkname)
        elif member.isfile() and (content := tar.extractfile(member)) is not None:
            self.file(member.name, content, member.mode)

    def file(self, name: str, content: IO[bytes], mode: int = 0o644) -> None:
        """Write a file, in the place of what has its name. TarError."""
        where = self._free(name)
        descriptor = os.open(
            where, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        with open(descriptor, "wb") as out:  # noqa: PTH123 - a descriptor
            shutil.copyfileobj(content, out, 1 << 20)
            os.fchmod(descriptor, mode & _MODE | 0o600)

    def link(self, name: str, target: str) -> None:
        """Make a symbolic link that leads where it would if the folder were the root. TarError."""
        where = self._free(name)
        inside = "/" + str(where.parent.relative_to(self._root))
        absolute = posixpath.normpath(posixpath.join(inside, target))  # ".." ends at the root, as in a chroot
        if target.startswith("/") or _climbs(inside, target):
            target = posixpath.relpath(absolute, inside)
        where.symlink_to(target)

    def _second_name(self, name: str, target: str) -> None:
        parts = _parts(target)
        source = self._folder(parts[:-1]) / parts[-1]
        if not source.is_file() or source.is_symlink():
            raise tarfile.TarError(f"{name} is a second name of {target}, which is no file of the archive")
        os.link(source, self._free(name), follow_symlinks=False)

    def _free(self, name: str) -> Path:
        """Return where a member goes; a file or link that was there is removed. TarError."""
        parts = _parts(name)
        if not parts:
            raise tarfile.TarError(f"{name!r} names nothing")
        where = self._folder(parts[:-1]) / parts[-1]
        if where.is_symlink() or where.exists():
            if where.is_dir() and not where.is_symlink():
                raise tarfile.TarError(f"{name} is a folder already")
            where.unlink()
        return where

    def _folder(self, parts: list[str]) -> Path:
        """Return a folder, made where it is missing; links on the way are followed inside. TarError."""
        here = self._root
        for part in parts:
            here = Path(os.path.realpath(here / part))
            if not here.is_relative_to(self._root):
                raise tarfile.TarError(f"{'/'.join(parts)} leaves the folder by a link")
            try:
                here.mkdir(parents=True, exist_ok=True)
            except (FileExistsError, NotADirectoryError) as error:
                raise tarfile.TarError(f"{'/'.join(parts)} goes through a file") from error
        return here


def _parts(name: str) -> list[str]:
    """Return a member's name taken apart. TarError."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts or name.startswith("/") or "\0" in name:
        raise tarfile.TarError(f"{name} leaves the archive")
    return parts


def _climbs(inside: str, target: str) -> bool:
    """Tell whether a relative link goes up beyond the root on its way."""
    depth = len([part for part in inside.split("/") if part not in ("", ".")])
    for part in target.split("/"):
        depth += 0 if part in ("", ".") else -1 if part == ".." else 1
        if depth < 0:
            return True
    return False
