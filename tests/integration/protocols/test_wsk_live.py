"""The echo driver on a live host, called from threads, while its bindings are edited as a user does."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from lab.host.control_socket import ask
from lab.host.publishing import publish_host
from ntos.executive.contract import SECOND
from ntos.io.status import NtError, NtStatus
from protocols.apis.winsock.constants import Proto, Sock
from protocols.apis.wsk.blocking import Blocking
from protocols.apis.wsk.constants import WSK_NO_WAIT
from protocols.apis.wsk.npi import WskBuf
from protocols.apis.wsk.samples.echosrv import PORT, SOCKETS, EchoServer
from protocols.interfaces.tdi.address import internet
from protocols.transports.tcpip.addresses import parse
from tests.support.nt_pair import Pair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lab.host.live import LiveHost

ANY, FAR = internet(bytes(4), 0), parse("10.0.0.2")
DATA = bytes(range(256)) * 1000


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    """Give two live hosts, the second published as ``server``."""
    tmp_path.chmod(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    made = Pair()
    control = publish_host("server", "a test", made.hosts[1], journal=None, verifier=made.verifiers[1])
    yield made
    control.close()
    made.close()
    assert made.reports() == []
    for host in made.hosts:
        assert [text for text in host.upper.verifier.alive.values() if "Wsk" in text] == []


PATIENCE_NS = 60 * SECOND


class Driver:
    """The echo server on a host; ``echo`` asks it from another, call by call."""

    def __init__(self, host: LiveHost, client: LiveHost) -> None:
        self.host, self.client = host, client
        with host.executive.entry:
            self.registration = host.upper.wsk_register()
            self.server = EchoServer(self.registration, host.executive.queue_work_item, buffer_bytes=16384)
            assert host.executive.wait(lambda: self.server.bound == SOCKETS, "the server", PATIENCE_NS)
        with client.executive.entry:
            npi = client.upper.wsk_register().capture_provider_npi()
            self.calls = Blocking(npi.client, client.executive)

    def call(self, function: Any, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - each function has its own
        """Call from this thread."""
        with self.client.executive.entry:
            return self.calls.call(function, *arguments, **named)

    def echo(self, port: int, data: bytes) -> bytes:
        """Have data echoed over a connection."""
        connect = self.calls.client.socket_connect
        socket = self.call(connect, Sock.STREAM, Proto.TCP, ANY, internet(FAR, port))
        with self.client.executive.entry:
            for function, *arguments in ((socket.send, WskBuf((data,))), (socket.disconnect, None)):
                function(*arguments, self.calls.client.allocate_irp())
        back, buffer = b"", bytearray(65536)
        try:
            while size := self.call(socket.receive, WskBuf((buffer,))):
                back += buffer[:size]
        finally:
            self.call(socket.close_socket)
        return back

    def unload(self) -> None:
        """Unload it; returns when every socket is closed."""
        with self.host.executive.entry:
            self.server.stop()
            self.registration.deregister()
            assert self.host.executive.wait(lambda: not self.server.work_items, "its work", PATIENCE_NS)


def test_a_transport_that_is_disabled_ends_kernel_sockets_and_brings_them_back(pair: Pair) -> None:
    """AFD's sockets are not touched; the driver is unloaded, and loaded again when the binding is."""
    driver = Driver(pair.hosts[1], pair.hosts[0])
    listener = pair.modules[1].socket()
    listener.bind(("", 5000))
    listener.listen(1)

    before = driver.echo(PORT, DATA)
    tree = ask("server", "bindings", []).text
    ask("server", "bindings", ["disable=Wsk>Tcpip"])
    with pytest.raises(NtError) as refused:
        driver.echo(PORT, DATA)
    driver.unload()
    by_afd = pair.modules[0].create_connection(("10.0.0.2", 5000), 10)
    ask("server", "bindings", ["enable=Wsk>Tcpip"])
    again = Driver(pair.hosts[1], pair.hosts[0])
    after = [again.echo(port, DATA) for port in (PORT, PORT + 1)]
    again.unload()

    assert before == DATA
    assert "  Winsock Kernel (Wsk)\n    - Internet Protocol (TCP/IP) (Tcpip)\n" in tree
    assert refused.value.status is NtStatus.CONNECTION_REFUSED
    assert after == [DATA, DATA]
    assert (driver.server.failures, again.server.failures) == ([], [])
    by_afd.close()
    listener.close()


def test_a_capture_waits_in_one_thread_while_another_brings_the_transport(pair: Pair) -> None:
    """WskDeregister, too, is heard by who waits."""
    host = pair.hosts[0]
    upper, executive = host.upper, host.executive
    with executive.entry:
        upper.wsk.unload()
        registration = upper.wsk_register()
        with pytest.raises(NtError, match="DEVICE_NOT_READY"):
            registration.capture_provider_npi(WSK_NO_WAIT)
    later: list[Callable[[], None]] = [partial(upper.loader.reload, "Wsk"), partial(_start, host)]
    with executive.entry:
        due_ns = executive.now_ns() + 20_000_000
        for at, routine in enumerate(later):
            executive.call_at(due_ns + at * 1_000_000, "test", routine)

    with executive.entry:
        npi = registration.capture_provider_npi()
        registration.release_provider_npi()
        registration.deregister()

    assert npi.client.subsystem is upper.wsk


def _start(host: LiveHost) -> None:
    """Attach WSK; the loop tells those who wait."""
    host.upper.wsk.start()
