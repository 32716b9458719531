"""The clerk: a helper that keeps the card's state in its file, and removes its sockets' names at the end.

So the card needs no right to any folder. What it can ask is to have bytes written to the one file that its
user named, whole or not at all. A request is a length of 8 bytes, little-endian, and as many bytes; an
answer is an errno, 0 for done, of 4 bytes.
"""

from __future__ import annotations

import errno
import functools
import os
import shutil
import stat
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from device.sandbox.helper import Helper

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable
    from pathlib import Path

MOST_STATE_BYTES: Final = 64 << 20
"""A card's state has some 100 KB."""

_LENGTH: Final = struct.Struct("<Q")
_ANSWER: Final = struct.Struct("<i")
_ANSWER_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Name:
    """A socket's name in the file system, or a link to it, and which file had it: somebody else's stays."""

    path: Path
    inode: int

    @classmethod
    def of(cls, path: Path) -> Name:
        """Return the name of the socket that is at ``path`` now. OSError."""
        return cls(path, path.lstat().st_ino)

    def remove(self) -> None:
        """Remove the name if it is still that socket's."""
        try:
            status = self.path.lstat()
            if status.st_ino == self.inode and not stat.S_ISDIR(status.st_mode):
                self.path.unlink()
        except OSError:  # it, or its folder, is gone: there is nothing to remove
            return


class Clerk:
    """The clerk, as the card sees it."""

    def __init__(
        self, names: Iterable[Name] = (), state: Path | None = None, folders: Iterable[Path] = ()
    ) -> None:
        """Fork it; ``state`` is the one file that it writes, ``folders`` go with the names. OSError."""
        self._state = state
        self._helper = Helper(functools.partial(_serve, tuple(names), tuple(folders), state))

    def keep(self, data: bytes) -> None:
        """Have the state written, whole or not at all. OSError."""
        if len(data) > MOST_STATE_BYTES or self._state is None:
            raise OSError(errno.EFBIG, f"a state of {len(data)} bytes")
        connection = self._helper.socket
        connection.settimeout(_ANSWER_S)
        connection.sendall(_LENGTH.pack(len(data)) + data)
        answer = _exactly(connection, _ANSWER.size)
        if len(answer) < _ANSWER.size:
            raise OSError(errno.EPIPE, "the process that writes the state has ended")
        (number,) = _ANSWER.unpack(answer)
        if number:
            raise OSError(number, os.strerror(number), str(self._state))

    def close(self) -> None:
        """Let it remove the names, and end. Idempotent."""
        self._helper.close()


def _serve(
    names: tuple[Name, ...], folders: tuple[Path, ...], state: Path | None, connection: socket.socket
) -> None:
    try:
        while len(head := _exactly(connection, _LENGTH.size)) == _LENGTH.size:
            (length,) = _LENGTH.unpack(head)
            if length > MOST_STATE_BYTES or state is None:
                return
            data = _exactly(connection, length)
            if len(data) < length:
                return
            connection.sendall(_ANSWER.pack(_written(state, data)))
    except ConnectionError:  # the card was killed between its question and our answer
        return
    finally:
        for name in names:
            name.remove()
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


def _written(state: Path, data: bytes) -> int:
    """Write the file; return the errno, or 0."""
    partial = state.with_name(state.name + ".part")
    try:
        partial.write_bytes(data)
        partial.replace(state)
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def _exactly(connection: socket.socket, count: int) -> bytes:
    """Return ``count`` bytes, or fewer when the other end is gone."""
    data = bytearray()
    while len(data) < count:
        piece = connection.recv(min(count - len(data), 1 << 16))
        if not piece:
            break
        data += piece
    return bytes(data)
