"""A private network namespace with Linux's own stack at the other end of the cable.

The host's network is not touched, and an ordinary user may have one. The namespace lives as long
as this process holds its descriptors; programs started in it are killed when the wire is closed or
this process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import device.wire
from device.wire import netns_enter
from device.wire.carrier import LinkMonitor
from device.wire.contract import Framing, WireError
from device.wire.netns_inside import STACK_INTERFACE, Plan
from device.wire.packet import packet_link
from device.wire.pump import PumpedWire
from device.wire.stage import CutReceived

if TYPE_CHECKING:
    from collections.abc import Sequence

_SETUP_SECONDS: Final = 20
_END_SECONDS: Final = 2


@dataclass(frozen=True, slots=True)
class NetnsOptions:
    """What the namespace holds. The defaults are what ``boot`` uses."""

    address: str = "10.82.57.1/24"
    """IPv4 address of Linux's end, with the prefix length; empty: none."""
    address6: str = "fd00:8257::1/64"
    mtu_bytes: int = 1500
    cable: str = "auto"
    own_user_namespace: bool = False


class Namespace:
    """A network namespace, by its descriptors, and the programs in it."""

    def __init__(self, user_fd: int, net_fd: int) -> None:
        self._fds = (user_fd, net_fd)
        self._programs: list[subprocess.Popen[Any]] = []
        # PDEATHSIG goes by the thread that forked: one that lives as long as the namespace does.
        self._forker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="netns-fork")
        self._open = True

    @property
    def fds(self) -> tuple[int, int]:
        """The descriptors that it lives by: of the user namespace and of the network's."""
        return self._fds

    def popen(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]:  # noqa: ANN401 - Popen's own
        """Start a program inside; ``options`` are those of ``subprocess.Popen``.

        It is killed when the wire is closed or this process ends. A program that gives itself other
        rights when it is executed (ping has some) is not killed with a process that ends by
        SIGKILL.
        """
        pass_fds = (*options.pop("pass_fds", ()), *self._fds)
        enter = [sys.executable, "-I", "-S", netns_enter.__file__, *map(str, self._fds)]
        command = [*enter, str(os.getpid()), *argv]

        def start() -> subprocess.Popen[Any]:
            return subprocess.Popen(command, pass_fds=pass_fds, **options)

        program = self._forker.submit(start).result()
        self._programs = [p for p in self._programs if p.poll() is None]
        self._programs.append(program)
        return program

    def run(
        self, argv: Sequence[str], timeout: float | None = 60, text_input: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program inside and return what it printed. Raises ``subprocess.TimeoutExpired``."""
        stdin = subprocess.DEVNULL if text_input is None else subprocess.PIPE
        program = self.popen(argv, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            out, err = program.communicate(text_input, timeout)
        except subprocess.TimeoutExpired:
            program.kill()
            program.communicate()
            raise
        return subprocess.CompletedProcess(list(argv), program.returncode, out, err)

    def socket(self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM) -> socket.socket:
        """Return a socket made inside, to talk to the card from here. Raises ``OSError``."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            number = theirs.fileno()
            program = self.popen(
                ["--socket", str(int(family)), str(int(kind)), str(number)],
                pass_fds=(number,),
                stderr=subprocess.PIPE,
                text=True,
            )
            theirs.close()
            _, fds, _, _ = socket.recv_fds(ours, 1, 1)
            _, err = program.communicate()
        if not fds:
            raise OSError(f"no socket in the namespace: {err.strip().splitlines()[-1:]}")
        return socket.socket(fileno=fds[0])

    def close(self) -> None:
        """Kill the programs and let the namespace go. Idempotent."""
        if not self._open:
            return
        self._open = False
        for program in self._programs:
            if program.poll() is None:
                program.kill()
        for program in self._programs:
            with contextlib.suppress(subprocess.TimeoutExpired):
                program.wait(_END_SECONDS)
        self._forker.shutdown()
        for fd in self._fds:
            os.close(fd)


class NetnsWire:
    """The cable into a private namespace, and the namespace.

    ``cable`` says what it is made of: ``tap`` (the descriptor is the device) or ``veth`` (a pump
    between the card and a packet socket).
    """

    framing = Framing.VNET

    def __init__(
        self, spec: str = "netns", options: NetnsOptions | None = None, *, started: bool = True
    ) -> None:
        """Make the namespace; see ``PumpedWire`` about ``started``. Raises ``WireError``."""
        self.spec = spec
        self.options = options or NetnsOptions()
        self.interface = STACK_INTERFACE
        fd, links, user, net = self._build()
        self._monitor = LinkMonitor(socket.socket(fileno=links), self._index)
        self.namespace = Namespace(user, net)
        self._pumped: PumpedWire | None = None
        self._fd = fd
        if self.cable == "veth":
            packet = socket.socket(fileno=fd)
            packet.settimeout(0)
            self._pumped = PumpedWire(
                spec, Framing.VNET, packet_link(packet), [CutReceived()], started=started
            )
            self._fd = self._pumped.fd

    def start(self) -> None:
        """Start the pump, where there is one, in a wire that was made without; once."""
        if self._pumped is not None:
            self._pumped.start()

    @property
    def fd(self) -> int:
        """The card's end; -1 once closed."""
        return self._fd

    @property
    def link(self) -> bool:
        """Whether Linux's end is up."""
        return self._fd >= 0 and self._monitor.present

    def run(self, argv: Sequence[str], timeout: float | None = 60) -> subprocess.CompletedProcess[str]:
        """Run a program at the other end; see ``Namespace.run``."""
        return self.namespace.run(argv, timeout)

    def popen(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]:  # noqa: ANN401 - Popen's own
        """Start a program at the other end; see ``Namespace.popen``."""
        return self.namespace.popen(argv, **options)

    def close(self) -> None:
        """Kill the programs, drop the cable and the namespace. Idempotent."""
        if self._fd < 0:
            return
        self._monitor.close()
        self.namespace.close()
        if self._pumped is not None:
            self._pumped.close()
        else:
            os.close(self._fd)
        self._fd = -1

    def _build(self) -> tuple[int, int, int, int]:
        how = self.options
        addresses = [one for one in (how.address, how.address6) if one]
        plan = Plan(addresses, how.mtu_bytes, how.cable, how.own_user_namespace)
        root = str(Path(device.wire.__file__).parents[2])
        path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
        ours, theirs = socket.socketpair()
        with ours, theirs:
            number = theirs.fileno()
            child = subprocess.Popen(
                [sys.executable, "-m", "device.wire.netns_inside", plan.emit(), str(number)],
                pass_fds=(number,),
                env={**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            theirs.close()
            ours.settimeout(_SETUP_SECONDS)
            try:
                message, fds, _, _ = socket.recv_fds(ours, 65536, 4)
            except TimeoutError as error:
                child.kill()
                raise self._refusal(f"no answer within {_SETUP_SECONDS} s") from error
            finally:
                ours.close()  # the child waits for this
                _, stderr = child.communicate()
        said = stderr.strip().rpartition("\n")[2]
        report: dict[str, Any] = json.loads(message) if message else {"error": said}
        if len(fds) != 4:
            raise self._refusal(report.get("error", ""))
        self.cable: str = report["cable"]
        self._index: int = report["index"]
        return fds[0], fds[1], fds[2], fds[3]

    def _refusal(self, why: str) -> WireError:
        passt = "passt" if shutil.which("passt") else "passt (after installing it)"
        return WireError(
            f"{self.spec}: this machine refuses a network namespace: {why}; run as root, "
            "allow user namespaces (sysctl kernel.apparmor_restrict_unprivileged_userns=0), "
            f"or use {passt}"
        )
