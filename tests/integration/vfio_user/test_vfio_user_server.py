"""The server over real sockets, with our client and with clients that misbehave."""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

import pytest

from device.vfio_user import (
    Capabilities,
    Client,
    DmaError,
    ListenError,
    PciIrq,
    Protection,
    ReplyError,
    Server,
    TransportError,
)
from device.vfio_user.listening import listen
from device.vfio_user.messages import (
    DeviceSetIrqs,
    DmaMapRequest,
    Header,
    RegionAccess,
    Version,
    command,
)
from device.vfio_user.protocol import Command, DmaLayout, IrqSetFlags
from device.vfio_user.transport import Incoming, SocketTransport
from tests.support.vfio_user_double import BAR0, DOORBELL, MAPPABLE, SPARSE, NotingDevice, open_fds, serving

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

GONE = ["attached", "detached", "reset"]


@pytest.fixture
def device() -> Iterator[NotingDevice]:
    """Make a device that notes what it is asked."""
    device = NotingDevice()
    yield device
    device.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the socket will be."""
    return tmp_path / "socket"


def raw_client(path: Path) -> socket.socket:
    """Return a connection on which a test says what it likes."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(10)
    connection.connect(str(path))
    return connection


def exactly(connection: socket.socket, count: int) -> bytes:
    """Receive ``count`` bytes."""
    raw = b""
    while len(raw) < count:
        part = connection.recv(count - len(raw))
        assert part, "the server closed the connection"
        raw += part
    return raw


def is_closed(connection: socket.socket) -> bool:
    """Wait for the end of the stream; a reset is one too (the server had not read everything)."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def read_for_ever(client: Client) -> None:
    """Read a register until that fails."""
    while True:
        client.read(BAR0, 0, 4)


def wait_for(device: NotingDevice, calls: Sequence[object]) -> None:
    """Wait until these are the device's last calls."""
    waiting = Event()
    for _ in range(1000):
        if device.calls[-len(calls) :] == list(calls):
            return
        waiting.wait(0.01)
    assert device.calls[-len(calls) :] == list(calls)


def test_a_client_sees_the_device(device: NotingDevice, path: Path) -> None:
    """Information, registers, features, one after the other."""
    with serving(device, path), Client.connect(path) as client:
        info = client.info()
        client.write(BAR0, 8, b"abcd")
        client.write(BAR0, 12, b"posted", posted=True)

        assert (info.num_regions, info.num_irqs) == (9, 5)
        assert client.read(BAR0, 8, 10) == b"abcdposted"
        assert client.irq_info(PciIrq.MSIX).count == 5
        assert client.region_io_fds(BAR0) == ((), ())
        assert client.feature(1 << 16 | 1) == b"stored"
        client.reset()
        assert device.calls[-1] == "reset"


def test_regions_with_an_fd_are_mapped_by_the_client(device: NotingDevice, path: Path) -> None:
    """The whole of one, the sparse areas of the other, none of BAR0."""
    with serving(device, path), Client.connect(path) as client:
        ((whole, first),) = client.map_region(MAPPABLE)
        ((area, second),) = client.map_region(SPARSE)
        second[:4] = b"here"

        assert (whole.size, area.offset, area.size) == (8192, 4096, 4096)
        assert first[4096:4100] == b"here"
        assert client.map_region(BAR0) == []


def test_dma_goes_through_the_shared_file(device: NotingDevice, path: Path) -> None:
    """Real memory, both ways, at the write of a doorbell."""
    fd = os.memfd_create("ram")
    os.truncate(fd, 1 << 20)
    device.on_doorbell = lambda: device.dma.write(0x2000, device.dma.read(0x1000, 4)[::-1])
    with serving(device, path), Client.connect(path) as client:
        os.pwrite(fd, b"abcd", 0x1000)
        with mmap.mmap(fd, 1 << 20) as mapping:
            client.map_dma(0, mapping, fd=fd)

            client.write(BAR0, DOORBELL, b"ring")

            assert os.pread(fd, 4, 0x2000) == b"dcba"
            client.unmap_all_dma()
            client._windows.clear()
    os.close(fd)


