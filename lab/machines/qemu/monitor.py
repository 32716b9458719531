"""A second monitor (QMP) of a running QEMU, for who stops the machine while a card holds its vCPU.

A request can be sent before its answer can come: while a vCPU waits for a register, QEMU's main loop cannot
answer, but it does take the request, and acts on it as soon as the vCPU's access is answered.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import json
import select
import termios
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket


class MonitorError(RuntimeError):
    """The monitor is gone, or refused a command."""


class Monitor:
    """One conversation in QMP; one thread at a time has it."""

    def __init__(self, connection: socket.socket, timeout_s: float = 30.0) -> None:
        """Speak over ``connection``; nothing is sent before the first command."""
        self._socket = connection
        self._socket.settimeout(timeout_s)
        self._received = bytearray()
        self._greeted = False
        self._number = 0

    def send(self, name: str, **arguments: object) -> int:
        """Send a command; return its number, for ``answer``. MonitorError."""
        self.greet()
        return self._send(name, arguments)

    def greet(self) -> None:
        """Agree on what the conversation can; QEMU's main loop must be free for that. Once. MonitorError."""
        if not self._greeted:
            self._message()
            self._greeted = True
            # With "oob" QEMU reads a request at once, else only after its main loop has answered the last.
            self.answer(self._send("qmp_capabilities", {"enable": ["oob"]}))

    def _send(self, name: str, arguments: dict[str, object]) -> int:
        self._number += 1
        request = {"execute": name, "arguments": arguments, "id": self._number}
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise MonitorError(f"QEMU's monitor takes no command ({error})") from error
        return self._number

    def answer(self, number: int) -> Any:  # noqa: ANN401 - whatever the command returns
        """Wait for a command's answer; events and older answers are passed over. MonitorError."""
        while True:
            message = self._message()
            if message.get("id") != number:
                continue
            if "error" in message:
                raise MonitorError(str(message["error"].get("desc", message["error"])))
            return message.get("return")

    def ask(self, name: str, **arguments: object) -> Any:  # noqa: ANN401 - whatever the command returns
        """Send a command and wait for its answer. MonitorError."""
        return self.answer(self.send(name, **arguments))

    def say(self, line: str) -> str:
        """Run a line of QEMU's human monitor; return what it prints. MonitorError."""
        return str(self.ask("human-monitor-command", **{"command-line": line}))

    def unread_bytes(self) -> int:
        """Return how much of what was sent QEMU has not read yet (unix(7): SIOCOUTQ)."""
        amount = array.array("i", [0])
        fcntl.ioctl(self._socket, termios.TIOCOUTQ, amount)
        return amount[0]

    @property
    def has_said(self) -> bool:
        """Whether something of QEMU's is there to be read."""
        return bool(self._received) or bool(select.select([self._socket], [], [], 0)[0])

    def patience(self, timeout_s: float) -> None:
        """Wait so long for answers from now on."""
        self._socket.settimeout(timeout_s)

    def close(self) -> None:
        """End the conversation."""
        with contextlib.suppress(OSError):
            self._socket.close()

    def _message(self) -> dict[str, Any]:
        while (end := self._received.find(b"\n")) < 0:
            try:
                piece = self._socket.recv(1 << 16)
            except OSError as error:
                raise MonitorError(f"QEMU's monitor does not answer ({error})") from error
            if not piece:
                raise MonitorError("QEMU has ended")
            self._received += piece
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        message = json.loads(line)
        if not isinstance(message, dict):
            raise MonitorError(f"QEMU's monitor said {line!r}")
        return message
