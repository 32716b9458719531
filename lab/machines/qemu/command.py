"""QEMU's command line, from a description of the machine. Sans I/O: values in, arguments out."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MESSAGE_TIMEOUT_MS = 86_400_000
"""A day. QEMU gives up a device that answers after 5 s, and a breakpoint may last longer than that."""

AGENT_SLOT, PANIC_SLOT = 0x1E, 0x1D
"""PCI slots of our own devices: behind the cards, which they shall not move. Folders are in those below."""
CPU_MODELS = {"kvm": "host", "tcg": "max"}


class Attachment(Protocol):
    """A network card as QEMU sees it."""

    @property
    def mac(self) -> str | None:
        """The address the guest will see, where it is known before the guest runs."""

    def arguments(self) -> list[str]:
        """Return the arguments that give the machine this card."""

    def fds(self) -> Sequence[int]:
        """Return the descriptors that the arguments name."""


@dataclass(frozen=True, slots=True)
class VfioUserNic:
    """A card behind a vfio-user socket."""

    socket: Path
    mac: str | None = None
    waits: bool = False
    """Whether the guest waits for each of its register writes, so that a stop at one holds it there."""

    def arguments(self) -> list[str]:
        """Return the ``-device`` of QEMU's vfio-user client."""
        return ["-device", vfio_user_device(self.socket, waits=self.waits)]

    def fds(self) -> Sequence[int]:
        """Return nothing: QEMU connects by the path."""
        return ()


def vfio_user_device(socket: Path, *, waits: bool = False) -> str:
    """Return the JSON of a ``vfio-user-pci`` device on ``socket``; ``waits``: it posts no register write."""
    properties: dict[str, object] = {
        "driver": "vfio-user-pci",
        "socket": {"type": "unix", "path": str(socket)},
        "x-msg-timeout": MESSAGE_TIMEOUT_MS,
        "rombar": 0,  # the option ROM is empty, and QEMU warns of that
    }
    if waits:
        properties["x-no-posted-writes"] = True
    return json.dumps(properties)


@dataclass(frozen=True, slots=True)
class QemuNic:
    """A card that QEMU emulates itself, on a wire that we hold.

    ``netdev`` is a ``-netdev`` without its id; it names the descriptors of ``wire_fds``.
    """

    driver: str
    netdev: str
    mac: str | None = None
    wire_fds: tuple[int, ...] = ()
    name: str = "nic0"

    def arguments(self) -> list[str]:
        """Return the ``-netdev`` and the ``-device``."""
        address = f",mac={self.mac}" if self.mac else ""
        kind, _, rest = self.netdev.partition(",")
        netdev = f"{kind},id={self.name}" + (f",{rest}" if rest else "")
        return ["-netdev", netdev, "-device", f"{self.driver},netdev={self.name}{address}"]

    def fds(self) -> Sequence[int]:
        """Return the wire's descriptors."""
        return self.wire_fds


@dataclass(frozen=True, slots=True)
class Machine:
    """A virtual machine without its accelerator."""

    kernel: Path
    initrd: Path | None
    nics: tuple[Attachment, ...] = ()
    cpus: int = 1
    memory_mib: int = 512
    append: str = ""
    extra: tuple[str, ...] = ()
    monitor_fd: int = -1
    stepper_fd: int = -1
    """A second monitor, for who stops the machine while the first is in use."""
    agent_fd: int = -1
    console: Path | None = None
    interactive: bool = False
    features: tuple[str, ...] = field(default=())
    """More properties of the machine, such as ``kernel-irqchip=split``."""
    leading: tuple[str, ...] = ()
    """Arguments before the cards' own: a virtual IOMMU must be there before what it translates for."""

    def fds(self) -> list[int]:
        """Return every descriptor that QEMU must inherit."""
        own = [fd for fd in (self.monitor_fd, self.stepper_fd, self.agent_fd) if fd >= 0]
        return own + [fd for nic in self.nics for fd in nic.fds()]


def memory_arguments(memory_mib: int) -> list[str]:
    """Return the arguments for RAM that another process can map: without it a card cannot reach it."""
    return [
        "-object",
        f"memory-backend-memfd,id=ram,size={memory_mib}M,share=on",
        "-machine",
        "memory-backend=ram",
    ]


def arguments(machine: Machine, accelerator: str) -> list[str]:
    """Return QEMU's arguments, without the program."""
    shell = " ringwalk.shell" if machine.interactive else ""
    argv = ["-nodefaults", "-no-user-config", "-display", "none"]
    argv += [
        "-machine",
        ",".join(["q35", *machine.features]),
        *memory_arguments(machine.memory_mib),
    ]
    argv += ["-m", f"{machine.memory_mib}M", "-accel", accelerator, "-cpu", CPU_MODELS[accelerator]]
    argv += ["-smp", str(machine.cpus), "-kernel", str(machine.kernel)]
    argv += ["-initrd", str(machine.initrd)] if machine.initrd else []
    argv += ["-append", f"console=ttyS0 quiet{shell} {machine.append}".rstrip()]
    if machine.monitor_fd >= 0:
        argv += ["-chardev", f"socket,id=monitor,fd={machine.monitor_fd}"]
        argv += ["-qmp", "chardev:monitor"]
    if machine.stepper_fd >= 0:
        argv += ["-chardev", f"socket,id=stepper,fd={machine.stepper_fd}"]
        argv += ["-qmp", "chardev:stepper"]
    if machine.agent_fd >= 0:
        argv += [
            "-device",
            f"virtio-serial-pci,addr={AGENT_SLOT:#x}",
        ]
        argv += ["-chardev", f"socket,id=agent,fd={machine.agent_fd}"]
        argv += ["-device", "virtserialport,chardev=agent,name=ringwalk"]
    # A panic is told by the guest itself (QMP GUEST_PANICKED), and the kernel may finish its last words.
    argv += ["-device", f"pvpanic-pci,addr={PANIC_SLOT:#x}", "-action", "panic=none"]
    argv += console_arguments(machine)
    argv += machine.leading
    for nic in machine.nics:
        argv += nic.arguments()
    return [*argv, *machine.extra]


def console_arguments(machine: Machine) -> list[str]:
    """Return the first serial line: a file, or the terminal with the file as its log."""
    if machine.interactive:
        log = f",logfile={machine.console}" if machine.console else ""
        return ["-chardev", f"stdio,id=console,signal=off{log}", "-serial", "chardev:console"]
    return ["-serial", f"file:{machine.console}" if machine.console else "null"]
