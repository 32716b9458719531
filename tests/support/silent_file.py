"""A file whose file system does not answer: a FUSE server in a process of its own, in namespaces of its own.

Run as a program it mounts, opens its one file, sends the descriptor over the socket that is its standard
input, and from then on answers nothing that it was told to leave out. When the other end of the socket
closes, it answers all of that, so that nobody waits any more. Source: Linux include/uapi/linux/fuse.h.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LOOKUP, GETATTR, OPEN, READ, RELEASE, FLUSH, INIT = 1, 3, 14, 15, 18, 25, 26
NO_REPLY = {2, 36, 42}  # FORGET, INTERRUPT, BATCH_FORGET
SIZE = 1 << 20
_IN = struct.Struct("<IIQQIIII")
_OUT = struct.Struct("<IiQ")
_NEW_USER, _NEW_NAMES = 0x1000_0000, 0x0002_0000


class NoFuseError(Exception):
    """This machine gives us no FUSE; the message says why."""


@contextlib.contextmanager
def silent_file(*silent: int) -> Iterator[int]:
    """Give a descriptor of a file on which these requests are never answered. NoFuseError."""
    ours, theirs = socket.socketpair()
    argv = [sys.executable, "-m", "tests.support.silent_file", *map(str, silent)]
    with ours, theirs, subprocess.Popen(argv, stdin=theirs.fileno(), stderr=subprocess.PIPE) as server:
        theirs.close()
        ours.settimeout(30)
        _, fds, _, _ = socket.recv_fds(ours, 1, 1)
        if not fds:
            raise NoFuseError(server.stderr.read().decode().strip() if server.stderr else "")
        ours.recv(1)  # it has closed its own copy: killed before, it would wait for itself
        try:
            yield fds[0]
        finally:
            ours.shutdown(socket.SHUT_RDWR)
            os.close(fds[0])  # answered from now on
            server.kill()


def attributes(node: int, mode: int) -> bytes:
    """Return a struct fuse_attr."""
    return struct.pack("<6Q10I", node, SIZE, 8, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def of_node(node: int) -> bytes:
    """Return the attributes of the root, 1, or the file, 2."""
    return attributes(node, 0o40755 if node == 1 else 0o100666)


def answer(operation: int, node: int) -> bytes | None:
    """Return the body of an answer; None: there is no such thing here."""
    hour = 3600
    if operation == INIT:
        return struct.pack("<4I2H2I", 7, 31, 1 << 16, 0, 12, 10, 1 << 16, 1) + bytes(36)
    if operation == LOOKUP:
        return struct.pack("<4Q2I", 2, 0, hour, hour, 0, 0) + of_node(2)
    if operation == GETATTR:
        return struct.pack("<Q2I", hour, 0, 0) + of_node(node)
    return {OPEN: struct.pack("<Q2I", 1, 2, 0), READ: bytes(4096), RELEASE: b"", FLUSH: b""}.get(operation)


class Server:
    """Answers requests, but for those that it leaves out for now."""

    def __init__(self, device: int) -> None:
        self._device = device
        self.silent: set[int] = set()
        self._left: list[tuple[int, int, int]] = []

    def serve(self) -> None:
        """Answer for ever."""
        while True:
            try:
                request = os.read(self._device, 1 << 20)
            except OSError as failed:
                if failed.errno == errno.ENODEV:  # unmounted
                    return
                continue  # a request that was taken back while it was read
            _, operation, number, node, *_ = _IN.unpack_from(request)
            if operation in self.silent:
                self._left.append((operation, number, node))
            elif operation not in NO_REPLY:
                self._answer(operation, number, node)

    def speak(self) -> None:
        """Answer all that was left out, and all that comes."""
        self.silent.clear()
        while self._left:
            self._answer(*self._left.pop())

    def _answer(self, operation: int, number: int, node: int) -> None:
        body = answer(operation, node)
        failed = 0 if body is not None else -errno.ENOSYS
        with contextlib.suppress(OSError):  # nobody waits for it any more
            os.write(self._device, _OUT.pack(_OUT.size + len(body or b""), failed, number) + (body or b""))


def call(libc: ctypes.CDLL, name: str, *arguments: object) -> None:
    """Make a system call of the C library; OSError."""
    if getattr(libc, name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def main() -> None:
    """Mount, hand the file over, be silent until we are told to end, and serve until we are killed."""
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    call(libc, "unshare", _NEW_USER | _NEW_NAMES)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as kernel:  # noqa: PTH123 - the kernel's file
            kernel.write(text)
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    at = tempfile.mkdtemp(prefix="rw-silent-")
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    call(libc, "mount", b"silent", at.encode(), b"fuse", 0, options)
    server = Server(device)
    serving = threading.Thread(target=server.serve, daemon=True)
    serving.start()
    opened = os.open(f"{at}/file", os.O_RDWR)
    with socket.socket(fileno=0) as connection:
        socket.send_fds(connection, [b"1"], [opened])
        os.close(opened)  # before it is silent: else our own end would wait for ourselves
        server.silent.update(int(one) for one in sys.argv[1:])
        connection.send(b"2")
        connection.recv(1)
        server.speak()
        serving.join()


if __name__ == "__main__":
    main()
