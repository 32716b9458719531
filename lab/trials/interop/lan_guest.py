"""A Linux guest whose kernel speaks a LAN protocol, on a switch where stations of ours join it."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lab.machines import guest_machine
from lab.machines.cards import LOCAL_MAC, CardSpec
from lab.machines.guest.session import GuestSpec
from lab.trials.interop.verified import add_verify

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping
    from types import ModuleType

    from lab.machines.guest.session import Guest

BYTES: Final = 20_000
GUEST_MAC: Final = LOCAL_MAC.format(1)
LOSS: Final = "loss 5%"


@dataclass(frozen=True, slots=True)
class LanGuest:
    """The guest, its interface, and the switch that it is on."""

    guest: Guest
    interface: str
    wire: str

    def lose(self) -> None:
        """Lose ``LOSS`` of what the guest sends, from now on."""
        self.guest.run(f"tc qdisc replace dev {self.interface} root netem {LOSS}", check=True)


def add_arguments(parser: argparse.ArgumentParser, what: str = "over a link") -> None:
    """Declare the size of ``what``, the verifiers, and whether to fetch."""
    add_verify(parser)
    parser.add_argument("--bytes", type=int, default=BYTES, metavar="N", help=f"{what} (default {BYTES})")
    add_offline(parser)


def add_offline(parser: argparse.ArgumentParser) -> None:
    """Declare whether to fetch."""
    parser.add_argument("--offline", action="store_true", help="use only what is in the cache")


@contextmanager
def linux_with(
    protocol: str, name: str, programs: Mapping[str, ModuleType], *, offline: bool
) -> Iterator[LanGuest]:
    """Boot a guest with the kernel module ``protocol``, and Python modules as programs at these paths."""
    wire = f"switch:{name}{os.getpid()}"
    spec = GuestSpec(offline=offline, extras=("tools",))
    with guest_machine.booted([CardSpec("82574l", wire, GUEST_MAC)], spec) as running:
        guest, (interface,) = running.guest, running.interfaces()
        guest.run(f"modprobe {protocol} && ip link set {interface} up", check=True)
        guest.wait_link(interface)
        for path, module in programs.items():
            guest.put(path, Path(str(module.__file__)).read_bytes())
        yield LanGuest(guest, interface, wire)
