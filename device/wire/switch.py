"""Switches by name, shared by the cards of one user's processes.

The first to open a name hosts it: a thread with a SOCK_SEQPACKET socket in the user's run-time
directory. All cards, the host's own too, connect there. A lock file says who hosts; the kernel
lets go of it when the host dies, and the next card to notice takes over. Queues are the sockets'
buffers: a port that does not read loses frames, and holds up nobody.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import re
import selectors
import socket
import threading
import time
from typing import TYPE_CHECKING, Final

from device.private_folder import FolderError, run_folder
from device.wire.contract import Framing, WireClosed, WireError
from device.wire.dialing import AT_ONCE, Opening
from device.wire.port import Port
from device.wire.pump import LEAVING_S, Link, PumpedWire
from device.wire.sockets import LONGEST_PATH_BYTES
from device.wire.switching import Fabric

if TYPE_CHECKING:
    from pathlib import Path

    from device.wire.frame import Frame

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_LONGEST_FILE_BYTES: Final = len("/" + 32 * "x" + ".switch")
_BATCH: Final = 64
_BACKLOG: Final = 64
_MOST_PORTS: Final = 128
"""Cards on a switch; more wait in the listener's queue. A broadcast costs a send to each."""
_SOCKET_BUFFER_BYTES: Final = 1 << 20


def run_directory() -> Path:
    """Return the user's directory for sockets, made with mode 0700. Raises ``WireError``."""
    try:
        return run_folder("switch", LONGEST_PATH_BYTES - _LONGEST_FILE_BYTES)
    except FolderError as error:
        raise WireError(str(error)) from error


class SwitchHost:
    """The thread that joins the ports of one switch. It holds the lock file while it lives."""

    def __init__(self, path: Path, lock: int) -> None:
        """Listen at ``path``; ``lock`` is the locked descriptor. Raises ``OSError``."""
        self.dropped = 0
        self._path = path
        self._lock = lock
        self._fabric = Fabric()
        self._ports: dict[int, tuple[socket.socket, Port]] = {}
        self._full = False
        self._stopping = False
        self._waker = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._listener.settimeout(0)
            path.unlink(missing_ok=True)  # the lock says that whoever bound it is dead
            self._listener.bind(str(path))
            self._listener.listen(_BACKLOG)
        except OSError:
            self._listener.close()
            os.close(self._waker)
            raise
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._waker, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="wire-switch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop; the cards of other processes will choose another host."""
        self._stopping = True
        os.eventfd_write(self._waker, 1)
        self._thread.join(LEAVING_S)
        if self._thread.is_alive():
            return  # it still uses all of this; the lock goes with the process
        for number in list(self._ports):
            self._detach(number)
        self._selector.close()
        self._path.unlink(missing_ok=True)  # before the lock: afterwards it may be another's
        self._listener.close()
        os.close(self._waker)
        os.close(self._lock)

    def _run(self) -> None:
        while not self._stopping:
            for key, _ in self._selector.select():
                if key.fileobj is self._listener:
                    self._attach()
                elif key.fd in self._ports:
                    self._serve(key.fd)

    def _attach(self) -> None:
        with contextlib.suppress(OSError):  # it hung up already, or descriptors ran out
            connection, _ = self._listener.accept()
            connection.settimeout(0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER_BYTES)
            number = connection.fileno()
            self._ports[number] = (connection, Port(number, Framing.DATAGRAM))
            self._fabric.attach(number)
            self._selector.register(number, selectors.EVENT_READ)
            self._full = len(self._ports) >= _MOST_PORTS
            if self._full:
                self._selector.unregister(self._listener)

    def _detach(self, number: int) -> None:
        self._selector.unregister(number)
        if self._full:
            self._full = False
            self._selector.register(self._listener, selectors.EVENT_READ)
        self._fabric.detach(number)
        self._ports.pop(number)[0].close()

    def _serve(self, number: int) -> None:
        port = self._ports[number][1]
        now_ns = time.monotonic_ns()
        try:
            for _ in range(_BATCH):
                frame = port.read()
                if frame is None:
                    return
                for target in self._fabric.forward(number, frame.data, now_ns):
                    self._send(target, frame)
        except WireClosed:
            self._detach(number)

    def _send(self, number: int, frame: Frame) -> None:
        try:
            if not self._ports[number][1].write(frame):
                self.dropped += 1
        except WireClosed:
            self.dropped += 1  # its own turn in _run will detach it