@pytest.mark.parametrize("layout", list(DmaLayout))
def test_dma_without_fd_goes_over_the_socket(device: NotingDevice, path: Path, layout: DmaLayout) -> None:
    """While a register write is answered: DMA_READ and DMA_WRITE, in either layout."""
    memory = bytearray(b"0123456789abcdef" * 512)
    proposed = Capabilities(max_msg_fds=16, max_data_xfer_size=1000)
    device.on_doorbell = lambda: device.dma.write(0x1100, device.dma.read(0x1001, 3000))
    with serving(device, path), Client.connect(path, proposed) as client:
        client._layout = layout
        client.map_dma(0x1000, memory)

        client.write(BAR0, DOORBELL, b"ring")

    source = b"0123456789abcdef" * 512
    assert memory == source[:0x100] + source[1:3001] + source[0x100 + 3000 :]


@pytest.mark.parametrize(
    "data", [b"data", b"\0\0\0\0data", b"data\0\0\0\0", bytes(8), b"x", b"\0\0\0x\0\0\0x\0\0\0\0\0\0"]
)
@pytest.mark.parametrize("layout", list(DmaLayout))
def test_a_first_write_over_the_socket_is_right_in_either_layout(
    device: NotingDevice, path: Path, layout: DmaLayout, data: bytes
) -> None:
    """Nothing was read yet that could have shown the layout; zeros in the data show nothing either."""
    memory = bytearray(b"\xee" * 32)
    device.on_doorbell = lambda: device.dma.write(0x1008, data)
    with serving(device, path), Client.connect(path) as client:
        client._layout = layout
        client.map_dma(0x1000, memory)

        client.write(BAR0, DOORBELL, b"ring")

    assert memory == b"\xee" * 8 + data + b"\xee" * (24 - len(data))


def test_no_message_is_longer_than_a_socket_takes_at_once(device: NotingDevice, path: Path) -> None:
    """QEMU loses the rest of a longer reply, whatever max_data_xfer_size it named."""
    asked: list[int] = []
    memory = bytearray(range(256)) * 4096
    found: list[bytes] = []
    device.on_doorbell = lambda: found.append(device.dma.read(0, len(memory)))

    class Noting(SocketTransport):
        """Notes what is asked of the client."""

        def send(self, data: bytes, fds: Sequence[int] = ()) -> None:
            header = Header.parse(data[:16])
            if header.command == Command.DMA_READ:
                asked.append(int.from_bytes(data[24:32], "little"))
            super().send(data, fds)

    with serving(device, path, transport_factory=Noting), Client.connect(path) as client:
        client.map_dma(0, memory)

        client.write(BAR0, DOORBELL, b"ring")

    assert found == [memory]
    assert asked == [16384] * 64


def test_another_thread_reads_memory_without_fd(device: NotingDevice, path: Path) -> None:
    """The reply comes through the serving thread."""
    found: list[bytes] = []
    with serving(device, path), Client.connect(path) as client:
        client.map_dma(0x1000, bytearray(b"0123456789abcdef"))
        reader = Thread(target=lambda: found.append(device.dma.read(0x1004, 4)))
        reader.start()

        while not client.process(0.1):
            pass
        reader.join(10)

    assert found == [b"4567"]


def test_a_thread_gets_its_memory_while_the_serving_thread_waits_for_its_lock(
    device: NotingDevice, path: Path
) -> None:
    """A frame that arrives while the guest rings a doorbell: both want the card."""
    card = Lock()
    found: list[bytes] = []
    waits = Event()

    def ring() -> None:
        waits.set()
        with card:
            found.append(b"rang")

    device.on_doorbell = ring
    with serving(device, path), Client.connect(path) as client:
        client.map_dma(0x1000, bytearray(b"0123456789abcdef"))

        def arrive() -> None:
            with card:
                client.write(BAR0, DOORBELL, b"ring", posted=True)
                waits.wait(10)
                found.append(device.dma.read(0x1004, 4))

        frame = Thread(target=arrive)
        frame.start()
        waits.wait(10)
        while not client.process(0.1):
            pass
        frame.join(10)

    assert found == [b"4567", b"rang"]


