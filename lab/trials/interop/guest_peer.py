"""A guest as the far end of a wire: programs are started in it, and their ends waited for."""

from __future__ import annotations

import itertools
import json
import shlex
from typing import TYPE_CHECKING, Any, Final

from lab.machines.peer import Finished, PeerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.machines.guest.session import Guest


LISTENING: Final = "listening"
"""What a program says on standard error when others may come."""
LISTENS_S: Final = 10
MOST_TOLD: Final = 300


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

    def start_listening(self, argv: Sequence[str]) -> int:
        """Start a program, and wait until it says that it listens. ``PeerError``: it does not."""
        number = self.start(argv)
        said = f"/tmp/program{number}.err"  # noqa: S108 - in the guest
        looks = f"for i in $(seq {10 * LISTENS_S}); do grep -q {LISTENING} {said} && exit 0; sleep 0.1; done"
        if self._guest.run(f"{looks}; exit 1", timeout_s=LISTENS_S + 30).status:
            raise PeerError(f"{argv[0]} in the guest does not listen: {self._said(number, 'err')}")
        return number

    def ask(self, argv: Sequence[str], timeout_s: float = 60) -> Any:  # noqa: ANN401 - JSON
        """Run a program, and return what it prints as JSON. ``PeerError``: it failed."""
        return self.told(self.start(argv), timeout_s)

    def told(self, number: int, timeout_s: float = 60) -> Any:  # noqa: ANN401 - JSON
        """Wait for a program's end, and return what it printed as JSON. ``PeerError``: it failed."""
        done = self.finish(number, timeout_s)
        if done.status:
            raise PeerError(f"the program in the guest failed: {done.err.strip()[-MOST_TOLD:]}")
        return json.loads(done.out)

    def finish(self, number: int, timeout_s: float = 60) -> Finished:
        """Wait for a program's end. ``PeerError`` when it does not come in time."""
        name = f"/tmp/program{number}"  # noqa: S108 - in the guest
        tenths = int(timeout_s * 10)
        waiting = f"for i in $(seq {tenths}); do test -e {name}.end && break; sleep 0.1; done; cat {name}.end"
        status = self._guest.run(waiting, timeout_s=timeout_s + 30).out.strip()
        if not status:
            raise PeerError(f"program {number} in the guest did not end in {timeout_s:.0f} s")
        return Finished(int(status), self._said(number, "out"), self._said(number, "err"))

    def _said(self, number: int, what: str) -> str:
        return self._guest.get(f"/tmp/program{number}.{what}").decode(errors="replace")  # noqa: S108 - in the guest
