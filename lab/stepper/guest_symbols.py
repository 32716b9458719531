"""The symbols of a guest of ours: where its kernel's come from, and which modules' files we have."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from lab.machines import cache, fetch, recipes
from lab.stepper.guest_hold import Symbols
from lab.stepper.kernel_symbols import KernelSymbols

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from lab.machines.guest.session import Guest

APPEND: Final = "nokaslr"
"""For the kernel's command line: its functions are in the same places at each boot, so they are kept."""
LISTING: Final = "grep -v '\\[' /proc/kallsyms | grep -i ' [tw] '"


def _kept(kernel: Path) -> Path:
    """Return where a kernel's symbols are kept."""
    digest = hashlib.sha256(kernel.read_bytes()).hexdigest()[:16]
    return cache.directory("guest") / f"kallsyms-{digest}"


def symbols(kernel: Path, modules: Sequence[Path]) -> Symbols:
    """Return the symbols that are known without asking the guest; ``modules`` are the user's own files."""
    path = _kept(kernel)
    listing = path.read_text() if path.exists() else ""

    def files() -> Iterator[Path]:
        yield from modules
        yield from _fetched()

    return Symbols(KernelSymbols(listing), files)


def learn(guest: Guest, kernel: Path, known: Symbols) -> None:
    """Ask a guest that is ready for its kernel's symbols, unless they are known, and keep them."""
    if known.kernel.known:
        return
    found = KernelSymbols(guest.run(LISTING).out)
    if not found.known:
        return
    known.kernel = found
    path = _kept(kernel)
    partial = path.with_suffix(".part")
    partial.write_text(found.listing())
    partial.replace(path)


def _fetched() -> Iterator[Path]:
    """Yield the files of the modules that the guest may have, network drivers first."""
    wanted = {name.replace("-", "_") for name in recipes.load("guest.toml")["modules"]}
    paths = [
        path
        for path in (fetch.tree("guest") / "usr/lib/modules").rglob("*.ko*")
        if path.name.partition(".ko")[0].replace("-", "_") in wanted
    ]
    yield from sorted(paths, key=lambda path: ("drivers/net/ethernet" not in str(path), str(path)))
