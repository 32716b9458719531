"""The base provider: Winsock's functions as requests to AFD (msafd.dll with its helper wshtcpip).

A call without an overlapped structure on a blocking socket waits by the process's ``Waiter``; on a
non-blocking one it says ``immediate`` to AFD.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from protocols.afd.driver import AFD
from protocols.afd.requests import (
    Accept,
    Afd,
    AfdOpen,
    Bind,
    ConnectTo,
    Disconnect,
    EventSelect,
    Information,
    Kind,
    Listen,
    Poll,
    Receive,
    Select,
    Send,
)
from protocols.io.irp import Major
from protocols.io.status import NtError, NtStatus
from protocols.tcpip.addresses import is_multicast
from protocols.winsock.constants import Af, Fd, Io, Msg, Shut, So, Sock, Sol
from protocols.winsock.errors import WinsockError, Wsae, error_of
from protocols.winsock.options import AFD_NAMES, DATAGRAM_ONLY, DEFAULTS, STREAM_ONLY
from protocols.winsock.spi import Provider

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from protocols.io.completion import ApcQueue, Event, Waiter
    from protocols.io.device import FileObject
    from protocols.io.irp import Irp, Memory
    from protocols.io.system import IoSystem
    from protocols.tdi.requests import TaAddress
    from protocols.winsock.overlapped import Overlapped
    from protocols.winsock.spi import ProtocolInfo

MILLISECOND = 1_000_000
KINDS = {Sock.STREAM: Kind.STREAM, Sock.DGRAM: Kind.DATAGRAM, Sock.RAW: Kind.RAW}
EVENTS = {
    Fd.READ: Poll.RECEIVE,
    Fd.WRITE: Poll.SEND,
    Fd.OOB: Poll.OOB_RECEIVE,
    Fd.ACCEPT: Poll.ACCEPT,
    Fd.CONNECT: Poll.CONNECT | Poll.CONNECT_FAIL,
    Fd.CLOSE: Poll.DISCONNECT | Poll.ABORT,
}


class Handle:
    """A socket as the provider knows it: its file, and what Winsock itself remembers."""

    def __init__(self, file: FileObject, info: ProtocolInfo, protocol: int) -> None:
        """Wrap an open file."""
        self.file = file
        self.info = info
        self.protocol = protocol
        self.blocking = True
        self.options: dict[str, Any] = dict(DEFAULTS)
        self.connecting = False
        self.bound = False

    @property
    def stream(self) -> bool:
        """Whether it is a stream socket."""
        return self.info.kind is Sock.STREAM


class MsafdProvider(Provider):
    """The provider of every socket that ends in a TDI transport."""

    def __init__(self, io: IoSystem, waiter: Waiter, apcs: Callable[[], ApcQueue]) -> None:
        """``apcs`` returns the calling thread's queue."""
        self._io = io
        self._waiter = waiter
        self._apcs = apcs

    # Opening and closing

    def socket(self, info: ProtocolInfo, protocol: int) -> Handle:
        """WSPSocket."""
        size = 16 if info.family is Af.INET6 else 4
        try:
            file = self._io.open(AFD, AfdOpen(KINDS[info.kind], info.device, size, protocol))
        except NtError as error:
            raise error_of(error.status) from error
        return Handle(file, info, protocol or info.protocol)

    def closesocket(self, handle: Handle) -> None:
        """WSPCloseSocket. With SO_LINGER of some seconds: when the peer has all, else by a reset.

        A non-blocking socket that would have to linger stays open: WSAEWOULDBLOCK.
        """
        if handle.stream and handle.options["linger"] and self._linger(handle):
            raise WinsockError(Wsae.WSAEWOULDBLOCK, "it lingers")
        self._io.close(handle.file)
        self._waiter.kick()

    def _linger(self, handle: Handle) -> bool:
        """Wait for the last acknowledgment, SO_LINGER seconds at most; True if it must not wait."""
        if not self._info(handle)["connected"]:
            return False
        self._now(handle, Afd.DISCONNECT, Disconnect(send=True))
        timeout = int(handle.options["linger"] * 1000) * MILLISECOND
        if not handle.blocking:
            return bool(self._unacknowledged(handle))
        if not self._waiter.wait(lambda: not self._unacknowledged(handle), timeout):
            self._now(handle, Afd.DISCONNECT, Disconnect(abort=True))
        return False

    def _unacknowledged(self, handle: Handle) -> int:
        found: int = self._info(handle).get("unacknowledged", 0)
        return found

    def bind(self, handle: Handle, address: TaAddress) -> None:
        """WSPBind."""
        self._family(handle, address)
        if handle.bound:
            raise WinsockError(Wsae.WSAEINVAL, "the socket is bound already")
        share, exclusive = bool(handle.options["reuse"]), bool(handle.options["exclusive"])
        self._now(handle, Afd.BIND, Bind(address, share, exclusive))
        handle.bound = True

    def listen(self, handle: Handle, backlog: int) -> None:
        """WSPListen."""
        if not handle.stream:
            raise WinsockError(Wsae.WSAEOPNOTSUPP, "listen")
        self._now(handle, Afd.START_LISTEN, Listen(backlog))

    def connect(self, handle: Handle, address: TaAddress) -> None:
        """WSPConnect. A non-blocking socket: WSAEWOULDBLOCK, then WSAEALREADY, then WSAEISCONN."""
        self._family(handle, address)
        if not handle.stream:
            self._now(handle, Afd.CONNECT, ConnectTo(address))
            return
        if handle.connecting:
            info = self._info(handle)
            if info["connected"]:
                handle.connecting = False
                raise WinsockError(Wsae.WSAEISCONN)
            if info["error"].ok:
                raise WinsockError(Wsae.WSAEALREADY)
            handle.connecting = False
        if not any(address.address) or not address.port:
            raise WinsockError(Wsae.WSAEADDRNOTAVAIL)
        handle.bound = True
        if handle.blocking:
            self._finish(self._ask(handle, Afd.CONNECT, ConnectTo(address)), None)
            return
        irp = self._ask(handle, Afd.CONNECT, ConnectTo(address, immediate=True))
        handle.connecting = irp.status is NtStatus.DEVICE_NOT_READY
        self._raise(irp)

    def accept(self, handle: Handle) -> tuple[Handle, TaAddress]:
        """WSPAccept: the new socket has the listener's options, and its non-blocking mode."""
        child = self.socket(handle.info, handle.protocol)
        try:
            asked = Accept(child.file, immediate=not handle.blocking)
            irp = self._ask(handle, Afd.ACCEPT, asked)
            timeout = handle.options["receive_timeout_ms"]
            _local, remote = self._finish(irp, int(timeout) * MILLISECOND or None)
        except BaseException:
            self.closesocket(child)
            raise
        child.options = dict(handle.options)
        child.blocking = handle.blocking
        child.bound = True
        return child, remote

    def shutdown(self, handle: Handle, how: int) -> None:
        """WSPShutdown."""
        if how not in set(Shut):
            raise WinsockError(Wsae.WSAEINVAL, f"how {how}")
        asked = Disconnect(send=how != Shut.RECEIVE, receive=how != Shut.SEND)
        self._now(handle, Afd.DISCONNECT, asked)

    # Data

    def send(
        self,
        handle: Handle,
        buffers: Sequence[Memory],
        flags: int = 0,
        overlapped: Overlapped | None = None,
    ) -> int:
        """WSPSend: the number of bytes; overlapped: WSA_IO_PENDING as an error until it is done."""
        immediate = overlapped is None and not handle.blocking
        asked = Send(immediate, bool(flags and flags & Msg.OOB))
        irp = self._ask(handle, Afd.SEND, asked, buffers, overlapped)
        return self._count(irp, overlapped, handle.options["send_timeout_ms"])

    def sendto(
        self,
        handle: Handle,
        buffers: Sequence[Memory],
        flags: int,
        address: TaAddress | None,
        overlapped: Overlapped | None = None,
    ) -> int:
        """WSPSendTo."""
        if handle.stream or address is None:
            return self.send(handle, buffers, flags, overlapped)
        self._family(handle, address)
        if not address.port and handle.info.kind is Sock.DGRAM:
            raise WinsockError(Wsae.WSAEADDRNOTAVAIL, "port 0")
        irp = self._ask(handle, Afd.SEND_DATAGRAM, Send(remote=address), buffers, overlapped)
        handle.bound = True
        return self._count(irp, overlapped, handle.options["send_timeout_ms"])

    def recv(
        self,
        handle: Handle,
        buffers: Sequence[Memory],
        flags: int = 0,
        overlapped: Overlapped | None = None,
    ) -> int:
        """WSPRecv."""
        return self.recvfrom(handle, buffers, flags, overlapped)[0]

    def recvfrom(
        self,
        handle: Handle,
        buffers: Sequence[Memory],
        flags: int = 0,
        overlapped: Overlapped | None = None,
    ) -> tuple[int, TaAddress | None]:
        """WSPRecvFrom: bytes and, for datagrams, from whom."""
        irp = self._receive(handle, buffers, flags, overlapped)
        count = self._count(irp, overlapped, handle.options["receive_timeout_ms"])
        return count, irp.result[0] if irp.result else None

    def receive_irp(
        self,
        handle: Handle,
        buffers: Sequence[Memory],
        flags: int = 0,
        overlapped: Overlapped | None = None,
    ) -> Irp:
        """Receive for WSARecvMsg: the request, whose result is (source, details), maybe BUFFER_OVERFLOW."""
        irp = self._receive(handle, buffers, flags, overlapped)
        try:
            self._count(irp, overlapped, handle.options["receive_timeout_ms"])
        except WinsockError:
            if irp.status is not NtStatus.BUFFER_OVERFLOW:
                raise
        return irp

    def _receive(
        self, handle: Handle, buffers: Sequence[Memory], flags: int, overlapped: Overlapped | None
    ) -> Irp:
        asked = Receive(
            immediate=overlapped is None and not handle.blocking,
            peek=bool(flags and flags & Msg.PEEK),
            out_of_band=bool(flags and flags & Msg.OOB),
            wait_all=bool(flags and flags & Msg.WAITALL),
        )
        code = Afd.RECEIVE if handle.stream else Afd.RECEIVE_DATAGRAM
        return self._ask(handle, code, asked, buffers, overlapped)

    # Names, options, controls

    def getsockname(self, handle: Handle) -> TaAddress:
        """WSPGetSockName."""
        found: TaAddress = self._now(handle, Afd.GET_SOCK_NAME)
        return found

    def getpeername(self, handle: Handle) -> TaAddress:
        """WSPGetPeerName."""
        found: TaAddress = self._now(handle, Afd.GET_PEER_NAME)
        return found

    def getsockopt(self, handle: Handle, level: int, option: int) -> Any:  # noqa: ANN401 - each option has its own type
        """WSPGetSockOpt."""
        if level == Sol.SOCKET and option in _COMPUTED:
            return _COMPUTED[option](self, handle)
        name = self._name(handle, level, option)
        if name in ("send_buffer", "receive_buffer"):
            return self._info(handle)[name]
        return handle.options.get(name, 0)

    def setsockopt(self, handle: Handle, level: int, option: int, value: Any) -> None:  # noqa: ANN401 - each option has its own type
        """WSPSetSockOpt."""
        if level == Sol.SOCKET and option in (So.UPDATE_ACCEPT_CONTEXT, So.UPDATE_CONNECT_CONTEXT):
            return  # what they copy is there already: the file is the connection's own
        if level == Sol.SOCKET and option == So.DONTLINGER:
            option, value = So.LINGER, None
        name = self._name(handle, level, option)
        if name in ("reuse", "exclusive"):
            other = "exclusive" if name == "reuse" else "reuse"
            if handle.bound and name == "exclusive":
                raise WinsockError(Wsae.WSAEINVAL, "the socket is bound already")
            if value and handle.options[other]:
                raise WinsockError(Wsae.WSAEINVAL, "SO_REUSEADDR and SO_EXCLUSIVEADDRUSE exclude each other")
        if name == "v6_only" and (handle.bound or handle.info.family is not Af.INET6):
            raise WinsockError(Wsae.WSAEINVAL, "IPV6_V6ONLY is for IPv6 sockets that are not bound yet")
        if name in ("join", "leave") and not is_multicast(value[0]):
            raise WinsockError(Wsae.WSAEINVAL, "no multicast group")
        self._now(handle, Afd.SET_INFO, Information({name: value}))
        if name not in ("join", "leave"):
            handle.options[name] = value

    def ioctl(self, handle: Handle, code: int, argument: Any = None) -> Any:  # noqa: ANN401 - each code has its own types
        """WSPIoctl."""
        if code == Io.FIONBIO:
            handle.blocking = not argument
            return None
        if code == Io.FIONREAD:
            return self._info(handle)["available"]
        if code == Io.SIOCATMARK:
            return self._info(handle).get("at_mark", True)
        if code == Io.KEEPALIVE_VALS:
            self.setsockopt(handle, Sol.SOCKET, So.KEEPALIVE, argument)
            return None
        raise WinsockError(Wsae.WSAEOPNOTSUPP, f"{code:#x}")

    # Waiting

    def select(self, wanted: Sequence[tuple[Handle, Poll]], timeout_ns: int | None) -> dict[int, Poll]:
        """WSPSelect: by position, what is the case; empty when the time was over."""
        irp = self.begin_poll(wanted)
        self.await_poll(irp, timeout_ns)
        return self.end_poll(irp)

    def begin_poll(
        self, wanted: Sequence[tuple[Handle, Poll]], signal: Callable[[], None] | None = None
    ) -> Irp:
        """Leave a poll with AFD; ``signal`` is called when it ends, perhaps at once."""
        files = tuple((handle.file, poll) for handle, poll in wanted)
        file = files[0][0]
        irp = self._io.build(
            file.device, Major.DEVICE_CONTROL, file, minor=Afd.SELECT, parameters=Select(files)
        )
        if signal is not None:
            irp.done = lambda _irp: signal()
        self._io.call(irp)
        self._waiter.kick()
        return irp

    def await_poll(self, irp: Irp, timeout_ns: int | None) -> None:
        """Wait until a poll has ended or the time is over."""
        if not irp.completed and timeout_ns != 0:
            self._waiter.wait(lambda: irp.completed, timeout_ns)

    def end_poll(self, irp: Irp) -> dict[int, Poll]:
        """Take a poll's answer by position; cancel it when there is none."""
        if not irp.completed:
            irp.done = None
            self._io.cancel(irp)
            return {}
        found: dict[int, Poll] = irp.result
        return found

    def event_select(self, handle: Handle, event: Event | None, events: int) -> None:
        """WSPEventSelect: the socket becomes non-blocking."""
        self._select_events(handle, event.set if event is not None else None, events)

    def _select_events(self, handle: Handle, signal: Callable[[], None] | None, events: int) -> None:
        handle.blocking = False if events else handle.blocking
        wanted = Poll.NONE
        for fd, poll in EVENTS.items():
            if events & fd:
                wanted |= poll
        self._now(handle, Afd.EVENT_SELECT, EventSelect(signal, wanted))

    def async_select(self, handle: Handle, post: Callable[[Fd, int], None], events: int) -> None:
        """WSPAsyncSelect: ``post`` each event with its error; what re-enables one is WSAEventSelect's."""

        def tell() -> None:
            happened, errors = self.enum_network_events(handle, None)
            for fd in Fd:
                if fd & happened:
                    post(fd, errors.get(fd, 0))

        self._select_events(handle, tell if events else None, events)

    def enum_network_events(self, handle: Handle, event: Event | None) -> tuple[Fd, dict[Fd, int]]:
        """WSPEnumNetworkEvents: what happened, and an error code for each."""
        if event is not None:
            event.reset()
        found, codes = self._now(handle, Afd.ENUM_NETWORK_EVENTS)
        happened, errors = Fd.NONE, {}
        for fd, poll in EVENTS.items():
            if found & poll:
                happened |= fd
                failed = [codes[bit] for bit in codes if bit & poll and codes[bit] is not NtStatus.SUCCESS]
                errors[fd] = int(error_of(failed[0]).code) if failed else 0
        return happened, errors

    def get_overlapped_result(self, handle: Handle, overlapped: Overlapped, *, wait: bool) -> int:
        """WSPGetOverlappedResult. WinsockError(WSA_IO_INCOMPLETE) while it goes on."""
        del handle
        if not overlapped.done and wait:
            self._waiter.wait(lambda: overlapped.done, None)
        if not overlapped.done:
            raise WinsockError(Wsae.WSA_IO_INCOMPLETE)
        if not overlapped.status.ok:
            raise error_of(overlapped.status)
        return overlapped.information

    # For mswsock

    def request(
        self,
        handle: Handle,
        code: Afd,
        parameters: object,
        buffers: Sequence[Memory] = (),
        overlapped: Overlapped | None = None,
    ) -> Irp:
        """Ask AFD directly, as the extension functions do; without ``overlapped`` wait and raise."""
        irp = self._ask(handle, code, parameters, buffers, overlapped)
        if overlapped is None:
            self._finish(irp, None)
        elif not irp.completed:
            raise WinsockError(Wsae.WSA_IO_PENDING)
        elif not irp.status.ok:
            raise error_of(irp.status)
        return irp

    # Inside

    def _ask(
        self,
        handle: Handle,
        code: Afd,
        parameters: object,
        buffers: Sequence[Memory] = (),
        overlapped: Overlapped | None = None,
    ) -> Irp:
        file = handle.file
        irp = self._io.build(
            file.device,
            Major.DEVICE_CONTROL,
            file,
            minor=code,
            parameters=parameters,
            buffers=buffers,
        )
        if overlapped is not None:
            overlapped.begin()
            overlapped.irp = irp
            apcs, told = self._apcs(), overlapped
            irp.done = lambda done: told.finish(done, apcs)
        self._io.call(irp)
        if code is not Afd.RECEIVE:  # served from AFD's own buffer; TDI kicks when asked for more
            self._waiter.kick()
        return irp

    def _now(self, handle: Handle, code: Afd, parameters: object = None) -> Any:  # noqa: ANN401 - each request has its own result
        irp = self._ask(handle, code, parameters)
        self._raise(irp)
        return irp.result

    def _raise(self, irp: Irp) -> None:
        if not irp.status.ok:
            raise error_of(irp.status)

    def _finish(self, irp: Irp, timeout_ns: int | None) -> Any:  # noqa: ANN401 - each request has its own result
        if not irp.completed and not self._waiter.wait(lambda: irp.completed, timeout_ns):
            self._io.cancel(irp)
            raise WinsockError(Wsae.WSAETIMEDOUT)
        self._raise(irp)
        return irp.result

    def _count(self, irp: Irp, overlapped: Overlapped | None, timeout_ms: int) -> int:
        if overlapped is None:
            timeout = timeout_ms * MILLISECOND or None
            if not irp.completed and not self._waiter.wait(lambda: irp.completed, timeout):
                self._io.cancel(irp)
                raise WinsockError(Wsae.WSAETIMEDOUT)
        elif not irp.completed:
            raise WinsockError(Wsae.WSA_IO_PENDING)
        if irp.status is NtStatus.BUFFER_OVERFLOW or not irp.status.ok:
            raise error_of(irp.status)
        return irp.information

    def _info(self, handle: Handle) -> dict[str, Any]:
        found: dict[str, Any] = self._now(handle, Afd.GET_INFO)
        return found

    def _family(self, handle: Handle, address: TaAddress) -> None:
        if len(address.address) != (16 if handle.info.family is Af.INET6 else 4):
            raise WinsockError(Wsae.WSAEAFNOSUPPORT)

    def _name(self, handle: Handle, level: int, option: int) -> str:
        name = AFD_NAMES.get((level, option))
        if name is None or name in (DATAGRAM_ONLY if handle.stream else STREAM_ONLY):
            raise WinsockError(Wsae.WSAENOPROTOOPT, f"option {option:#x} of level {level:#x}")
        return name

    def take_error(self, handle: Handle) -> int:
        """SO_ERROR: what a non-blocking connect ended with; asking clears it."""
        status = NtStatus(self._info(handle)["error"])
        self._now(handle, Afd.SET_INFO, Information({"error": NtStatus.SUCCESS}))
        return 0 if status.ok else int(error_of(status).code)

    def connect_time(self, handle: Handle) -> int:
        """SO_CONNECT_TIME: seconds since the handshake, or 0xFFFFFFFF."""
        since = self._info(handle).get("connected_since_ns")
        return 0xFFFF_FFFF if since is None else (self._waiter.now_ns() - since) // 1_000_000_000

    def listening(self, handle: Handle) -> bool:
        """SO_ACCEPTCONN."""
        return bool(self._info(handle).get("listening"))


_COMPUTED: dict[int, Callable[[MsafdProvider, Handle], Any]] = {
    So.ERROR: MsafdProvider.take_error,
    So.TYPE: lambda _provider, handle: int(handle.info.kind),
    So.PROTOCOL_INFO: lambda _provider, handle: handle.info,
    So.CONNECT_TIME: MsafdProvider.connect_time,
    So.ACCEPTCONN: MsafdProvider.listening,
}
