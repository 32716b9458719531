"""WSK applications on two virtual hosts, every IRP checked."""

# ruff: noqa: ANN401 - sockets of any category, callbacks of any kind

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.host.virtual import FAST, VirtualHosts
from protocols.apis.winsock.constants import Af, Proto, Sock
from protocols.apis.wsk.constants import Category
from protocols.apis.wsk.npi import WskBuf
from protocols.interfaces.tdi.address import InternetAddress, internet
from protocols.transports.tcpip.addresses import parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.host.host import Upper
    from ntos.io.irp import Irp
    from ntos.io.status import NtStatus
    from protocols.transports.tcpip import StackConfig

ANY = internet(bytes(4), 0)
FAR = internet(parse("10.0.0.2"), 4000)


class App:
    """One application: registered, with the NPI captured."""

    def __init__(self, world: WskWorld, host: Upper) -> None:
        self.world = world
        self.host = host
        self.registration = host.wsk_register()
        self.client, self.dispatch = self.registration.capture_provider_npi()

    def start(self, function: Callable[..., NtStatus], *arguments: Any, **named: Any) -> Irp:
        """Call a WSK function; do not wait."""
        irp = self.client.allocate_irp()
        function(*arguments, irp=irp, **named)
        return irp

    def run(self, function: Callable[..., NtStatus], *arguments: Any, **named: Any) -> Irp:
        """Call a WSK function, and let it end."""
        irp = self.start(function, *arguments, **named)
        self.world.run(lambda: irp.completed)
        return irp

    def get(self, function: Callable[..., NtStatus], *arguments: Any, **named: Any) -> Any:
        """Call a WSK function that must succeed; return its result."""
        irp = self.run(function, *arguments, **named)
        assert irp.status.ok, irp.status.name
        return irp.result

    def socket(self, category: Category, *, family: Af = Af.INET, **named: Any) -> Any:
        """Make a socket."""
        datagram = category is Category.DATAGRAM
        kind, protocol = (Sock.DGRAM, Proto.UDP) if datagram else (Sock.STREAM, Proto.TCP)
        return self.get(self.dispatch.socket, family, kind, protocol, category, **named)

    def bound(self, category: Category, local: InternetAddress = ANY, **named: Any) -> Any:
        """Make a socket and bind it."""
        made = self.socket(category, **named)
        self.get(made.bind, local)
        return made

    def receive(self, socket: Any, length: int = 65536, **named: Any) -> bytes:
        """Receive once."""
        buffer = bytearray(length)
        irp = self.run(socket.receive, WskBuf((buffer,)), **named)
        assert irp.status.ok, irp.status.name
        return bytes(buffer[: irp.information])

    def close(self, *sockets: Any) -> None:
        """Close sockets."""
        for socket in sockets:
            self.get(socket.close_socket)

    def leave(self) -> None:
        """Release and deregister: returns when every socket is closed."""
        self.registration.release_provider_npi()
        self.registration.deregister()


class WskWorld:
    """Host 10.0.0.1 with ``near``, host 10.0.0.2 with ``far``."""

    def __init__(self, config: StackConfig = FAST) -> None:
        self.net = VirtualHosts(config=config)
        self.near, self.far = (App(self, host) for host in self.net.hosts)

    def run(self, until: Callable[[], bool] = lambda: False, seconds: float = 5.0) -> None:
        """Let time pass until something is the case."""
        self.net.network.run(until, int(seconds * 1e9))

    def pair(self, *, near: Any = None, far: Any = None) -> tuple[Any, Any]:
        """Connect; return the two sockets. ``near`` and ``far`` are their callbacks."""
        listener = self.far.bound(Category.LISTEN, internet(bytes(4), FAR.port))
        accepted = self.far.start(listener.accept, dispatch=far, context="far")
        connect = self.near.dispatch.socket_connect
        made = self.near.get(connect, Sock.STREAM, Proto.TCP, ANY, FAR, dispatch=near, context="near")
        self.run(lambda: accepted.completed)
        self.far.close(listener)
        return made, accepted.result

    def finish(self) -> None:
        """Close what is open; check that no rule of the I/O system was broken, and every IRP completed."""
        for app in (self.near, self.far):
            app.close(*app.client.sockets)
        found = [str(report) for host in self.net.hosts for report in host.verifier.finish()]
        assert found == []
