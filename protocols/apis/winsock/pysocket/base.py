"""``_socket.socket`` over Winsock: what ``socket.py`` derives its class from.

Time-outs are Python's: a socket with one is non-blocking at Winsock, and each call polls until its deadline.
Source: the Python library's reference, "socket", and CPython's ``Modules/socketmodule.c`` for its answers.
"""

from __future__ import annotations

import contextlib
import errno
import math
import operator
import os
import socket as standard
import time
import warnings
from typing import TYPE_CHECKING, Any, ClassVar

from protocols.apis.win32 import Win32Error
from protocols.apis.winsock.constants import Io, Msg, PollFlag, Shut, So, Sock, Sol
from protocols.apis.winsock.data import MEMORY
from protocols.apis.winsock.errors import WinsockError, Wsae
from protocols.apis.winsock.pysocket import numbers
from protocols.apis.winsock.pysocket.names import address_tuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from protocols.apis.winsock.pysocket.names import Resolver
    from protocols.apis.winsock.pysocket.world import World

FIRST_FILENO = 1 << 30
"""What ``fileno`` adds to Winsock's number: no descriptor is so high, so a selector can tell them apart."""
MOST_DATAGRAM = 65536
INT_MAX = 0x7FFF_FFFF
_STREAM = int(standard.SOCK_STREAM)
LONGEST_TIMEOUT_S = 9_223_372_036
"""What nanoseconds in 64 bits can say."""


