"""Python's ``socket`` class over Winsock, so that ``http.client`` and ``http.server`` run over the stack.

``socket_module(winsock, names)`` returns a module-like namespace with what the standard library asks of
``socket``: the class, the constants, ``create_connection``, ``getaddrinfo``. Addresses are Python's tuples.
It knows Winsock's functions and nothing below them.
"""

from __future__ import annotations

import errno
import io
import socket as standard
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from protocols.apis.winsock.constants import Af, Io, IpOption, PollFlag, Shut, So, Sock, Sol, TcpOption
from protocols.apis.winsock.data import MEMORY
from protocols.apis.winsock.errors import WinsockError, Wsae
from protocols.apis.winsock.namespace import MOST_PORT, Hints
from protocols.interfaces.tdi.address import InternetAddress, internet
from protocols.transports.tcpip.addresses import parse, text

if TYPE_CHECKING:
    from protocols.apis.winsock.api import Winsock
    from protocols.apis.winsock.namespace import Namespaces

FIRST_FILENO = 1 << 30
"""What ``fileno`` adds to Winsock's number: no descriptor is so high, so a selector can tell them apart."""
FAMILIES = {int(standard.AF_INET): Af.INET, int(standard.AF_INET6): Af.INET6, 0: Af.UNSPEC}
OPTIONS: dict[tuple[int, int], tuple[int, int]] = {
    (standard.SOL_SOCKET, standard.SO_REUSEADDR): (Sol.SOCKET, So.REUSEADDR),
    (standard.SOL_SOCKET, standard.SO_KEEPALIVE): (Sol.SOCKET, So.KEEPALIVE),
    (standard.SOL_SOCKET, standard.SO_BROADCAST): (Sol.SOCKET, So.BROADCAST),
    (standard.SOL_SOCKET, standard.SO_SNDBUF): (Sol.SOCKET, So.SNDBUF),
    (standard.SOL_SOCKET, standard.SO_RCVBUF): (Sol.SOCKET, So.RCVBUF),
    (standard.SOL_SOCKET, standard.SO_OOBINLINE): (Sol.SOCKET, So.OOBINLINE),
    (standard.SOL_SOCKET, standard.SO_ERROR): (Sol.SOCKET, So.ERROR),
    (standard.SOL_SOCKET, standard.SO_TYPE): (Sol.SOCKET, So.TYPE),
    (standard.IPPROTO_IPV6, standard.IPV6_V6ONLY): (Sol.IPV6, IpOption.V6ONLY),
    (standard.IPPROTO_TCP, standard.TCP_NODELAY): (Sol.TCP, TcpOption.NODELAY),
}
ERRNO: dict[Wsae, int] = {
    code: getattr(errno, name) for code in Wsae if hasattr(errno, name := code.name.removeprefix("WSA"))
}
"""The host's number for each code that has the host's name: what unchanged programs compare with."""


UNCHANGED = (
    *(
        "AddressFamily",
        "SocketKind",
        "MsgFlag",
        "AddressInfo",
        "gethostname",
        "getdefaulttimeout",
        "has_ipv6",
    ),
    *("htonl", "htons", "ntohl", "ntohs", "inet_aton", "inet_ntoa", "inet_ntop", "inet_pton"),
)
"""What of Python's module touches no network."""


