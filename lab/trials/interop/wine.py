"""Programs in C for Windows, run by Wine on Linux's stack, against ours: echoes both ways, error codes.

Wine hands much to Linux and lets Linux's answers through: it is a second opinion. Microsoft's documentation
(``documented``) decides.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.errors import UsageError
from lab.host.locked_winsock import Locked
from lab.machines import scratch
from lab.machines.peer import PeerError
from lab.trials.interop.contract import Seen
from lab.trials.interop.documented import SITUATIONS, Documented
from lab.trials.interop.echo import MAX_DATAGRAM, SIZES, EchoServer, echoes, wait_for
from lab.trials.interop.private_root import Windows
from lab.trials.interop.situations import Situations
from lab.trials.interop.verified import add_verify, watched
from protocols.apis.winsock.errors import Wsae

if TYPE_CHECKING:
    import argparse

    from lab.host.station import Station
    from lab.machines.peer import Peer
    from lab.trials.parts import Progress

NAME = "wine"
HELP = "Winsock programs in C under Wine against ours: echoes both ways, error codes compared"
OURS, LINUX, NOBODY = "10.82.57.9", "10.82.57.1", "10.82.57.77"
OUR_PORT, WINE_PORT = 7000, 7100
LIMIT_S = 90.0
PROGRAMS = ("echo_server", "echo_client", "situations")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the wire."""
    add_verify(parser)
    parser.add_argument("--wire", default="netns", help="the cable to Linux's end (default netns)")


def run(args: argparse.Namespace, progress: Progress) -> list[Seen]:
    """Compile, start both ends, echo both ways, compare the codes."""
    folder = Path(scratch.make())
    seen: list[Seen] = []
    try:
        progress("Wine and the compiler")
        windows = Windows(folder / "windows")
        windows.compile(*PROGRAMS)
        version = windows.version()
        progress(f"{version}; a card, our stack, and Linux's end of the cable")
        # Landlock, by which the card's process is confined, also keeps what it starts from mounting.
        with watched(args.wire, seen, verify=args.verify, options=("--no-harden",)) as station:
            station.configure(f"{OURS}/24")
            if station.process.peer is None:
                raise UsageError(f"--wire {args.wire} has no far end of ours: use netns")
            seen += _meet(station, station.process.peer, windows, version, progress)
        return seen
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _meet(station: Station, peer: Peer, windows: Windows, version: str, progress: Progress) -> list[Seen]:
    ours = EchoServer(station.sockets, OUR_PORT)
    theirs = peer.start(windows.inside("echo_server", WINE_PORT))
    wait_for(station.sockets, LINUX, WINE_PORT)
    progress("the C client at our server")
    client = peer.finish(peer.start(windows.inside("echo_client", OURS, OUR_PORT, *SIZES)), LIMIT_S)
    progress("our client at the C server")
    lines = echoes(station.sockets, LINUX, WINE_PORT)
    progress("error codes of both")
    said = peer.finish(peer.start(windows.inside("situations", OURS, OUR_PORT, NOBODY)), LIMIT_S)
    here = our_answers(station)
    ours.close()
    station.sockets.create_connection((LINUX, WINE_PORT + 2), 5).close()  # which ends the program
    peer.finish(theirs, LIMIT_S)
    if said.status:
        raise PeerError(f"the situations program ended with {said.status}: {said.err}")
    return [
        *_echoed("echo, C client to our server", client.out.splitlines(), client.err),
        *_echoed("echo, our client to C server", lines, ""),
        *compare(answers(said.out), here, version),
    ]


def our_answers(station: Station) -> dict[str, int]:
    """Go through the situations with a new process of the station."""
    winsock: Any = Locked(station.host.upper.process(), station.host.executive.entry)
    return Situations(winsock, LINUX, WINE_PORT, NOBODY).run()


def answers(out: str) -> dict[str, int]:
    """Read the lines of the program in C."""
    pairs = (line.rpartition(" ") for line in out.splitlines() if line)
    return {name: int(code) for name, _, code in pairs}


def compare(wine: dict[str, int], ours: dict[str, int], version: str) -> list[Seen]:
    """Judge each situation by what is documented; good is what ours answers rightly."""
    return [
        judge(name, documented, wine.get(name), ours.get(name), version)
        for name, documented in SITUATIONS.items()
    ]


def judge(name: str, documented: Documented, wine: int | None, ours: int | None, version: str) -> Seen:
    """Tell whether ours answers as documented, and whether Wine does."""
    good = ours in documented.codes
    result = code_text(ours) if ours == wine else f"ours {code_text(ours)}, {version} {code_text(wine)}"
    notes = []
    if wine != ours or not good:
        allowed = " or ".join(code_text(code) for code in documented.codes)
        notes.append(f"documented: {allowed} ({documented.page}: {documented.condition})")
        if good:
            notes.append("both are" if wine in documented.codes else "ours is that, Wine's is not")
        elif wine in documented.codes:
            notes.append("OURS IS WRONG")
        else:
            notes.append("NEITHER IS THAT")
    return Seen(name, result, good, "; ".join(notes))


def code_text(code: int | None) -> str:
    """Return a code with its name."""
    if not code:
        return "no answer" if code is None else "success"
    try:
        return f"{code} {Wsae(code).name}"
    except ValueError:
        return str(code)


def _echoed(what: str, lines: list[str], complaints: str) -> list[Seen]:
    expected = [f"tcp {size} same" for size in SIZES]
    expected += [f"udp {size} same" for size in SIZES if size <= MAX_DATAGRAM]
    wrong = sorted(set(expected) ^ set(lines))
    sizes = f"{len(lines)} echoes of 1 to {SIZES[-1]:,} bytes, TCP and UDP"
    return [Seen(what, sizes if not wrong else "; ".join(wrong) + complaints, good=not wrong)]
