"""``ringwalk interop``: foreign programs and stacks against ours. Its parts: ``lab.trials.interop``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import lab.trials.interop
from lab.cli.terminal import width
from lab.trials.interop.contract import text
from lab.trials.parts import add_parts, run_part

if TYPE_CHECKING:
    import argparse

NAME = "interop"
HELP = "have foreign programs and stacks talk to ours over an emulated card: Wine, curl, iperf3, Linux"
EXAMPLES = (
    "  ringwalk interop wine        Winsock programs in C under Wine: echoes, and every error code compared\n"
    "  ringwalk interop cpython     CPython's own tests of socket, select, ssl, http …, over our stack\n"
    "  ringwalk interop curl        100 MB from a web server on our stack, and back\n"
    "  ringwalk interop iperf3      the real iperf3 as client and as server\n"
    "  ringwalk interop impaired    transfers over bad cables, the same way bad each time\n"
    "  ringwalk interop prompt      keystrokes echoed while a bulk transfer runs\n"
    "  ringwalk interop scripts     51 packet scripts, played to Linux and to us\n"
    "  ringwalk interop uboot       U-Boot's driver on x86 and ARM: DHCP, ping, a file by TFTP\n"
    "  ringwalk interop wsk         kernel sockets: an echo driver on WSK, and a WSK client"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare each part's arguments, and those of all."""
    add_parts(parser, lab.trials.interop, "print what was seen as data")


def run(args: argparse.Namespace) -> int:
    """Do the part and tell what was seen; 1 when something is not as it must be."""
    seen = run_part(args)
    if seen is None:
        return 1
    bad = sum(not one.good for one in seen)
    if args.json:
        print(json.dumps({"passed": not bad, "seen": [asdict(one) for one in seen]}, ensure_ascii=False))
    else:
        print(text(seen, width()))
        print(f"{len(seen)} seen, {bad} bad" if bad else f"{len(seen)} seen, all as they must be")
    return 1 if bad else 0
