"""Runs programs of the package sets that ``ringwalk fetch`` brings, from their unpacked trees."""

from __future__ import annotations

import shutil

from lab.errors import UsageError
from lab.machines import fetch
from lab.machines.fetch import prefix

FOLDERS = ("usr/bin", "usr/sbin")


def command(package_set: str, program: str, *, offline: bool = True) -> list[str]:
    """Return the arguments that run a program: the machine's own, or the set's.

    UsageError: it is not here, and is not to be fetched.
    """
    found = shutil.which(program)
    if found is not None:
        return [found]
    if not offline:
        fetch.ensure([package_set])
    tree = fetch.tree(package_set)
    for folder in FOLDERS:
        if (tree / folder / program).exists():
            return prefix.command(tree, f"{folder}/{program}")
    raise UsageError(f"there is no {program} here: run `ringwalk fetch {package_set}`, or install it")