def test_commands_that_overtake_a_dma_reply_are_done_in_order(device: NotingDevice, path: Path) -> None:
    """Posted writes behind a doorbell that reads memory by messages."""
    order: list[object] = []
    device.on_doorbell = lambda: order.append(device.dma.read(0x1000, 4))
    with serving(device, path), Client.connect(path) as client:
        client.map_dma(0x1000, bytearray(b"data"))

        client.write(BAR0, DOORBELL, b"ring", posted=True)
        for at in range(5):
            client.write(BAR0, 0x100 + at, b"x", posted=True)
        client.read(BAR0, 0, 4)

    writes = [call[2] for call in device.calls if isinstance(call, tuple) and call[0] == "write"]
    assert order == [b"data"]
    assert writes == [DOORBELL, 0x100, 0x101, 0x102, 0x103, 0x104]


def test_memory_that_the_client_refuses_is_a_dma_fault(device: NotingDevice, path: Path) -> None:
    """The guest's error, answered EFAULT; the connection goes on."""
    device.on_doorbell = lambda: device.dma.write(0x1000, b"data")
    with serving(device, path), Client.connect(path) as client:
        client.map_dma(0x1000, bytearray(16))
        client._windows.clear()

        with pytest.raises(ReplyError) as why:
            client.write(BAR0, DOORBELL, b"ring")

        assert os.strerror(why.value.errno) == "Bad address"
        client.read(BAR0, 0, 4)


def test_interrupts_arrive_at_the_clients_eventfds(device: NotingDevice, path: Path) -> None:
    """MSI-X by vector, INTx with its mask."""
    eventfds = [os.eventfd(0, os.EFD_NONBLOCK) for _ in range(6)]
    with serving(device, path), Client.connect(path) as client:
        client.enable_irqs(PciIrq.MSIX, eventfds[:5])
        client.enable_irqs(PciIrq.INTX, eventfds[5:])

        device.irqs.trigger(PciIrq.MSIX, 3)
        device.irqs.set_level(asserted=True)
        client.unmask_irq(PciIrq.INTX)
        device.irqs.set_level(asserted=False)
        client.unmask_irq(PciIrq.INTX)

        assert os.eventfd_read(eventfds[3]) == 1
        assert os.eventfd_read(eventfds[5]) == 2
        with pytest.raises(BlockingIOError):
            os.eventfd_read(eventfds[0])
        client.disable_irqs(PciIrq.MSIX)
        assert not device.irqs.trigger(PciIrq.MSIX, 3)
    for fd in eventfds:
        os.close(fd)


def test_more_vectors_than_fds_in_a_message_are_armed_in_pieces(device: NotingDevice, path: Path) -> None:
    """As QEMU does it: max_msg_fds at a time."""
    offered = Capabilities(max_msg_fds=2)
    eventfds = [os.eventfd(0, os.EFD_NONBLOCK) for _ in range(5)]
    with serving(device, path, offered=offered), Client.connect(path) as client:
        client.enable_irqs(PciIrq.MSIX, eventfds)

        assert all(device.irqs.trigger(PciIrq.MSIX, vector) for vector in range(5))

    assert [os.eventfd_read(fd) for fd in eventfds] == [1] * 5
    for fd in eventfds:
        os.close(fd)


def test_a_fd_that_is_no_eventfd_is_refused(device: NotingDevice, path: Path) -> None:
    """A pipe that is full would stop the device."""
    reading, writing = os.pipe()
    with serving(device, path), Client.connect(path) as client:
        with pytest.raises(ReplyError, match="Invalid argument"):
            client.enable_irqs(PciIrq.MSIX, [writing])

        client.read(BAR0, 0, 4)
    os.close(reading)
    os.close(writing)