class Socket:
    """``socket.socket``."""

    def __init__(
        self,
        winsock: Winsock,
        names: Namespaces,
        family: int = standard.AF_INET,
        kind: int = standard.SOCK_STREAM,
        proto: int = 0,
        *,
        number: int | None = None,
    ) -> None:
        """Open a socket, or wrap one that was accepted."""
        self._winsock = winsock
        self._names = names
        self.family = family
        self.type = kind
        self.proto = proto
        self._timeout: float | None = None
        self._files = 0
        self._closing = False
        if number is None:
            number = winsock.socket(FAMILIES[int(family)], Sock(int(kind)), proto)
        self._number = number

    def __enter__(self) -> Socket:  # noqa: PYI034 - Self is in typing from 3.11 on, the standard library's class says the same
        """Use it as a context."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close it."""
        self.close()

    def fileno(self) -> int:
        """Return Winsock's number above ``FIRST_FILENO``, -1 when closed; it is no descriptor."""
        return -1 if self._number < 0 else FIRST_FILENO + self._number

    # Names

    def bind(self, address: tuple[Any, ...]) -> None:
        """Bind; the host may be a name."""
        self._do("bind", self._resolved(address, passive=True))

    def connect(self, address: tuple[Any, ...]) -> None:
        """Connect, within the timeout."""
        target = self._resolved(address)
        if self._timeout is None or self.type == standard.SOCK_DGRAM:
            self._do("connect", target)
            return
        try:
            self._winsock.connect(self._number, target)
        except WinsockError as error:
            if error.code is not Wsae.WSAEWOULDBLOCK:
                raise _translated(error) from None
            if not self._timeout:  # Unix has a name of its own for this
                raise BlockingIOError(errno.EINPROGRESS, str(error)) from None
        self._wait(PollFlag.OUT)
        code = self._do("getsockopt", Sol.SOCKET, So.ERROR)
        if code:
            raise _translated(WinsockError(Wsae(code)))

    def connect_ex(self, address: tuple[Any, ...]) -> int:
        """Connect; return the code instead of raising."""
        try:
            self.connect(address)
        except OSError as error:
            return error.errno or 1
        return 0

    def listen(self, backlog: int = 128) -> None:
        """Listen."""
        self._do("listen", backlog)

    def accept(self) -> tuple[Socket, tuple[Any, ...]]:
        """Accept, within the timeout."""
        self._wait(PollFlag.RDNORM)
        number, remote = self._do("accept")
        child = Socket(self._winsock, self._names, self.family, self.type, self.proto, number=number)
        child.setblocking(True)  # noqa: FBT003 - the standard library's signature
        return child, _tuple(remote)

    def getsockname(self) -> tuple[Any, ...]:
        """Return the local address."""
        return _tuple(self._do("getsockname"))

    def getpeername(self) -> tuple[Any, ...]:
        """Return the peer's."""
        return _tuple(self._do("getpeername"))

    # Data

    def send(self, data: Any, flags: int = 0) -> int:  # noqa: ANN401 - anything with a buffer
        """Send."""
        if self._timeout:
            self._wait(PollFlag.OUT)
        return int(self._do("send", data if isinstance(data, MEMORY) else _bytes(data), flags))

    def sendall(self, data: Any, flags: int = 0) -> None:  # noqa: ANN401 - anything with a buffer
        """Send all of it."""
        left = memoryview(_bytes(data))
        while left:
            left = left[self.send(left, flags) :]

    def sendmsg(self, buffers: Any, *_rest: Any) -> int:  # noqa: ANN401 - any buffers; (control, flags, address)
        """Send several buffers as one: Winsock gathers them."""
        self._wait(PollFlag.OUT)
        return int(self._do("send", [_bytes(one) for one in buffers]))

    def sendto(self, data: Any, *rest: Any) -> int:  # noqa: ANN401 - (flags,) address
        """Send a datagram."""
        return int(self._do("sendto", _bytes(data), self._resolved(rest[-1])))

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Receive."""
        if self._timeout:
            self._wait(PollFlag.RDBAND if flags and flags & standard.MSG_OOB else PollFlag.RDNORM)
        buffer = bytearray(size)
        return bytes(memoryview(buffer)[: self._do("recv", buffer, flags)])

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:  # noqa: ANN401 - anything with a buffer
        """Receive into a buffer, within the timeout."""
        if self._timeout:
            self._wait(PollFlag.RDBAND if flags and flags & standard.MSG_OOB else PollFlag.RDNORM)
        view = memoryview(buffer).cast("B")
        return int(self._do("recv", view[: nbytes or len(view)], flags))

    def recvfrom(self, size: int, flags: int = 0) -> tuple[bytes, tuple[Any, ...]]:
        """Receive a datagram; one that is longer is cut, as POSIX does."""
        buffer = bytearray(max(size, 65536))
        self._wait(PollFlag.RDNORM)
        count, source = self._do("recvfrom", buffer, flags)
        return bytes(buffer[: min(count, size)]), _tuple(source or internet(bytes(4), 0))

    def shutdown(self, how: int) -> None:
        """Shut a direction down."""
        self._do("shutdown", Shut(how))

    def makefile(
        self,
        mode: str = "r",
        buffering: int | None = None,
        **text_options: Any,  # noqa: ANN401 - as the standard's
    ) -> Any:  # noqa: ANN401 - one of io's classes
        """Return a file over the socket, which stays open until both are closed."""
        raw = standard.SocketIO(self, "".join(m for m in mode if m in "rw") or "r")  # type: ignore[arg-type]  # duck-typed
        self._files += 1
        if buffering == 0:
            return raw
        size = io.DEFAULT_BUFFER_SIZE if buffering is None or buffering < 0 else buffering
        if "r" in mode and "w" in mode:
            found: Any = io.BufferedRWPair(raw, raw, size)
        else:
            found = io.BufferedWriter(raw, size) if "w" in mode else io.BufferedReader(raw, size)
        return found if "b" in mode else io.TextIOWrapper(found, **text_options)

    def _decref_socketios(self) -> None:
        """Hear from ``socket.SocketIO`` that a file was closed."""
        self._files -= 1
        if self._closing and not self._files:
            self._close()

    # Options

    def setsockopt(self, level: int, option: int, value: Any) -> None:  # noqa: ANN401 - numbers or bytes
        """Set an option of the host's numbering; SO_REUSEADDR is not passed on.

        On Unix it means "in spite of TIME_WAIT", which Windows needs nothing for; on Windows it would let
        two servers have one port.
        """
        if (level, option) == (standard.SOL_SOCKET, standard.SO_REUSEADDR):
            return
        if (level, option) == (standard.SOL_SOCKET, standard.SO_LINGER):
            on, seconds = (int.from_bytes(value[at : at + 4], "little") for at in (0, 4))
            self._do("setsockopt", Sol.SOCKET, So.LINGER, seconds if on else None)
            return
        self._do("setsockopt", *OPTIONS.get((level, option), (level, option)), value)

    def getsockopt(self, level: int, option: int, _length: int = 0) -> Any:  # noqa: ANN401 - as the option
        """Ask for an option; SO_ERROR is answered by the host's number."""
        found = self._do("getsockopt", *OPTIONS.get((level, option), (level, option)))
        if (level, option) == (standard.SOL_SOCKET, standard.SO_ERROR) and found:
            return ERRNO.get(Wsae(found), found)
        return found

    def settimeout(self, value: float | None) -> None:
        """Set the timeout in seconds; None blocks, 0 does not."""
        self._timeout = value
        self._winsock.ioctlsocket(self._number, Io.FIONBIO, int(value is not None))

    def gettimeout(self) -> float | None:
        """Return the timeout."""
        return self._timeout

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001 - the standard library's signature
        """Block, or not."""
        self.settimeout(None if flag else 0.0)

    def getblocking(self) -> bool:
        """Tell whether it blocks."""
        return self._timeout != 0

    @property
    def timeout(self) -> float | None:
        """The timeout."""
        return self._timeout

    def close(self) -> None:
        """Close, when the last file over it is closed too."""
        self._closing = True
        if not self._files:
            self._close()

    def detach(self) -> int:
        """Forget the socket without closing it."""
        number, self._number = self._number, -1
        return number

    # Inside

    def _close(self) -> None:
        number, self._number = self._number, -1
        if number >= 0:
            try:
                self._winsock.closesocket(number)
            except WinsockError as error:
                if error.code is not Wsae.WSAEWOULDBLOCK:
                    raise _translated(error) from None
                # SO_LINGER on a non-blocking socket: Unix closes all the same, and TCP goes on alone.
                self._winsock.setsockopt(number, Sol.SOCKET, So.DONTLINGER, 1)
                self._winsock.closesocket(number)

    def _do(self, name: str, *arguments: Any) -> Any:  # noqa: ANN401 - Winsock's functions differ
        if self._number < 0:
            raise OSError(int(Wsae.WSAENOTSOCK), "the socket is closed")
        try:
            return getattr(self._winsock, name)(self._number, *arguments)
        except WinsockError as error:
            raise _translated(error) from None

    def _wait(self, flag: PollFlag) -> None:
        """Wait until the poll is true, for ``_timeout`` at most. TimeoutError."""
        if not self._timeout:
            return
        (state,) = self._winsock.poll([(self._number, flag)], int(self._timeout * 1e9), hang_ups=False)
        if not state:
            raise TimeoutError("timed out")

    def _resolved(self, address: tuple[Any, ...], *, passive: bool = False) -> InternetAddress:
        host, port = address[0], address[1]
        if not 0 <= port <= MOST_PORT:
            raise OverflowError(f"port must be 0-{MOST_PORT}")  # as Python's own module says it
        size = 16 if self.family == standard.AF_INET6 else 4
        if not host:
            return internet(bytes(size), port)
        try:
            return internet(parse(host), port)
        except ValueError:
            hints = Hints(FAMILIES[int(self.family)], Sock(int(self.type)), passive=passive)
            return self._names.getaddrinfo(host, port, hints)[0].address


