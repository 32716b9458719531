"""The host's end of the guest agent's protocol (``guest-images/agent`` describes it).

One request at a time, over a stream socket that QEMU joins to a virtio-serial port.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

CHUNK_BYTES = 1 << 16
LATE_S = 10
"""How much later than the guest's own limit ours strikes."""
LOOK_S = 0.25
"""How often it is looked whether an answer can still come."""
KILLED = 137
"""The status of a script that ran out of time: 128 and SIGKILL."""


class AgentError(RuntimeError):
    """The agent did not answer as it should: the guest hangs, is gone, or speaks something else."""


class AgentTimeoutError(AgentError):
    """The agent did not answer in time."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a script in the guest gave back."""

    status: int
    out: str
    err: str

    @property
    def ok(self) -> bool:
        """Whether it ended with 0."""
        return self.status == 0


def request(number: int, script: str, data: bytes, seconds: int, *, stream: bool = False) -> bytes:
    """Return the bytes that ask for a script to be run; ``stream``: its output comes as it is written."""
    body = script.encode()
    how = " stream" if stream else ""
    return f"{number} {seconds} {len(body)} {len(data)}{how}\n".encode() + body + data


def parse_piece(line: bytes) -> tuple[int, str, int] | None:
    """Read the header of a piece of output: request, ``out`` or ``err``, bytes; None: it is no piece."""
    words = line.split()
    if len(words) != 3 or words[1] not in (b"out", b"err"):
        return None
    if not (words[0].isdigit() and words[2].isdigit()) or int(words[2]) > CHUNK_BYTES:
        raise AgentError(f"the guest's agent said {line!r}")
    return int(words[0]), words[1].decode(), int(words[2])


def parse_reply(line: bytes) -> tuple[int, int, int, int]:
    """Read a reply's header: request, status, output bytes, error bytes."""
    try:
        number, status, out, err = (int(word) for word in line.split())
    except ValueError as error:
        raise AgentError(f"the guest's agent said {line!r}") from error
    return number, status, out, err


class Agent:
    """A conversation with the agent of one guest."""

    def __init__(self, connection: socket.socket) -> None:
        """Speak over ``connection``; nothing is sent yet."""
        self._socket = connection
        self._received = bytearray()
        self._number = 0
        self.boot_id = ""
        self.look: Callable[[], None] = lambda: None
        """Called again and again while an answer is awaited; may raise AgentError: none will come."""

    def wait_ready(self, timeout_s: float) -> str:
        """Wait until an agent starts; return the guest's boot identifier.

        What is left of an earlier boot is dropped.
        """
        deadline = time.monotonic() + timeout_s
        while not (line := self._line(deadline)).startswith(b"ready "):
            pass
        self.boot_id = line.split()[1].decode()
        return self.boot_id

    def run(self, script: str, data: bytes = b"", timeout_s: float = 60) -> tuple[int, bytes, bytes]:
        """Run a shell script with ``data`` as its input; return status, output and errors."""
        self._number += 1
        deadline = time.monotonic() + timeout_s + LATE_S
        self._send(request(self._number, script, data, max(1, round(timeout_s))), deadline)
        while True:
            number, status, out, err = parse_reply(self._line(deadline))
            output, errors = self._exactly(out, deadline), self._exactly(err, deadline)
            if number == self._number:  # an older one was given up before its answer came
                return status, output, errors

    def stream(self, script: str, sink: Callable[[str, bytes], object], timeout_s: float) -> int:
        """Run a shell script, its output to ``sink`` as it comes (``out`` or ``err``); return its status."""
        self._number += 1
        deadline = time.monotonic() + timeout_s + LATE_S
        self._send(request(self._number, script, b"", max(1, round(timeout_s)), stream=True), deadline)
        while True:
            line = self._line(deadline)
            piece = parse_piece(line)
            if piece is not None:
                number, kind, length = piece
                data = self._exactly(length, deadline)
                if number == self._number:
                    sink(kind, data)
                continue
            if line.startswith(b"ready "):
                raise AgentError("the guest has started again by itself")
            number, status, out, err = parse_reply(line)
            self._exactly(out, deadline), self._exactly(err, deadline)
            if number == self._number:
                return status

    def send_only(self, script: str) -> None:
        """Run a script that never answers, such as a reboot."""
        self._number += 1
        self._send(request(self._number, script, b"", 60), time.monotonic() + 60)

    def _send(self, message: bytes, deadline: float) -> None:
        try:
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            self._socket.sendall(message)
        except OSError as error:
            raise AgentError(f"the guest takes no request ({error})") from error

    def _more(self, deadline: float) -> None:
        try:
            piece = self._received_piece(deadline)
        except OSError as error:
            raise AgentError(f"the guest's agent is gone ({error})") from error
        if not piece:
            raise AgentError("QEMU has ended")
        self._received += piece

    def _received_piece(self, deadline: float) -> bytes:
        while True:
            left = deadline - time.monotonic()
            self._socket.settimeout(max(0.001, min(left, LOOK_S)))
            try:
                return self._socket.recv(CHUNK_BYTES)
            except TimeoutError as error:
                self.look()
                if left <= LOOK_S:
                    raise AgentTimeoutError("the guest did not answer in time") from error

    def _line(self, deadline: float) -> bytes:
        while (end := self._received.find(b"\n")) < 0:
            self._more(deadline)
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        return line

    def _exactly(self, count: int, deadline: float) -> bytes:
        while len(self._received) < count:
            self._more(deadline)
        piece = bytes(self._received[:count])
        del self._received[:count]
        return piece
