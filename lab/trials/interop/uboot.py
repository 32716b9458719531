"""U-Boot's e1000 driver on our card: its address by itself, DHCP, a ping, a file by TFTP with its CRC.

U-Boot polls, has one receive descriptor at a time, reads the EEPROM by EECD's pins without a request, and on
ARM and RISC-V maps BARs that no firmware placed before. The far end is a DHCP and TFTP server of ours.
"""

from __future__ import annotations

import random
import re
import select
import subprocess
import sys
import tempfile
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lab.errors import UsageError
from lab.machines import child_processes as children
from lab.machines import fetch
from lab.machines.card_process import start_card
from lab.machines.fetch import prefix
from lab.machines.qemu import binary
from lab.machines.qemu.command import memory_arguments, vfio_user_device
from lab.trials.interop import boot_server
from lab.trials.interop.contract import Seen

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from lab.machines.card_process import CardProcess
    from lab.trials.parts import Progress

NAME = "uboot"
HELP = "U-Boot's e1000 driver: its address by itself, DHCP, ping, TFTP with a CRC, on several machines"
SET: Final = "uboot"
FIRMWARE: Final = "usr/lib/u-boot"
ENGINES: Final = ("native", "reference")
MAC: Final = "52:54:00:82:ab:07"
MEMORY_MIB: Final = 256
MOST_MIB: Final = 16
BLOCK_BYTES: Final = 1400
"""A TFTP block: U-Boot asks for 1468, and ``boot_server`` gives no more than this."""
OTHER_FRAMES: Final = 60
"""What a session sends beside a confirmation a block: ARP, DHCP, the ping, IPv6's first words."""
PROMPT: Final = "\n=> "
STARTS_S, SAYS_S, LOADS_S = 60.0, 40.0, 180.0


@dataclass(frozen=True, slots=True)
class Board:
    """A machine that U-Boot was built for: QEMU's program and arguments, and the folder of the firmware."""

    program: str
    arguments: tuple[str, ...]
    firmware: str
    foreign: bool = True
    """Whether its QEMU is in the set ``uboot``."""


BOARDS: Final = {
    "x86-64": Board("qemu-system-x86_64", ("-machine", "pc"), "qemu-x86_64/u-boot.rom", foreign=False),
    "x86": Board("qemu-system-x86_64", ("-machine", "pc"), "qemu-x86/u-boot.rom", foreign=False),
    "arm64": Board(
        "qemu-system-aarch64", ("-machine", "virt", "-cpu", "cortex-a57"), "qemu_arm64/u-boot.bin"
    ),
    "arm": Board("qemu-system-arm", ("-machine", "virt"), "qemu_arm/u-boot.bin"),
    "riscv64": Board("qemu-system-riscv64", ("-machine", "virt"), "qemu-riscv64/u-boot.bin"),
}


class Silence(Exception):  # noqa: N818 - it is what the machine does
    """The console did not say what was waited for; ``said`` is what it did."""

    def __init__(self, wanted: str, said: str) -> None:
        super().__init__(f"no {wanted!r} on the console; it ends with {said[-300:]!r}")
        self.said = said


class Console:
    """U-Boot's serial console."""

    def __init__(self, machine: subprocess.Popen[bytes]) -> None:
        """Talk to the machine by its standard input and output."""
        if machine.stdin is None or machine.stdout is None:
            raise ValueError("a machine without a console")
        self._in, self._out = machine.stdin, machine.stdout
        self.said = ""

    def type(self, text: str) -> None:
        """Press keys."""
        self._in.write(text.encode())
        self._in.flush()

    def until(self, wanted: str, within_s: float, *, key: str = "") -> str:
        """Return what is said up to ``wanted``, pressing ``key`` meanwhile; ``Silence`` when it is not."""
        deadline = time.monotonic() + within_s
        begin = len(self.said)
        waiting = select.poll()
        waiting.register(self._out, select.POLLIN)
        while wanted not in self.said[begin:]:
            if time.monotonic() > deadline:
                raise Silence(wanted, self.said)
            if key:
                self.type(key)
            if waiting.poll(200):
                piece = self._out.read1(4096)  # type: ignore[attr-defined]  # a pipe's reader is buffered
                if not piece:
                    raise Silence(wanted, self.said)
                self.said += piece.decode(errors="replace")
        return self.said[begin:]

    def run(self, command: str, within_s: float = SAYS_S) -> str:
        """Type a command and return what it said."""
        self.type(command + "\n")
        return self.until(PROMPT, within_s).split("\n", 1)[-1].removesuffix(PROMPT)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the machines, the engines and the file's length."""
    parser.add_argument(
        "--board", action="append", choices=(*BOARDS, "all"), help="repeatable (x86-64 and arm64)"
    )
    parser.add_argument("--engine", action="append", choices=ENGINES, help="repeatable (both)")
    parser.add_argument("--mib", type=int, default=3, metavar="N", help="length of the file (default 3)")