def test_when_a_client_goes_nothing_of_it_is_left_and_the_next_may_come(
    device: NotingDevice, path: Path
) -> None:
    """Ten clients, each with memory and interrupts, and not an fd more than before."""
    fd = os.memfd_create("ram")
    os.truncate(fd, 4096)
    eventfd = os.eventfd(0)
    with serving(device, path):
        before = open_fds()
        for _ in range(10):
            with Client.connect(path) as client:
                client.request(Command.DMA_MAP, DmaMapRequest(3, 0, 0x1000, 4096).emit(), (fd,))
                client.enable_irqs(PciIrq.MSIX, [eventfd] * 5)
            wait_for(device, ["detached", "reset"])
            assert (device.dma.regions, device.irqs.armed(PciIrq.MSIX)) == ((), False)
            device.calls.clear()

        assert open_fds() == before
    os.close(fd)
    os.close(eventfd)


def test_a_second_client_is_served_when_the_first_has_gone(device: NotingDevice, path: Path) -> None:
    """It waits; it is not mixed up with the first."""
    with serving(device, path):
        first = Client.connect(path)
        second = raw_client(path)
        second.sendall(command(1, Command.VERSION, Version(0, 0).emit()))
        first.write(BAR0, 0, b"1")
        second.settimeout(0.05)
        with pytest.raises(TimeoutError):
            second.recv(16)

        first.close()
        second.settimeout(10)
        header = Header.parse(exactly(second, 16))

        assert (header.command, header.flags) == (Command.VERSION, 1)
        assert device.calls == ["attached", ("write", BAR0, 0, b"1"), *GONE[1:], "attached"]
        second.close()


KILLED = """
import os, sys, time
from device.vfio_user import Client
client = Client.connect(sys.argv[1])
client.map_dma(0x1000, bytearray(4096))
client.enable_irqs(2, [os.eventfd(0) for _ in range(5)])
print("ready", flush=True)
time.sleep(60)
"""


def test_a_client_that_is_killed_leaves_a_device_for_the_next(device: NotingDevice, path: Path) -> None:
    """Kill -9, as QEMU may be."""
    with serving(device, path):
        before = open_fds()
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, path],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).resolve().parents[3],
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"

        process.send_signal(signal.SIGKILL)
        process.wait(10)
        process.stdout.close()
        wait_for(device, ["detached", "reset"])

        assert device.dma.regions == ()
        assert open_fds() == before
        with Client.connect(path) as client:
            client.read(BAR0, 0, 4)


def test_a_message_may_come_in_pieces(device: NotingDevice, path: Path) -> None:
    """Byte by byte, header and payload."""
    message = command(1, Command.VERSION, Version(0, 0).emit())
    message += command(2, Command.REGION_READ, RegionAccess(8, BAR0, 4).emit())
    with serving(device, path):
        client = raw_client(path)

        for byte in message:
            client.sendall(bytes([byte]))
        answers = exactly(client, 20 + 36)

        assert answers[20:36] == Header(2, Command.REGION_READ, 36, 1).emit()
        client.close()


def test_messages_may_come_together(device: NotingDevice, path: Path) -> None:
    """A pipeline in one write is answered in order."""
    message = command(1, Command.VERSION, Version(0, 0).emit())
    reads = [command(n, Command.REGION_READ, RegionAccess(0x100, BAR0, 4).emit()) for n in range(2, 50)]
    with serving(device, path):
        client = raw_client(path)

        client.sendall(message + b"".join(reads))
        exactly(client, 20)
        answers = exactly(client, 36 * 48)

        headers = [Header.parse(answers[at : at + 16]) for at in range(0, len(answers), 36)]
        assert [header.message_id for header in headers] == list(range(2, 50))
        client.close()


@pytest.mark.parametrize(
    "nonsense",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        Header(1, Command.VERSION, 15).emit(),
        Header(1, Command.VERSION, 0).emit(),
        Header(1, Command.VERSION, 0xFFFFFFFF).emit(),
        Header(1, Command.VERSION, 16 + (1 << 20) + 4097).emit(),
        Header(1, Command.VERSION, 16, 2).emit(),
    ],
)
def test_a_stream_that_is_not_vfio_user_is_closed(device: NotingDevice, path: Path, nonsense: bytes) -> None:
    """Without an answer; the next client is served."""
    with serving(device, path):
        client = raw_client(path)
        client.sendall(nonsense)

        assert is_closed(client)

        client.close()
        with Client.connect(path) as after:
            after.read(BAR0, 0, 4)


