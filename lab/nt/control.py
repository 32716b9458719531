"""A running stack's control socket: one JSON line a question, one an answer. Only this user may ask."""

from __future__ import annotations

import json
import os
import socket
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import UsageError
from lab.nt.reports import TOOLS, ReportError
from protocols.tcpip.errors import NetworkError

if TYPE_CHECKING:
    from lab.nt.live import LiveHost

TIMEOUT_S = 150.0
LINE_BYTES = 1 << 16


def control_path(name: str) -> Path:
    """Return where the stack called ``name`` listens."""
    base = os.environ.get("XDG_RUNTIME_DIR") or f"{tempfile.gettempdir()}/ringwalk-{os.getuid()}"
    return Path(base) / "ringwalk-net" / f"{name}.sock"


class ControlServer:
    """Answers questions about a host until it is closed."""

    def __init__(self, host: LiveHost, path: Path) -> None:
        """Listen. UsageError when a stack of that name runs already."""
        self._host = host
        self._path = path
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists():
            if _alive(path):
                raise UsageError(f"a stack called {path.stem} runs already: give another --name")
            path.unlink()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        path.chmod(0o600)
        self._listener.listen()
        threading.Thread(target=self._serve, name="control", daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._path.unlink(missing_ok=True)
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rwb") as stream:
            line = stream.readline(LINE_BYTES)
            stream.write(json.dumps(self._reply(line)).encode() + b"\n")

    def _reply(self, line: bytes) -> dict[str, str]:
        try:
            asked = json.loads(line)
            tool, arguments = TOOLS[asked["tool"]], [str(a) for a in asked["arguments"]]
        except (ValueError, KeyError, TypeError):
            return {"error": "not a question"}
        with self._host.executive.lock:
            try:
                return {"text": tool(self._host.upper, arguments)}
            except (ReportError, NetworkError) as error:
                return {"error": str(error)}


def ask(name: str, tool: str, arguments: list[str]) -> str:
    """Ask the stack called ``name``. UsageError when none runs, or when it cannot answer."""
    path = control_path(name)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(TIMEOUT_S)
        try:
            connection.connect(str(path))
        except OSError as error:
            raise UsageError(f"no stack called {name} runs: start one by `ringwalk net up`") from error
        with connection.makefile("rwb") as stream:
            stream.write(json.dumps({"tool": tool, "arguments": arguments}).encode() + b"\n")
            stream.flush()
            answer: dict[str, str] = json.loads(stream.readline() or b"{}")
    if "text" not in answer:
        raise UsageError(answer.get("error", f"the stack called {name} hung up"))
    return answer["text"]


def _alive(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(str(path)) == 0
