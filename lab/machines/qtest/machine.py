"""Starts a QEMU that runs no CPU and holds one network card, and everything to drive it with.

Frames pass as datagrams over a socketpair, RAM is a memfd of ours, commands go by qtest, resets by QMP; every
descriptor is inherited, so no file or port is left behind.
"""

from __future__ import annotations

import socket
import subprocess
import tempfile
from typing import TYPE_CHECKING

from lab.machines.qtest.client import Client, GoneError
from lab.machines.qtest.monitor import Monitor
from lab.machines.qtest.pci import Function
from lab.machines.qtest.ram import SharedRam

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RAM_BYTES = 32 << 20
SLOT = 3
FRAME_LIMIT = 1 << 18  # the largest datagram a card of QEMU's hands over (a TSO frame that was not cut)
EXIT_SECONDS = 10
ANSWER_SECONDS = 20  # a card that takes longer for one access hangs


class Machine:
    """A running QEMU with the card ``device`` (a ``-device`` name with its options) at slot 3 of bus 0."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        device: str,
        *,
        ram_bytes: int = RAM_BYTES,
    ) -> None:
        """Start it. Raises ``lab.machines.qtest.client.GoneError`` with QEMU's own words when it refuses."""
        self.ram = SharedRam(ram_bytes)
        qtest, qtest_theirs = socket.socketpair()
        monitor, monitor_theirs = socket.socketpair()
        self._wire, wire_theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        for end in (self._wire, wire_theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        self._wire.setblocking(False)  # noqa: FBT003 - the socket module's signature
        self._far_end = wire_theirs  # kept, to take back frames that QEMU did not fetch
        self._sent = False
        theirs = (qtest_theirs, monitor_theirs, wire_theirs)
        inherited = (*(end.fileno() for end in theirs), self.ram.descriptor)
        # A file, not a pipe: QEMU tells of every strange access, and nobody reads while it does.
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        for end in (qtest, monitor):
            end.settimeout(ANSWER_SECONDS)
        backend = f"memory-backend-file,id=ram,size={ram_bytes},share=on"
        self._process = subprocess.Popen(
            [
                *command,
                *("-machine", "q35,memory-backend=ram", "-accel", "qtest"),
                *("-display", "none", "-nodefaults", "-no-user-config", "-S"),
                *("-object", f"{backend},mem-path=/proc/self/fd/{self.ram.descriptor}"),
                *("-m", f"{ram_bytes >> 20}M"),
                *("-chardev", f"socket,id=qtest,fd={qtest_theirs.fileno()}", "-qtest", "chardev:qtest"),
                *("-chardev", f"socket,id=mon,fd={monitor_theirs.fileno()}", "-mon", "mon,mode=control"),
                *("-netdev", f"dgram,id=wire,local.type=fd,local.str={wire_theirs.fileno()}"),
                *("-device", f"{device},bus=pcie.0,addr={SLOT},netdev=wire,id=card"),
            ],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._words,
            pass_fds=inherited,
        )
        qtest_theirs.close()
        monitor_theirs.close()
        try:
            self.monitor = Monitor(monitor)
        except (GoneError, ConnectionError) as error:
            self._process.wait(EXIT_SECONDS)
            raise GoneError(f"QEMU did not start: {self.words() or 'it said nothing'}") from error
        self.client = Client(qtest)
        self.function = Function(self.client, SLOT)
        self.monitor.run("cont")  # a stopped machine holds frames back
        self.function.enable_ecam()
        self.function.place()

    def reset(self) -> None:
        """Reset the whole machine and put the card back where it was."""
        self.monitor.run("system_reset")
        self.client.sync()
        self.function.enable_ecam()
        self.function.again()

    def send_frame(self, frame: bytes) -> None:
        """Put a frame on the wire, towards the card; it has been looked at when this returns."""
        self._sent = True
        self._wire.send(frame)
        self.client.sync()

    def purge(self) -> None:
        """Forget frames on their way to the card: those in the socket, and the one QEMU holds for it.

        A card that cannot receive leaves its frame in QEMU's queue, which only stopping the machine empties
        (net_vm_change_state_handler in net/net.c).
        """
        if not self._sent:
            return
        # QEMU shares the description, and sets it so itself.
        self._far_end.setblocking(False)  # noqa: FBT003 - the socket module's signature
        while True:
            try:
                self._far_end.recv(FRAME_LIMIT)
            except BlockingIOError:
                break
        self.monitor.run("stop")
        self.monitor.run("cont")
        self.client.sync()
        self._sent = False

    def frames(self) -> list[bytes]:
        """Return the frames that left the card since the last call."""
        found: list[bytes] = []
        while True:
            try:
                found.append(self._wire.recv(FRAME_LIMIT))
            except BlockingIOError:
                return found

    def words(self) -> str:
        """Return the end of what QEMU wrote to its standard error."""
        self._words.seek(0)
        return self._words.read().decode(errors="replace").strip()[-2000:]

    def close(self) -> None:
        """Ask QEMU to leave, wait for it, free everything."""
        self.client.close()
        self.monitor.close()
        self._process.kill()  # it has nothing to save, and a hung one would not hear less
        self._process.wait(EXIT_SECONDS)
        self._words.close()
        self._wire.close()
        self._far_end.close()
        self.ram.close()
