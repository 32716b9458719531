"""The little of QMP that a qtest machine needs: run a command, wait for its answer.

``qemu.qmp`` is the library for everything else; it wants an event loop, and a bench that resets a machine
between two register reads has none.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lab.machines.qtest.client import GoneError

if TYPE_CHECKING:
    import socket


class MonitorError(Exception):
    """QMP refused a command."""


class Monitor:
    """One QMP connection, past its greeting."""

    def __init__(self, sock: socket.socket) -> None:
        """Take the connected socket over and leave negotiation mode."""
        self._file = sock.makefile("rwb")
        self._sock = sock
        self._receive("QMP")
        self.run("qmp_capabilities")

    def run(self, command: str, **arguments: object) -> Any:  # noqa: ANN401 - each command has its own answer
        """Run a command and return its ``return`` member; raises ``MonitorError`` when it is refused."""
        self._file.write(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        self._file.flush()
        return self._receive("return")

    def close(self) -> None:
        """Close the connection."""
        self._file.close()
        self._sock.close()

    def _receive(self, member: str) -> Any:  # noqa: ANN401 - see run
        """Return that member of the next message that has it; events in between are dropped."""
        while line := self._file.readline():
            message = json.loads(line)
            if "error" in message:
                raise MonitorError(str(message["error"].get("desc")))
            if member in message:
                return message[member]
        raise GoneError("QEMU closed the QMP socket")
