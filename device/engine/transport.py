"""The native engine's ``Transport`` for a vfio-user server: the hot registers are answered in C.

``receive`` waits in C with the GIL released; reads and writes of the data path's registers are answered
there, TX runs inline on the TDT write, and every other message comes back as the ``Incoming`` that the
plain transport would have given. Fits ``device.vfio_user.server.Server(transport_factory=…)``.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from device.engine._core import ffi, lib
from device.vfio_user.errors import TransportError
from device.vfio_user.janitor import JANITOR
from device.vfio_user.messages import Header
from device.vfio_user.protocol import HEADER_BYTES, Command, HeaderFlags
from device.vfio_user.transport import MAX_MESSAGE_BYTES, Incoming

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from device.engine.native import NativeEngine


_GONE = frozenset({errno.ECONNRESET, errno.EPIPE})


@ffi.def_extern()  # type: ignore[untyped-decorator,misc,unused-ignore]  # cffi's decorator is not typed
def rw_python_close(fd: int) -> None:
    """Close a descriptor that came and that nobody takes."""
    JANITOR.close(fd)


class NativeTransport:
    """A connection whose hot messages never reach Python. It owns the socket."""

    def __init__(
        self,
        engine: NativeEngine,
        connection: socket.socket,
        *,
        spin_us: int | None = 0,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
    ) -> None:
        """Take ``connection`` over.

        ``spin_us``: look at the socket that long before sleeping on it; None: for a moment, while messages
        come so close together that this pays (csrc/busy_poll.c).
        """
        connection.setblocking(True)  # noqa: FBT003 - the method has no keyword
        self._socket = connection
        self._engine = engine  # the pump points into it
        spin = lib.RW_SPIN_ADAPTIVE if spin_us is None else spin_us
        self._pump = lib.rw_pump_new(engine.card, connection.fileno(), max_message_bytes, spin)
        if self._pump == ffi.NULL:
            raise MemoryError("no memory for a connection")
        lib.rw_pump_closer(self._pump, lib.rw_python_close)
        self._length = ffi.new("uint32_t *")
        self._fds = ffi.new("int[]", lib.RW_PUMP_FDS)

    def receive(self, *, inline: bool = True, until: float | None = None) -> Incoming | None:
        """Wait for the next message that is not answered in C; None when the other side has gone.

        Without ``inline`` none is answered in C: the caller is in the middle of an access. It waits ``until``
        then, by ``time.monotonic``, and no longer.

        TransportError: it is no message, carried more than 16 descriptors, or did not come in time.
        """
        until_ns = 0 if until is None else int(until * 1e9)
        while True:
            result = lib.rw_pump_next(self._pump, inline, until_ns)
            if result == -errno.EINTR:
                continue  # Python's signal handlers have run; one that raises does not come here
            break
        if result == lib.RW_PUMP_CLOSED or -result in _GONE:
            return None
        if result < 0:
            raise TransportError(f"the connection broke: {os.strerror(-result)}")
        start = lib.rw_pump_bytes(self._pump, self._length)
        raw = bytes(ffi.buffer(start, self._length[0]))
        count = lib.rw_pump_take_fds(self._pump, self._fds)
        header = Header(*Header.FORMAT.unpack_from(raw))
        return Incoming(header, raw[HEADER_BYTES:], tuple(self._fds[n] for n in range(count)))

    def send(self, data: bytes, fds: Sequence[int] = ()) -> None:
        """Send one whole message; any thread may. TransportError when the other side has gone."""
        result = lib.rw_pump_send(self._pump, ffi.from_buffer(data), len(data), list(fds), len(fds))
        if result < 0:
            raise TransportError(f"could not send: {os.strerror(-result)}")
        header = Header(*Header.FORMAT.unpack_from(data))
        if (
            header.command == Command.VERSION
            and header.flags & (HeaderFlags.TYPE | HeaderFlags.ERROR) == HeaderFlags.REPLY
        ):
            lib.rw_pump_ready(self._pump)

    def close(self) -> None:
        """Close the connection; a second time does nothing. The serving thread calls it."""
        if self._pump != ffi.NULL:
            lib.rw_pump_free(self._pump)
            self._pump = ffi.NULL
            self._socket.close()


def transport_factory(
    engine: NativeEngine, *, spin_us: int | None = 0
) -> Callable[[socket.socket], NativeTransport]:
    """Return what ``Server`` wants for its ``transport_factory``."""

    def make(connection: socket.socket) -> NativeTransport:
        return NativeTransport(engine, connection, spin_us=spin_us)

    return make