class SocketModule(SimpleNamespace):
    """What stands in for the module ``socket``."""


def socket_module(winsock: Winsock, names: Namespaces) -> SocketModule:
    """Return a namespace with the names of ``socket`` that programs use."""
    bound = _bound(winsock, names)

    def getaddrinfo(  # noqa: PLR0917 - the original's arguments
        host: str | None,
        port: str | int | None,
        family: int = 0,
        type: int = 0,  # noqa: A002 - the standard library's name
        proto: int = 0,
        flags: int = 0,
    ) -> list[tuple[Any, ...]]:
        hints = Hints(FAMILIES[int(family)], int(type), proto, passive=bool(flags & standard.AI_PASSIVE))
        try:
            found = names.getaddrinfo(host, port, hints)
        except WinsockError as error:
            raise standard.gaierror(standard.EAI_NONAME, str(error)) from None
        back = {value: key for key, value in FAMILIES.items()}
        return [
            (back[one.family], int(one.kind), int(one.protocol), one.canonical, _tuple(one.address))
            for one in found
        ]

    def create_connection(
        address: tuple[str, int],
        timeout: Any = None,  # noqa: ANN401 - the standard library's own types are as open
        source_address: Any = None,  # noqa: ANN401 - the standard library's own types are as open
        **_rest: Any,  # noqa: ANN401 - as the standard's
    ) -> Socket:
        failure: OSError = standard.gaierror("no address")
        for family, kind, proto, _name, target in getaddrinfo(*address, 0, standard.SOCK_STREAM):
            made = bound(family, kind, proto)
            if isinstance(timeout, int | float):
                made.settimeout(timeout)
            try:
                if source_address:
                    made.bind(source_address)
                made.connect(target)
            except OSError as error:
                failure = error
                made.close()
            else:
                return made
        raise failure

    constants = {name: value for name, value in vars(standard).items() if name.isupper()}
    return SocketModule(
        **constants,
        **{name: getattr(standard, name) for name in UNCHANGED},
        socket=bound,
        getaddrinfo=getaddrinfo,
        create_connection=create_connection,
        error=OSError,
        timeout=TimeoutError,
        gaierror=standard.gaierror,
        getfqdn=lambda name="": name or standard.gethostname(),
        SocketType=Socket,
    )


