"""``serve`` ends within two seconds of a signal, whatever a client, a wire or a file does."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from device.native_serving import NativeServedCard
from device.regs.nic import NIC
from device.serving import ServedCard, serve
from device.vfio_user import Client, TransportError
from device.wire.simple import NoWire
from device.worker import StuckError, Worker
from lab.machines.card_process import start_card
from tests.bench import MAC

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab.machines.card_process import CardProcess

ENGINES = ("native", "reference")
ENDS_S = 2.0
MARGIN_S = 1.0
"""For a machine that is busy with other tests."""


def seconds_to_end(card: CardProcess, number: signal.Signals = signal.SIGTERM) -> float:
    """Send a signal and return how long the process took to end."""
    began = time.monotonic()
    os.kill(card.ready.pid, number)
    while card.running and time.monotonic() - began < 20:
        time.sleep(0.01)
    assert not card.running
    return time.monotonic() - began


@contextlib.contextmanager
def reading(path: str) -> Iterator[None]:
    """Read a register without a pause, which the native engine answers in C."""
    done = threading.Event()

    def read() -> None:
        with contextlib.suppress(TransportError, OSError), Client.connect(path) as client:
            while not done.is_set():
                client.read(0, NIC["TDH0"].offset, 4)

    thread = threading.Thread(target=read)
    thread.start()
    time.sleep(0.2)
    try:
        yield
    finally:
        done.set()
        thread.join(20)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("number", "turns"), [(signal.SIGTERM, 4), (signal.SIGINT, 1), (signal.SIGHUP, 1)])
def test_a_signal_under_a_polling_client_is_never_lost(
    tmp_path: Path, engine: str, number: signal.Signals, turns: int
) -> None:
    """Registers of the data path never come back to Python; three of eight SIGTERMs were lost."""
    for turn in range(turns):
        card = start_card(tmp_path / f"card{turn}", "none", engine=engine)
        with reading(card.ready.socket):
            took = seconds_to_end(card, number)
        card.close()

        assert took < ENDS_S + MARGIN_S


@pytest.mark.parametrize("engine", ENGINES)
def test_a_client_that_reads_no_answer_does_not_keep_the_process(tmp_path: Path, engine: str) -> None:
    """The socket's buffer is full of answers, and the card waits for room."""
    card = start_card(tmp_path / "card", "none", engine=engine)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(card.ready.socket)
        connection.settimeout(1)
        ask = struct.pack("<HHIII", 1, 1, 20, 0, 0) + bytes(4)
        connection.sendall(ask)
        connection.recv(4096)
        read = struct.pack("<HHIIIQII", 2, 9, 32, 0, 0, 0, 3, 0x4000)
        with contextlib.suppress(TimeoutError):
            while True:
                connection.sendall(read)

        took = seconds_to_end(card)
    card.close()

    assert took < ENDS_S + MARGIN_S


def test_a_state_file_that_gives_nothing_does_not_keep_the_process(tmp_path: Path) -> None:
    """A FIFO that nobody writes: the process waits for it before it serves, and leaves as Ctrl-C has it."""
    state = tmp_path / "state"
    os.mkfifo(state)
    argv = [sys.executable, "-m", "lab.cli.main", "serve", "--socket", str(tmp_path / "s"), "--wire", "none"]
    process = subprocess.Popen([*argv, "--state", str(state)], stderr=subprocess.PIPE, text=True)
    writing = -1
    deadline = time.monotonic() + 60
    while writing < 0 and time.monotonic() < deadline:
        with contextlib.suppress(OSError):  # until the process opens it for reading
            writing = os.open(state, os.O_WRONLY | os.O_NONBLOCK)

    began = time.monotonic()
    process.terminate()
    _, said = process.communicate(timeout=20)
    os.close(writing)

    assert time.monotonic() - began < ENDS_S + MARGIN_S
    assert (process.returncode, said) == (130, "")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_state_is_kept_at_a_signal_under_a_polling_client(tmp_path: Path, engine: str) -> None:
    """SIGUSR1 goes the same way."""
    state = tmp_path / "state"
    card = start_card(tmp_path / "card", "none", engine=engine, state=state)
    with reading(card.ready.socket):
        os.kill(card.ready.pid, signal.SIGUSR1)
        deadline = time.monotonic() + 20
        while not state.exists() and time.monotonic() < deadline:
            time.sleep(0.01)

        kept = state.exists()
    card.close()

    assert kept


class TroubleError(Exception):
    """What a thread of the card dies of."""


def die(_card: object) -> None:
    """Stand for a thread's work."""
    raise TroubleError("the thread's own reason")


@pytest.mark.parametrize(
    ("engine", "card", "thread"),
    [("reference", ServedCard, "run_cable"), ("native", NativeServedCard, "keep_house")],
)
def test_a_thread_that_dies_ends_the_card_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str, card: type, thread: str
) -> None:
    """Nothing goes on half alive: ``serve`` raises what the thread died of."""
    monkeypatch.setattr(card, thread, die)

    with pytest.raises(TroubleError, match="the thread's own reason"):
        serve(str(tmp_path / "card"), NoWire("none"), MAC, engine)


def test_a_thread_that_does_not_end_is_waited_for_no_longer_than_told() -> None:
    """And then nothing that it uses is freed: StuckError says so."""
    free = threading.Event()
    worker = Worker("sleeper", free.wait, lambda: None)
    worker.start()

    with pytest.raises(StuckError, match="the sleeper thread has not ended in 2 s"):
        worker.end_surely()

    free.set()
    assert worker.end()
