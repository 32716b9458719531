"""``ringwalk card``: a running card's cable is pulled, its partner changed, its traffic captured."""

# ruff: noqa: D102, D103 - the names are sentences

from __future__ import annotations

import fcntl
import json
import socket
import struct
import termios
import time
from typing import TYPE_CHECKING, Any

import pytest

from device.regs.nic import NIC
from device.vfio_user import Client
from lab.cli.main import main
from lab.errors import UsageError
from lab.machines.card_control import MOST_BYTES, MOST_CLIENTS, ask, control_path
from lab.machines.card_process import start_card

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PATIENCE_S = 20.0
BMCR, LPAR, STAT1000, SPECIFIC = 0, 5, 10, 17


class Driver:
    """A client that looks at the link as a driver does."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.write("CTRL", self.read("CTRL") | NIC["CTRL"]["SLU"].mask)

    def write(self, name: str, value: int) -> None:
        self.client.write(0, NIC[name].offset, value.to_bytes(4, "little"))

    def read(self, name: str) -> int:
        return int.from_bytes(self.client.read(0, NIC[name].offset, 4), "little")

    def phy(self, register: int) -> int:
        self.write("MDIC", 2 << 26 | 1 << 21 | register << 16)
        return self.read("MDIC") & 0xFFFF

    @property
    def up(self) -> bool:
        return bool(self.read("STATUS") & NIC["STATUS"]["LU"].mask)

    @property
    def speed(self) -> tuple[int, bool]:
        status = self.read("STATUS")
        return status >> 6 & 3, bool(status & 1)


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


@pytest.fixture(params=["native", "reference"])
def card(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, Driver]]:
    path = tmp_path / "card"
    process = start_card(path, f"loopback,loss=0%,pcap={tmp_path / 'first.pcapng'}", engine=request.param)
    try:
        with Client.connect(path) as client:
            yield path, Driver(client)
    finally:
        process.close()
    assert not control_path(path).exists()


def test_the_cable_is_pulled_and_plugged_in_again(card: tuple[Path, Driver]) -> None:
    path, driver = card
    until(lambda: driver.up)

    down = main(["card", str(path), "unplug"])
    until(lambda: not driver.up)
    up = main(["card", str(path), "plug"])
    until(lambda: driver.up)

    assert (down, up) == (0, 0)


def test_the_partner_offers_less_and_the_link_is_as_good_as_both_can(card: tuple[Path, Driver]) -> None:
    path, driver = card
    until(lambda: driver.up)

    main(["card", str(path), "speed", "100", "half"])
    until(lambda: driver.up and driver.speed == (1, False))
    offered, gigabit = driver.phy(LPAR), driver.phy(STAT1000)
    main(["card", str(path), "partner", "10full", "100full"])
    until(lambda: driver.up and driver.speed == (1, True))
    main(["card", str(path), "partner"])
    until(lambda: driver.up and driver.speed == (2, True))

    assert (offered, gigabit) == (0x4481, 0x3000)
    assert (driver.phy(LPAR), driver.phy(STAT1000)) == (0x45E1, 0x3C00)


def test_two_ends_that_share_no_mode_have_no_link(card: tuple[Path, Driver]) -> None:
    path, driver = card
    until(lambda: driver.up)
    driver.write("MDIC", 1 << 26 | 1 << 21 | 9 << 16)  # CTRL1000: no gigabit
    driver.write("MDIC", 1 << 26 | 1 << 21 | 4 << 16 | 0x0061)  # ANAR: 10 alone
    main(["card", str(path), "speed", "100"])

    until(lambda: not driver.up)
    time.sleep(2)
    still = driver.up
    main(["card", str(path), "partner"])
    until(lambda: driver.up and driver.speed == (0, True))

    assert not still


def test_counters_and_reset(card: tuple[Path, Driver], capsys: pytest.CaptureFixture[str]) -> None:
    path, driver = card

    main(["card", str(path), "stats", "--json"])
    found = json.loads(capsys.readouterr().out)
    driver.write("RCTL", 2)
    main(["card", str(path), "reset"])

    assert found["account"]["register_writes"] + found["account"]["register_reads"] > 0
    assert driver.read("RCTL") == 0


def test_captures_and_impairments_change_while_the_card_runs(
    card: tuple[Path, Driver], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, _driver = card
    part = tmp_path / "part.pcapng"

    done = [
        main(["card", str(path), "impair", "loss=1%", "delay=5ms"]),
        main(["card", str(path), "impair"]),
        main(["card", str(path), "pcap", "start", str(part)]),
        main(["card", str(path), "pcap", "stop"]),
    ]

    assert done == [0, 0, 0, 0]
    assert "frames captured" in capsys.readouterr().out
    assert part.read_bytes()[:4] == bytes.fromhex("0a0d0d0a")


def test_descriptors_that_belong_to_no_request_are_closed(tmp_path: Path) -> None:
    """A line a byte at a time, with a descriptor beside each byte: the card keeps one."""
    path = tmp_path / "card"
    process = start_card(path, "none")
    before = process.descriptors()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asker, (tmp_path / "x").open("wb") as file:
            asker.connect(str(control_path(path)))
            for _ in range(100):
                socket.send_fds(asker, [b" "], [file.fileno()])
            until(lambda: struct.unpack("i", fcntl.ioctl(asker, termios.TIOCOUTQ, bytes(4))) == (0,))
            held = process.descriptors()
        until(lambda: process.descriptors() <= before)
    finally:
        process.close()

    assert held <= before + 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["unplug", "now"], "takes no words"),
        (["speed", "2500"], "say a speed"),
        (["partner", "40gfull"], "no link partner offers 40gfull"),
        (["impair", "loss=200%"], "loss=200%"),
        (["impair", "pcap=/etc/x"], "no impairment"),
        (["pcap", "start"], "pcap start FILE"),
    ],
)
def test_what_cannot_be_done_is_said(
    tmp_path: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "card"
    process = start_card(path, "loopback,loss=0%")
    try:
        status = main(["card", str(path), *words])
    finally:
        process.close()

    assert status == 2
    assert said in capsys.readouterr().err


def test_a_cable_without_a_pump_says_how_to_get_one(tmp_path: Path) -> None:
    process = start_card(tmp_path / "card", "loopback")
    try:
        with pytest.raises(UsageError, match="start it with one, as in --wire netns,loss=0%"):
            ask(tmp_path / "card", {"do": "impair", "options": "loss=1%"})
    finally:
        process.close()


def test_nobody_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no card answers at"):
        ask(tmp_path / "card", {"do": "stats"})


@pytest.mark.parametrize(
    "line",
    [b"{}\n", b"nonsense\n", b'{"do": []}\n', b'{"do": "partner", "offers": 7}\n', b"[]\n", b"\xff\n", b"\n"],
)
def test_nonsense_is_answered_and_the_card_lives(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "card"
    process = start_card(path, "none")
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asker:
            asker.connect(str(control_path(path)))
            asker.settimeout(PATIENCE_S)
            asker.sendall(line)
            answer: Any = json.loads(asker.makefile().readline())
        told = ask(path, {"do": "stats"})
    finally:
        process.close()

    assert "error" in answer
    assert told["ok"]


def test_many_askers_and_endless_lines_cost_the_card_nothing(tmp_path: Path) -> None:
    """Those beyond the limit wait; a line that never ends is hung up on."""
    path = tmp_path / "card"
    process = start_card(path, "none")
    try:
        idle = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(MOST_CLIENTS - 1)]
        for one in idle:
            one.connect(str(control_path(path)))
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as endless:
            endless.settimeout(PATIENCE_S)
            endless.connect(str(control_path(path)))
            with pytest.raises((BrokenPipeError, ConnectionResetError)):
                endless.sendall(bytes(64 * MOST_BYTES))
        told = ask(path, {"do": "stats"})
        for one in idle:
            one.close()
    finally:
        process.close()

    assert told["ok"]
