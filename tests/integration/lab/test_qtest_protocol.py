"""The qtest protocol: lines out, answers and events in."""

from __future__ import annotations

import socket

import pytest

from lab.machines.qtest import protocol
from lab.machines.qtest.client import Client, GoneError
from lab.machines.qtest.protocol import LineMoved, Lines, QtestError
from lab.machines.qtest.ram import SharedRam


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (protocol.read_command(0xC000_0008, 4), "readl 0xc0000008\n"),
        (protocol.write_command(0x10, 0xFF, 8), "writeq 0x10 0xff\n"),
        (protocol.in_command(0xCFC, 2), "inw 0xcfc\n"),
        (protocol.out_command(0xCF8, 1 << 31, 4), "outl 0xcf8 0x80000000\n"),
        (protocol.clock_command(256), "clock_step 256\n"),
    ],
)
def test_commands_are_lines(command: str, line: str) -> None:
    """As system/qtest.c reads them."""
    assert command == line


def test_answers_are_numbers_and_anything_else_is_an_error() -> None:
    """OK, with or without a number; FAIL raises with both lines."""
    assert protocol.parse_answer("x", "OK 0x10") == 16
    assert protocol.parse_answer("x", "OK") == 0
    with pytest.raises(QtestError, match=r"readl.*FAIL"):
        protocol.parse_answer("readl 0x0\n", "FAIL Unknown command")


def test_lines_are_cut_wherever_the_stream_is() -> None:
    """A stream has no message borders."""
    lines = Lines()

    assert [lines.feed(part) for part in (b"OK 0", b"x1\nIRQ raise 3\nO", b"K\n")] == [
        [],
        ["OK 0x1", "IRQ raise 3"],
        ["OK"],
    ]


def test_events_between_answers_are_kept_apart() -> None:
    """A line that moves in the middle of a batch is no answer."""
    ours, theirs = socket.socketpair()
    theirs.sendall(b"OK 0x1\nIRQ raise 11\nOK 0x2\n")
    client = Client(ours)

    answers = client.batch([protocol.read_command(0, 4), protocol.read_command(4, 4)])

    assert answers == [1, 2]
    assert list(client.events) == [LineMoved(11, raised=True)]
    assert theirs.recv(100) == b"readl 0x0\nreadl 0x4\n"


def test_a_qemu_that_goes_is_noticed() -> None:
    """The command that got no answer is named."""
    ours, theirs = socket.socketpair()
    theirs.close()

    with pytest.raises((GoneError, BrokenPipeError)):
        Client(ours).read(0)


def test_ram_refuses_addresses_beyond_its_end() -> None:
    """A slice would have been silently shorter."""
    ram = SharedRam(4096)

    with pytest.raises(IndexError, match="0xffc"):
        ram.read(0xFFC, 8)
    ram.close()
