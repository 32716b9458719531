"""Programs over the stack: what they import, what is refused them, and how their sockets answer."""

# ruff: noqa: D103, ANN401 - the names are sentences; doubles need no words

from __future__ import annotations

import http.client
import socket
import sys
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from lab.host.programs import run_program
from tests.support.nt_pair import Pair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.close()
    assert made.reports() == []


@pytest.fixture
def told_by(pair: Pair, tmp_path: Path) -> Callable[[str], list[str]]:
    """Run a program; it tells by ``tell(...)``."""

    def run(text: str, *arguments: str) -> list[str]:
        path, told = tmp_path / "program.py", tmp_path / "told"
        head = "import sys\nout = open(sys.argv[1], 'w')\ndef tell(*a): print(*a, file=out, flush=True)\n"
        path.write_text(head + text)
        run_program(
            SimpleNamespace(winsock=pair.winsocks[0], sockets=pair.modules[0]),
            str(path),
            [str(told), *arguments],
        )
        return told.read_text().splitlines()

    return run


def test_no_module_that_a_program_has_reaches_a_listener_of_the_machine(told_by: Any) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.2)

    told = told_by(
        """
import socket, ssl, multiprocessing.connection, http.client, urllib.request, email.utils, logging.handlers
port = int(sys.argv[2])
tries = {
    "create_connection": lambda: socket.create_connection(("127.0.0.1", port), 5),
    "multiprocessing": lambda: multiprocessing.connection.Client(("127.0.0.1", port)),
    "http.client": lambda: http.client.HTTPConnection("127.0.0.1", port, timeout=5).connect(),
    "urllib": lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5),
    "ssl": lambda: ssl.get_server_certificate(("127.0.0.1", port), timeout=5),
    "logging": lambda: logging.handlers.SocketHandler("127.0.0.1", port).makeSocket(5),
}
for name, attempt in tries.items():
    try:
        attempt()
        tell(name, "connected")
    except OSError as error:
        tell(name, type(getattr(error, "reason", error)).__name__)
library = ("ssl", "email", "multiprocessing", "http")
held = [n for n, m in list(sys.modules.items()) if n.partition(".")[0] in library
        and getattr(m, "socket", socket) not in (socket, socket.socket)]
tell("held", held)
""",
        str(listener.getsockname()[1]),
    )

    names = ("create_connection", "multiprocessing", "http.client", "urllib", "ssl", "logging")
    assert told == [*(f"{name} ConnectionRefusedError" for name in names), "held []"]
    with pytest.raises(TimeoutError):
        listener.accept()
    listener.close()


def test_a_socket_of_the_machine_is_refused_whoever_holds_its_class(told_by: Any) -> None:
    told = told_by(
        """
real = [one for one in object.__subclasses__() if "sendmsg_afalg" in vars(one)]
for name, family in (("inet", 2), ("inet6", 10)):
    try:
        real[0](family, 1, 0)
        tell(name, "made")
    except PermissionError as error:
        tell(name, "refused")
"""
    )

    assert told == ["inet refused", "inet6 refused"]
    socket.socket().close()  # and afterwards the machine's are as before


def test_all_is_put_back_when_the_program_has_ended(told_by: Any) -> None:
    before = dict(sys.modules)

    told_by("import socket, ssl, select, selectors, http.client, smtplib, email.message")

    changed = [name for name, module in before.items() if sys.modules.get(name) is not module]
    assert changed == []
    assert vars(http.client)["socket"] is socket


def test_select_poll_and_selectors_wait_for_sockets_and_descriptors_together(told_by: Any) -> None:
    told = told_by(
        """
import os, select, selectors, socket
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
peer, _ = server.accept()
read, write = os.pipe()
tell(select.select([peer, read], [client], [], 0)[:2] == ([], [client]))
client.sendall(b"x")
os.write(write, b"y")
found = set()
while len(found) < 2:
    found.update(select.select([peer, read], [], [], 5)[0])
tell(found == {peer, read})
poll = select.poll()
poll.register(peer, select.POLLIN)
poll.register(read, select.POLLIN)
tell(sorted(poll.poll(5000)) == sorted([(peer.fileno(), select.POLLIN), (read, select.POLLIN)]))
with selectors.DefaultSelector() as selector:
    selector.register(peer, selectors.EVENT_READ, "peer")
    selector.register(read, selectors.EVENT_READ, "pipe")
    tell(sorted(key.data for key, _ in selector.select(5)))
"""
    )

    assert told == ["True", "True", "True", "['peer', 'pipe']"]


