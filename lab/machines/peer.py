"""Runs programs at the far end of a wire: in its namespace, on the host, or through another process."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import asdict, dataclass
from typing import IO, TYPE_CHECKING, Any, Protocol

from lab.machines import child_processes as children

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence


class PeerError(RuntimeError):
    """The far end could not run a program, or its holder is gone."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What a program at the far end gave back."""

    status: int
    out: str
    err: str


class Peer(Protocol):
    """The far end of a wire, where it is ours."""

    def start(self, argv: Sequence[str]) -> int:
        """Start a program; return a number to ask for its end with."""

    def finish(self, number: int, timeout_s: float = 60) -> Finished:
        """Wait for a program's end. A timeout kills it and raises ``PeerError``."""


class Starter(Protocol):
    """What starts a program somewhere; a netns wire's ``popen`` is one."""

    def __call__(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]:  # noqa: ANN401 - Popen's own
        """Start a program as ``subprocess.Popen`` does."""


def on_host(argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]:  # noqa: ANN401 - Popen's own
    """Start a program beside us: the far end of passt is the host's loopback."""
    options.pop("text", None)
    return children.start(argv, **options)


class LocalPeer:
    """Programs that this process starts itself."""

    def __init__(self, starter: Starter = on_host) -> None:
        self._starter = starter
        self._programs: dict[int, subprocess.Popen[Any]] = {}

    def start(self, argv: Sequence[str]) -> int:
        """Start a program; return its number."""
        program = self._starter(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._programs[program.pid] = program
        return program.pid

    def finish(self, number: int, timeout_s: float = 60) -> Finished:
        """Wait for a program's end."""
        program = self._programs.pop(number)
        try:
            out, err = program.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            program.kill()
            program.communicate()
            raise PeerError(f"{program.args!r} did not end in {timeout_s:.0f} s") from error
        return Finished(program.returncode, _text(out), _text(err))

    def close(self) -> None:
        """Kill what is still running."""
        for program in self._programs.values():
            children.end(program)
        self._programs.clear()


def _text(output: bytes | str) -> str:
    return output if isinstance(output, str) else output.decode(errors="replace")


Answer = dict[str, Any]


class Control:
    """The asking end of a card process's control socket: one JSON line a request, one an answer."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._file: IO[bytes] = connection.makefile("rb")

    def ask(self, do: str, timeout_s: float = 30, **arguments: object) -> Answer:
        """Send a request and return its answer; ``PeerError`` when it is refused or nobody answers."""
        self._socket.settimeout(timeout_s)
        try:
            self._socket.sendall(json.dumps({"do": do, **arguments}).encode() + b"\n")
            line = self._file.readline()
        except OSError as error:
            raise PeerError(f"the card's process does not answer ({error})") from error
        if not line:
            raise PeerError("the card's process is gone")
        answer: Answer = json.loads(line)
        if "error" in answer:
            raise PeerError(answer["error"])
        return answer

    def close(self) -> None:
        """Hang up, which ends the card's process."""
        self._file.close()
        self._socket.close()


class RemotePeer:
    """Programs that a helper of the card's process starts, because it holds the wire's far end."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def start(self, argv: Sequence[str]) -> int:
        """Start a program; return its number."""
        return int(self._control.ask("start", argv=list(argv))["number"])

    def finish(self, number: int, timeout_s: float = 60) -> Finished:
        """Wait for a program's end."""
        answer = self._control.ask("finish", timeout_s + 10, number=number, timeout=timeout_s)
        return Finished(answer["status"], answer["out"], answer["err"])


def answer(
    request: Answer,
    account: Callable[[], dict[str, int]],
    save: Callable[[], str] | None = None,
) -> Answer:
    """Answer one request of a card's control socket; ``save`` writes the card's state and returns where."""
    do = request.get("do")
    if do == "account":
        return {"account": account()}
    if do == "descriptors":  # whom the kernel keeps from looking asks the card
        return {"descriptors": len(os.listdir("/proc/self/fd")) - 1}  # noqa: PTH208 - names are counted
    if do == "save":
        return _saved(save)
    return {"error": f"no such request: {do}"}


def answer_peer(request: Answer, peer: LocalPeer) -> Answer:
    """Answer one request to whoever starts programs at the far end."""
    do = request.get("do")
    try:
        if do == "start":
            return {"number": peer.start(request["argv"])}
        if do == "finish":
            return asdict(peer.finish(request["number"], request["timeout"]))
    except (OSError, PeerError) as error:
        return {"error": str(error)}
    return {"error": f"no such request: {do}"}


def obey(asking: socket.socket, answered: Callable[[Answer], Answer]) -> None:
    """Answer the requests of a socket until it closes."""
    with asking, asking.makefile("rwb") as lines:
        for line in lines:
            lines.write(json.dumps(answered(json.loads(line))).encode() + b"\n")
            lines.flush()


def _saved(save: Callable[[], str] | None) -> Answer:
    if save is None:
        return {"error": "the card was started without --state"}
    try:
        return {"saved": save()}
    except OSError as error:
        return {"error": f"cannot keep the state: {error}"}
