"""What ``ringwalk serve`` takes. The work, and all that it loads, is ``lab.cli.commands.serve``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lab.cli.arguments import mac
from lab.machines.kinds import ENGINES, TRANSPORTS
from lab.stepper import arguments as stepping

if TYPE_CHECKING:
    import argparse


NAME = "serve"
HELP = "serve the card on a vfio-user socket, for your own QEMU"
EXAMPLES = (
    "  ringwalk serve --socket /tmp/nic.sock --wire netns\n"
    "  ringwalk serve --socket /tmp/nic.sock --wire tap:tap0 --mac 52:54:00:12:34:56\n"
    "  ringwalk serve --socket /tmp/nic.sock --wire pcap:out.pcapng --engine reference\n"
    "  ringwalk serve --socket /tmp/nic.sock --transport libvfio-user    by somebody else's protocol engine"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--socket", metavar="PATH", type=Path, required=True, help="where QEMU shall connect")
    parser.add_argument("--wire", metavar="SPEC", default="netns", help="the card's cable (default netns)")
    parser.add_argument(
        "--mac", type=mac, help="the card's address (default: one of its own where cards share a cable)"
    )
    parser.add_argument("--engine", choices=ENGINES, default=ENGINES[0], help="who moves the frames")
    parser.add_argument(
        "--transport", choices=TRANSPORTS, default=TRANSPORTS[0], help="whose vfio-user (default ours)"
    )
    stepping.add_arguments(parser)
    parser.add_argument(
        "--spin-us",
        type=int,
        metavar="N",
        help="look N µs for the next message before sleeping, keeping a core busy;"
        " by default 25, and only while messages come close together (native engine)",
    )
    parser.add_argument(
        "--doorbell",
        choices=("message", "mmap"),
        default="message",
        help="mmap: a polling driver may map the ring registers; QEMU then posts no write (native engine)",
    )
    parser.add_argument(
        "--dma",
        choices=("descriptors", "messages"),
        default="descriptors",
        help="messages: take memory without a descriptor, too (memory-backend-ram): slow, and QEMU may hang",
    )
    parser.add_argument(
        "--write-multiple",
        action="store_true",
        help="let the VMM put register writes together (off by default: docs/performance.md)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON line when ready, one at the end")
    parser.add_argument(
        "--state",
        metavar="FILE",
        type=Path,
        help="start from the state in FILE, if it is there; SIGUSR1 keeps the present one in it",
    )
    parser.add_argument("--no-harden", action="store_true", help="keep every right of this user (see doctor)")
    parser.add_argument(
        "--control-fd",
        type=int,
        metavar="N",
        help="answer requests on this inherited socket (account, descriptors, save); end when it closes",
    )
    parser.add_argument(
        "--peer-fd",
        type=int,
        metavar="N",
        help="start programs at the wire's far end as asked on this inherited socket (start, finish)",
    )
