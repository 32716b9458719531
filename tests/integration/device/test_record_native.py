"""A running native card is recorded, and its recording plays again, exactly, on both engines."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest
from device.engine._core import lib

from device.native_serving import Tuning
from device.pci.function import MSIX_PBA
from device.regs.nic import NIC
from device.trace import swift
from device.trace.digest import digest_of
from device.trace.player import Player
from device.trace.recording import Recording, Writer
from device.trace.records import Kind
from device.vfio_user import PciIrq
from device.wire.contract import Framing
from lab.trials.loopback_driver import Exerciser
from lab.trials.soak.load import Load
from tests.recorded import record

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from device.trace.records import Record


def mixed(path: str) -> None:
    """Traffic, resets of three kinds, memory that comes and goes, new clients."""
    load = Load(path, seed=7)
    for action in (load._traffic, load._remap, load._software_reset, load._map_many, load._device_reset):
        action()
        load._traffic()
    load._reconnect()
    load._traffic()
    load._exerciser.unmap()
    load._exerciser.post(3)  # the ring is where nothing is mapped
    load._exerciser.read("STATUS")
    load.close()


def traffic(path: str) -> None:
    """Frames round the plug."""
    one = Exerciser(path).start()
    one.wait_link()
    one.round_trip(200)
    one.close()


def much(path: str) -> None:
    """More than a small file takes."""
    for _ in range(8):
        traffic(path)


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a recording of the mixed load."""
    path = tmp_path_factory.mktemp("recorded") / "mixed.rw"
    done = record(path, mixed)
    assert done.trouble() is None
    return path


def changed(path: Path, change: Callable[[list[Record]], None]) -> Recording:
    """Return a recording with its records changed."""
    recording = Recording(path.read_bytes())
    records = [found for _, found in recording.records()]
    change(records)
    parts: list[bytes] = []
    writer = Writer(parts.append, recording.about)
    for one in records[:-1]:
        writer.add(*one)
    writer.close()
    return Recording(b"".join(parts))


def test_c_and_python_number_the_kinds_alike() -> None:
    """The enum of core.cdef is a copy."""
    names = [name for name in dir(lib) if name.startswith("RW_REC_")]

    numbers = {name.removeprefix("RW_REC_"): int(getattr(lib, name)) for name in names}

    assert numbers == {name: Kind[name].value for name in numbers}
    assert len(numbers) >= 16


@pytest.mark.parametrize(
    ("data", "digest"),
    [
        (b"", 0xEF46DB3751D8E999),
        (b"a", 0xD24EC4F1A98C6E5B),
        (b"abc", 0x44BC2CF5AD770999),
        (b"Nobody inspects the spammish repetition", 0xFBCEA83C8A378BF1),
    ],
)
def test_digests_are_xxhash_s(data: bytes, digest: int) -> None:
    """Values that xxHash and its bindings publish: less than a stripe, and more than one."""
    assert digest_of(data) == digest


def test_a_mixed_load_plays_on_both_engines_without_a_difference(mixture: Path) -> None:
    """Threads, faults, resets and new clients have one order, and it can happen again."""
    recording = Recording(mixture.read_bytes())

    native, reference = swift.play(recording), Player(recording)
    reference.run()

    assert (native.differences, reference.differences) == ([], [])
    assert native.turn == reference.turn > 1000
    assert native.card.account.frames_received == reference.card.account.frames_received > 100
    kinds = {one.kind for _, one in recording.records()}
    assert {Kind.DMA_READ_FAULT, Kind.RESET, Kind.SIGNAL, Kind.FRAME_SUM, Kind.DMA_WRITE_SUM} <= kinds


