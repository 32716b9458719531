"""Adds the programs of further package sets to the guest's first root: a second archive behind the first.

Linux unpacks archives that follow each other one after the other (initramfs buffer format), so the ordinary
root stays as it is, and only guests that ask carry more.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from lab.errors import UsageError
from lab.machines import cache, fetch, recipes
from lab.machines.fetch import record
from lab.machines.guest import initramfs
from lab.machines.guest.cpio import emit

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

RECIPE = "extras.toml"


def image(names: Sequence[str], *, offline: bool = False) -> Path:
    """Return the path of an initramfs that also has the programs of the sets ``names``, built when missing.

    Raises ``UsageError`` for a set that has no programs for a guest, or cannot be fetched.
    """
    base = initramfs.image(offline=offline)
    if not names:
        return base
    recipe = recipes.load(RECIPE)
    for name in names:
        if name not in recipe:
            raise UsageError(f"the set {name} has nothing for a guest: choose of {', '.join(recipe)}")
    fetch.ensure(names, offline=offline)
    held = record.read()
    digest = hashlib.sha256((recipes.folder() / RECIPE).read_bytes())
    digest.update(json.dumps([p.sha256 for name in names for p in held[name].packages]).encode())
    path = base.with_name(f"extras-{base.stem.rpartition('-')[2]}-{digest.hexdigest()[:16]}.cpio")
    with cache.exclusive("initramfs"):
        if not path.exists():
            new = path.with_suffix(".new")
            with new.open("wb") as file:
                file.write(base.read_bytes())
                for name in names:
                    tree = fetch.tree(name)
                    file.writelines(emit(initramfs.programs(tree, matching(tree, recipe[name]["programs"]))))
            for old in path.parent.glob("extras-*.cpio"):
                old.unlink()
            new.rename(path)
    return path


def matching(tree: Path, patterns: Sequence[str]) -> list[str]:
    """Return the paths in ``tree`` that the patterns name; ``UsageError`` for one that names none."""
    found = []
    for pattern in patterns:
        paths = sorted(str(path.relative_to(tree)) for path in tree.glob(pattern) if path.is_file())
        if not paths:
            raise UsageError(f"no {pattern} in {tree}: run `ringwalk fetch --clean`, then `ringwalk fetch`")
        found += paths
    return found
