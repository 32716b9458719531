"""The qtest protocol: one command a line, one answer a line. Sans I/O; it knows no device.

Source: QEMU's system/qtest.c (the comment "QTest Protocol" and qtest_process_command). Lines that begin with
``IRQ`` come unasked, whenever an intercepted line changes.
"""

from __future__ import annotations

from dataclasses import dataclass

WIDTHS = {1: "b", 2: "w", 4: "l", 8: "q"}


class QtestError(Exception):
    """QEMU answered ``FAIL`` or ``ERR``, or what it said is no answer."""

    def __init__(self, command: str, answer: str) -> None:
        super().__init__(f"qtest: {command.strip()!r} was answered {answer.strip()!r}")
        self.command = command
        self.answer = answer


@dataclass(frozen=True, slots=True)
class LineMoved:
    """An intercepted interrupt line changed its level."""

    number: int
    raised: bool


def read_command(address: int, width: int) -> str:
    """Return the command that reads ``width`` bytes (1, 2, 4 or 8) of memory space."""
    return f"read{WIDTHS[width]} {address:#x}\n"


def write_command(address: int, value: int, width: int) -> str:
    """Return the command that writes ``width`` bytes of memory space."""
    return f"write{WIDTHS[width]} {address:#x} {value:#x}\n"


def in_command(port: int, width: int) -> str:
    """Return the command that reads an I/O port."""
    return f"in{WIDTHS[width]} {port:#x}\n"


def out_command(port: int, value: int, width: int) -> str:
    """Return the command that writes an I/O port."""
    return f"out{WIDTHS[width]} {port:#x} {value:#x}\n"


def clock_command(step_ns: int) -> str:
    """Return the command that moves the virtual clock; timers that are due fire before it is answered."""
    return f"clock_step {step_ns}\n"


def parse_answer(command: str, line: str) -> int:
    """Return the number in an ``OK`` line, 0 when it has none; raises ``QtestError`` for any other line."""
    words = line.split()
    if not words or words[0] != "OK":
        raise QtestError(command, line)
    return int(words[1], 0) if len(words) > 1 else 0


def parse_event(line: str) -> LineMoved | None:
    """Return the interrupt event a line is, or None: it is an answer."""
    words = line.split()
    if len(words) != 3 or words[0] != "IRQ":
        return None
    return LineMoved(int(words[2]), words[1] == "raise")


class Lines:
    """Cuts a byte stream into lines."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """Return the lines that are whole now, without their ends."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        return [line.decode("ascii", "replace").rstrip("\r") for line in whole]