def test_mapped_doorbells_are_recorded_too(tmp_path: Path) -> None:
    """A store without a message is an input like any other."""

    def store(path: str) -> None:
        one = Exerciser(path)
        [(area, pages)] = one.client.map_region(0)
        one.start()
        one.wait_link()
        memoryview(pages).cast("I")[(0x3800 - area.offset) // 4] = 0x1234_5680
        one.read("STATUS")
        one.close()

    path = tmp_path / "mapped.rw"
    record(path, store, tuning=Tuning(mapped_doorbells=True, spin_us=1))
    recording = Recording(path.read_bytes())

    player = swift.play(recording)

    assert player.differences == []
    writes = [one.data for _, one in recording.records() if one.kind == Kind.WRITE and one.value == 0x3800]
    assert writes[-1] == (0x1234_5680).to_bytes(4, "little")


def test_the_line_s_changes_are_recorded_and_played(tmp_path: Path) -> None:
    """With INTx, its status in configuration space and timers that delay it."""

    def lines(path: str) -> None:
        one = Exerciser(path)
        one.base = 0
        one.map()
        one.client.enable_irqs(PciIrq.INTX, [one.vector])
        one.program()
        one.wait_link()
        one.write("ITR", 100)
        one.write("RDTR", 5)
        for _ in range(30):
            one.post(3)
            one.client.read(7, 6, 2)
            one.read("ICR")
            one.client.enable_irqs(PciIrq.INTX, [one.vector])
            one.reap()
        one.close()

    path = tmp_path / "lines.rw"
    record(path, lines)
    recording = Recording(path.read_bytes())

    native, reference = swift.play(recording), Player(recording)
    reference.run()

    levels = [one.which for _, one in recording.records() if one.kind == Kind.LEVEL]
    assert {0, 1} == set(levels)
    assert len(levels) > 4
    assert (native.differences, reference.differences) == ([], [])


def test_what_the_client_has_not_armed_is_pending_in_a_replay_too(tmp_path: Path) -> None:
    """Who arms what is not recorded; the pending bits that a driver read are."""

    def wait(path: str) -> None:
        one = Exerciser(path).start()
        one.wait_link()
        one.write("IVAR", 0x000B_0808)  # OTHER to vector 3, which nobody armed
        one.write("ICS", NIC["ICS"]["LSC"].mask)
        one.client.read(3, MSIX_PBA, 8)
        one.close()

    path = tmp_path / "pending.rw"
    record(path, wait)
    recording = Recording(path.read_bytes())

    native, reference = swift.play(recording), Player(recording)
    reference.run()

    assert [one.value for _, one in recording.records() if one.kind == Kind.PENDING] == [1 << 3]
    assert (native.differences, reference.differences) == ([], [])


class Pair:
    """A cable whose far end we hold: it takes little before it is full."""

    framing = Framing.DATAGRAM
    spec = "pair"
    link = True

    def __init__(self) -> None:
        self._near, self.far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        for end in (self._near, self.far):
            end.setblocking(False)  # noqa: FBT003 - the socket module's signature
        self.fd = self._near.fileno()

    def close(self) -> None:
        """Pull both out."""
        self._near.close()
        self.far.close()

    def taken(self) -> list[bytes]:
        """Return what lies at the far end."""
        found = []
        while True:
            try:
                found.append(self.far.recv(2048))
            except BlockingIOError:
                return found


def test_a_full_wire_holds_the_ring_and_loses_nothing(tmp_path: Path) -> None:
    """What it did not take waits; then the transmitter does; both can happen again on both engines."""
    cable = Pair()
    came: list[bytes] = []

    def flood(path: str) -> None:
        one = Exerciser(path).start()
        one.wait_link()
        for _ in range(12):
            one.post(60, 2000)
            one.read("STATUS")
            one.reap()
        until = time.monotonic() + 20
        while len(came) < one.sent and time.monotonic() < until:
            came.extend(cable.taken())
            one.reap()
        assert len(came) == one.sent
        one.close()

    path = tmp_path / "full.rw"
    record(path, flood, wire=cable)
    recording = Recording(path.read_bytes())

    native, reference = swift.play(recording), Player(recording)
    reference.run()

    held = [one.which for _, one in recording.records() if one.kind == Kind.HOLD]
    numbers = [int.from_bytes(frame[14:18], "big") for frame in came]
    assert held[:2] == [1, 0]
    assert numbers == list(range(1, len(came) + 1))
    assert len(came) > 60
    assert (native.differences, reference.differences) == ([], [])


def flipped(data: bytes) -> bytes:
    """Return bytes of which the last is another."""
    return data[:-1] + bytes([data[-1] ^ 0xFF])


def _answer(records: list[Record]) -> None:
    at = [n for n, one in enumerate(records) if one.kind == Kind.ANSWER and len(one.data) == 4][-1]
    records[at] = records[at]._replace(data=b"\x55\x55\x55\x55")


def _frame(records: list[Record]) -> None:
    at = [n for n, one in enumerate(records) if one.kind == Kind.FRAME_SUM][5]
    records[at] = records[at]._replace(value=records[at].value ^ 1)


def _stored_data(records: list[Record]) -> None:
    at = [n for n, one in enumerate(records) if one.kind == Kind.DMA_WRITE_SUM][5]
    records[at] = records[at]._replace(data=flipped(records[at].data))


def _write_back(records: list[Record]) -> None:
    at = [n for n, one in enumerate(records) if one.kind == Kind.DMA_WRITE][5]
    records[at] = records[at]._replace(data=flipped(records[at].data))


def _interrupt(records: list[Record]) -> None:
    del records[[n for n, one in enumerate(records) if one.kind == Kind.SIGNAL][3]]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (_answer, "the answer: recorded 0x55555555"),
        (_frame, "bytes, digest"),
        (_stored_data, "digest"),
        (_write_back, "guest memory at"),
        (_interrupt, "interrupts: recorded none, played vector"),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else "",
)
def test_an_outcome_that_is_other_than_recorded_is_told(
    mixture: Path, change: Callable[[list[Record]], None], what: str
) -> None:
    """By both engines, whoever of them is wrong."""
    recording = changed(mixture, change)

    native, reference = swift.play(recording), Player(recording)
    reference.run()

    assert what in str(native.differences[0])
    assert str(reference.differences[0]) == str(native.differences[0])


def test_a_recording_that_reached_its_limit_says_so_and_plays(tmp_path: Path) -> None:
    """It ends between two inputs; the card goes on."""
    path = tmp_path / "limited.rw"

    done = record(path, traffic, limit=100_000)

    recording = Recording(path.read_bytes())
    last = [one for _, one in recording.records()][-1]
    assert (last.kind, last.data) == (Kind.END, b"the limit was reached")
    assert done.lost > 0
    assert f"lacks the last {done.lost} inputs" in str(done.trouble())
    assert swift.play(recording).differences == []


def test_a_file_that_takes_no_more_ends_the_recording_and_not_the_card(tmp_path: Path) -> None:
    """As on a full disk: what was written before is whole, and the user is told."""
    resource = pytest.importorskip("resource")
    signal = pytest.importorskip("signal")
    path = tmp_path / "full.rw"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, before[1]))
        done = record(path, much)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)

    assert "File too large" in str(done.trouble())
    recording = Recording(path.read_bytes(), partial=True)
    player = Player(recording)
    player.run()
    assert player.differences == []
    assert player.turn > 100
