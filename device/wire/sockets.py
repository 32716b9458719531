"""Cables to a QEMU: the frame formats of its ``-netdev stream`` and ``-netdev dgram``.

It knows addresses, who listens and who calls, and what a restart of the other end looks like.

Source: QEMU net/stream.c, net/dgram.c (format), qapi/net.json (addresses).
"""

from __future__ import annotations

import contextlib
import errno
import functools
import ipaddress
import os
import socket
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from device.wire.contract import Framing, WireError
from device.wire.dialing import AT_ONCE, Opening
from device.wire.notices import LinkNotices
from device.wire.port import Port
from device.wire.pump import Link, PumpedWire
from device.wire.relay import DatagramRelay

if TYPE_CHECKING:
    from collections.abc import Sequence

    from device.wire.stage import Stage

Address = str | tuple[str, int]

LONGEST_PATH_BYTES: Final = 107
"""sun_path less its NUL: unix(7)."""

_SOCKET_BUFFER_BYTES: Final = 1 << 20
_SECOND_CALL_SECONDS: Final = 0.05
"""Between two questions for somebody who was not there."""
_NOT_YET: Final = (errno.EAGAIN, errno.EINPROGRESS, errno.EALREADY)


def parse_address(text: str, spec: str) -> Address:
    """Return a unix path, or (host, port) for HOST:PORT on the loopback. Raises ``WireError``."""
    host, colon, port = text.rpartition(":")
    if colon and "/" not in text and port.isdigit():
        host = host.strip("[]")
        try:
            loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
        except ValueError:
            loopback = False
        if not loopback or not 0 < int(port) < 65536:
            raise WireError(f"{spec}: {text} is not on the loopback; use 127.0.0.1:PORT or a path")
        return ("127.0.0.1" if host == "localhost" else host, int(port))
    if not text:
        raise WireError(f"{spec}: an address is missing; give a path or 127.0.0.1:PORT")
    if len(os.fsencode(text)) > LONGEST_PATH_BYTES:
        raise WireError(f"{spec}: a socket's path has at most {LONGEST_PATH_BYTES} bytes")
    return text


def family_of(address: Address) -> socket.AddressFamily:
    """Return the address family of a parsed address."""
    if isinstance(address, str):
        return socket.AF_UNIX
    return socket.AF_INET6 if ":" in address[0] else socket.AF_INET


Identity = tuple[int, int, int]


def _identity(path: str) -> Identity | None:
    """Tell one socket of a path from the next, which may get the same inode number."""
    try:
        status = os.stat(path)  # noqa: PTH116 - the path is a string everywhere here
    except OSError:
        return None
    return (status.st_dev, status.st_ino, status.st_mtime_ns)


def remove_stale(path: str) -> None:
    """Remove a socket that nobody has open; anything else stays."""
    with contextlib.suppress(OSError):
        if stat.S_ISSOCK(Path(path).stat().st_mode):
            Path(path).unlink()


class StreamDialer:
    """Makes the connection of a stream wire, again and again: calls who listens, else listens.

    A path that appears is called; while there is none it listens itself. QEMU's ``server=on``
    replaces a path without asking, so a listener whose path now leads elsewhere gives up and calls.
    """

    def __init__(self, address: Address) -> None:
        """Remember the address; ``dial`` does the work."""
        self._address = address
        self._listener: socket.socket | None = None
        self._caller: socket.socket | None = None
        """A call that has not been answered yet."""
        self._refused = False
        """Whether the last call was refused."""
        self._own: Identity | None = None

    def dial(self) -> Link | None:
        """Return a connection, or None when nobody is there yet; waits for nobody. Raises ``OSError``."""
        if self._listener is not None:
            with contextlib.suppress(BlockingIOError):
                return _stream_link(self._listener.accept()[0])
            if not isinstance(self._address, str) or _identity(self._address) == self._own:
                return None
            self._listener.close()
            self._listener = None
        # Between its bind() and its listen() a living server refuses too: only a socket that refuses twice is
        # stale.
        for _ in range(2):
            try:
                return self._call()
            except FileNotFoundError:
                break
            except ConnectionRefusedError:
                self._refused = not self._refused
                if not self._refused:
                    break
                time.sleep(_SECOND_CALL_SECONDS)
        self._listen()
        return None

    def redial(self) -> Link | None:
        """Like ``dial``; an error means not yet."""
        try:
            return self.dial()
        except OSError:
            return None

    def close(self) -> None:
        """Stop calling and listening, and remove the path, if it is still ours."""
        self._hang_up()
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if isinstance(self._address, str) and self._own == _identity(self._address) is not None:
            Path(self._address).unlink(missing_ok=True)

    def _call(self) -> Link | None:
        """Call, or look after a call that was begun; None while there is no answer.

        A listener whose queue is full lets a caller wait, for ever if it does not accept (connect(2)): a
        blocking call would keep the pump, and with it the card's end.
        """
        if self._caller is None:
            self._caller = socket.socket(family_of(self._address), socket.SOCK_STREAM)
            self._caller.settimeout(0)
        try:
            failed = self._caller.connect_ex(self._address)
        except OSError:
            self._hang_up()
            raise
        if failed in _NOT_YET:
            if failed == errno.EAGAIN:
                self._hang_up()  # AF_UNIX: nothing was begun
            return None
        if failed and failed != errno.EISCONN:
            self._hang_up()
            raise OSError(failed, os.strerror(failed))
        caller, self._caller, self._refused = self._caller, None, False
        return _stream_link(caller)

    def _hang_up(self) -> None:
        if self._caller is not None:
            self._caller.close()
            self._caller = None

    def _listen(self) -> None:
        listener = socket.socket(family_of(self._address), socket.SOCK_STREAM)
        try:
            listener.settimeout(0)
            if isinstance(self._address, str):
                remove_stale(self._address)
            else:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(self._address)
            listener.listen(1)
        except OSError:
            listener.close()
            raise
        self._listener = listener
        if isinstance(self._address, str):
            self._own = _identity(self._address)