def run(args: argparse.Namespace, progress: Progress) -> list[Seen]:
    """Boot each machine with each engine."""
    boards = args.board or ["x86-64", "arm64"]
    if not 0 < args.mib <= MOST_MIB:
        raise UsageError(f"--mib {args.mib}: 1 to {MOST_MIB} fit into the machine's memory")
    fetch.ensure([SET])
    seen: list[Seen] = []
    for board in BOARDS if "all" in boards else dict.fromkeys(boards):
        for engine in args.engine or ENGINES:
            progress(f"{board}, {engine}")
            seen += session(board, engine, args.mib << 20)
    return seen


def command(board: Board, socket: Path) -> tuple[list[str], dict[str, str]]:
    """Return what starts the machine, with our card and nothing else on its bus, and its environment."""
    tree = fetch.tree(SET)
    qemu = binary.find(None)
    environment = qemu.environ()
    start = list(qemu.command)
    if board.foreign:
        data = [word for folder in binary.DATA_FOLDERS for word in ("-L", str(tree / folder))]
        start = [*prefix.command(tree, f"usr/bin/{board.program}"), *data]
        environment |= {"QEMU_MODULE_DIR": str(tree / binary.MODULE_FOLDER)}
    argv = [*start, *board.arguments, *memory_arguments(MEMORY_MIB), "-m", f"{MEMORY_MIB}M", "-accel", "tcg"]
    argv += ["-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot"]
    argv += ["-bios", str(tree / FIRMWARE / board.firmware), "-device", vfio_user_device(socket)]
    return argv, environment


def session(name: str, engine: str, length: int) -> list[Seen]:
    """Boot one machine and have it do everything; what it did not do is told with what its console said."""
    title = f"{name}, {engine}"
    content = random.Random(length).randbytes(length)  # noqa: S311 - a file's bytes, the same each time
    with tempfile.TemporaryDirectory(prefix="rw-") as folder:
        file = Path(folder, "file.bin")
        file.write_bytes(content)
        card = start_card(Path(folder, "card"), "netns", mac=MAC, engine=engine)
        argv, environment = command(BOARDS[name], Path(folder, "card"))
        machine = children.start(argv, environment=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            return _talk(title, Console(machine), card, file, content)
        except (Silence, BrokenPipeError) as error:
            return [Seen(title, "did not do it all", good=False, note=str(error))]
        finally:
            children.end(machine)
            card.close()


def _talk(title: str, console: Console, card: CardProcess, file: Path, content: bytes) -> list[Seen]:
    if card.peer is None:
        raise UsageError("the wire has no far end of ours")
    serve = [sys.executable, "-I", boot_server.__file__, str(file), str(file)]
    card.peer.start(serve)
    console.until("Hit any key", STARTS_S)
    console.type(" ")
    console.until(PROMPT, SAYS_S)
    console.run("pci enum; setenv autoload no")
    bound = console.run("dhcp", LOADS_S)
    address = console.run("printenv ethaddr").strip()
    ping = console.run(f"ping {boot_server.SERVER}")
    before = card.account()["frames_sent"]
    loaded = console.run(f"tftpboot $kernel_addr_r {boot_server.SERVER}:{file.name}", LOADS_S)
    frames = card.account()["frames_sent"] - before
    summed = console.run("crc32 $kernel_addr_r $filesize")
    return judge(title, (address, bound, ping, loaded, summed), frames, content)


def judge(title: str, said: Sequence[str], frames: int, content: bytes) -> list[Seen]:
    """Say of each step what came of it."""
    address, bound, ping, loaded, summed = said
    blocks = len(content) // BLOCK_BYTES + 1
    crc = re.search(r"==> ([0-9a-f]{8})", summed)
    right = crc is not None and int(crc[1], 16) == zlib.crc32(content)
    client = boot_server.CLIENT
    return [
        Seen(f"{title}: its address", address, MAC in address),
        Seen(f"{title}: DHCP", client if client in bound else bound[-200:], client in bound),
        Seen(f"{title}: ping", ping.strip().splitlines()[-1], "is alive" in ping),
        Seen(
            f"{title}: TFTP",
            f"{len(content):,} bytes, CRC {'agrees' if right else 'does not agree'}",
            right,
            "" if right else f"{loaded[-200:]} {summed[-200:]}",
        ),
        Seen(
            f"{title}: frames sent for it",
            f"{frames:,} for {blocks:,} blocks",
            blocks <= frames <= blocks + OTHER_FRAMES,
            "" if frames <= blocks + OTHER_FRAMES else "a PAUSE frame round each makes as many again",
        ),
    ]
