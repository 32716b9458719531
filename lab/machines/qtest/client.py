"""The caller's end of the qtest socket: sends commands, one or a batch, and collects the answers.

It knows memory space and I/O ports; what is behind an address it does not know.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from lab.machines.qtest import protocol

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

# QEMU reads and answers a batch from one buffer each way; more than this many commands unanswered could
# fill both sockets and stop both ends.
BATCH = 256


class GoneError(Exception):
    """QEMU closed the socket: it died, or refused its command line."""


class Client:
    """One qtest connection. Every call returns when QEMU has answered."""

    def __init__(self, sock: socket.socket) -> None:
        """Take the connected socket over."""
        self._sock = sock
        self._lines = protocol.Lines()
        self._answers: deque[str] = deque()
        self.events: deque[protocol.LineMoved] = deque()

    def ask(self, command: str) -> int:
        """Send one command and return the number in its answer."""
        return self.batch([command])[0]

    def batch(self, commands: Sequence[str]) -> list[int]:
        """Send commands at once and return their answers in order (2 µs each instead of 14)."""
        answers: list[int] = []
        for start in range(0, len(commands), BATCH):
            part = commands[start : start + BATCH]
            self._sock.sendall("".join(part).encode("ascii"))
            answers += [protocol.parse_answer(command, self._answer(command)) for command in part]
        return answers

    def read(self, address: int, width: int = 4) -> int:
        """Read memory space."""
        return self.ask(protocol.read_command(address, width))

    def write(self, address: int, value: int, width: int = 4) -> None:
        """Write memory space."""
        self.ask(protocol.write_command(address, value, width))

    def clock_step(self, step_ns: int) -> int:
        """Move the virtual clock on, firing timers; return what it says now, in ns."""
        return self.ask(protocol.clock_command(step_ns))

    def sync(self) -> None:
        """Let QEMU's main loop go round twice, so that it has looked at its other descriptors.

        One loop may take our command before a frame that is waiting beside it; the second loop cannot.
        """
        for _ in range(2):
            self.ask(protocol.in_command(0x80, 1))

    def close(self) -> None:
        """Close the socket; QEMU notices and goes on."""
        self._sock.close()

    def _answer(self, command: str) -> str:
        while not self._answers:
            data = self._sock.recv(65536)
            if not data:
                raise GoneError(f"QEMU closed the qtest socket at {command.strip()!r}")
            for line in self._lines.feed(data):
                event = protocol.parse_event(line)
                if event is None:
                    self._answers.append(line)
                else:
                    self.events.append(event)
        return self._answers.popleft()
