"""Puts a guest together: the cards, their wires, QEMU; and takes it apart again, whatever happened."""

from __future__ import annotations

import shutil
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lab.machines import boot_report, cards, scratch
from lab.machines.guest.session import BOOT_TIMEOUT_S, Guest, GuestError, GuestSpec
from lab.machines.qemu.process import QemuError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lab.machines.cards import CardSpec, Fitted

    Fit = Callable[[CardSpec, Path, int], Fitted]
    Begun = Callable[[Guest], object]
    Ended = Callable[[Exception], object]


def nobody(_: object) -> None:
    """Be told of a guest, or of its end, and do nothing."""


@dataclass(frozen=True, slots=True)
class Lab:
    """A running guest and what it was fitted with."""

    guest: Guest
    fitted: tuple[Fitted, ...]
    boot_seconds: float

    def interfaces(self) -> list[str]:
        """Return the guest's interface of each card, in their order."""
        names = self.guest.interfaces()
        return [names.get(one.spec.mac, f"eth{n}") for n, one in enumerate(self.fitted)]

    def configure(self) -> None:
        """Bring the cards up and give them their addresses, so that commands find a network."""
        for one, interface in zip(self.fitted, self.interfaces(), strict=True):
            boot_report.raise_link(self.guest, one, interface)
            boot_report.configure(self.guest, interface, one.far_end)

    def configure_if_able(self) -> None:
        """Give the cards their addresses where a driver makes interfaces; no link is awaited."""
        names = self.guest.interfaces()
        for one in self.fitted:
            interface, end = names.get(one.spec.mac), one.far_end
            if interface is not None and end is not None and end.address is not None:
                self.guest.run(f"ip link set {interface} up")
                self.guest.run(f"ip address replace {end.guest_address} dev {interface}")

    def tell(self, say: boot_report.Say = nobody) -> boot_report.Story:
        """Move traffic over every card; return the account. ``say`` gets each line as it is known."""
        told = boot_report.Story(
            qemu=f"QEMU {self.guest.qemu.version_text} ({self.guest.qemu.origin})",
            accelerator=self.guest.choice.accelerator,
            reason=self.guest.choice.reason,
            kernel=self.guest.run("uname -r", check=True).out.strip(),
            boot_seconds=round(self.boot_seconds, 2),
            cards=(),
        )
        for row in boot_report.head_rows(told):
            say(row)
        names = self.interfaces()
        seen = [
            boot_report.observe_card(self.guest, one, interface, say)
            for one, interface in zip(self.fitted, names, strict=True)
        ]
        pairs = boot_report.observe_pairs(self.guest, self.fitted, names, say)
        complaints = boot_report.complaints(self.guest.dmesg())
        for line in complaints:
            say(("complaint", line))
        return replace(told, cards=tuple(seen), pairs=pairs, complaints=complaints)


@contextmanager
def booted(
    specs: list[CardSpec],
    machine: GuestSpec,
    fit: Fit = cards.fit,
    begun: Begun = nobody,
    *,
    ended: Ended = nobody,
    ready: Begun = nobody,
    timeout_s: float | None = None,
) -> Iterator[Lab]:
    """Boot a guest with cards; at the end of the block nothing of it is left.

    ``fit`` makes each card; ``begun`` is told of the guest when it has started and nothing has answered yet,
    ``ready`` when its agent answers, ``ended`` of the error by which it fails, while its cards are there.

    Raises ``UsageError``, ``QemuError`` or ``GuestError``.
    """
    specs = cards.prepare(specs, offline=machine.offline)
    with ExitStack() as stack:
        folder = scratch.make()
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        guest = Guest(machine)  # finds and fetches, before anything is started
        fitted = []
        for number, spec in enumerate(specs):
            one = fit(spec, folder, number)
            stack.callback(one.close)
            fitted.append(one)
        guest.fit(tuple(one.attachment for one in fitted))
        began = time.monotonic()
        stack.callback(guest.close)
        guest.start()
        begun(guest)
        try:
            guest.wait_ready(timeout_s or BOOT_TIMEOUT_S)
            ready(guest)
            yield Lab(guest, tuple(fitted), time.monotonic() - began)
        except (GuestError, QemuError) as error:
            ended(error)
            raise
