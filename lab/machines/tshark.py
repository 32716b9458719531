"""Finds the programs of Wireshark's command line (tshark, capinfos), by which captures are judged.

The machine's own when it has them; else those of the package set, which ``ringwalk fetch tshark`` brings and
which run from their unpacked tree.
"""

from __future__ import annotations

from typing import Final

from lab.machines import fetched_program

SET: Final = "tshark"


def command(program: str = "tshark", *, offline: bool = True) -> list[str]:
    """Return the arguments that run a program. UsageError: it is not here, and is not to be fetched."""
    return fetched_program.command(SET, program, offline=offline)
