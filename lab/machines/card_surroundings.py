"""What a served card has outside its process: wire, socket's name, clerk, and who starts programs.

Everything is opened before the card is confined, and each thing that is still to be done for it afterwards
is done by a helper process (``device.sandbox.helper``): the wire's dialler, the clerk, and the one that
starts programs at the far end, which answers the lab directly and never the card.
"""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from device.sandbox.clerk import Clerk, Name
from device.sandbox.helper import Helper
from device.sandbox.needs import WIRES, Needs
from device.vfio_user.listening import bind, check_path
from device.wire.contract import Wire, WireError
from device.wire.dialing import FOR_A_SANDBOX
from device.wire.netns import NetnsWire
from device.wire.sockets import DatagramWire
from device.wire.spec import open_wire, parse_spec
from lab.errors import UsageError
from lab.machines import scratch
from lab.machines.card_control import bind_control, control_path
from lab.machines.cards import far_end, innermost
from lab.machines.kinds import OURS
from lab.machines.peer import answer_peer, obey

if TYPE_CHECKING:
    from pathlib import Path

    from lab.machines.peer import LocalPeer

SOCKET = "card"
"""The name of a transport's own socket, in its private folder."""


@dataclass(slots=True)
class Surroundings:
    """What a card is given; ``close`` ends it."""

    wire: Wire
    at: str | socket.socket
    """Where it is to listen: a socket that is bound, or the path at which the transport makes one."""
    clerk: Clerk
    programs: Helper | None
    peer_address: str | None
    """The far end's IP address with its prefix length, where the far end is ours."""
    needs: Needs
    control: socket.socket | None = None
    """Where the card is controlled while it runs, bound."""

    @property
    def reached(self) -> bool:
        """Whether somebody starts programs at the far end."""
        return self.programs is not None

    def close(self) -> None:
        """Close the wire and let the helpers clean up."""
        if self.programs is not None:
            self.programs.close()
        self.wire.close()
        for one in (self.at, self.control):
            if isinstance(one, socket.socket):
                one.close()
        self.clerk.close()


def surround(
    path: Path,
    spec: str,
    transport: str,
    *,
    state: Path | None = None,
    peer_fd: int | None = None,
    recorded: bool = False,
) -> Surroundings:
    """Open what a card at socket ``path`` with wire ``spec`` needs. UsageError, ListenError.

    ``state``: the file that the clerk may write. ``peer_fd``: the socket on which programs at the far end are
    asked for. This process has one thread only.
    """
    with contextlib.ExitStack() as undo:
        try:
            wire = open_wire(spec, FOR_A_SANDBOX)
        except WireError as error:
            raise UsageError(str(error)) from error
        undo.callback(wire.close)
        at, names, folders = _place(path, transport)
        if isinstance(at, socket.socket):
            undo.callback(at.close)
        inner = innermost(wire)
        if isinstance(inner, DatagramWire) and (own := inner.disown()) is not None:
            names.append(Name.of(own))
        control = bind_control(path)
        if control is not None:
            undo.callback(control.close)
            names.append(Name.of(control_path(path)))
        clerk = Clerk(names, state, folders)
        undo.callback(clerk.close)
        peer, peer_address = far_end(wire) or (None, None)
        programs = _programs(wire, peer, peer_fd)
        parsed = parse_spec(spec)
        needs = Needs(
            datagrams=WIRES[parsed.kind].datagrams,
            captures=recorded or parsed.kind == "pcap" or "pcap" in parsed.options,
            sockets=tuple(folders),
        )
        undo.pop_all()
        return Surroundings(wire, at, clerk, programs, peer_address, needs, control)


def _place(path: Path, transport: str) -> tuple[str | socket.socket, list[Name], list[Path]]:
    """Return where to listen, the names to remove at the end, and the folders. ListenError.

    A transport that makes its socket itself does so in a private folder, and ``path`` is a link to it.
    """
    if transport == OURS:
        bound = bind(path)
        return bound, [Name.of(path)], []
    check_path(os.fspath(path))
    folder = scratch.make()
    try:
        path.symlink_to(folder / SOCKET)
    except OSError as error:
        folder.rmdir()
        raise UsageError(f"--socket {path}: {error.strerror}; choose another path") from error
    return os.fspath(folder / SOCKET), [Name.of(path)], [folder]


def _programs(wire: Wire, peer: LocalPeer | None, peer_fd: int | None) -> Helper | None:
    """Return the helper that starts programs at the far end, where somebody asks for any."""
    if peer is None or peer_fd is None:
        return None
    inner = innermost(wire)
    held = inner.namespace.fds if isinstance(inner, NetnsWire) else ()
    helper = Helper(functools.partial(_start_programs, peer, peer_fd), (*held, peer_fd))
    os.close(peer_fd)
    return helper


def _start_programs(peer: LocalPeer, peer_fd: int, card: socket.socket) -> None:
    """Be the helper: answer until the card is gone, and kill what still runs then."""
    asking = socket.socket(fileno=peer_fd)
    answered = functools.partial(answer_peer, peer=peer)
    threading.Thread(target=obey, args=(asking, answered), name="far end", daemon=True).start()
    card.recv(1)
    peer.close()
