"""Cables to a QEMU: its bytes, its restarts; and the pump in between."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from device.wire.contract import Framing, WireError
from device.wire.frame import Frame
from device.wire.port import Port
from device.wire.sockets import DatagramWire
from device.wire.spec import open_wire

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from device.wire.contract import Wire

DATA = bytes(range(64))
ON_STREAM = b"\x00\x00\x00\x40" + DATA
PATIENCE_SECONDS = 20


def until(done: Callable[[], object]) -> None:
    """Wait for something that a thread brings about."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not done():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def read(wire: Wire) -> bytes:
    """Return the next frame."""
    port = Port(wire.fd, wire.framing)
    got: list[Frame] = []

    def one() -> bool:
        frame = port.read()
        if frame is not None:
            got.append(frame)
        return bool(got)

    until(one)
    return got[0].data


def write(wire: Wire, data: bytes = DATA) -> None:
    """Send a frame."""
    assert Port(wire.fd, wire.framing).write(Frame(data))


def called(path: Path) -> socket.socket:
    """Connect to a wire that listens, as QEMU does without server=on."""
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(PATIENCE_SECONDS)
    peer.connect(str(path))
    return peer


def listening(path: Path) -> socket.socket:
    """Listen, as QEMU does with server=on."""
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(PATIENCE_SECONDS)
    peer.bind(str(path))
    peer.listen(1)
    return peer


def test_a_stream_wire_listens_where_nobody_does(tmp_path: Path) -> None:
    """Both directions in QEMU's framing; the path goes with the wire."""
    path = tmp_path / "s"
    wire = open_wire(f"stream:{path}")
    with called(path) as peer:
        until(lambda: wire.link)
        write(wire)
        assert peer.recv(1000) == ON_STREAM
        peer.send(ON_STREAM)
        assert read(wire) == DATA
    wire.close()

    assert not path.exists()
    assert wire.fd == -1


def test_a_stream_wire_calls_who_listens_and_calls_again(tmp_path: Path) -> None:
    """The other end is closed and the descriptor stays."""
    path = tmp_path / "s"
    with listening(path) as peer:
        wire = open_wire(f"stream:{path}")
        fd = wire.fd
        first, _ = peer.accept()
        first.close()
        second, _ = peer.accept()
        until(lambda: wire.link)
        with second:
            second.send(ON_STREAM)
            assert read(wire) == DATA
    assert wire.fd == fd
    wire.close()
    assert path.exists()  # it is the listener's, not ours


def test_a_stream_wire_finds_a_listener_that_took_its_path(tmp_path: Path) -> None:
    """QEMU's server=on replaces what is there."""
    path = tmp_path / "s"
    wire = open_wire(f"stream:{path}")
    with listening(tmp_path / "new") as peer:
        (tmp_path / "new").replace(path)
        connection, _ = peer.accept()
        with connection:
            connection.send(ON_STREAM)
            assert read(wire) == DATA
    wire.close()


def test_a_listener_that_takes_no_call_keeps_nobody_waiting(tmp_path: Path) -> None:
    """Its queue is full, where connect(2) waits: neither opening nor closing a wire does, and it calls on."""
    path = tmp_path / "far"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(0)
        waiting: list[socket.socket] = []
        refused = 0
        while not refused:
            waiting.append(socket.socket(socket.AF_UNIX))
            waiting[-1].settimeout(0)
            refused = waiting[-1].connect_ex(str(path))
        began = time.monotonic()
        wire = open_wire(f"stream:{path}")
        opened = time.monotonic() - began

        linked = wire.link
        for caller in waiting:
            caller.close()
        for _ in waiting[1:]:
            listener.accept()[0].close()
        until(lambda: wire.link)
        began = time.monotonic()
        wire.close()

    assert not linked
    assert opened + time.monotonic() - began < 5


def test_frames_sent_while_nobody_is_there_are_lost_and_block_nothing(tmp_path: Path) -> None:
    """A pulled cable."""
    wire = open_wire(f"stream:{tmp_path / 's'}")

    for _ in range(2000):
        until(lambda: Port(wire.fd, wire.framing).write(Frame(DATA)))

    assert not wire.link
    wire.close()


def test_a_stream_over_tcp_stays_on_the_loopback() -> None:
    """The two ends find each other by a port; other hosts are refused."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    one = open_wire(f"stream:127.0.0.1:{port}")
    two = open_wire(f"stream:localhost:{port}")

    until(lambda: one.link and two.link)
    write(one)

    assert read(two) == DATA
    one.close()
    two.close()
    with pytest.raises(WireError, match="loopback"):
        open_wire("stream:192.0.2.1:5000")


def test_a_datagram_wire_needs_no_order_of_starting(tmp_path: Path) -> None:
    """One plain frame a datagram; the other end comes late, goes, and comes back."""
    wire = DatagramWire("dgram", str(tmp_path / "a"), str(tmp_path / "b"))
    write(wire, bytes(60))  # nobody hears it
    far = wire.pump._far
    assert far is not None
    until(lambda: far.port.statistics.lost)
    for _ in range(2):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
            peer.settimeout(PATIENCE_SECONDS)
            peer.bind(str(tmp_path / "b"))
            peer.sendto(DATA, str(tmp_path / "a"))
            assert read(wire) == DATA
            write(wire)
            assert peer.recv(1000) == DATA
        (tmp_path / "b").unlink()
    wire.close()

    assert not (tmp_path / "a").exists()


def test_a_datagram_path_in_use_is_refused(tmp_path: Path) -> None:
    """And a stale one is taken over."""
    spec = f"dgram:{tmp_path / 'a'},{tmp_path / 'b'}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(tmp_path / "a"))
        with pytest.raises(WireError, match="in use"):
            open_wire(spec)

    open_wire(spec).close()


def test_an_inherited_socket_is_a_wire() -> None:
    """dgram:fd=N, as QEMU's local.type=fd."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        wire = open_wire(f"dgram:fd={ours.fileno()}")
        write(wire)

        assert theirs.recv(100) == DATA
        assert wire.framing is Framing.DATAGRAM
        wire.close()


def test_a_loopback_returns_what_is_sent() -> None:
    """In order, without a thread."""
    before = threading.active_count()
    wire = open_wire("loopback")

    write(wire)
    write(wire, bytes(60))

    assert [read(wire), read(wire)] == [DATA, bytes(60)]
    assert threading.active_count() == before
    wire.close()


def test_impairment_and_capture_go_with_any_wire(tmp_path: Path) -> None:
    """Everything twice, a little later, and on file."""
    wire = open_wire(f"loopback,duplicate=100%,delay=5ms,pcap={tmp_path / 'x'}")

    write(wire)

    assert [read(wire) for _ in range(4)] == [DATA] * 4  # doubled on the way out and on the way in
    wire.close()
    assert (tmp_path / "x").stat().st_size > 6 * 64


def test_closing_stops_the_threads_and_may_be_done_twice(tmp_path: Path) -> None:
    """Nothing is left running."""
    before = threading.active_count()
    wires = [open_wire(s) for s in ("loopback,loss=1%", f"stream:{tmp_path / 's'}", "none")]

    for wire in wires * 2:
        wire.close()

    assert threading.active_count() == before
    assert [wire.fd for wire in wires] == [-1, -1, -1]


def test_an_idle_pump_sleeps() -> None:
    """No processor time while nothing moves."""
    wire = open_wire("loopback,loss=1%")
    write(wire)
    time.sleep(0.1)
    before = time.process_time()

    time.sleep(0.5)

    assert time.process_time() - before < 0.1
    wire.close()
