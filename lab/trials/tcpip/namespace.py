"""A private network namespace with Linux's own TCP/IP in it, as the peer that judges ours.

A child process lives in the namespace. It runs commands there and hands out sockets and TAP
descriptors, so that the caller uses Linux's stack as if it were next door. Nothing of the host's
network is touched, and all of it disappears with the child.
"""

from __future__ import annotations

import array
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Self

from lab.errors import UsageError

if TYPE_CHECKING:
    from types import TracebackType

START_TIMEOUT = 10.0
COMMAND_TIMEOUT = 20.0
MAX_REPLY = 1 << 20


class NamespaceError(Exception):
    """A command in the namespace failed; the message has what it printed."""


class Namespace:
    """The child and the socket to it."""

    def __init__(self) -> None:
        """Start the child; UsageError when this machine does not let us."""
        if shutil.which("unshare") is None:
            raise UsageError("no unshare program: install util-linux")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        how = ["unshare", "--net"]
        if os.geteuid():
            how = ["unshare", "--user", "--map-root-user", "--net"]
        agent = Path(__file__).with_name("namespace_agent.py")
        self._child = subprocess.Popen(
            [*how, sys.executable, str(agent), str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        theirs.close()
        self._socket = ours
        self._socket.settimeout(START_TIMEOUT)
        if not self._hello():
            self.close()
            said = (self._child.stderr.read() if self._child.stderr else b"").decode().strip()
            raise UsageError(
                f"no private network namespace here ({said or 'no answer'}): "
                "run as root, or allow user namespaces"
            )
        self._socket.settimeout(COMMAND_TIMEOUT)

    def __enter__(self) -> Self:
        """Use as a context: the namespace ends with the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the namespace."""
        self.close()

    def run(self, *argv: str) -> str:
        """Run a program in the namespace and return its output; NamespaceError when it fails."""
        reply, _ = self._ask({"run": list(argv)})
        if reply["status"]:
            raise NamespaceError(f"{' '.join(argv)}: {reply['output']}")
        return str(reply["output"])

    def set(self, name: str, value: str) -> None:
        """Write a network setting, as ``net.ipv4.ip_forward``."""
        self._ask({"set": name, "value": value})

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """Return a socket of the namespace's Linux stack."""
        _, fds = self._ask({"socket": [int(family), int(kind), protocol]})
        return socket.socket(fileno=fds[0])

    def tap(self, name: str, *, offload: bool = True) -> int:
        """Make a TAP device; return its descriptor. ``offload``: Linux may hand over large sends."""
        _, fds = self._ask({"tap": name, "offload": offload})
        return fds[0]

    def close(self) -> None:
        """End the child, and with it the namespace."""
        self._socket.close()
        if self._child.poll() is None:
            self._child.terminate()
        self._child.wait()

    def _hello(self) -> bool:
        try:
            self._ask({"run": ["ip", "link", "set", "lo", "up"]})
        except (OSError, NamespaceError, json.JSONDecodeError):
            return False
        return True

    def _ask(self, request: dict[str, object]) -> tuple[dict[str, object], list[int]]:
        self._socket.send(json.dumps(request).encode())
        fds = array.array("i")
        raw, ancillary, _, _ = self._socket.recvmsg(MAX_REPLY, socket.CMSG_SPACE(4))
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(data)
        reply: dict[str, object] = json.loads(raw)
        if "error" in reply:
            raise NamespaceError(str(reply["error"]))
        return reply, list(fds)
