"""Hostile clients against live card processes of both engines: no crash, hang, leak or stale memory."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from device.regs.nic import NIC
from device.vfio_user import Client, PciIrq
from device.vfio_user.errors import ReplyError
from device.vfio_user.messages import DmaMapRequest
from device.vfio_user.protocol import Command
from lab.machines.card_process import start_card
from lab.trials.fuzz import attack, contest, killed
from lab.trials.fuzz.duel import Duel
from lab.trials.loopback_driver import TX_BUFFERS, TX_RING, Exerciser
from lab.trials.soak import measure
from lab.trials.soak.load import Load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.machines.card_process import CardProcess

ENGINES = ("native", "reference")
MOST_MAPS = 65_535
DEADLINE_S = 60.0


@pytest.fixture(scope="module", params=ENGINES)
def card(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CardProcess]:
    """Serve a card of each engine, on a plug that returns every frame: one process outlives all tests."""
    folder = tmp_path_factory.mktemp("card")
    served = start_card(folder / "card", "loopback", engine=request.param)
    yield served
    served.close()


def serves(card: CardProcess) -> bool:
    """Tell whether a new client's frames go round."""
    one = Exerciser(card.ready.socket).start()
    one.wait_link()
    try:
        return one.round_trip(5, DEADLINE_S) == 5
    finally:
        one.close()


def test_malformed_messages_leave_the_card_as_it_was(card: CardProcess) -> None:
    """A few thousand, from a seed: ``ringwalk fuzz`` does a million."""
    result = attack.attack(card, 1, 4000)

    assert result.failures == []
    assert result.messages >= 4000
    assert serves(card)


def test_clients_killed_in_the_middle_of_traffic_leave_nothing(card: CardProcess) -> None:
    """SIGKILL at a random instant, fifteen times: ``ringwalk fuzz --kills 1000`` does more."""
    result = killed.kill_clients(card, 15)

    assert result.failures == []
    assert result.volleys == 15
    assert result.fds[0] == result.fds[1]


def test_memory_cut_short_under_traffic_costs_the_client_its_frames(card: CardProcess) -> None:
    """The file behind a mapping shrinks to nothing while the card reads and writes it."""
    for length in (0, TX_RING, TX_BUFFERS):
        one = Exerciser(card.ready.socket).start()
        one.wait_link()
        for _ in range(3):
            one.post(32)
        os.truncate(one.fd, length)
        for tail in range(40, 64):
            one.write("TDT0", tail)
        assert one.read("STATUS") != 0xFFFF_FFFF
        one.close()

    assert card.running
    assert serves(card)
    assert card.account()["dma_faults"] > 0


def test_as_many_maps_as_were_offered_are_accepted_and_the_next_is_refused(card: CardProcess) -> None:
    """65,535 regions, and ENOSPC."""
    with Client.connect(card.ready.socket, timeout_s=DEADLINE_S) as client:
        for number in range(MOST_MAPS - 1):
            client.post(Command.DMA_MAP, DmaMapRequest(1, 0, number * 8192, 4096).emit())
        client.request(Command.DMA_MAP, DmaMapRequest(1, 0, 1 << 40, 4096).emit())
        with pytest.raises(ReplyError) as refused:
            client.request(Command.DMA_MAP, DmaMapRequest(1, 0, 1 << 41, 4096).emit())
        client.unmap_all_dma()
        client.request(Command.DMA_MAP, DmaMapRequest(1, 0, 1 << 41, 4096).emit())

    assert refused.value.errno == errno.ENOSPC
    assert serves(card)


def test_nothing_is_touched_once_an_unmap_was_answered(card: CardProcess) -> None:
    """DMA_UNMAP comes in the middle of bursts; from its reply on, memory stays as it is."""
    one = Exerciser(card.ready.socket).start()
    one.wait_link()
    for _ in range(20):
        one.post(63)

        one.unmap()

        before = bytes(one.memory)
        one.client.write(0, 0x3818, b"\x01\0\0\0")
        time.sleep(0.01)
        assert bytes(one.memory) == before
        one.map()
        one.restart()
    one.close()


