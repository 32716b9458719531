"""Turns what ``--target`` says into a target. It starts nothing: ``open`` does."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from device.effects import GuestMemory
    from device.engine.contract import Engine
    from lab.conformance.bench import Bench
    from lab.conformance.check import Check
    from lab.conformance.verdict import Outcome

FORMS = (
    "reference",
    "native",
    "qtest:DEVICE (as qtest:e1000e)",
    "vfio-user:SOCKET[,wire=LOCAL:REMOTE]",
    "libvfio-user:SOCKET[,wire=LOCAL:REMOTE]",
    "vfio:DDDD:BB:DD.F[,wire=IFNAME]",
    "guest:CARD (a guest's VFIO; as guest:82574l, guest:82574l:reference, guest:qemu-e1000e)",
)


@dataclass(frozen=True, slots=True)
class Named:
    """A target by its name, and how to make its bench.

    ``elsewhere`` runs the checks in another machine, where the bench is made, and brings their outcomes.
    """

    name: str
    make: Callable[[], Bench]
    real: bool = False
    elsewhere: Callable[[Sequence[Check]], Iterator[Outcome]] | None = None

    def open(self) -> Bench:
        """Make the bench."""
        return self.make()


def _engine(module: str, name: str) -> Callable[[GuestMemory], Engine]:
    def make(memory: GuestMemory) -> Engine:
        engine: Engine = getattr(importlib.import_module(module), name)(memory, offload=False)
        return engine

    return make


def _reference(_: str) -> Bench:
    from lab.conformance.targets.inprocess import InProcessBench  # noqa: PLC0415 - only when it is asked for

    return InProcessBench(_engine("device.engine.reference", "ReferenceEngine"))


def _native(_: str) -> Bench:
    from lab.conformance.targets.inprocess import InProcessBench  # noqa: PLC0415 - only when it is asked for

    try:
        return InProcessBench(_engine("device.engine.native", "NativeEngine"))
    except ImportError as error:
        raise UsageError(f"the native engine is not built ({error}): run `pip install -e .`") from error


def _qtest(device: str) -> Bench:
    from lab.conformance.targets.qtest import QtestBench  # noqa: PLC0415 - only when it is asked for
    from lab.machines.qemu import binary  # noqa: PLC0415 - the same

    return QtestBench(binary.find(), device or "e1000e")


def _vfio_user(rest: str) -> Bench:
    from lab.conformance.targets.vfiouser import VfioUserBench  # noqa: PLC0415 - only when it is asked for

    path, _, option = rest.partition(",wire=")
    if not path:
        raise UsageError("vfio-user needs a socket: --target vfio-user:/run/card.sock")
    local, _, remote = option.partition(":")
    return VfioUserBench(path, (local, remote) if option else None)


def _vfio(address: str) -> Bench:
    from lab.conformance.targets.vfio import VfioBench  # noqa: PLC0415 - only when it is asked for

    function, _, interface = address.partition(",wire=")
    return VfioBench(function, interface)


def _guest(card: str) -> Bench:
    raise AssertionError(f"the bench of guest:{card} is made in the guest")


def _in_guest(name: str, card: str) -> Named:
    from lab.conformance.targets.guest import cards, outcomes  # noqa: PLC0415 - only when it is asked for

    specs = cards(card)
    return Named(name, lambda: _guest(card), elsewhere=lambda checks: outcomes(name, specs, checks))


KINDS: dict[str, Callable[[str], Bench]] = {
    "reference": _reference,
    "native": _native,
    "qtest": _qtest,
    "vfio-user": _vfio_user,
    "libvfio-user": _vfio_user,
    "vfio": _vfio,
}


def target(text: str) -> Named:
    """Return the target that the text names; raises ``UsageError`` when it names none."""
    kind, _, rest = text.partition(":")
    if kind == "guest":
        return _in_guest(text, rest)
    if kind not in KINDS:
        raise UsageError(f"no target is called {text!r}: give one of {'; '.join(FORMS)}")
    return Named(text, lambda: KINDS[kind](rest), real=kind == "vfio")