class _Membership:
    """The wires of this process on one switch, and the host if it is here."""

    def __init__(self, directory: Path, name: str) -> None:
        self.wires = 0
        self._path = directory / f"{name}.switch"
        self._lock_path = directory / f"{name}.lock"
        self._host: SwitchHost | None = None
        self._mutex = threading.Lock()

    def dial(self) -> Link | None:
        """Connect to the host, or become it. Raises ``OSError``."""
        with self._mutex:
            try:
                return self._connect()
            except (FileNotFoundError, ConnectionRefusedError):
                if not self._become_host():
                    return None  # somebody is just becoming it
                return self._connect()

    def redial(self) -> Link | None:
        """Like ``dial``; an error means not yet."""
        try:
            return self.dial()
        except OSError:
            return None

    def close(self) -> None:
        """Stop hosting."""
        with self._mutex:
            if self._host is not None:
                self._host.close()
                self._host = None

    def _connect(self) -> Link:
        end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            end.settimeout(0)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER_BYTES)
            end.connect(str(self._path))
        except OSError:
            end.close()
            raise
        return Link(Port(end.fileno(), Framing.DATAGRAM), end.close)

    def _become_host(self) -> bool:
        lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._host = SwitchHost(self._path, lock)
        except BlockingIOError:
            os.close(lock)
            return False
        except OSError:
            os.close(lock)
            raise
        return True


_memberships: dict[tuple[Path, str], _Membership] = {}
_memberships_lock = threading.Lock()


class SwitchDialer:
    """Connects one wire of this process to a switch, and counts it."""

    def __init__(self, directory: Path, name: str) -> None:
        """Join the wires of this process on switch ``name``."""
        self._key = (directory, name)
        with _memberships_lock:
            self._membership = _memberships.setdefault(self._key, _Membership(*self._key))
            self._membership.wires += 1
        self._left = False

    def dial(self) -> Link | None:
        """Connect to the host, or become it. Raises ``OSError``."""
        return self._membership.dial()

    def redial(self) -> Link | None:
        """Like ``dial``; an error means not yet."""
        return self._membership.redial()

    def close(self) -> None:
        """Leave; the last wire of a process that hosts gives the switch up. Idempotent."""
        with _memberships_lock:
            if self._left:
                return
            self._left = True
            self._membership.wires -= 1
            if not self._membership.wires:
                del _memberships[self._key]
                self._membership.close()


class SwitchWire(PumpedWire):
    """A cable to a switch."""

    def __init__(self, spec: str, name: str, opening: Opening = AT_ONCE) -> None:
        """Join switch ``name``. Raises ``WireError``."""
        if not _NAME.fullmatch(name):
            raise WireError(f"{spec}: a switch's name has 1 to 32 letters, digits, '.', '_' or '-'")
        directory = run_directory()
        self._dialer = opening.dialer(functools.partial(SwitchDialer, directory, name))
        try:
            first = self._dialer.dial()
        except OSError as error:
            self._dialer.close()
            raise WireError(
                f"{spec}: {error.strerror} in {directory}; set XDG_RUNTIME_DIR to one you may write"
            ) from error
        super().__init__(spec, Framing.DATAGRAM, first, (), self._dialer.redial, started=opening.started)

    def close(self) -> None:
        """Leave the switch."""
        super().close()
        self._dialer.close()