def test_a_second_client_waits_for_the_first_to_go(card: CardProcess) -> None:
    """Nothing of the one reaches the other."""
    first = Client.connect(card.ready.socket)
    first.write(0, 0x0038, b"\x34\x12\0\0")
    waiting = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    waiting.connect(card.ready.socket)

    still_served = first.read(0, 0x0038, 4)
    first.close()
    with Client(waiting, timeout_s=DEADLINE_S) as second:
        fresh = second.read(0, 0x0038, 4)

    assert (still_served, fresh) == (b"\x34\x12\0\0", b"\x00\x81\0\0")


@pytest.mark.parametrize("cut", [1, 8, 15, 17, 30])
def test_a_message_cut_in_the_middle_ends_its_client_only(card: CardProcess, cut: int) -> None:
    """The header's or the payload's half, then the end of the stream."""
    message = b"\x01\0\x0a\0\x24\0\0\0" + bytes(8) + bytes(20)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(card.ready.socket)
        connection.sendall(message[:cut])

    with Client.connect(card.ready.socket, timeout_s=DEADLINE_S) as client:
        assert client.read(0, 8, 4) != b"\xff" * 4


@pytest.mark.parametrize("engine", ENGINES)
def test_memory_without_a_descriptor_carries_traffic_both_ways(tmp_path: Path, engine: str) -> None:
    """Every access is a message to the client, while it posts and reads counters: nobody waits for ever."""
    card = start_card(tmp_path / "card", "loopback", engine=engine, options=("--dma", "messages"))
    one = Exerciser(card.ready.socket, shared=False).start()
    one.wait_link()
    began = time.monotonic()

    back = 0
    for _ in range(10):
        back += one.round_trip(20, DEADLINE_S)
        one.read("GPRC")
        one.read("ICR")

    assert back == 200
    assert time.monotonic() - began < DEADLINE_S / 2
    one.close()
    card.close()


def test_a_mixed_load_grows_nothing(card: CardProcess) -> None:
    """Eighty steps of ``ringwalk soak``; its verdict on rates needs longer."""
    load = Load(card.ready.socket, 7)
    for _ in range(20):
        load.step()
    before = measure.sample(card.ready.pid, card.descriptors())

    for _ in range(60):
        load.step()

    after = measure.sample(card.ready.pid, card.descriptors())
    load.close()
    assert (after.fds, after.threads) == (before.fds, before.threads)
    assert after.resident_kib - before.resident_kib < measure.GROWTH_FLOOR_KIB
    assert load.tally.frames > 500


def test_hostile_programs_leave_both_engines_alike() -> None:
    """A share of the million that ``ringwalk fuzz`` runs."""
    result = contest.run(1, 1200)

    assert result.failures == []
    assert result.programs == 1200
    assert result.compared > 900
    assert result.fds[0] == result.fds[1]
    assert result.longest_native_seconds < contest.NATIVE_LIMIT_S


def test_a_frame_that_loops_back_among_its_own_bytes_is_run_and_not_compared() -> None:
    """Seed 324567: segments read after the first was stored over them differ, as they may."""
    duel = Duel()

    ambiguous, plain = duel.fight(324567), duel.fight(9)

    assert (ambiguous.compared, ambiguous.difference) == (False, None)
    assert (plain.compared, plain.difference) == (True, None)


