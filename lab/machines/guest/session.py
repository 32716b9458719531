"""A session with a running Linux guest: start it, run scripts in it, copy files, reboot it.

::

    with Guest([VfioUserNic(socket)]) as guest:
        print(guest.run("ethtool -i eth0").out)
"""

from __future__ import annotations

import os
import shlex
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from lab.errors import UsageError
from lab.machines import cache
from lab.machines.guest import extras, initramfs
from lab.machines.guest.agent import Agent, AgentError, AgentTimeoutError, Result
from lab.machines.guest.console_watch import SIGNS, ConsoleWatch
from lab.machines.qemu import accelerator, binary
from lab.machines.qemu.accelerator import Choice, Verdict
from lab.machines.qemu.command import Attachment, Machine
from lab.machines.qemu.process import QemuError, QemuProcess

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

PATIENCE_S = 86_400.0
"""For a guest whose card may be stopped by hand."""
BOOT_TIMEOUT_S = 120.0
"""Far more than a boot takes (5 s under TCG): machines may be busy."""
CONSOLE_TAIL = 12
NO_LINK = 2
"""The status of a script that has waited for a link in vain."""
CONSOLES = 20
"""How many consoles of guests that ended badly are kept."""
PANIC_TAIL = 40
PANICKED = "the guest's kernel panicked, as it told by pvpanic; its console says nothing of it"
PANIC_S = 2.0
"""How long a kernel that panics may take to say why."""


class GuestError(RuntimeError):
    """The guest did not do what was asked; the message ends with the console's last lines."""


class GuestTimeoutError(GuestError):
    """The guest did not answer in time: it hangs, or has too much to do."""


@dataclass(frozen=True, slots=True)
class GuestSpec:
    """Which machine, and what runs in it. Nothing is started by making one."""

    nics: tuple[Attachment, ...] = ()
    cpus: int = 1
    memory_mib: int = 512
    accel: str = "auto"
    qemu: str | None = None
    kernel: Path | None = None
    initrd: Path | None = None
    append: str = ""
    extra: tuple[str, ...] = field(default=())
    features: tuple[str, ...] = field(default=())
    leading: tuple[str, ...] = ()
    extras: tuple[str, ...] = field(default=())
    """Further package sets whose programs the guest shall have: ``dpdk``."""
    interactive: bool = False
    offline: bool = False
    patient: bool = False
    """Whether everything may take as long as it likes: somebody steps through the card."""