class BaseSocket:
    """``_socket.socket``. ``world`` is of the process whose sockets these are."""

    __slots__ = ("_family", "_is_shut", "_number", "_reuse", "_timeout", "_type", "proto")
    world: ClassVar[World]

    def __init__(self, family: int = -1, type: int = -1, proto: int = -1, fileno: object = None) -> None:  # noqa: A002 - the standard library's name
        self._number = -1
        self._timeout: float | None = self.world.default_timeout
        self._reuse = 0
        self._is_shut = False
        self._family = self._type = self.proto = 0
        if fileno is not None:
            self._take(fileno)
            self._family = self._family if family == -1 else int(family)
            self._type = self._type if type == -1 else int(type) & ~numbers.KIND_FLAGS
            self.proto = self.proto if proto == -1 else int(proto)
            return
        family = int(standard.AF_INET) if family == -1 else int(family)
        asked = int(standard.SOCK_STREAM) if type == -1 else int(type)
        kind = asked & ~numbers.KIND_FLAGS
        if family not in numbers.FAMILIES or family == standard.AF_UNSPEC:
            raise OSError(errno.EAFNOSUPPORT, "the stack has no such address family")
        if kind not in numbers.KINDS:
            raise OSError(errno.ESOCKTNOSUPPORT, "the stack has streams and datagrams")
        self._family, self._type, self.proto = family, kind, max(int(proto), 0)
        try:
            number = self.world.winsock.socket(numbers.FAMILIES[family], Sock(kind), self.proto)
        except WinsockError as error:
            raise numbers.translated(error) from None
        self._number = number
        if asked & int(getattr(standard, "SOCK_NONBLOCK", 0)):
            self._timeout = 0.0
        if self._timeout is not None:
            self._do("ioctlsocket", Io.FIONBIO, 1)

    def __del__(self) -> None:
        """Close what nobody closed; later, because a collector runs in the middle of anything."""
        if getattr(self, "_number", -1) >= 0:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=1)
            self.world.abandon(self._number)

    def __repr__(self) -> str:
        """Return what ``_socket`` says of one."""
        numbered = f"fd={self.fileno()}, family={self._family}, type={self._type}, proto={self.proto}"
        return f"<socket object, {numbered}>"

    def fileno(self) -> int:
        """Return Winsock's number above ``FIRST_FILENO``, -1 when closed; it is no descriptor."""
        return -1 if self._number < 0 else FIRST_FILENO + self._number

    @property
    def family(self) -> int:
        """AF_INET or AF_INET6."""
        return self._family

    @property
    def type(self) -> int:
        """SOCK_STREAM or SOCK_DGRAM."""
        return self._type

    # Names

    def bind(self, address: Any, /) -> None:  # noqa: ANN401 - whatever a program gives
        """Bind; the host may be a name."""
        self._do("bind", self._resolver.resolved(self, address, "bind"))

    def connect(self, address: Any, /) -> None:  # noqa: ANN401 - whatever a program gives
        """Connect, within the timeout."""
        target = self._resolver.resolved(self, address, "connect", peer=True)
        if self._timeout is None or self.type == standard.SOCK_DGRAM:
            self._do("connect", target)
            return
        deadline = self._deadline()
        try:
            self._do("connect", target)
        except BlockingIOError:
            if not self._timeout:  # Unix has a name of its own for this
                raise BlockingIOError(errno.EINPROGRESS, "Operation now in progress") from None
        else:
            return
        self._wait(PollFlag.OUT, deadline)
        code = self._do("getsockopt", Sol.SOCKET, So.ERROR)
        if code:
            raise numbers.translated(WinsockError(Wsae(code)))

    def connect_ex(self, address: Any, /) -> int:  # noqa: ANN401 - whatever a program gives
        """Connect; return the code instead of raising. gaierror all the same."""
        try:
            BaseSocket.connect(self, address)  # not a subclass's: ssl.py's asks this one
        except standard.gaierror:
            raise
        except OSError as error:
            return error.errno or errno.EAGAIN
        return 0

    def listen(self, backlog: int = 128, /) -> None:
        """Listen; a socket without a name gets one."""
        if abs(operator.index(backlog)) > INT_MAX:
            raise OverflowError("Python int too large to convert to C int")
        many = max(backlog, 0)
        try:
            self._do("listen", many)
        except OSError as error:
            if error.errno != errno.EINVAL or self.type != standard.SOCK_STREAM:
                raise
            self._do("bind", self._resolver.any_address(self.family))
            self._do("listen", many)

    def _accept(self) -> tuple[int, tuple[Any, ...]]:
        """Accept, within the timeout: the new ``fileno`` and the peer."""
        number, remote = self._timed(PollFlag.RDNORM, lambda: self._do("accept"))
        self.world.winsock.ioctlsocket(number, Io.FIONBIO, 0)
        return FIRST_FILENO + number, address_tuple(remote)

    def getsockname(self) -> tuple[Any, ...]:
        """Return the local address; of a socket without a name, any."""
        try:
            return address_tuple(self._do("getsockname"))
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return address_tuple(self._resolver.any_address(self.family))

    def getpeername(self) -> tuple[Any, ...]:
        """Return the peer's."""
        return address_tuple(self._do("getpeername"))

    # Sending

    def send(self, data: Any, flags: int = 0, /) -> int:  # noqa: ANN401 - anything with a buffer
        """Send, within the timeout."""
        if flags or self._timeout is not None:
            return self._send(_bytes(data), flags, self._deadline())
        return int(self._do("send", _bytes(data), Msg.NONE))

    def sendall(self, data: Any, flags: int = 0, /) -> None:  # noqa: ANN401 - anything with a buffer
        """Send all of it, within the timeout together."""
        deadline = self._deadline()
        left = memoryview(_bytes(data)).cast("B")
        while True:
            left = left[self._send(left, flags, deadline) :]
            if not left:
                return

    def sendto(self, data: Any, *rest: Any) -> int:  # noqa: ANN401 - (flags,) address
        """Send a datagram; a stream has its peer."""
        if len(rest) not in (1, 2):
            raise TypeError(f"sendto() takes 2 or 3 arguments ({len(rest) + 1} given)")
        flags = operator.index(rest[0]) if len(rest) == 2 else 0
        raw = _bytes(data)
        target = self._resolver.resolved(self, rest[-1], "sendto", peer=True)
        return self._send(raw, flags, self._deadline(), target)

    def sendmsg(
        self,
        buffers: Iterable[Any],
        ancdata: Iterable[Any] = (),
        flags: int = 0,
        address: Any = None,  # noqa: ANN401 - whatever a program gives
        /,
    ) -> int:
        """Send several buffers as one: Winsock gathers them. OSError(EOPNOTSUPP) for ancillary data."""
        parts = [_bytes(one) for one in buffers]
        items = list(ancdata)
        if any(not isinstance(one, tuple) or len(one) != 3 for one in items):
            raise TypeError("[sendmsg() argument 2] must be a sequence of tuples of three")
        if items:
            raise OSError(errno.EOPNOTSUPP, "the stack has no ancillary data")
        target = None if address is None else self._resolver.resolved(self, address, "sendmsg", peer=True)
        return self._send(parts or b"", flags, self._deadline(), target)

    def _send(
        self,
        data: Any,  # noqa: ANN401 - one buffer, or several
        flags: int,
        deadline: float | None,
        target: object = None,
    ) -> int:
        told = numbers.winsock_flags(flags)
        if target is not None and self.type == standard.SOCK_DGRAM:
            return int(
                self._timed(PollFlag.OUT, lambda: self._do("sendto", data, target, told), flags, deadline)
            )
        return int(self._timed(PollFlag.OUT, lambda: self._do("send", data, told), flags, deadline))

    # Receiving

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Receive."""
        if flags or self._timeout is not None or self._type != _STREAM or self._is_shut or size <= 0:
            return self._received(size, flags)[0] if _room(size, "recv") else b""
        buffer = bytearray(size)
        count = self._receive_plainly(buffer)
        return bytes(memoryview(buffer)[:count])

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:  # noqa: ANN401 - anything with a buffer
        """Receive into a buffer."""
        part = _part(buffer, nbytes, "recv_into")
        if not part:
            return 0
        if flags or self._timeout is not None or self._type != _STREAM or self._is_shut:
            return self._receive_into([part], flags)[0]
        return self._receive_plainly(part)

    def recvfrom(self, size: int, flags: int = 0, /) -> tuple[bytes, tuple[Any, ...] | None]:
        """Receive, and say from where; None for a stream. A datagram that is longer is cut, as POSIX does."""
        data, source, _flags = self._received(_room(size, "recvfrom"), flags)
        return data, source

    def recvfrom_into(
        self,
        buffer: Any,  # noqa: ANN401 - anything with a buffer
        nbytes: int = 0,
        flags: int = 0,
    ) -> tuple[int, tuple[Any, ...] | None]:
        """Receive into a buffer, and say from where."""
        count, source, _flags = self._receive_into([_part(buffer, nbytes, "recvfrom_into")], flags)
        return count, source

    def recvmsg(
        self, size: int, ancbufsize: int = 0, flags: int = 0, /
    ) -> tuple[bytes, list[Any], int, tuple[Any, ...] | None]:
        """Receive with what is said about it; there is no ancillary data."""
        if size < 0 or ancbufsize < 0:
            raise ValueError("negative buffer size in recvmsg()")
        data, source, told = self._received(size, flags)
        return data, [], told, source

    def recvmsg_into(
        self, buffers: Iterable[Any], ancbufsize: int = 0, flags: int = 0, /
    ) -> tuple[int, list[Any], int, tuple[Any, ...] | None]:
        """Receive into several buffers with what is said about it."""
        if ancbufsize < 0:
            raise ValueError("invalid ancillary data buffer length")
        views = [_part(one, 0, "recvmsg_into") for one in buffers]
        count, source, told = self._receive_into(views, flags)
        return count, [], told, source

    def _receive_plainly(self, buffer: bytearray | memoryview) -> int:
        """Receive by a stream that blocks, without flags: Winsock's call, and no more."""
        try:
            return int(self._do("recv", buffer, Msg.NONE))
        except OSError as error:
            if self._is_shut and error.errno in (errno.EPIPE, errno.ECANCELED):
                return 0  # another thread has shut the direction down, which is at its end
            raise

    def _received(self, size: int, flags: int) -> tuple[bytes, tuple[Any, ...] | None, int]:
        buffer = bytearray(size)
        count, source, told = self._receive_into([memoryview(buffer)], flags)
        return bytes(memoryview(buffer)[:count]), source, told

    def _receive_into(
        self, views: Sequence[memoryview], flags: int
    ) -> tuple[int, tuple[Any, ...] | None, int]:
        told = numbers.winsock_flags(flags)
        if self._is_shut and not self._ready(PollFlag.RDNORM):
            return 0, None, 0  # the end of a direction that is shut down
        if self.type == standard.SOCK_DGRAM:
            return self._receive_datagram(views, told, flags)
        flag = PollFlag.RDBAND if told & Msg.OOB else PollFlag.RDNORM
        deadline, count = self._deadline(), 0
        room = sum(len(one) for one in views)
        while True:
            left = _from(views, count)
            try:
                got = int(self._timed(flag, lambda left=left: self._do("recv", left, told), flags, deadline))  # type: ignore[misc]  # mypy cannot tell a lambda's default
            except OSError as error:
                is_shut = self._is_shut and error.errno in (errno.EPIPE, errno.ECANCELED)
                if count or is_shut:
                    break  # the next call says it; a direction that is shut down is at its end
                raise
            count += got
            if not got or count >= room or not flags & numbers.WAITALL or told:
                break
        return count, None, 0

    def _receive_datagram(
        self, views: Sequence[memoryview], told: Msg, flags: int
    ) -> tuple[int, tuple[Any, ...] | None, int]:
        whole = bytearray(MOST_DATAGRAM)
        count, source = self._timed(
            PollFlag.RDNORM, lambda: self._do("recvfrom", whole, told), flags, self._deadline()
        )
        at = 0
        for view in views:
            part = min(len(view), count - at)
            view[:part] = memoryview(whole)[at : at + part]
            at += part
        is_cut = at < count
        where = address_tuple(source) if source is not None else None
        return at, where, numbers.TRUNC if is_cut else 0

    # Options

    def setsockopt(self, level: int, option: int, value: Any, size: int | None = None, /) -> None:  # noqa: ANN401 - numbers or bytes
        """Set an option of the machine's numbering. OSError(ENOPROTOOPT) for one that the stack has not.

        SO_REUSEADDR is kept and not passed on. On Unix it means "in spite of TIME_WAIT", which Windows needs
        nothing for; on Windows it would let two servers have one port.
        """
        found = _option(level, option)
        if size is not None:
            raise OSError(errno.EINVAL, "no option of the stack has the value None")
        told = numbers.unpacked(found, value)
        if (found.level, found.number) == (Sol.SOCKET, So.REUSEADDR):
            self._require()
            self._reuse = int(bool(told))
            return
        self._do("setsockopt", found.level, found.number, self._resolver.option_value(found.form, told))

    def getsockopt(self, level: int, option: int, size: int = 0, /) -> int | bytes:
        """Ask for an option: a number, or ``size`` bytes at most. SO_ERROR is the machine's number."""
        if not 0 <= size <= 1024:
            raise OSError(errno.EINVAL, "getsockopt buflen out of range")
        raw = self._packed_option(level, option)
        return raw[:size] if size else int.from_bytes(raw[:4], "little", signed=True)

    def _packed_option(self, level: int, option: int) -> bytes:
        own = {"SO_DOMAIN": int(self.family), "SO_PROTOCOL": self.proto}
        for name, value in own.items():
            if level == standard.SOL_SOCKET and option == getattr(standard, name, None):
                self._require()
                return value.to_bytes(4, "little")
        found = _option(level, option)
        if (found.level, found.number) == (Sol.SOCKET, So.REUSEADDR):
            self._require()
            return self._reuse.to_bytes(4, "little")
        value = self._do("getsockopt", found.level, found.number)
        if (found.level, found.number) == (Sol.SOCKET, So.ERROR) and value:
            value = numbers.ERRNO.get(Wsae(value), errno.EIO)
        return numbers.packed(found, value)

    # Time

    def settimeout(self, value: Any, /) -> None:  # noqa: ANN401 - a number or None
        """Set the timeout in seconds; None blocks, 0 does not. ValueError, OverflowError, TypeError."""
        seconds = checked_timeout(value)
        self._do("ioctlsocket", Io.FIONBIO, int(seconds is not None))
        self._timeout = seconds

    def gettimeout(self) -> float | None:
        """Return the timeout."""
        return self._timeout

    def setblocking(self, flag: bool, /) -> None:  # noqa: FBT001 - the standard library's signature
        """Block, or not."""
        BaseSocket.settimeout(self, None if flag else 0.0)

    def getblocking(self) -> bool:
        """Tell whether it blocks."""
        return self._timeout != 0

    @property
    def timeout(self) -> float | None:
        """The timeout."""
        return self._timeout

    # The end

    def shutdown(self, how: int, /) -> None:
        """Shut a direction down. OSError(EINVAL): there is no such direction."""
        if abs(how) > INT_MAX:
            raise OverflowError("signed integer is greater than maximum")
        if how not in set(Shut):
            raise OSError(errno.EINVAL, "Invalid argument")
        self._do("shutdown", Shut(how))
        if how != Shut.SEND:
            self._is_shut = True
            with contextlib.suppress(Win32Error):  # nothing waits
                self.world.winsock.win32.cancel_io_ex(self._number)

    def close(self) -> None:
        """Close."""
        number, self._number = self._number, -1
        if number >= 0:
            self.world.close(number)

    def detach(self) -> int:
        """Forget the socket without closing it; return its ``fileno``, which ``socket(fileno=...)`` takes."""
        number, self._number = self.fileno(), -1
        return number

    # Inside

    @property
    def _resolver(self) -> Resolver:
        return self.world.resolver

    def _take(self, fileno: object) -> None:
        if isinstance(fileno, float):
            raise TypeError("integer argument expected, got float")
        number = operator.index(fileno)  # type: ignore[arg-type]  # TypeError is Python's own answer
        if number < 0:
            raise ValueError("negative file descriptor")
        if number < FIRST_FILENO:
            os.fstat(number)  # EBADF: nor of the machine
            raise OSError(errno.ENOTSOCK, "a descriptor of the machine is no socket of the stack")
        self._number = number - FIRST_FILENO
        try:
            info = self._do("getsockopt", Sol.SOCKET, So.PROTOCOL_INFO)
        except OSError:
            self._number = -1
            raise
        self._family = numbers.HOST_FAMILIES[info.family]
        self._type, self.proto = int(info.kind), int(info.protocol)

    def _require(self) -> None:
        if self._number < 0:
            raise OSError(errno.EBADF, "Bad file descriptor")

    def _do(self, name: str, *arguments: Any) -> Any:  # noqa: ANN401 - Winsock's functions differ
        if self._number < 0:
            raise OSError(errno.EBADF, "Bad file descriptor")
        if self.world.abandoned:
            self.world.close_abandoned()
        try:
            return getattr(self.world.winsock, name)(self._number, *arguments)
        except WinsockError as error:
            raise numbers.translated(error) from None

    def _deadline(self) -> float | None:
        return time.monotonic() + self._timeout if self._timeout else None

    def _timed(
        self, flag: PollFlag, call: Callable[[], Any], flags: int = 0, deadline: float | None = None
    ) -> Any:  # noqa: ANN401 - the call's own
        """Call, within the timeout; MSG_DONTWAIT has none for this one call."""
        if flags & numbers.DONTWAIT and self._timeout is None:
            self._do("ioctlsocket", Io.FIONBIO, 1)
            try:
                return call()
            finally:
                if self._number >= 0:
                    self._do("ioctlsocket", Io.FIONBIO, 0)
        if not self._timeout or flags & numbers.DONTWAIT:
            return call()
        deadline = deadline if deadline is not None else self._deadline()
        while True:
            self._wait(flag, deadline)
            try:
                return call()
            except BlockingIOError:
                continue  # another thread was first; the deadline bounds this

    def _ready(self, flag: PollFlag) -> bool:
        return self._poll(flag, 0.0)

    def _poll(self, flag: PollFlag, seconds: float) -> bool:
        self._require()
        asked = [(self._number, flag)]
        try:
            (state,) = self.world.winsock.poll(asked, int(seconds * 1e9), hang_ups=False)
        except WinsockError as error:  # it was closed meanwhile
            raise numbers.translated(error) from None
        return bool(state)

    def _wait(self, flag: PollFlag, deadline: float | None) -> None:
        """Wait until the poll is true, until ``deadline`` at most. TimeoutError."""
        left = max(deadline - time.monotonic(), 0.0) if deadline is not None else 0.0
        if not self._poll(flag, left):
            raise TimeoutError("timed out")


