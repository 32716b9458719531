"""The socket file that a server listens at: made for its owner alone, cleared away when it is stale."""

from __future__ import annotations

import os
import socket
import stat
import struct
from pathlib import Path

_MAX_PATH_BYTES = 107
_UCRED = struct.Struct("3i")


class ListenError(Exception):
    """There can be no server at that path; the message says why and what to do."""

    def __init__(self, path: str, reason: str) -> None:
        """Keep the path and the reason apart."""
        super().__init__(f"cannot listen at {path}: {reason}")
        self.path = path
        self.reason = reason


def listen(path: str | os.PathLike[str]) -> socket.socket:
    """Return a listening socket at ``path``, mode 0600; see ``bind``. ListenError."""
    listening = bind(path)
    listening.listen()
    return listening


def bind(path: str | os.PathLike[str]) -> socket.socket:
    """Return a socket that is bound at ``path``, mode 0600, and does not listen yet. ListenError.

    A socket file that nobody listens at is removed first; one that somebody does, or another kind
    of file, is not.
    """
    name = os.fspath(path)
    check_path(name)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        listening.bind(name)
        Path(name).chmod(0o600)  # before listen(): until then nobody can connect
    except OSError as failed:
        listening.close()
        raise ListenError(name, f"{failed.strerror}; choose another path") from failed
    return listening


def check_path(name: str) -> None:
    """Make room for a socket file at ``name``: remove one that nobody listens at. ListenError."""
    if len(os.fsencode(name)) > _MAX_PATH_BYTES:
        raise ListenError(name, f"a socket's path has at most {_MAX_PATH_BYTES} bytes; take a shorter one")
    _clear_stale(name)


def unlink(path: str, inode: int) -> None:
    """Remove the socket file, if it is still the one of that inode and not another server's."""
    try:
        if Path(path).lstat().st_ino == inode:
            Path(path).unlink()
    except FileNotFoundError:
        return


def peer_uid(connection: socket.socket) -> int:
    """Return the user id of the process that connected (SO_PEERCRED)."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    return int(_UCRED.unpack(raw)[1])


def _clear_stale(name: str) -> None:
    try:
        mode = Path(name).lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as failed:
        raise ListenError(name, f"{failed.strerror}; choose another path") from failed
    if not stat.S_ISSOCK(mode):
        raise ListenError(name, "a file that is not a socket is there; remove it or choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)  # a backlog that is full would block; then somebody does listen
        try:
            probe.connect(name)
        except ConnectionRefusedError:
            Path(name).unlink(missing_ok=True)
            return
        except (TimeoutError, BlockingIOError):
            pass
        except OSError as failed:
            raise ListenError(name, f"{failed.strerror}; choose another path") from failed
    raise ListenError(name, "another server listens there; stop it or choose another path")
