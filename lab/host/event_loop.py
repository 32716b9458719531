"""asyncio over the stack: an event loop whose streams, servers and datagrams are Winsock's.

asyncio's own transports and protocols run unchanged; what is other here is which sockets they get, and the
selector beneath. Signals, subprocesses and threads are this machine's, as in every asyncio loop.
"""

from __future__ import annotations

import asyncio
import functools
import socket
from typing import TYPE_CHECKING, Any

from lab.host.selector import StackSelector

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SENDFILE_BYTES = 1 << 18


class StackEventLoop(asyncio.SelectorEventLoop):
    """A loop for ``sockets``, the module-like namespace of ``protocols.apis.winsock.pysocket``.

    Run a program by ``asyncio.Runner(loop_factory=...)``, as ``Station.run`` does.
    """

    def __init__(self, winsock: Any, sockets: Any) -> None:  # noqa: ANN401 - Winsock behind a lock; a module
        """Wait by ``winsock``'s polls, open by ``sockets``."""
        super().__init__(StackSelector(winsock))
        self._sockets = sockets

    async def getaddrinfo(
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002 - the standard library's name
        proto: int = 0,
        flags: int = 0,
    ) -> list[tuple[Any, ...]]:
        """Resolve by the stack's namespace providers."""
        asked = [one.decode("idna") if isinstance(one, bytes) else one for one in (host, port)]
        ask = functools.partial(self._sockets.getaddrinfo, *asked, family, type, proto, flags)
        found: list[tuple[Any, ...]] = await self.run_in_executor(None, ask)
        return found

    async def create_connection(
        self,
        protocol_factory: Callable[[], Any],
        host: str | None = None,
        port: int | str | None = None,
        *,
        family: int = 0,
        sock: Any = None,  # noqa: ANN401 - a socket of the stack
        local_addr: tuple[str, int] | None = None,
        **rest: Any,  # noqa: ANN401 - ssl and its timeouts, as the base
    ) -> tuple[asyncio.Transport, Any]:
        """Connect to the first address that answers. OSError of the last when none does."""
        for unused in ("proto", "flags", "happy_eyeballs_delay", "interleave", "all_errors"):
            rest.pop(unused, None)
        if sock is None:
            sock = await self._connected(host, port, family, local_addr)
            if rest.get("ssl") and rest.get("server_hostname") is None:
                rest["server_hostname"] = host
        return await super().create_connection(protocol_factory, sock=sock, **rest)

    async def create_server(  # type: ignore[override]  # one signature for the base's two overloads
        self,
        protocol_factory: Callable[[], Any],
        host: str | Sequence[str] | None = None,
        port: int | str | None = None,
        *,
        family: int = 0,
        flags: int = socket.AI_PASSIVE,
        sock: Any = None,  # noqa: ANN401 - a socket of the stack
        **rest: Any,  # noqa: ANN401 - ssl, backlog and start_serving, as the base
    ) -> asyncio.AbstractServer:
        """Listen on every address that ``host`` stands for."""
        for unused in ("reuse_address", "reuse_port", "keep_alive"):
            rest.pop(unused, None)
        listeners = [sock] if sock is not None else await self._listeners(host, port, family, flags)
        servers = [
            await super(StackEventLoop, self).create_server(protocol_factory, sock=one, **rest)
            for one in listeners
        ]
        return servers[0] if len(servers) == 1 else Servers(servers)

    async def create_datagram_endpoint(  # type: ignore[override]  # fewer options than Unix has
        self,
        protocol_factory: Callable[[], Any],
        local_addr: tuple[str, int] | None = None,
        remote_addr: tuple[str, int] | None = None,
        *,
        family: int = 0,
        sock: Any = None,  # noqa: ANN401 - a socket of the stack
        **_rest: Any,  # noqa: ANN401 - reuse_port and its kin have no meaning here
    ) -> tuple[asyncio.DatagramTransport, Any]:
        """Open a datagram socket, bound and connected as asked."""
        if sock is None:
            sock = await self._datagram(local_addr, remote_addr, family)
        return await super().create_datagram_endpoint(protocol_factory, sock=sock)

    async def sock_sendfile(
        self,
        sock: Any,  # noqa: ANN401 - a socket of the stack
        file: Any,  # noqa: ANN401 - a binary file
        offset: int = 0,
        count: int | None = None,
        *,
        fallback: bool | None = True,
    ) -> int:
        """Send a file by pieces: the machine's sendfile knows nothing of the stack's sockets."""
        del fallback
        file.seek(offset)
        sent = 0
        while count is None or sent < count:
            room = SENDFILE_BYTES if count is None else min(SENDFILE_BYTES, count - sent)
            piece = await self.run_in_executor(None, file.read, room)
            if not piece:
                break
            await self.sock_sendall(sock, piece)
            sent += len(piece)
        return sent

    async def _connected(
        self, host: str | None, port: int | str | None, family: int, local: tuple[str, int] | None
    ) -> Any:  # noqa: ANN401 - a socket of the stack
        failure = OSError(f"{host} has no address")
        for kind, _type, proto, _name, address in await self.getaddrinfo(
            host, port, family=family, type=socket.SOCK_STREAM
        ):
            sock = self._sockets.socket(kind, socket.SOCK_STREAM, proto)
            try:
                sock.setblocking(False)  # noqa: FBT003 - the standard library's signature
                if local is not None:
                    sock.bind(local)
                await self.sock_connect(sock, address)
            except OSError as error:
                failure = error
                sock.close()
            except BaseException:  # a cancel
                sock.close()
                raise
            else:
                return sock
        raise failure

    async def _listeners(
        self, host: str | Sequence[str] | None, port: int | str | None, family: int, flags: int
    ) -> list[Any]:
        hosts = [host or None] if host is None or isinstance(host, str) else list(host)
        made: list[Any] = []
        try:
            for one in hosts:
                for kind, _type, proto, _name, address in await self.getaddrinfo(
                    one, port, family=family, type=socket.SOCK_STREAM, flags=flags
                ):
                    sock = self._sockets.socket(kind, socket.SOCK_STREAM, proto)
                    made.append(sock)
                    sock.bind(address)
        except BaseException:
            for sock in made:
                sock.close()
            raise
        return made

    async def _datagram(
        self, local: tuple[str, int] | None, remote: tuple[str, int] | None, family: int
    ) -> Any:  # noqa: ANN401 - a socket of the stack
        host, port = remote or local or ("", 0)
        flags = 0 if remote else socket.AI_PASSIVE
        (kind, _type, proto, _name, address), *_ = await self.getaddrinfo(
            host or None, port, family=family or socket.AF_INET, type=socket.SOCK_DGRAM, flags=flags
        )
        sock = self._sockets.socket(kind, socket.SOCK_DGRAM, proto)
        try:
            if local is not None or remote is None:
                sock.bind(local or address)
            if remote is not None:
                sock.connect(address)
        except BaseException:
            sock.close()
            raise
        return sock


