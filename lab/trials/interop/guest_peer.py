"""A guest as the far end of a wire: programs are started in it, and their ends waited for."""

from __future__ import annotations

import itertools
import shlex
from typing import TYPE_CHECKING

from lab.machines.peer import Finished, PeerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.machines.guest.session import Guest


class GuestPeer:
    """A ``Peer`` by the guest's agent, which runs one script at a time: programs go to the background."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._numbers = itertools.count(1)

    def start(self, argv: Sequence[str]) -> int:
        """Start a program; return its number."""
        number = next(self._numbers)
        name = f"/tmp/program{number}"  # noqa: S108 - in the guest
        command = (
            f"{shlex.join(argv)} >{name}.out 2>{name}.err; echo $? >{name}.new; mv {name}.new {name}.end"
        )
        self._guest.run(f"setsid sh -c {shlex.quote(command)} </dev/null >/dev/null 2>&1 &", check=True)
        return number

    def finish(self, number: int, timeout_s: float = 60) -> Finished:
        """Wait for a program's end. ``PeerError`` when it does not come in time."""
        name = f"/tmp/program{number}"  # noqa: S108 - in the guest
        tenths = int(timeout_s * 10)
        waiting = f"for i in $(seq {tenths}); do test -e {name}.end && break; sleep 0.1; done; cat {name}.end"
        status = self._guest.run(waiting, timeout_s=timeout_s + 30).out.strip()
        if not status:
            raise PeerError(f"program {number} in the guest did not end in {timeout_s:.0f} s")
        out, err = (self._guest.get(f"{name}.{what}").decode(errors="replace") for what in ("out", "err"))
        return Finished(int(status), out, err)