class Guest:
    """A Linux guest that runs; a context manager that leaves nothing behind."""

    def __init__(self, spec: GuestSpec) -> None:
        """Find QEMU, the kernel and the initramfs (fetching what is missing); start nothing yet."""
        self.spec = spec
        self.choice = accelerator.choose(spec.accel)
        self.qemu = binary.find(spec.qemu, offline=spec.offline)
        self._machine = Machine(
            kernel=spec.kernel or initramfs.kernel(offline=spec.offline),
            initrd=spec.initrd or extras.image(spec.extras, offline=spec.offline),
            nics=spec.nics,
            cpus=spec.cpus,
            memory_mib=spec.memory_mib,
            append=spec.append,
            extra=spec.extra,
            interactive=spec.interactive,
            features=spec.features,
            leading=spec.leading,
        )
        self._process: QemuProcess | None = None
        self._agent: Agent | None = None
        self.watch: ConsoleWatch | None = None
        """What the kernel complains of on the console."""
        self.notice: Callable[[str], object] = lambda _: None
        """Is told of each complaint as it comes."""
        self._reboots: int | None = 0
        """How often the machine was reset because we asked; None while it restarts."""
        self._closing = threading.Lock()

    def fit(self, nics: tuple[Attachment, ...]) -> None:
        """Give the machine its cards, before it starts."""
        self._machine = replace(self._machine, nics=nics)

    def __enter__(self) -> Self:
        """Start QEMU and wait for the agent."""
        self.start()
        try:
            if not self.spec.interactive:
                self.wait_ready()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the guest."""
        self.close()

    def start(self) -> None:
        """Start QEMU; a KVM that brings no console line in time is given up for TCG, and remembered."""
        self._process = (
            QemuProcess(self.qemu, self._machine, self.choice.accelerator)
            if (not self.choice.watch)
            else self._try_kvm()
        )
        self._agent = Agent(self._process.agent)
        self._agent.look = self._look
        self.watch = ConsoleWatch(self._process.console_path, self._complained)

    def _complained(self, text: str) -> None:
        self.notice(text)

    def _look(self) -> None:
        """Look whether the guest can still answer. AgentError."""
        watch = self.watch
        if watch is None:
            return
        watch.look()
        if watch.panic or self._panicked():
            until = time.monotonic() + PANIC_S
            while not watch.panic_ended and time.monotonic() < until:
                time.sleep(0.05)
                watch.look()
            raise AgentError(watch.panic or PANICKED)
        if not self.process.running:
            raise AgentError("QEMU has ended")
        restarts = self._restarts()
        if not self.spec.patient and self._reboots is not None and restarts > self._reboots:
            raise AgentError("the guest has started again by itself: a triple fault, or it was told to")

    def _panicked(self) -> bool:
        """Tell whether the kernel has told QEMU so, which it can without a console, too."""
        try:
            return self.process.running and self.process.guest_panicked()
        except QemuError:
            return False  # it has just ended, which is told by the caller

    def _restarts(self) -> int:
        try:
            return self.process.guest_resets()
        except QemuError as error:
            raise AgentError(str(error)) from error

    def _try_kvm(self) -> QemuProcess:
        """Start under KVM on trial."""
        why: str | None
        try:
            process = QemuProcess(self.qemu, self._machine, "kvm")
            why = process.wait_console(accelerator.FIRST_CONSOLE_S)
        except QemuError as error:
            why = str(error)
        else:
            if why is None:
                accelerator.remember(Verdict(usable=True, reason="a guest booted with it", proven=True))
                return process
            process.close()
        reason = f"KVM does not boot Linux here: {why}"
        accelerator.remember(Verdict(usable=False, reason=reason, proven=True))
        self.choice = Choice("tcg", reason)
        return QemuProcess(self.qemu, self._machine, "tcg")

    @property
    def kernel(self) -> Path:
        """The kernel's file."""
        return self._machine.kernel

    @property
    def process(self) -> QemuProcess:
        """The QEMU that runs the guest."""
        if self._process is None:
            raise GuestError("the guest is not running")
        return self._process

    @property
    def agent(self) -> Agent:
        """The conversation with the guest's agent."""
        if self._agent is None:
            raise GuestError("the guest is not running")
        return self._agent

    @property
    def console_log(self) -> str:
        """What the guest wrote to its console so far."""
        return self.process.console

    def wait_ready(self, timeout_s: float = BOOT_TIMEOUT_S) -> None:
        """Wait until the agent of the current boot answers."""
        timeout_s = PATIENCE_S if self.spec.patient else timeout_s
        try:
            self.agent.wait_ready(timeout_s)
        except AgentError as error:
            raise self._failure(str(error), late=isinstance(error, AgentTimeoutError)) from error

    def run(self, script: str, *, data: bytes = b"", timeout_s: float = 60, check: bool = False) -> Result:
        """Run a shell script in the guest, as root, with ``data`` as its standard input.

        With ``check`` a status other than 0 raises ``GuestError``.
        """
        status, out, err = self._run(script, data, timeout_s)
        result = Result(status, out.decode(errors="replace"), err.decode(errors="replace"))
        if check and not result.ok:
            raise self._failure(f"`{script}` ended with {status}: {(result.err or result.out).strip()}")
        return result

    def stream(self, script: str, sink: Callable[[str, bytes], object], *, timeout_s: float) -> int:
        """Run a shell script in the guest; give its output to ``sink`` as it comes. Return its status."""
        timeout_s = PATIENCE_S if self.spec.patient else timeout_s
        try:
            return self.agent.stream(script, sink, timeout_s)
        except AgentError as error:
            raise self._failure(str(error), late=isinstance(error, AgentTimeoutError)) from error

    def put(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Write a file in the guest; its directories are made."""
        where = shlex.quote(path)
        script = f'mkdir -p "$(dirname {where})" && cat >{where} && chmod {mode:o} {where}'
        status, _, err = self._run(script, content, 300)
        if status:
            raise self._failure(f"cannot write {path} in the guest: {err.decode(errors='replace').strip()}")

    def get(self, path: str) -> bytes:
        """Return the content of a file in the guest."""
        return self.read(f"cat {shlex.quote(path)}", path)

    def read(self, script: str, what: str) -> bytes:
        """Return what a script of the guest's writes, which must succeed; ``what`` is what it reads."""
        status, out, err = self._run(script, b"", 300)
        if status:
            raise self._failure(f"cannot read {what} in the guest: {err.decode(errors='replace').strip()}")
        return out

    def _run(self, script: str, data: bytes, timeout_s: float) -> tuple[int, bytes, bytes]:
        timeout_s = PATIENCE_S if self.spec.patient else timeout_s
        try:
            return self.agent.run(script, data, timeout_s)
        except AgentError as error:
            raise self._failure(str(error), late=isinstance(error, AgentTimeoutError)) from error

    def reboot(self, timeout_s: float = BOOT_TIMEOUT_S) -> None:
        """Restart the guest warm, from inside, and wait for its agent."""
        before = self.agent.boot_id
        self._reboots = None
        self.agent.send_only("reboot -f")
        self.wait_ready(timeout_s)
        self._reboots = self._restarts()  # one restart may reset the machine more than once
        if self.agent.boot_id == before:
            raise self._failure("the guest did not restart")

    def dmesg(self) -> str:
        """Return the kernel's log."""
        return self.run("dmesg", check=True).out

    def interfaces(self) -> dict[str, str]:
        """Return the names of the guest's interfaces, by MAC address (lower case)."""
        listing = self.run(
            'for i in /sys/class/net/*; do echo "$(cat $i/address) ${i##*/}"; done', check=True
        )
        pairs = (line.split() for line in listing.out.splitlines())
        return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}

    def wait_link(self, interface: str = "eth0", timeout_s: float = 30) -> None:
        """Bring an interface up and wait for its carrier."""
        timeout_s = PATIENCE_S if self.spec.patient else timeout_s
        name = shlex.quote(interface)
        script = (
            f"ip link set {name} up || exit 1; n=0;"
            f' until [ "$(cat /sys/class/net/{name}/carrier 2>/dev/null)" = 1 ]; do'
            f"  n=$((n+1)); [ $n -lt {int(timeout_s * 10)} ] || exit {NO_LINK}; sleep 0.1; done"
        )
        result = self.run(script, timeout_s=timeout_s * 2 + 10)
        if result.status == NO_LINK:
            raise self._failure(f"{interface} has no link after {timeout_s:.0f} s: is there a cable?")
        if not result.ok:
            raise self._failure(f"{interface} does not come up: {(result.err or result.out).strip()}")

    def wait_end(self, timeout_s: float | None = None) -> int:
        """Wait until the guest turns itself off; return QEMU's status."""
        return self.process.wait(timeout_s)

    def close(self) -> None:
        """End the guest at once and remove all that it had. Idempotent."""
        with self._closing:  # who leaves the stepper ends it from another thread
            if self._process is not None:
                self._process.close()
                self._process = None

    def _failure(self, why: str, *, late: bool = False) -> GuestError:
        console = self.console_log
        tail = console.splitlines()[-CONSOLE_TAIL:]
        if self.watch is not None and self.watch.panic:
            tail = from_panic(console)
        said = self.process.messages
        parts = [
            why,
            *(f"  console: {line}" for line in tail),
            *([f"  the whole console: {kept(console)}"] if tail else []),
            *([f"  QEMU: {said}"] if said else []),
        ]
        return (GuestTimeoutError if late else GuestError)("\n".join(parts))


def from_panic(console: str) -> list[str]:
    """Return the console's lines from a few before the first panic or oops on: what led to it comes first."""
    lines = console.splitlines()
    first = next((n for n, line in enumerate(lines) if any(s.pattern.search(line) for s in SIGNS)), 0)
    return lines[max(0, first - 3) :][:PANIC_TAIL]


def kept(console: str) -> str:
    """Keep a console after its guest, one of the last ``CONSOLES``; return the file's name."""
    folder = cache.directory("consoles")
    path = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    try:
        path.write_text(console)
        for old in sorted(folder.glob("*.txt"))[:-CONSOLES]:
            old.unlink(missing_ok=True)
    except OSError as error:
        return f"not kept: {error.strerror}"
    return str(path)


def check_kernel(path: Path | None) -> None:
    """Refuse a kernel or an initrd that is not there."""
    if path is not None and not path.is_file():
        raise UsageError(f"{path} is no file: give the path of a kernel or an initramfs")
