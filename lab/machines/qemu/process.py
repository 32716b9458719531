"""A running QEMU: its private directory, its monitor, its end. It knows nothing of the guest's system."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from qemu.qmp import QMPError
from qemu.qmp.legacy import QEMUMonitorProtocol

from lab.machines import child_processes, scratch
from lab.machines.qemu import command
from lab.machines.qemu.monitor import Monitor

if TYPE_CHECKING:
    from lab.machines.qemu.binary import Qemu
    from lab.machines.qemu.command import Machine

MONITOR_TIMEOUT_S = 30.0
POLL_S = 0.05
BAD_STATES = frozenset({"internal-error", "guest-panicked", "shutdown", "io-error"})


class QemuError(RuntimeError):
    """QEMU did not start, or ended by itself; the message has what it said."""


class QemuProcess:
    """One QEMU. ``agent`` is our end of the guest agent's port.

    Owns a private directory (console, QEMU's messages), two sockets and the process; ``close`` gives up all.
    """

    def __init__(self, qemu: Qemu, machine: Machine, accelerator: str) -> None:
        """Start QEMU and connect to its monitor; ``QemuError`` with its words when it does not start."""
        self.folder = scratch.make()
        self.console_path = self.folder / "console"
        self._messages = self.folder / "messages"
        self._monitor: QEMUMonitorProtocol | None = None
        monitor, monitor_qemu = socket.socketpair()
        stepper, stepper_qemu = socket.socketpair()
        self.stepper = Monitor(stepper)
        """Another monitor, for who stops the machine from another thread."""
        self.agent, agent_qemu = socket.socketpair()
        self._process: subprocess.Popen[bytes] | None = None
        self._resets = 0
        self._panicked = False
        machine = replace(
            machine,
            monitor_fd=monitor_qemu.fileno(),
            stepper_fd=stepper_qemu.fileno(),
            agent_fd=agent_qemu.fileno(),
            console=self.console_path,
        )
        try:
            with self._messages.open("wb") as messages, monitor_qemu, stepper_qemu, agent_qemu:
                self._process = child_processes.start(
                    [*qemu.command, *command.arguments(machine, accelerator)],
                    environment=qemu.environ(),
                    fds=machine.fds(),
                    foreground=machine.interactive,
                    stdin=None if machine.interactive else subprocess.DEVNULL,
                    stdout=None if machine.interactive else messages,
                    stderr=messages,
                )
            self._connect(monitor)
        except BaseException:
            monitor.close()
            self.close()
            raise

    def _connect(self, monitor: socket.socket) -> None:
        """Shake hands with the monitor; QEMU may end instead."""
        self._monitor = QEMUMonitorProtocol(monitor)
        self._monitor.settimeout(MONITOR_TIMEOUT_S)
        try:
            self._monitor.connect()
        except (QMPError, OSError, EOFError, TimeoutError) as error:
            raise self.failure() from error

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process's identifier."""
        return self._process.pid if self._process else -1

    @property
    def messages(self) -> str:
        """What QEMU said on its standard error."""
        return self._messages.read_text(errors="replace").strip() if self._messages.exists() else ""

    @property
    def console(self) -> str:
        """What the guest wrote to its first serial line."""
        return self.console_path.read_text(errors="replace") if self.console_path.exists() else ""

    def failure(self) -> QemuError:
        """Return the error that says why QEMU is not there."""
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(1)
        said = self.messages.splitlines()
        return QemuError(f"QEMU ended: {said[-1] if said else 'it said nothing'}")

    def ask(self, name: str, **arguments: object) -> object:
        """Run a monitor command (QMP) and return its answer."""
        if self._monitor is None:
            raise QemuError("QEMU's monitor is not connected")
        try:
            return self._monitor.cmd(name, **arguments)
        except (QMPError, OSError, EOFError, TimeoutError) as error:
            if not self.running:
                raise self.failure() from error
            raise QemuError(f"QEMU refused {name}: {error}") from error

    def status(self) -> str:
        """Return the machine's run state (QMP ``query-status``)."""
        answer = self.ask("query-status")
        return str(answer["status"]) if isinstance(answer, dict) else "?"

    def guest_resets(self) -> int:
        """Return how often the guest restarted the machine (QMP ``RESET``)."""
        self._take_events()
        return self._resets

    def guest_panicked(self) -> bool:
        """Return whether the guest's kernel has told of a panic (QMP ``GUEST_PANICKED``, by pvpanic)."""
        self._take_events()
        return self._panicked

    def _take_events(self) -> None:
        if self._monitor is None:
            return
        self.status()  # which takes the events in
        while (event := self._monitor.pull_event()) is not None:
            self._resets += event["event"] == "RESET" and bool(event.get("data", {}).get("guest"))
            self._panicked |= event["event"] == "GUEST_PANICKED"

    def wait_console(self, timeout_s: float) -> str | None:
        """Wait for the guest's first console line; return why there is none, or None when there is one."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self.console:
                return None
            if not self.running:
                return "QEMU ended"
            if (state := self.status()) in BAD_STATES:
                return f"QEMU says {state}"
            time.sleep(POLL_S)
        return f"no console line in {timeout_s:.0f} s"

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait for QEMU to end; return its status."""
        if self._process is None:
            raise QemuError("QEMU was not started")
        return self._process.wait(timeout_s)

    def close(self) -> None:
        """End QEMU and remove all that it had. Idempotent."""
        if self._process is not None:
            child_processes.end(self._process)
        if self._monitor is not None:
            with contextlib.suppress(QMPError, OSError, EOFError):
                self._monitor.close()
            self._monitor = None
        self.agent.close()
        self.stepper.close()
        shutil.rmtree(self.folder, ignore_errors=True)