# -- state ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", ENGINES)
@pytest.mark.parametrize("after", ENGINES)
def test_a_state_kept_under_traffic_goes_on_in_either_engine(tmp_path: Path, before: str, after: str) -> None:
    """Rings, filters, statistics and a frame of which half was handed over; the process is another."""
    state = tmp_path / "state"
    card = start_card(tmp_path / "first", "loopback", engine=before, state=state)
    one = Exerciser(card.ready.socket).start()
    one.wait_link()
    one.round_trip(100, DEADLINE_S)
    one.write("VET", 0x1234)
    one.client.write(0, 0x5200, b"\x78\x56\x34\x12")
    body = b"\xff" * 6 + b"\x02\0\0\0\0\x01\x88\xb5"
    one.memory[TX_BUFFERS : TX_BUFFERS + 14] = body
    head = one.read("TDH0")
    one.post_raw(TX_BUFFERS, 14, 0x02)
    while one.read("TDH0") == head:
        time.sleep(0.001)
    card.save()
    one.client.close()
    card.close()

    card = start_card(tmp_path / "second", "loopback", engine=after, state=state)
    one.client = Client.connect(card.ready.socket, timeout_s=DEADLINE_S)
    one.map()
    one.client.enable_irqs(PciIrq.MSIX, [one.vector])
    one.post_rest()
    deadline = time.monotonic() + DEADLINE_S
    while one.received < 101 and time.monotonic() < deadline:
        one.reap()
    more = one.round_trip(100, DEADLINE_S)

    assert (one.received, more) == (201, 100)
    assert (one.read("VET"), one.client.read(0, 0x5200, 4)) == (0x1234, b"\x78\x56\x34\x12")
    assert (one.read("GPTC"), one.read("GPRC")) == (201, 201)
    one.close()
    card.close()


def test_a_state_that_is_none_is_refused_in_one_line(tmp_path: Path) -> None:
    """And the message says what to do."""
    state = tmp_path / "state"
    state.write_text('{"format": "82574L-card/1", "engine": 7}')
    argv = [sys.executable, "-m", "lab.cli.main", "serve", "--socket", str(tmp_path / "s"), "--wire", "none"]

    done = subprocess.run([*argv, "--state", str(state)], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "remove it to start afresh" in done.stderr


def test_a_signal_keeps_the_state(tmp_path: Path) -> None:
    """SIGUSR1, while nobody is connected and nothing else is asked."""
    state = tmp_path / "state"
    card = start_card(tmp_path / "card", "none", engine="native", state=state)

    os.kill(card.ready.pid, signal.SIGUSR1)
    deadline = time.monotonic() + DEADLINE_S
    while not state.exists() and time.monotonic() < deadline:
        time.sleep(0.01)

    assert json.loads(state.read_text())["format"] == "82574L-card/1"
    card.close()


# -- rights -----------------------------------------------------------------------------------------


def test_another_users_client_is_refused(tmp_path: Path) -> None:
    """SO_PEERCRED, besides the socket's mode: root can connect to it as somebody else."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    card = start_card(tmp_path / "card", "none", engine="native")
    tmp_path.chmod(0o755)
    for folder in tmp_path.parents[:3]:
        folder.chmod(0o755)
    Path(card.ready.socket).chmod(0o666)
    program = f"""
import os, socket
os.setuid(65534)
connection = socket.socket(socket.AF_UNIX)
connection.connect({card.ready.socket!r})
connection.settimeout(30)
try:
    print(connection.recv(1))
except ConnectionError:
    print(b"")
"""

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert (done.stdout, done.stderr) == ("b''\n", "")
    card.close()


def test_the_socket_is_served_while_a_guest_asks_for_a_million_segments(card: CardProcess) -> None:
    """Segmentation to one byte a frame, a ring of it. That it is done in slices: test_hostile_rows."""
    one = Exerciser(card.ready.socket).start()
    one.wait_link()
    one.write("RCTL", 0)  # what comes back is lost
    count, segments = (16 if card.ready.engine == "reference" else 60), 4096
    context = struct.pack("<BBHBBHII", 14, 24, 33, 34, 50, 0, 0x2700_0000 | segments, 0x0001_3600)
    one.memory[TX_RING : TX_RING + 16] = context
    for index in range(1, count + 1):
        at = TX_RING + 16 * index
        one.memory[at : at + 16] = struct.pack("<QII", TX_BUFFERS, 0x2F10_0000 | 54 + segments, 0)

    one.client.write(0, NIC["TDT0"].offset, (count + 1).to_bytes(4, "little"), posted=True)
    head, longest = 0, 0.0
    deadline = time.monotonic() + DEADLINE_S
    while head != count + 1 and time.monotonic() < deadline:
        began = time.monotonic()
        head = one.read("TDH0")
        longest = max(longest, time.monotonic() - began)

    assert head == count + 1
    assert longest < DEADLINE_S / 6
    assert one.read("TSCTC") == count
    one.close()