def checked_timeout(value: Any) -> float | None:  # noqa: ANN401 - a number or None
    """Return a timeout in seconds. ValueError, OverflowError, TypeError as ``socket.settimeout`` raises."""
    if value is None:
        return None
    if not isinstance(value, int | float) and not hasattr(value, "__index__"):
        raise TypeError(f"'{type(value).__name__}' object cannot be interpreted as an integer")
    seconds = float(value)
    if math.isnan(seconds):
        raise ValueError("Invalid value NaN (not a number)")
    if abs(seconds) > LONGEST_TIMEOUT_S:
        raise OverflowError("timestamp out of range for platform time_t")
    if seconds < 0:
        raise ValueError("Timeout value out of range")
    return seconds


def _option(level: int, option: int) -> numbers.Option:
    found = numbers.OPTIONS.get((level, option))
    if found is None:
        raise OSError(errno.ENOPROTOOPT, f"the stack has no option {option} of level {level}")
    return found


def _room(size: int, name: str) -> int:
    if size < 0:
        raise ValueError(f"negative buffersize in {name}")
    return size


def _part(buffer: Any, nbytes: int, name: str) -> memoryview:  # noqa: ANN401 - anything with a buffer
    view = memoryview(buffer)
    if view.readonly:
        raise TypeError(
            f"{name}() argument 1 must be read-write bytes-like object, not {type(buffer).__name__}"
        )
    if nbytes < 0:
        raise ValueError(f"negative buffersize in {name}")
    whole = view.cast("B") if view.nbytes else memoryview(bytearray())
    if nbytes > len(whole):
        raise ValueError("buffer too small for requested bytes")
    return whole[: nbytes or len(whole)]


def _from(views: Sequence[memoryview], count: int) -> list[memoryview]:
    """Return what of several buffers is behind the first ``count`` bytes."""
    left = []
    for view in views:
        skipped = min(count, len(view))
        count -= skipped
        if skipped < len(view):
            left.append(view[skipped:])
    return left or [memoryview(bytearray())]


def _bytes(data: Any) -> Any:  # noqa: ANN401 - anything with a buffer
    if isinstance(data, MEMORY) and not isinstance(data, memoryview):
        return data
    try:
        view = memoryview(data)
    except TypeError:
        raise TypeError(f"a bytes-like object is required, not '{type(data).__name__}'") from None
    return view.cast("B") if view.nbytes else b""