def _stream_link(connection: socket.socket) -> Link:
    connection.settimeout(0)
    if connection.family != socket.AF_UNIX:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Link(Port(connection.fileno(), Framing.STREAM), connection.close)


class StreamWire(PumpedWire):
    """A stream cable: listens or calls, and does so again when the other end went away."""

    def __init__(
        self, spec: str, address: Address, stages: Sequence[Stage] = (), opening: Opening = AT_ONCE
    ) -> None:
        """Connect or start to listen. Raises ``WireError``."""
        self._dialer = opening.dialer(functools.partial(StreamDialer, address))
        try:
            first = self._dialer.dial()
        except OSError as error:
            self._dialer.close()
            raise WireError(f"{spec}: {error.strerror}; name a socket you may use") from error
        super().__init__(
            spec,
            Framing.DATAGRAM,
            first,
            stages,
            self._dialer.redial,
            notices=LinkNotices(),
            started=opening.started,
        )

    def close(self) -> None:
        """Close the connection and the listener, and remove a path made here."""
        super().close()
        self._dialer.close()


class DatagramPort(Port):
    """A port on an unconnected datagram socket: each frame finds the other end anew.

    So the other end may start later, stop and come back, and nothing here has to notice. A card that gave up
    its user's rights may not send to a path of that user's: then ``relay`` does.
    """

    def __init__(self, local: socket.socket, remote: Address, relay: DatagramRelay | None = None) -> None:
        """Send what is written to ``remote``."""
        super().__init__(local.fileno(), Framing.DATAGRAM)
        self._local = local
        self._remote = remote
        self._relay = relay
        self._refused = False

    def close(self) -> None:
        """Give up what was made for it; the socket with it."""
        if self._relay is not None:
            self._relay.close()
        self._local.close()

    def _send(self, data: bytes) -> int:
        if not self._refused:
            try:
                return self._local.sendto(data, self._remote)
            except PermissionError:
                if self._relay is None:
                    raise
                self._refused = True
        if self._relay is None:
            raise AssertionError("only a port with a relay is refused")
        return self._relay.send(data)


class DatagramWire(PumpedWire):
    """A datagram cable between two addresses."""

    def __init__(self, spec: str, local: Address, remote: Address, opening: Opening = AT_ONCE) -> None:
        if family_of(local) != family_of(remote):
            raise WireError(f"{spec}: one end is a path and the other is not; use two of a kind")
        self._own: tuple[str, Identity | None] | None = None
        end = socket.socket(family_of(local), socket.SOCK_DGRAM)
        try:
            end.settimeout(0)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER_BYTES)
            if isinstance(local, str):
                _refuse_busy(spec, local)
                remove_stale(local)
            end.bind(local)
        except OSError as error:
            end.close()
            raise WireError(f"{spec}: {error.strerror}; name a socket you may use") from error
        except WireError:
            end.close()
            raise
        if isinstance(local, str):
            self._own = (local, _identity(local))
        helped = opening.elsewhere and isinstance(remote, str)
        port = DatagramPort(end, remote, DatagramRelay(end, str(remote)) if helped else None)
        far = Link(port, port.close)
        super().__init__(spec, Framing.DATAGRAM, far, notices=LinkNotices(), started=opening.started)

    def disown(self) -> Path | None:
        """Leave the path to the caller, who removes it; None where the address is none."""
        own, self._own = self._own, None
        return Path(own[0]) if own is not None else None

    def close(self) -> None:
        """Close the socket and remove its path, if it is still ours."""
        super().close()
        if self._own is not None and self._own[1] == _identity(self._own[0]) is not None:
            Path(self._own[0]).unlink(missing_ok=True)
            self._own = None


def _refuse_busy(spec: str, path: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(path)
        except OSError:
            return
    raise WireError(f"{spec}: {path} is in use; swap the two paths, or name another")


class InheritedWire:
    """A datagram or seqpacket socket that the caller's parent opened (``dgram:fd=N``)."""

    framing = Framing.DATAGRAM
    link = True

    def __init__(self, spec: str, fd: int) -> None:
        """Take ``fd`` over. Raises ``WireError``."""
        self.spec = spec
        try:
            self._socket = socket.socket(fileno=os.dup(fd))
        except OSError as error:
            raise WireError(f"{spec}: {error.strerror}; pass an open datagram socket") from error
        if self._socket.type not in (socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
            self._socket.close()
            raise WireError(f"{spec}: not a datagram socket; for a stream use stream:PATH")
        self._socket.settimeout(0)

    @property
    def fd(self) -> int:
        """The socket; -1 once closed."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close this copy of the descriptor."""
        self._socket.close()
