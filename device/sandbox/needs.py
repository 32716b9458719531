"""What a card needs beyond the rule, by its wire, transport and onlookers: data for the filter and the docs.

``harden`` gives no more than is said here; docs/reference/sandbox.md and ``doctor`` are rendered from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from device.sandbox import calls, limits

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Needs:
    """What one card needs beyond the rule."""

    datagrams: bool = False
    """It sends to addresses."""
    captures: bool = False
    """It writes a capture or a recording, so files may become larger."""
    sockets: tuple[Path, ...] = ()
    """Private folders in which it makes its socket itself."""

    @property
    def calls(self) -> tuple[calls.Call, ...]:
        """Return the calls that this takes, in the place of the rule's of the same name."""
        return (calls.DATAGRAMS if self.datagrams else ()) + (calls.OWN_SOCKET if self.sockets else ())


@dataclass(frozen=True, slots=True)
class Case:
    """A kind of wire, a transport or a way to look on."""

    what: str
    helper: str = ""
    """What a process beside the card's does for it."""
    beyond: str = ""
    """What the card itself may do beyond the rule."""
    datagrams: bool = False


WIRES: Final[Mapping[str, Case]] = {
    "none": Case("none"),
    "loopback": Case("loopback"),
    "tap": Case("tap"),
    "packet": Case("packet"),
    "pcap": Case("pcap", beyond=f"files of up to {limits.CAPTURE_BYTES >> 30} GiB"),
    "stream": Case("stream", helper="listens and calls, and hands connections over"),
    "switch": Case("switch", helper="connects, or hosts the switch"),
    "dgram": Case(
        "dgram",
        helper="sends to a path that only the user may reach",
        beyond="sends datagrams to any address, on the socket that it has",
        datagrams=True,
    ),
    "netns": Case("netns", helper="starts programs in the namespace, for `boot` alone"),
    "passt": Case("passt", helper="passt; and programs on the host, for `boot` alone"),
}
"""Every kind of wire."""

OTHERS: Final = (
    Case("with `pcap=` or `--record`", beyond=f"files of up to {limits.CAPTURE_BYTES >> 30} GiB"),
    Case("with `--state`", helper="writes that one file (as always, it also removes the socket's name)"),
    Case(
        "with `--transport libvfio-user`",
        beyond="makes, binds and removes unix sockets in a private folder; the path is a link to it",
    ),
    Case(
        "with `--step`, `--tui`, `--hook`",
        beyond="everything: a stepper opens files and loads hooks as it goes",
    ),
)
"""What else makes a difference."""


def beyond() -> str:
    """Return who may do more than the rule, in a line."""
    return "; ".join(f"{case.what}: {case.beyond}" for case in (*WIRES.values(), *OTHERS) if case.beyond)


def markdown() -> str:
    """Return the page docs/reference/sandbox.md."""
    lines = [
        _HEAD,
        "| wire, option | a helper process | the card's process, beyond the rule |",
        "|---|---|---|",
    ]
    lines += [f"| {case.what} | {case.helper} | {case.beyond} |" for case in (*WIRES.values(), *OTHERS)]
    lines += ["", _CALLS, "| call | left to do |", "|---|---|"]
    lines += [f"| `{call.name}` | {call.allows} |" for call in calls.CALLS if call.allows]
    names = ", ".join(f"`{call.name}`" for call in calls.CALLS if not call.allows)
    lines += ["", f"And, on what the process has already: {names}.", ""]
    return "\n".join(lines)


_HEAD: Final = f"""# The sandbox, case by case

Rendered by `ci/generated.py` from `device/sandbox/needs.py` and `calls.py`, which the filter is made of too.
What stands behind it, and what a kernel may lack: [docs/security.md](../security.md).

The rule, for every thread of the card's process, on every wire: the calls below and no others; no path can be
opened but the lists of its own descriptors (`/proc/self/fd`, `/proc/self/fdinfo`); no capability; user 65534
where root started it; {limits.OPEN_FILES} descriptors, {limits.ADDRESSES_BYTES >> 40} TiB of addresses,
{limits.DATA_BYTES >> 30} GiB of its own memory, files of {limits.PLAIN_FILE_BYTES >> 30} GiB; no memory that
becomes code; no dumps.
"""
_CALLS: Final = """## The system calls that are left

The filter holds a call to what the second column says of its arguments. Any other call fails with EPERM (one
that is younger than Linux 5.1 with ENOSYS), and one by another architecture's numbers ends the process.
"""
