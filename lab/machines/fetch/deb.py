"""Reads a Debian binary package without dpkg: an ``ar`` archive that holds a compressed tar (deb(5)).

It unpacks files, folders and links only: no devices, no owners, nothing outside the target (``placement``).
"""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING, BinaryIO, Literal

from lab.errors import UsageError
from lab.machines.fetch.placement import Placement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

AR_MAGIC = b"!<arch>\n"
AR_HEADER_BYTES = 60
Mode = Literal["r|", "r|gz", "r|xz", "r|bz2"]
MODES: dict[str, Mode] = {
    "data.tar": "r|",
    "data.tar.gz": "r|gz",
    "data.tar.xz": "r|xz",
    "data.tar.bz2": "r|bz2",
}


class PackageError(UsageError):
    """A file that is no whole Debian package; it says which, and what to do."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path} is not a usable Debian package ({why}): run `ringwalk fetch --clean` and again"
        )
        self.path = path


def members(file: BinaryIO, path: Path) -> Iterator[tuple[str, int]]:
    """Yield each ``ar`` member's name and size; the file stands at the member's first byte then."""
    if file.read(len(AR_MAGIC)) != AR_MAGIC:
        raise PackageError(path, "no ar archive")
    while header := file.read(AR_HEADER_BYTES):
        if len(header) < AR_HEADER_BYTES or header[58:] != b"`\n":
            raise PackageError(path, "cut off")
        name, size = header[:16].decode().rstrip().rstrip("/"), int(header[48:58])
        start = file.tell()
        yield name, size
        file.seek(start + size + size % 2)


def unpack(path: Path, target: Path, wanted: Callable[[str], bool] | None = None) -> None:
    """Unpack the data of the package at ``path`` below ``target``.

    ``wanted`` is asked with each path, which begins with ``./``.
    """
    with path.open("rb") as file:
        for name, _ in members(file, path):
            if not name.startswith("data.tar"):
                continue
            if name in MODES:
                _unpack_tar(file, MODES[name], path, target, wanted)
            else:
                _unpack_tar(_by_dpkg(path, name), "r|", path, target, wanted)
            return
    raise PackageError(path, "no data member")


def _by_dpkg(path: Path, name: str) -> BinaryIO:
    """Return the tar of a package whose compression this Python cannot undo (zstd before 3.14)."""
    if shutil.which("dpkg-deb") is None:
        raise PackageError(path, f"{name} needs dpkg-deb, which this machine lacks")
    done = subprocess.run(["dpkg-deb", "--fsys-tarfile", path], capture_output=True, check=False)
    if done.returncode:
        raise PackageError(path, done.stderr.decode(errors="replace").strip())
    return io.BytesIO(done.stdout)


def _unpack_tar(
    file: BinaryIO,
    mode: Mode,
    path: Path,
    target: Path,
    wanted: Callable[[str], bool] | None,
) -> None:
    try:
        with tarfile.open(fileobj=file, mode=mode) as tar:
            placement = Placement(target)
            for member in tar:
                if wanted is None or wanted(member.name) or member.isdir():
                    placement.member(tar, member)
    except (tarfile.TarError, EOFError) as error:
        raise PackageError(path, str(error)) from error