def _bound(winsock: Winsock, names: Namespaces) -> type[Socket]:
    class BoundSocket(Socket):
        """``socket.socket`` with Python's own arguments."""

        def __init__(
            self,
            family: int = -1,
            type: int = -1,  # noqa: A002 - the standard library's name
            proto: int = -1,
            fileno: int | None = None,
        ) -> None:
            """Open; -1 is the default. OSError(EBADF) for a ``fileno``: none can be taken over."""
            if fileno is not None:
                raise OSError(errno.EBADF, "a socket of the stack cannot be made of a descriptor")
            family = standard.AF_INET if family == -1 else family
            kind = standard.SOCK_STREAM if type == -1 else type
            super().__init__(winsock, names, family, kind, max(proto, 0))

    return BoundSocket


def _translated(error: WinsockError) -> OSError:
    """Return Python's own exception, by the host's number; Winsock's where the host has no such name."""
    return OSError(ERRNO[error.code], str(error)) if error.code in ERRNO else error


def _tuple(address: InternetAddress) -> tuple[Any, ...]:
    if len(address.address) == 16:
        return text(address.address), address.port, 0, address.interface
    return text(address.address), address.port


def _bytes(data: Any) -> Any:  # noqa: ANN401 - anything with a buffer
    return data if isinstance(data, MEMORY) else memoryview(data).cast("B")