@pytest.mark.parametrize("sent", [1, 15, 16, 17, 30])
def test_a_client_that_goes_in_the_middle_of_a_message_is_forgotten(
    device: NotingDevice, path: Path, sent: int
) -> None:
    """With the fds that it had sent already."""
    message = command(1, Command.DMA_MAP, DmaMapRequest(3, 0, 0, 4096).emit())
    fd = os.eventfd(0)
    with serving(device, path):
        before = open_fds()
        client = raw_client(path)
        socket.send_fds(client, [message[:sent]], [fd] * 5)

        client.close()
        wait_for(device, GONE)

        assert open_fds() == before
    os.close(fd)


def test_more_fds_than_a_message_may_carry_are_all_closed(device: NotingDevice, path: Path) -> None:
    """253, the most that the kernel passes; the connection goes on."""
    fd = os.eventfd(0)
    with serving(device, path), Client.connect(path) as client:
        before = open_fds()

        with pytest.raises(ReplyError):
            client.set_irqs(DeviceSetIrqs(IrqSetFlags(0x24), PciIrq.MSIX, 0, 253), [fd] * 253)

        assert open_fds() == before
        client.read(BAR0, 0, 4)
    os.close(fd)


def test_the_socket_is_its_owners_alone_and_is_removed(device: NotingDevice, path: Path) -> None:
    """Mode 0600."""
    with serving(device, path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    assert not path.exists()


def test_a_stale_socket_is_replaced(device: NotingDevice, path: Path) -> None:
    """One that a killed server left."""
    left = listen(path)
    left.close()
    assert path.exists()

    with serving(device, path), Client.connect(path) as client:
        client.read(BAR0, 0, 4)


def test_a_busy_socket_is_left_alone(device: NotingDevice, path: Path) -> None:
    """And the message says what to do."""
    with serving(device, path):
        with pytest.raises(ListenError, match="another server listens there; stop it or choose"):
            Server(path, device)

        with Client.connect(path) as client:
            client.read(BAR0, 0, 4)


def test_other_files_are_left_alone(device: NotingDevice, path: Path) -> None:
    """They are not ours to remove."""
    path.write_text("precious")

    with pytest.raises(ListenError, match="not a socket"):
        Server(path, device)

    assert path.read_text() == "precious"


@pytest.mark.parametrize("name", ["x" * 120, "none/socket"])
def test_a_path_that_cannot_be_is_refused_in_one_line(device: NotingDevice, path: Path, name: str) -> None:
    """Too long, or in a folder that is not there."""
    with pytest.raises(ListenError, match=r"cannot listen at .*(shorter|choose another)"):
        Server(path.parent / name, device)


def test_clients_of_other_users_are_closed(device: NotingDevice, path: Path) -> None:
    """SO_PEERCRED."""
    with serving(device, path, allowed_uids={os.getuid() + 1}):
        client = raw_client(path)

        assert is_closed(client)

        client.close()
    assert device.calls == []


def test_a_listening_socket_can_be_handed_in(device: NotingDevice, path: Path) -> None:
    """It stays the caller's."""
    listening = listen(path)
    with serving(device, listening), Client.connect(path) as client:  # type: ignore[arg-type]  # the other kind
        client.read(BAR0, 0, 4)

    assert listening.fileno() >= 0
    listening.close()


def test_stop_ends_a_session_in_the_middle(device: NotingDevice, path: Path) -> None:
    """The client sees the end of the stream, the device is reset."""
    with serving(device, path) as server:
        client = Client.connect(path)
        server.stop()

        with pytest.raises(TransportError):
            read_for_ever(client)
        client.close()

    assert device.calls[-2:] == ["detached", "reset"]


def test_a_thread_that_waits_for_memory_is_woken_when_the_client_goes(
    device: NotingDevice, path: Path
) -> None:
    """With a fault."""
    faults: list[DmaError] = []

    def read() -> None:
        try:
            device.dma.read(0x1000, 4)
        except DmaError as fault:
            faults.append(fault)

    with serving(device, path):
        client = Client.connect(path)
        client.map_dma(0x1000, bytearray(16))
        reader = Thread(target=read)
        reader.start()
        client._received()  # the DMA_READ, never answered

        client.close()
        reader.join(10)

    assert [fault.address for fault in faults] == [0x1000]


def test_a_clients_own_rights_hold_for_messages_too(device: NotingDevice, path: Path) -> None:
    """The server checks before it asks."""
    device.on_doorbell = lambda: device.dma.write(0x1000, b"data")
    memory = bytearray(16)
    with serving(device, path), Client.connect(path) as client:
        client.map_dma(0x1000, memory, protection=Protection.READ)

        with pytest.raises(ReplyError, match="Bad address"):
            client.write(BAR0, DOORBELL, b"ring")

    assert memory == bytes(16)


@pytest.mark.parametrize("step", ["read_region", "attached", "detached"])
def test_a_failure_of_ours_costs_that_client_alone(
    device: NotingDevice,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    step: str,
) -> None:
    """It is told with its trace, the client is detached step by step, and the next one is served."""

    def fail(*_: object) -> bytes:
        raise ZeroDivisionError("a bug of ours")

    with serving(device, path):
        monkeypatch.setattr(device, step, fail)
        with contextlib.suppress(TransportError), Client.connect(path) as client:
            client.read(BAR0, 0, 4)
        wait_for(device, ["reset"])
        monkeypatch.undo()
        with Client.connect(path) as after:
            assert after.read(BAR0, 0, 4) == bytes(4)

    assert "ZeroDivisionError: a bug of ours" in capfd.readouterr().err


def test_another_transport_can_take_the_connection(device: NotingDevice, path: Path) -> None:
    """The seam of the native engine: it may answer messages itself."""
    taken: list[int] = []

    class Counting(SocketTransport):
        def receive(self, *, inline: bool = True, until: float | None = None) -> Incoming | None:
            incoming = super().receive(inline=inline, until=until)
            if incoming is not None:
                taken.append(incoming.header.command)
            return incoming

    with serving(device, path, transport_factory=Counting), Client.connect(path) as client:
        client.read(BAR0, 0, 4)

    assert taken == [Command.VERSION, Command.REGION_READ]


def test_a_client_that_goes_while_the_device_waits_for_its_memory(device: NotingDevice, path: Path) -> None:
    """The access ends with a fault, the session with it, and the next client is served."""
    faults: list[int] = []

    def ring() -> None:
        try:
            device.dma.read(0x1000, 4)
        except DmaError as fault:
            faults.append(fault.address)
            raise

    device.on_doorbell = ring
    with serving(device, path):
        client = Client.connect(path)
        client.map_dma(0x1000, bytearray(16))
        client.write(BAR0, DOORBELL, b"ring", posted=True)
        client._received()  # the DMA_READ, never answered

        client.close()
        wait_for(device, ["detached", "reset"])

        assert faults == [0x1000]
        with Client.connect(path) as after:
            after.read(BAR0, 0, 4)


def test_a_file_that_another_server_put_there_is_left_alone(device: NotingDevice, path: Path) -> None:
    """Closing removes the own socket file only."""
    with serving(device, path):
        path.unlink()
        other = listen(path)

    assert path.exists()
    other.close()


def test_a_full_eventfd_does_not_stop_the_device(device: NotingDevice, path: Path) -> None:
    """It is signalled already."""
    eventfd = os.eventfd(0, os.EFD_NONBLOCK)
    os.eventfd_write(eventfd, (1 << 64) - 2)
    with serving(device, path), Client.connect(path) as client:
        client.enable_irqs(PciIrq.MSIX, [eventfd])

        assert device.irqs.trigger(PciIrq.MSIX, 0)

    os.close(eventfd)
