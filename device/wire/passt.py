"""The outside, by the passt program: NAT, DHCP and DNS without rights.

passt takes an open socket (``--fd``), so there is no path whose rights matter, also where root's
passt becomes ``nobody``; and it ends when that socket is closed, so it cannot outlive us. It goes
to the background once it is ready: the exit status of the program that we start is the answer.

Source: passt(1).
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from typing import Final

from device.wire.contract import Framing, WireError

_START_SECONDS: Final = 15


def passt_arguments(program: str, fd: int, mtu_bytes: int, extra: tuple[str, ...]) -> list[str]:
    """Return the command line of a passt that serves one card on ``fd``."""
    return [program, "--quiet", "--one-off", "--fd", str(fd), "--mtu", str(mtu_bytes), *extra]


class PasstWire:
    """A cable to a passt of its own."""

    framing = Framing.STREAM
    link = True

    def __init__(
        self, spec: str, program: str = "", mtu_bytes: int = 1500, extra: tuple[str, ...] = ()
    ) -> None:
        """Start passt: ``program``, or the one on PATH. Raises ``WireError``."""
        self.spec = spec
        found = shutil.which(program or "passt")
        if found is None:
            raise WireError(
                f"{spec}: no program {program or 'passt'}; run: sudo apt-get install passt, "
                "or give passt:program=PATH"
            )
        self._socket, theirs = socket.socketpair()
        with theirs, tempfile.TemporaryFile("w+") as log:
            argv = passt_arguments(found, theirs.fileno(), mtu_bytes, extra)
            try:
                status = subprocess.run(
                    argv,
                    pass_fds=(theirs.fileno(),),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    timeout=_START_SECONDS,
                    check=False,
                ).returncode
            except (OSError, subprocess.TimeoutExpired) as error:
                self._socket.close()
                raise WireError(f"{spec}: {found} did not start: {error}; try it by hand") from error
            log.seek(0)
            said = [line.strip() for line in log if line.strip()]
        if status:
            self._socket.close()
            why = said[-1] if said else f"exit status {status}"
            raise WireError(f"{spec}: passt refused: {why}; it needs a host with a route (see: ip route)")
        self._socket.settimeout(0)

    @property
    def fd(self) -> int:
        """The socket; -1 once closed."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket, which ends passt."""
        self._socket.close()
