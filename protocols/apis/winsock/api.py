"""ws2_32: what a process sees. Numbers for sockets, WSAStartup's count, and each call through the catalog.

Names are Windows' in Python's case, less the ``WSA`` where no BSD name is in the way. A call that would
return SOCKET_ERROR raises ``WinsockError``; ``get_last_error`` keeps its code, as WSAGetLastError does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ntos.io.completion import ApcQueue, CompletionPort
from protocols.apis.afd.requests import Poll
from protocols.apis.winsock.constants import Fd, Io, PollFlag, Shut, So, Sol
from protocols.apis.winsock.errors import WinsockError, Wsae
from protocols.apis.winsock.msafd import MsafdProvider
from protocols.apis.winsock.mswsock import Extensions
from protocols.apis.winsock.window import WindowMessage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ntos.executive.contract import Executive
    from ntos.executive.dispatcher import Event
    from ntos.io.completion import CompletionPacket
    from ntos.io.irp import Irp, Memory
    from ntos.io.system import IoSystem
    from protocols.apis.winsock.afdcalls import Handle
    from protocols.apis.winsock.overlapped import Overlapped
    from protocols.apis.winsock.spi import Catalog, Provider
    from protocols.apis.winsock.window import Window
    from protocols.interfaces.tdi.address import TdiAddress

HIGHEST = (2, 2)
VERSIONS = ((1, 0), (1, 1), (2, 0), (2, 1), (2, 2))
READ = Poll.RECEIVE | Poll.DISCONNECT | Poll.ABORT | Poll.ACCEPT
WRITE = Poll.SEND
EXCEPT = Poll.CONNECT_FAIL | Poll.OOB_RECEIVE
MEMORY = (bytes, bytearray, memoryview)
"""What stands for one WSABUF where a list of them may."""
WAIT_TIMEOUT = -1
WAIT_IO_COMPLETION = -2


class Entry:
    """A socket of the process."""

    __slots__ = ("asynchronous", "handle", "provider")

    def __init__(self, provider: Provider, handle: Handle) -> None:
        """Join a provider and its socket."""
        self.provider = provider
        self.handle = handle
        self.asynchronous: tuple[Window, int, int] | None = None  # WSAAsyncSelect's arguments


@dataclass(slots=True)
class Duplicate:
    """The WSAPROTOCOL_INFO of WSADuplicateSocket: a handle of a socket on its way to another process."""

    provider: Provider
    handle: Handle
    process: Winsock
    taken: bool = False


class PendingPoll(NamedTuple):
    """A poll on its way: the sockets asked, which of them there are (by position), and AFD's request."""

    total: int
    valid: tuple[int, ...]
    irp: Irp | None


