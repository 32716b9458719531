"""A running stack's control socket: one JSON line a question, one an answer. Only this user may ask.

Who runs a stack publishes tools by name; ``ask`` calls one from another process, ``running`` finds all.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from device.private_folder import FolderError, run_folder
from lab.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Self

TIMEOUT_S = 150.0
PROBE_S = 5.0
LINE_BYTES = 1 << 16
ABOUT = "about"


class QuestionError(Exception):
    """A question that cannot be answered: one line says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Text for people, and the same as data that JSON can hold."""

    text: str
    data: object = None


Tool = Callable[[list[str]], Answer]
"""Raises QuestionError. It is called on a thread of the server's, and takes the locks that it needs."""


@dataclass(frozen=True, slots=True)
class Running:
    """A stack that answers: its name, and what it said that it is."""

    name: str
    about: str


def folder() -> Path:
    """Return where this user's stacks listen: nobody else may listen there in their name. UsageError."""
    try:
        return run_folder("net")
    except FolderError as error:
        raise UsageError(str(error)) from error


def control_path(name: str) -> Path:
    """Return where the stack called ``name`` listens."""
    return folder() / f"{name}.sock"


class ControlServer:
    """Answers questions by ``tools`` until it is closed; a context manager."""

    def __init__(self, name: str, about: str, tools: Mapping[str, Tool]) -> None:
        """Listen. UsageError when a stack of that name runs already."""
        self.name = name
        self._tools = {**tools, ABOUT: lambda _arguments: Answer(about, about)}
        self._path = control_path(name)
        if self._path.exists():
            if _alive(self._path):
                raise UsageError(f"a stack called {name} runs already: give another --name")
            self._path.unlink()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._listener.bind(str(self._path))
        except OSError as error:
            self._listener.close()
            raise UsageError(f"--name {name}: {error}; give a shorter one, without a slash") from error
        self._path.chmod(0o600)
        self._listener.listen()
        threading.Thread(target=self._serve, name="control", daemon=True).start()

    def __enter__(self) -> Self:
        """Nothing more to do."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Stop listening."""
        self.close()

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
        with connection, connection.makefile("rb") as stream, contextlib.suppress(OSError):
            # An error means that who asked is gone.
            connection.sendall(reply_to(stream.readline(LINE_BYTES), self._tools))


def reply_to(line: bytes, tools: Mapping[str, Tool]) -> bytes:
    """Return the line that answers a line."""
    try:
        asked = json.loads(line)
        tool, arguments = asked["tool"], [str(one) for one in asked["arguments"]]
        found = tools[tool]
    except (ValueError, KeyError, TypeError):
        return _line({"error": "this stack does not know that question"})
    try:
        answer = found(arguments)
    except QuestionError as error:
        return _line({"error": str(error)})
    return _line({"text": answer.text, "data": answer.data})


def _line(value: Mapping[str, object]) -> bytes:
    return json.dumps(value).encode() + b"\n"


def ask(name: str, tool: str, arguments: list[str], timeout_s: float = TIMEOUT_S) -> Answer:
    """Ask the stack called ``name``. UsageError when none runs, or when it cannot answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        try:
            connection.connect(str(control_path(name)))
        except OSError as error:
            raise UsageError(f"no stack called {name} runs: start one by `ringwalk net up`") from error
        with connection.makefile("rwb") as stream:
            try:
                stream.write(json.dumps({"tool": tool, "arguments": arguments}).encode() + b"\n")
                stream.flush()
                answer = json.loads(stream.readline() or b"{}")
            except OSError as error:
                raise UsageError(f"the stack called {name} does not answer: {error}") from error
    if "text" not in answer:
        raise UsageError(answer.get("error", f"the stack called {name} hung up"))
    return Answer(answer["text"], answer["data"])


def running() -> list[Running]:
    """Return the stacks of this user that answer, by name."""
    found = []
    for path in sorted(folder().glob("*.sock")):
        try:
            about = ask(path.stem, ABOUT, [], PROBE_S).text
        except UsageError:
            continue  # its process is dead, or on its way out
        found.append(Running(path.stem, about))
    return found


def choose(name: str | None) -> str:
    """Return the stack to ask: the one named, or the only one that runs. UsageError says what there is."""
    if name is not None:
        return name
    there = running()
    if len(there) == 1:
        return there[0].name
    if not there:
        raise UsageError("no stack runs: start one, as by `ringwalk net up`; or look at one with --demo")
    listed = ", ".join(f"{one.name} ({one.about})" for one in there)
    raise UsageError(f"{len(there)} stacks run: name one of {listed}")


def _alive(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(str(path)) == 0
