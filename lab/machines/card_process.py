"""The card as a process of its own: what ``boot`` and the guest tests start, and talk to.

A crash of the card cannot take the lab along, and its engine has the interpreter for itself.
"""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lab.errors import UsageError
from lab.machines import child_processes
from lab.machines.kinds import OURS
from lab.machines.peer import Control, PeerError, RemotePeer

if TYPE_CHECKING:
    from pathlib import Path

READY_TIMEOUT_S = 30.0
LACKS = 1
"""The status of a card's process whose recording or capture lacks something."""
OURS_TO_SAY = "ringwalk: "
"""What a line for the user begins with; what else a process writes to stderr is for its developers."""


@dataclass(frozen=True, slots=True)
class Ready:
    """What ``ringwalk serve --json`` says when a VMM may connect."""

    socket: str
    mac: str
    engine: str
    wire: str
    peer_address: str | None
    """The far end's IP address with its prefix length, where the far end is ours."""
    has_peer: bool
    pid: int
    sandbox: str = ""
    """What binds the process, in words."""


class CardProcess:
    """A running ``ringwalk serve``; ends with us, whatever happens to us."""

    def __init__(
        self, process: subprocess.Popen[bytes], control: Control, far_end: Control, ready: Ready
    ) -> None:
        """Own the process, its control connection, and that of its helper at the far end."""
        self._process = process
        self._control = control
        self._far_end = far_end
        self.ready = ready
        self.lacks = False
        """Whether its recording or its capture lacks something; known when it has ended."""
        self.peer = RemotePeer(far_end) if ready.has_peer else None

    def account(self) -> dict[str, int]:
        """Return what the card counted: frames, descriptors, doorbells, interrupts."""
        counts: dict[str, int] = self._control.ask("account")["account"]
        return counts

    def save(self) -> None:
        """Have the card's state written to its file; it does no DMA from that instant on. ``PeerError``."""
        self._control.ask("save")

    def descriptors(self) -> int:
        """Return how many descriptors the card's process has open."""
        return int(self._control.ask("descriptors")["descriptors"])

    @property
    def running(self) -> bool:
        """Whether the card's process is alive."""
        return self._process.poll() is None

    def stop(self) -> str:
        """Hang up, end the process, and return what it complained of while it ran."""
        self._control.close()
        self._far_end.close()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            child_processes.end(self._process)
        said = self._process.stderr.read() if self._process.stderr is not None else b""
        self.close()
        return said.decode(errors="replace")

    def close(self) -> None:
        """Hang up and end the process. Idempotent."""
        self._control.close()
        self._far_end.close()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            child_processes.end(self._process)
        self.lacks = self.lacks or self._process.returncode == LACKS
        self._pass_on()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def _pass_on(self) -> None:
        """Say what the card has said at its end: of a recording that lacks something, for one."""
        if self._process.stderr is None or self._process.stderr.closed:
            return
        for line in self._process.stderr.read().decode(errors="replace").splitlines():
            if line.startswith(OURS_TO_SAY):
                print(line, file=sys.stderr)


def serve_arguments(
    socket_path: Path,
    wire: str,
    *,
    mac: str | None,
    engine: str,
    control_fd: int,
    peer_fd: int,
    state: Path | None = None,
    transport: str = OURS,
    options: tuple[str, ...] = (),
) -> list[str]:
    """Return the arguments of the card's process."""
    argv = [sys.executable, "-m", "lab.cli.main", "serve", "--json", "--socket", str(socket_path)]
    argv += ["--wire", wire, "--engine", engine, "--control-fd", str(control_fd)]
    argv += ["--peer-fd", str(peer_fd)]
    argv += [] if transport == OURS else ["--transport", transport]
    argv += ["--state", str(state)] if state else []
    return [*argv, *(["--mac", mac] if mac else []), *options]


def start_card(
    socket_path: Path,
    wire: str,
    *,
    mac: str | None = None,
    engine: str = "native",
    transport: str = OURS,
    state: Path | None = None,
    options: tuple[str, ...] = (),
) -> CardProcess:
    """Start a card on ``socket_path`` with ``wire`` and wait until it listens.

    ``state``: the file that it starts from, if it is there, and that ``save`` writes. ``extra``: more
    arguments of ``serve``.

    Raises ``UsageError`` with the card's own words when it cannot.
    """
    ours, theirs = socket.socketpair()
    far_end, its_end = socket.socketpair()
    with theirs, its_end:
        process = child_processes.start(
            serve_arguments(
                socket_path,
                wire,
                mac=mac,
                engine=engine,
                control_fd=theirs.fileno(),
                peer_fd=its_end.fileno(),
                state=state,
                transport=transport,
                options=options,
            ),
            fds=[theirs.fileno(), its_end.fileno()],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    try:
        return CardProcess(process, Control(ours), Control(far_end), wait_ready(process))
    except BaseException:
        ours.close()
        far_end.close()
        child_processes.end(process)
        raise


def wait_ready(process: subprocess.Popen[bytes]) -> Ready:
    """Read the line that says the card listens."""
    if process.stdout is None or process.stderr is None:
        raise PeerError("the card's process has no output")
    waiting = select.poll()
    waiting.register(process.stdout, select.POLLIN)
    line = process.stdout.readline() if waiting.poll(READY_TIMEOUT_S * 1000) else b""
    if not line:
        child_processes.end(process)
        said = process.stderr.read().decode(errors="replace").strip().splitlines()
        raise UsageError((said[-1] if said else "the card's process said nothing").removeprefix("ringwalk: "))
    fields: dict[str, Any] = json.loads(line)
    return Ready(**fields)
