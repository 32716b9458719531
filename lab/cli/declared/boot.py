"""What ``ringwalk boot`` takes. The work, and all that it loads, is ``lab.cli.commands.boot``."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from lab.cli.arguments import mac, positive
from lab.machines.kinds import ENGINES, KINDS, TRANSPORTS
from lab.stepper import arguments as stepping

NAME = "boot"
HELP = "boot a Linux guest whose own driver drives the card, and move traffic"
GDB_PORT = 1234
EXAMPLES = (
    "  ringwalk boot                                  the whole story\n"
    "  ringwalk boot -i                               a shell in the guest\n"
    "  ringwalk boot --exec 'ethtool -S eth0'         one command's output and status\n"
    "  ringwalk boot --copy t.sh:/opt/t.sh --exec 'sh /opt/t.sh'\n"
    "  ringwalk boot --nic 82574l --nic virtio-net    two cards\n"
    "  ringwalk boot --wire netns,loss=1%,delay=5ms   a bad cable\n"
    "  ringwalk boot --transport libvfio-user         the card served by libvfio-user\n"
    "  ringwalk boot --guest nt                       our own driver and NDIS in the guest\n"
    "  ringwalk boot --wire passt                     a guest that reaches the outside\n"
    "  ringwalk boot --step                           stop at every access and descriptor\n"
    "  ringwalk boot --record run.rw                  keep the card's whole life, for `replay`\n"
    "  ringwalk boot --stack                          the guest and an NT stack on one switch"
)
UNITS = {"": 1, "m": 1, "g": 1024}
LEAST_MEMORY_MIB = 192


def memory_mib(text: str) -> int:
    """Read an amount of memory: 512, 512M or 1G."""
    match = re.fullmatch(r"(\d+)([mMgG]?)", text)
    amount = int(match[1]) * UNITS[match[2].lower()] if match else 0
    if amount < LEAST_MEMORY_MIB:
        raise argparse.ArgumentTypeError(f"{text}: give at least {LEAST_MEMORY_MIB}M, as in 512M or 1G")
    return amount


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    what = parser.add_argument_group("what to do in the guest (default: the story)")
    what.add_argument(
        "-i", "--interactive", action="store_true", help="give the guest's console; `exit` ends it"
    )
    what.add_argument(
        "--exec", metavar="CMD", help="run a shell command, print its output, exit with its status"
    )
    what.add_argument("--script", metavar="FILE", type=Path, help="run a shell script of the host; as --exec")
    what.add_argument(
        "--copy",
        metavar="HOST:GUEST",
        action="append",
        default=[],
        help="copy a file or a folder first (repeatable)",
    )
    what.add_argument(
        "--copy-out",
        metavar="GUEST:HOST",
        action="append",
        default=[],
        help="copy a file or a folder of the guest's to the host at the end (repeatable)",
    )
    what.add_argument(
        "--share",
        metavar="DIR[:ro]",
        action="append",
        default=[],
        help="show a folder of the host in the guest, at /mnt/NAME (repeatable)",
    )
    what.add_argument(
        "--module",
        metavar="FILE.ko",
        type=Path,
        action="append",
        default=[],
        help="load a driver of your own in place of e1000e (repeatable; see `ringwalk kbuild`)",
    )
    what.add_argument("--no-driver", action="store_true", help="leave the card without a driver: no e1000e")
    what.add_argument(
        "--with",
        dest="extras",
        metavar="SET",
        action="append",
        default=[],
        help="also the programs of a set: tools (python3, strace), dpdk (repeatable)",
    )
    what.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=positive,
        help="end the guest if its start, or the command, takes longer; the status is then 124",
    )
    what.add_argument(
        "--guest",
        choices=("linux", "nt"),
        default="linux",
        help="who drives the card: the guest's Linux, or our miniport and NDIS in the guest (by VFIO)",
    )
    what.add_argument("--deserialized", action="store_true", help="with --guest nt: the deserialized driver")
    card = parser.add_argument_group("the cards")
    card.add_argument("--nic", action="append", choices=KINDS, help="a card (repeatable; default 82574l)")
    card.add_argument(
        "--engine", choices=ENGINES, default="native", help="who moves our card's frames (default native)"
    )
    card.add_argument(
        "--transport",
        choices=TRANSPORTS,
        default=TRANSPORTS[0],
        help="whose vfio-user our card is served by (default ours)",
    )
    card.add_argument(
        "--wire",
        action="append",
        metavar="SPEC",
        help="a card's cable, in the order of --nic (default netns)",
    )
    card.add_argument("--mac", action="append", type=mac, help="a card's address, in the order of --nic")
    card.add_argument("--pcap", metavar="FILE", type=Path, help="capture what passes, both ways, as pcapng")
    machine = parser.add_argument_group("the machine")
    machine.add_argument("--accel", choices=("auto", "kvm", "tcg"), default="auto")
    machine.add_argument("--cpus", type=positive, default=1)
    machine.add_argument(
        "--memory", type=memory_mib, default=512, metavar="SIZE", help="512M, 1G (default 512M)"
    )
    machine.add_argument("--kernel", type=Path, help="another kernel (its modules must be in --initrd)")
    machine.add_argument("--initrd", type=Path, help="another initramfs")
    machine.add_argument(
        "--append", metavar="ARGS", default="", help="more for the kernel's command line, as intel_iommu=on"
    )
    machine.add_argument(
        "--gdb",
        nargs="?",
        type=positive,
        const=GDB_PORT,
        metavar="PORT",
        help=f"let gdb attach to the guest, at 127.0.0.1 (default port {GDB_PORT}); KASLR is off then",
    )
    machine.add_argument("--qemu", metavar="PATH", help="another QEMU")
    machine.add_argument(
        "--qemu-arg",
        action="append",
        default=[],
        metavar="ARG",
        help="one more argument for QEMU (repeatable)",
    )
    stepping.add_arguments(parser)
    parser.add_argument(
        "--stack", action="store_true", help="also run an NT stack on a card of its own, and let both talk"
    )
    parser.add_argument(
        "--verify", action="store_true", help="--stack: watch every driver by NDIS's verifier, keep a log"
    )
    parser.add_argument(
        "--hold",
        action="store_true",
        help="--stack, --guest nt: go on until Ctrl-C, for `ringwalk ndis` and `ringwalk net` to look",
    )
    parser.add_argument("--offline", action="store_true", help="use only what is in the cache")
    parser.add_argument("--json", action="store_true", help="the same as data, on standard output")