class Winsock:
    """One process. ``thread`` returns a key for the calling thread: each has its own APCs and last error."""

    def __init__(
        self,
        io: IoSystem,
        executive: Executive,
        catalog: Catalog,
        thread: Callable[[], object] = lambda: 0,
    ) -> None:
        """Load the library; nothing but ``startup`` works yet."""
        self.io = io
        self.executive = executive
        self.catalog = catalog
        self._thread = thread
        self._apc_queues: dict[object, ApcQueue] = {}
        self._errors: dict[object, int] = {}
        self._started = 0
        self._version = (0, 0)
        self._sockets: dict[int, Entry] = {}
        self._next = 0x100
        self.base = MsafdProvider(io, executive, self.apcs)
        self.extensions = Extensions(self.base)

    # The library

    def startup(self, version: tuple[int, int] = HIGHEST) -> tuple[int, int]:
        """WSAStartup: count, and return the version that will be spoken. WSAVERNOTSUPPORTED below 1.0."""
        if version < VERSIONS[0]:
            raise self._failed(WinsockError(Wsae.WSAVERNOTSUPPORTED, f"{version[0]}.{version[1]}"))
        spoken = max(one for one in VERSIONS if one <= version)
        if not self._started:
            self._version = spoken
        self._started += 1
        return self._version

    def cleanup(self) -> None:
        """WSACleanup: the last one closes every socket, hard."""
        self._require()
        self._started -= 1
        if not self._started:
            for number in list(self._sockets):
                entry = self._sockets.pop(number)
                self.io.cancel_file(entry.handle.file)
                if entry.handle.stream:
                    entry.provider.setsockopt(entry.handle, Sol.SOCKET, So.LINGER, 0)
                entry.provider.closesocket(entry.handle)

    def get_last_error(self) -> int:
        """WSAGetLastError."""
        return self._errors.get(self._thread(), 0)

    def set_last_error(self, code: int) -> None:
        """WSASetLastError."""
        self._errors[self._thread()] = code

    def apcs(self) -> ApcQueue:
        """Return the calling thread's APCs."""
        return self._apc_queues.setdefault(self._thread(), ApcQueue())

    # Sockets

    def socket(self, family: int, kind: int, protocol: int = 0) -> int:
        """WSASocket: the first catalog entry that fits."""
        self._require()
        try:
            info = self.catalog.find(family, kind, protocol)
            provider = self.catalog.provider(info)
            return self._add(provider, provider.socket(info, protocol))
        except WinsockError as error:
            raise self._failed(error) from None

    def closesocket(self, number: int) -> None:
        """Close; the number is no socket any more. WSAEWOULDBLOCK: it lingers, and is one still."""
        self._call(number, "closesocket")
        self._sockets.pop(number, None)

    def duplicate_socket(self, number: int, process: Winsock) -> Duplicate:
        """WSADuplicateSocket: what ``process`` gives to its ``socket_of``, once, for the same socket."""
        entry = self._entry(number)
        return Duplicate(entry.provider, self._call(number, "duplicate_socket"), process)

    def socket_of(self, duplicate: Duplicate) -> int:
        """WSASocket with FROM_PROTOCOL_INFO. WSAEINVAL: it was taken already, or is another process's."""
        self._require()
        if duplicate.process is not self or duplicate.taken:
            raise self._failed(WinsockError(Wsae.WSAEINVAL, "not a duplicate for this process"))
        duplicate.taken = True
        return self._add(duplicate.provider, duplicate.handle)

    def join_leaf(self, number: int, address: TdiAddress, flags: int) -> int:
        """WSAJoinLeaf: receive a group, or send to it; for IP multicast the socket is its own leaf."""
        self._call(number, "join_leaf", address, flags)
        return number

    def bind(self, number: int, address: TdiAddress) -> None:
        """Give the socket a local address."""
        self._call(number, "bind", address)

    def listen(self, number: int, backlog: int) -> None:
        """Wait for connections; SOMAXCONN is the largest backlog there is."""
        self._call(number, "listen", backlog)

    def connect(self, number: int, address: TdiAddress) -> None:
        """WSAConnect."""
        self._call(number, "connect", address)

    def accept(
        self, number: int, condition: Callable[[TdiAddress], bool] | None = None
    ) -> tuple[int, TdiAddress]:
        """WSAAccept: the new socket and its peer; a ``condition`` that is false refuses the connection."""
        entry = self._entry(number)
        handle, remote = self._call(number, "accept")
        if condition is not None and not condition(remote):
            entry.provider.setsockopt(handle, Sol.SOCKET, So.LINGER, 0)
            entry.provider.closesocket(handle)
            raise self._failed(WinsockError(Wsae.WSAECONNREFUSED, "the condition function refused"))
        child = self._add(entry.provider, handle)
        if entry.asynchronous is not None:
            self.async_select(child, *entry.asynchronous)
        return child, remote

    def shutdown(self, number: int, how: int = Shut.SEND) -> None:
        """End a direction."""
        self._call(number, "shutdown", how)

    def getsockname(self, number: int) -> TdiAddress:
        """Return the local address. WSAEINVAL while unbound."""
        found: TdiAddress = self._call(number, "getsockname")
        return found

    def getpeername(self, number: int) -> TdiAddress:
        """Return the peer's. WSAENOTCONN."""
        found: TdiAddress = self._call(number, "getpeername")
        return found

    def getsockopt(self, number: int, level: int, option: int) -> Any:  # noqa: ANN401 - each option has its own type
        """Ask for an option."""
        return self._call(number, "getsockopt", level, option)

    def setsockopt(self, number: int, level: int, option: int, value: Any) -> None:  # noqa: ANN401 - each option has its own type
        """Set an option."""
        self._call(number, "setsockopt", level, option, value)

    def ioctlsocket(self, number: int, code: int, argument: Any = None) -> Any:  # noqa: ANN401 - each code has its own types
        """WSAIoctl; SIO_GET_EXTENSION_FUNCTION_POINTER takes the name of an extension."""
        if code == Io.GET_EXTENSION_FUNCTION_POINTER:
            self._entry(number)
            table = self.extensions.table()
            if argument not in table:
                raise self._failed(WinsockError(Wsae.WSAEINVAL, str(argument)))
            return table[argument]
        return self._call(number, "ioctl", code, argument)

    def handle(self, number: int) -> Handle:
        """Return what the extension functions take."""
        return self._entry(number).handle

    # Data. Buffers are WSABUFs: a list is gathered from, or scattered into.

    def send(
        self,
        number: int,
        data: Memory | Sequence[Memory],
        flags: int = 0,
        overlapped: Overlapped | None = None,
    ) -> int:
        """WSASend."""
        buffers = [data] if isinstance(data, MEMORY) else list(data)
        return int(self._call(number, "send", buffers, flags, overlapped))

    def sendto(
        self,
        number: int,
        data: Memory | Sequence[Memory],
        address: TdiAddress | None,
        flags: int = 0,
        overlapped: Overlapped | None = None,
    ) -> int:
        """WSASendTo."""
        buffers = [data] if isinstance(data, MEMORY) else list(data)
        return int(self._call(number, "sendto", buffers, flags, address, overlapped))

    def recv(
        self,
        number: int,
        into: bytearray | memoryview | Sequence[Memory],
        flags: int = 0,
        overlapped: Overlapped | None = None,
    ) -> int:
        """WSARecv: bytes received; 0 at the end of the stream."""
        buffers = [into] if isinstance(into, MEMORY) else list(into)
        return int(self._call(number, "recv", buffers, flags, overlapped))

    def recvfrom(
        self,
        number: int,
        into: bytearray | memoryview | Sequence[Memory],
        flags: int = 0,
        overlapped: Overlapped | None = None,
    ) -> tuple[int, TdiAddress | None]:
        """WSARecvFrom. WSAEMSGSIZE: the datagram was longer; the buffer holds its beginning."""
        buffers = [into] if isinstance(into, MEMORY) else list(into)
        count, source = self._call(number, "recvfrom", buffers, flags, overlapped)
        return count, source

    def get_overlapped_result(self, number: int, overlapped: Overlapped, *, wait: bool = False) -> int:
        """WSAGetOverlappedResult."""
        entry = self._entry(number)
        try:
            return int(entry.provider.get_overlapped_result(entry.handle, overlapped, wait=wait))
        except WinsockError as error:
            raise self._failed(error) from None

    def cancel_io(self, number: int) -> int:
        """CancelIo: cancel all that is outstanding; return how much that was."""
        return self.io.cancel_file(self._entry(number).handle.file)

    # Waiting

    def select(
        self,
        read: Iterable[int],
        write: Iterable[int],
        exceptional: Iterable[int],
        timeout_ns: int | None = None,
    ) -> tuple[list[int], list[int], list[int]]:
        """Return which of the sockets are readable, writable, exceptional. WSAEINVAL when there are none."""
        self._require()
        wanted: dict[int, Poll] = {}
        sets = [(list(read), READ), (list(write), WRITE), (list(exceptional), EXCEPT)]
        for numbers, poll in sets:
            for number in numbers:
                wanted[number] = wanted.get(number, Poll.NONE) | poll
        if not wanted:
            raise self._failed(WinsockError(Wsae.WSAEINVAL, "select without a socket"))
        order = list(wanted)
        pairs = [(self._entry(number).handle, wanted[number]) for number in order]
        found = self.base.select(pairs, timeout_ns)
        state = {order[at]: poll for at, poll in found.items()}
        read_set, write_set, except_set = (
            [n for n in numbers if state.get(n, Poll.NONE) & poll] for numbers, poll in sets
        )
        return read_set, write_set, except_set

    def poll(self, sockets: Sequence[tuple[int, PollFlag]], timeout_ns: int | None = None) -> list[PollFlag]:
        """WSAPoll: what is the case of each; NVAL for what is no socket."""
        pending = self.begin_poll(sockets)
        if not all(number in self._sockets for number, _flags in sockets):
            timeout_ns = 0
        if pending.irp is not None:
            self.base.await_poll(pending.irp, timeout_ns)
        return self.end_poll(pending)

    def begin_poll(
        self, sockets: Sequence[tuple[int, PollFlag]], signal: Callable[[], None] | None = None
    ) -> PendingPoll:
        """Start a WSAPoll that tells its end by ``signal``, perhaps at once and on another thread.

        A loop that waits for other things too sleeps on those and on ``signal``, then calls ``end_poll``.
        """
        self._require()
        valid = [at for at, (number, _flags) in enumerate(sockets) if number in self._sockets]
        pairs = [(self._entry(sockets[at][0]).handle, _wanted(sockets[at][1])) for at in valid]
        irp = self.base.begin_poll(pairs, signal) if pairs else None
        return PendingPoll(len(sockets), tuple(valid), irp)

    def end_poll(self, pending: PendingPoll) -> list[PollFlag]:
        """End a poll, whether anything has happened or not: what is the case of each, NVAL for no socket."""
        answers = [PollFlag.NVAL] * pending.total
        for at in pending.valid:
            answers[at] = PollFlag.NONE
        if pending.irp is not None:
            for at, poll in self.base.end_poll(pending.irp).items():
                answers[pending.valid[at]] = _poll_flags(poll)
        return answers

    def event_select(self, number: int, event: Event | None, events: int) -> None:
        """WSAEventSelect; it makes the socket non-blocking. No events: that is over."""
        self._call(number, "event_select", event, events)
        self._entry(number).asynchronous = None

    def async_select(self, number: int, window: Window, message: int, events: int) -> None:
        """WSAAsyncSelect: ``message`` is posted for each of the events; the socket becomes non-blocking.

        It ends a WSAEventSelect, and no events end it; sockets that are accepted inherit it.
        """

        def post(event: Fd, error: int) -> None:
            window.post(WindowMessage(message, number, error << 16 | event))

        self._call(number, "async_select", post, events)
        self._entry(number).asynchronous = (window, message, events) if events else None

    def enum_network_events(self, number: int, event: Event | None = None) -> tuple[Fd, dict[Fd, int]]:
        """WSAEnumNetworkEvents."""
        found: tuple[Fd, dict[Fd, int]] = self._call(number, "enum_network_events", event)
        return found

    def wait_for_multiple_events(
        self,
        events: Sequence[Event],
        timeout_ns: int | None = None,
        *,
        wait_all: bool = False,
        alertable: bool = False,
    ) -> int:
        """WSAWaitForMultipleEvents: the first that is set, WAIT_TIMEOUT or WAIT_IO_COMPLETION."""
        apcs, thread = self.apcs(), self.executive.current_thread()
        decide = all if wait_all else any

        def over() -> bool:
            return decide(event.signalled for event in events) or (alertable and len(apcs) > 0)

        self.executive.wait(over, "events", timeout_ns)
        if alertable and apcs.deliver():
            return WAIT_IO_COMPLETION
        if not decide(event.signalled for event in events):
            return WAIT_TIMEOUT
        first = next(at for at, event in enumerate(events) if event.signalled)
        for event in events if wait_all else [events[first]]:
            event.consume(thread)
        return 0 if wait_all else first

    def sleep_ex(self, timeout_ns: int | None) -> bool:
        """SleepEx, alertable: True when APCs ran."""
        apcs = self.apcs()
        self.executive.wait(lambda: len(apcs) > 0, "an APC", timeout_ns)
        return bool(apcs.deliver())

    # Completion ports

    def create_io_completion_port(
        self, number: int, port: CompletionPort | None = None, key: object = None
    ) -> CompletionPort:
        """CreateIoCompletionPort: completions of the socket's overlapped calls go to the port."""
        found = port if port is not None else CompletionPort()
        file = self._entry(number).handle.file
        if file.completion_port is not None:
            raise self._failed(WinsockError(Wsae.WSAEINVAL, "the socket has a port already"))
        file.completion_port, file.completion_key = found, key
        return found

    def get_queued_completion_status(
        self, port: CompletionPort, timeout_ns: int | None = None, most: int = 1
    ) -> list[CompletionPacket]:
        """GetQueuedCompletionStatusEx: at least one packet, or none when the time was over."""
        self.executive.wait(lambda: bool(port.packets), "a completion packet", timeout_ns)
        return port.take(most)

    # Inside

    def _add(self, provider: Provider, handle: Handle) -> int:
        number, self._next = self._next, self._next + 4
        self._sockets[number] = Entry(provider, handle)
        return number

    def _entry(self, number: int) -> Entry:
        self._require()
        entry = self._sockets.get(number)
        if entry is None:
            raise self._failed(WinsockError(Wsae.WSAENOTSOCK, f"{number:#x}"))
        return entry

    def _call(self, number: int, name: str, *arguments: Any) -> Any:  # noqa: ANN401 - the table's functions differ
        entry = self._sockets.get(number)
        if entry is None or not self._started:
            entry = self._entry(number)  # which says what is wrong
        try:
            return getattr(entry.provider, name)(entry.handle, *arguments)
        except WinsockError as error:
            raise self._failed(error) from None

    def _require(self) -> None:
        if not self._started:
            raise self._failed(WinsockError(Wsae.WSANOTINITIALISED))

    def _failed(self, error: WinsockError) -> WinsockError:
        self.set_last_error(int(error.code))
        return error


def _wanted(flags: PollFlag) -> Poll:
    found = Poll.ABORT | Poll.CONNECT_FAIL
    if flags & PollFlag.RDNORM:
        found |= Poll.RECEIVE | Poll.ACCEPT | Poll.DISCONNECT
    if flags & PollFlag.RDBAND:
        found |= Poll.OOB_RECEIVE
    return found | Poll.SEND if flags & PollFlag.OUT else found


def _poll_flags(poll: Poll) -> PollFlag:
    found = PollFlag.NONE
    if poll & (Poll.RECEIVE | Poll.ACCEPT):
        found |= PollFlag.RDNORM
    if poll & Poll.OOB_RECEIVE:
        found |= PollFlag.RDBAND
    if poll & Poll.SEND:
        found |= PollFlag.OUT
    if poll & (Poll.DISCONNECT | Poll.ABORT | Poll.CLOSE):
        found |= PollFlag.HUP
    if poll & (Poll.ABORT | Poll.CONNECT_FAIL):
        found |= PollFlag.ERR
    return found
