"""Questions to a stack that another machine runs: two FIFOs in the guest, and the agent that carries lines.

In the guest ``FifoTools`` answers on the stack's own loop, which is outside of all drivers then. On the host
``relayed`` makes tools whose every call is a run of the agent's.
"""

from __future__ import annotations

import fcntl
import json
import os
from functools import partial
from typing import TYPE_CHECKING, Final

from lab.host.control_socket import Answer, QuestionError, reply_to

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from lab.host.control_socket import Tool
    from ntos.executive.live import LiveExecutive

ASK, ANSWER = "ask", "answer"
PIPE_BYTES: Final = 1 << 20
READ_BYTES: Final = 1 << 16


class FifoTools:
    """Reads questions, a line each, from one FIFO and writes the answers to another."""

    def __init__(self, loop: LiveExecutive, folder: Path, tools: Mapping[str, Tool]) -> None:
        """Make both FIFOs in ``folder`` and watch the first."""
        self._loop = loop
        self._tools = tools
        self._read = bytearray()
        for name in (ASK, ANSWER):
            os.mkfifo(folder / name, 0o600)
        # Opened for both ways: neither end sees an end of file when the other side closes.
        self._ask = os.open(folder / ASK, os.O_RDWR | os.O_NONBLOCK)
        self._answer = os.open(folder / ANSWER, os.O_RDWR | os.O_NONBLOCK)
        fcntl.fcntl(self._answer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        loop.watch(self._ask, self._asked)

    def close(self) -> None:
        """Answer no more."""
        self._loop.unwatch(self._ask)
        os.close(self._ask)
        os.close(self._answer)

    def _asked(self) -> None:
        self._read += os.read(self._ask, READ_BYTES)
        while b"\n" in self._read:
            line, _, rest = bytes(self._read).partition(b"\n")
            self._read[:] = rest
            reply = reply_to(line, self._tools)
            if len(reply) > PIPE_BYTES:
                reply = json.dumps({"error": "the answer is too long: ask for fewer lines"}).encode() + b"\n"
            os.write(self._answer, reply)


def relayed(names: Iterable[str], carry: Callable[[bytes], bytes]) -> dict[str, Tool]:
    """Return tools that ``carry`` a line to a ``FifoTools`` and bring its answer."""

    def tool(name: str, arguments: list[str]) -> Answer:
        line = json.dumps({"tool": name, "arguments": arguments}).encode() + b"\n"
        try:
            answer = json.loads(carry(line))
        except ValueError as error:
            raise QuestionError("the stack in the guest has not begun, or has ended: ask again") from error
        if "text" not in answer:
            raise QuestionError(answer.get("error", "the stack in the guest has ended"))
        return Answer(answer["text"], answer["data"])

    return {name: partial(tool, name) for name in names}