class Servers(asyncio.AbstractServer):
    """One server for each address of a name, under one handle."""

    def __init__(self, servers: Sequence[Any]) -> None:
        """Hold what ``create_server`` returned for each socket."""
        self._servers = tuple(servers)

    @property
    def sockets(self) -> tuple[Any, ...]:
        """The listening sockets."""
        return tuple(sock for one in self._servers for sock in one.sockets)

    def close(self) -> None:
        """Stop listening."""
        for one in self._servers:
            one.close()

    def close_clients(self) -> None:
        """Close the connections that were accepted (Python 3.13)."""
        for one in self._servers:
            one.close_clients()

    def abort_clients(self) -> None:
        """Abort the connections that were accepted (Python 3.13)."""
        for one in self._servers:
            one.abort_clients()

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop."""
        loop: asyncio.AbstractEventLoop = self._servers[0].get_loop()
        return loop

    def is_serving(self) -> bool:
        """Tell whether connections are accepted."""
        return all(one.is_serving() for one in self._servers)

    async def start_serving(self) -> None:
        """Accept connections."""
        for one in self._servers:
            await one.start_serving()

    async def serve_forever(self) -> None:
        """Accept connections until cancelled."""
        await asyncio.gather(*(one.serve_forever() for one in self._servers))

    async def wait_closed(self) -> None:
        """Wait until all have closed."""
        for one in self._servers:
            await one.wait_closed()

    async def __aenter__(self) -> Servers:  # noqa: PYI034 - as the standard library's class
        """Use it as a context."""
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Close."""
        self.close()
        await self.wait_closed()
