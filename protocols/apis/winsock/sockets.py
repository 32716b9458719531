"""Sockets: opening, naming, connecting, accepting, options, closing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ntos.object.handles import TAG_BITS
from protocols.apis.winsock.constants import Io, Shut, So, Sol
from protocols.apis.winsock.errors import WinsockError, Wsae
from protocols.apis.winsock.library import Duplicate, Entry, Library

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocols.apis.winsock.afdcalls import Handle
    from protocols.interfaces.tdi.address import TdiAddress


class SocketCalls(Library):
    """The functions."""

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
        self._entry(number)
        number &= ~TAG_BITS
        opened = self._handles[number]
        self._call(number, "closesocket")
        if self._handles.get(number) is opened:  # nobody has closed the handle meanwhile
            self._table.forget(number)

    def duplicate_socket(self, number: int, process: Library) -> Duplicate:
        """WSADuplicateSocket: what ``process`` gives to its ``socket_of``, once, for the same socket."""
        return Duplicate(self._call(number, "duplicate_socket"), process)

    def socket_of(self, duplicate: Duplicate) -> int:
        """WSASocket with FROM_PROTOCOL_INFO. WSAEINVAL: it was taken already, or is another process's."""
        self._require()
        if duplicate.process is not self or duplicate.taken:
            raise self._failed(WinsockError(Wsae.WSAEINVAL, "not a duplicate for this process"))
        duplicate.taken = True
        try:
            return self._add(self._provider_of(duplicate.handle), duplicate.handle)
        except WinsockError as error:
            raise self._failed(error) from None

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
        try:
            child = self._add(entry.provider, handle)
        except WinsockError as error:
            raise self._failed(error) from None
        self._accepted(entry, child)
        return child, remote

    def _accepted(self, listener: Entry, number: int) -> None:
        """Do what an accepted socket inherits of its listener; what waits for events does."""

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
        """Set an option. SO_UPDATE_ACCEPT_CONTEXT takes the listener's number. WSAENOTSOCK: it is none."""
        if level == Sol.SOCKET and option == So.UPDATE_ACCEPT_CONTEXT:
            value = self._listener(value)
        self._call(number, "setsockopt", level, option, value)

    def _listener(self, value: object) -> Handle:
        """Return the socket that a SOCKET, or its bytes, stand for. WSAENOTSOCK, WSAEFAULT."""
        if isinstance(value, bytes | bytearray) and len(value) >= 4:
            value = int.from_bytes(value[:8], "little")
        if not isinstance(value, int):
            raise self._failed(WinsockError(Wsae.WSAEFAULT, "SO_UPDATE_ACCEPT_CONTEXT wants a SOCKET"))
        return self._entry(value).handle

    def ioctlsocket(self, number: int, code: int, argument: Any = None) -> Any:  # noqa: ANN401 - each code has its own types
        """WSAIoctl; SIO_GET_EXTENSION_FUNCTION_POINTER takes the name of an extension."""
        if code == Io.GET_EXTENSION_FUNCTION_POINTER:
            self._entry(number)
            table = self.extensions.table()
            if argument not in table:
                raise self._failed(WinsockError(Wsae.WSAEINVAL, str(argument)))
            return table[argument]
        if code == Io.BASE_HANDLE:  # a layer over the base provider makes no handle of its own
            self._entry(number)
            return number & ~TAG_BITS
        return self._call(number, "ioctl", code, argument)
