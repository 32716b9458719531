"""Finds the programs of Wireshark's command line (tshark, capinfos), by which captures are judged.

The machine's own when it has them; else those of the package set, which ``ringwalk fetch tshark`` brings and
which run from their unpacked tree.
"""

from __future__ import annotations

import shutil
from typing import Final

from lab.errors import UsageError
from lab.machines import fetch
from lab.machines.fetch import prefix

SET: Final = "tshark"


def command(program: str = "tshark", *, offline: bool = True) -> list[str]:
    """Return the arguments that run a program. UsageError: it is not here, and is not to be fetched."""
    found = shutil.which(program)
    if found is not None:
        return [found]
    if not offline:
        fetch.ensure([SET])
    tree = fetch.tree(SET)
    if not (tree / "usr/bin" / program).exists():
        raise UsageError(f"there is no {program} here: run `ringwalk fetch {SET}`, or install it")
    return prefix.command(tree, f"usr/bin/{program}")