def test_a_socket_that_nobody_holds_is_closed(told_by: Any) -> None:
    told = told_by(
        """
import gc, socket, warnings
warnings.simplefilter("ignore")
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
peer, _ = server.accept()
peer.settimeout(20)
del client
gc.collect()
tell(peer.recv(1))
"""
    )

    assert told == ["b''"]


def test_calls_answer_as_pythons_reference_says(told_by: Any) -> None:
    told = told_by(
        """
import errno, socket
def pair(kind=socket.SOCK_STREAM):
    if kind == socket.SOCK_STREAM:
        a, b = socket.socketpair(socket.AF_INET)
    else:
        a, b = socket.socket(type=kind), socket.socket(type=kind)
        a.bind(("127.0.0.1", 0))
        b.bind(("127.0.0.1", 0))
    for one in (a, b):
        one.settimeout(20)
    return a, b
def kind_of(call):
    try:
        return repr(call())
    except Exception as error:
        return type(error).__name__ + ":" + str(errno.errorcode.get(getattr(error, "errno", None)))
a, b = pair()
a.sendall(b"0123456789")
tell(b.recvfrom(5), b.recv(5, socket.MSG_WAITALL))
tell(kind_of(lambda: b.recv(1, socket.MSG_DONTWAIT)))
b.settimeout(None)
tell(kind_of(lambda: b.recv(1, socket.MSG_DONTWAIT)))
tell(kind_of(lambda: a.setsockopt(6, 3, 1)), kind_of(lambda: a.send(b"x", 1 << 20)))
n = a.detach()
c = socket.socket(fileno=n)
d = c.dup()
c.close()
d.sendall(b"q")
tell(c.fileno(), b.recv(1))
a, b = pair(socket.SOCK_DGRAM)
tell(a.sendmsg([b"x", b"y"], [], 0, b.getsockname()), b.recvmsg(1)[0::2])
tell(kind_of(lambda: a.bind(("127.0.0.1", 70000))), kind_of(lambda: a.bind("x")))
tell(kind_of(lambda: socket.socket(1)))
tell(kind_of(lambda: socket.getaddrinfo("no.such.invalid", 1, flags=socket.AI_NUMERICHOST))[:8])
tell(socket.gethostbyname("localhost"), socket.getservbyname("http"))
"""
    )

    assert told == [
        "(b'01234', None) b'56789'",
        "BlockingIOError:EAGAIN",
        "BlockingIOError:EAGAIN",
        "OSError:ENOPROTOOPT OSError:ENOTSUP",
        "-1 b'q'",
        f"2 (b'x', {int(socket.MSG_TRUNC)})",
        "OverflowError:None TypeError:None",
        "OSError:EAFNOSUPPORT",
        "gaierror",
        "127.0.0.1 80",
    ]


def test_a_shutdown_wakes_the_thread_that_receives(pair: Pair) -> None:
    near = pair.modules[0]
    server = near.create_server(("127.0.0.1", 0))
    client = near.create_connection(server.getsockname())
    peer, _address = server.accept()
    found: list[bytes] = []
    began = threading.Event()

    def receive() -> None:
        began.set()
        found.append(peer.recv(1))

    thread = threading.Thread(target=receive)
    thread.start()
    began.wait()
    peer.shutdown(socket.SHUT_RDWR)
    thread.join(20)

    assert found == [b""]
    for one in (client, peer, server):
        one.close()


def test_wrapped_sockets_shake_hands_and_carry_data_by_timeout_and_by_selector(told_by: Any) -> None:
    told = told_by(
        """
import socket, ssl, threading
here, there = socket.socketpair(socket.AF_INET)
for one in (here, there):
    one.settimeout(20)
contexts = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
contexts[0].check_hostname = False
contexts[0].verify_mode = ssl.CERT_NONE
for context in contexts:
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AECDH-AES256-SHA:@SECLEVEL=0")
def serve():
    with contexts[1].wrap_socket(there, server_side=True) as server:
        server.sendall(server.recv(65536).upper())
thread = threading.Thread(target=serve)
thread.start()
with contexts[0].wrap_socket(here) as client:
    client.sendall(b"words")
    tell(client.version(), client.recv(100), client.recv(100))
thread.join()
"""
    )

    assert told == ["TLSv1.2 b'WORDS' b''"]
