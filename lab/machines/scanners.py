"""Finds the programs that look at a filtered host from outside: nmap, hping3, tcpdump.

The machine's own when it has them; else those of the package set ``ringwalk fetch scanners``.
"""

from __future__ import annotations

from typing import Final

from lab.machines import fetch, fetched_program

SET: Final = "scanners"


def command(program: str, *, offline: bool = True) -> list[str]:
    """Return the arguments that run a program. UsageError: it is not here, and is not to be fetched."""
    found = fetched_program.command(SET, program, offline=offline)
    data = fetch.tree(SET) / "usr/share/nmap"
    if program == "nmap" and len(found) > 1 and data.exists():
        found += ["--datadir", str(data)]
    return found
