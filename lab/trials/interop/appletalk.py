"""Our AppleTalk against Linux's ``appletalk`` module: AARP's probes and conflicts, DDP, AEP both ways.

A guest with sockets of AF_APPLETALK and a station, each with an emulated card, on one switch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from formats.appletalk import STARTUP
from lab.machines.cards import LOCAL_MAC
from lab.machines.peer import PeerError
from lab.trials.interop import appletalk_peer
from lab.trials.interop.contract import Seen
from lab.trials.interop.guest_peer import GuestPeer
from lab.trials.interop.lan_guest import linux_with
from lab.trials.interop.verified import add_verify, watched
from ntos.executive.contract import SECOND
from protocols.apis.winsock.constants import Sock
from protocols.interfaces.tdi.address import AppletalkAddress
from protocols.transports.appletalk.edge import AppletalkEdge
from protocols.transports.appletalk.helper import AF_APPLETALK, DDP_PROTOCOL

if TYPE_CHECKING:
    import argparse

    from formats.appletalk import NodeAddress
    from lab.host.station import Station
    from lab.machines.guest.session import Guest
    from lab.trials.parts import Progress
    from protocols.transports.appletalk.node import Node

NAME = "appletalk"
HELP = "AARP, DDP and echo with Linux's appletalk, in a guest, both ways"
ECHOES = 20
LIMIT_S = 60.0
LIMIT_NS = 60 * SECOND
ADDRESS = "10.82.58.9/24"
"""TCP/IP is on the card, too."""
AEP = 4
OUR_MAC = LOCAL_MAC.format(2)
PROGRAM = "/tmp/appletalk_peer.py"  # noqa: S108 - in the guest
MOST_TOLD = 300


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare whether to fetch."""
    add_verify(parser)
    parser.add_argument("--offline", action="store_true", help="use only what is in the cache")


def run(args: argparse.Namespace, progress: Progress) -> list[Seen]:
    """Boot, load appletalk, meet."""
    seen: list[Seen] = []
    progress("a guest and a station on one switch")
    with linux_with("appletalk", "atalk", {PROGRAM: appletalk_peer}, offline=args.offline) as lan:
        guest = lan.guest
        with watched(lan.wire, seen, verify=args.verify, mac=OUR_MAC) as station:
            meeting = Meeting(guest, GuestPeer(guest), station, _loaded(station), lan.interface)
            progress("Linux wants our address")
            result, theirs = meeting.conflict()
            seen.append(result)
            progress("echoes")
            seen += [meeting.theirs(), meeting.ours(theirs)]
            progress("we want Linux's address")
            seen.append(meeting.retreat(theirs))
    return seen


def _loaded(station: Station) -> Node:
    host = station.host
    station.configure(ADDRESS)
    with host.executive.entry:
        host.loader.load("netatalk")
        node = host.upper.system.find(AppletalkEdge).node
        if node is None:
            raise PeerError("AppleTalk is bound to no card")
        host.executive.wait(lambda: node.address is not None, "an address of AppleTalk", LIMIT_NS)
    return node


@dataclass(frozen=True, slots=True)
class Meeting:
    """Both ends."""

    guest: Guest
    peer: GuestPeer
    station: Station
    node: Node
    interface: str

    @property
    def address(self) -> NodeAddress:
        """Ours."""
        found = self.node.address
        if found is None:
            raise PeerError("our node has lost its address")
        return found

    def conflict(self) -> tuple[Seen, AppletalkAddress]:
        """Have Linux probe for our address: it must take another."""
        ours = self.address
        told = self._ask("claim", self.interface, str(ours.network), str(ours.node))
        theirs = AppletalkAddress(told["network"], told["node"])
        is_other = (theirs.network, theirs.node) != (ours.network, ours.node) and self.address == ours
        result = f"we keep {ours.network}.{ours.node}, it takes {theirs.network}.{theirs.node}"
        return Seen("AARP: Linux probes for our address", result, is_other and theirs.node != 0), theirs

    def theirs(self) -> Seen:
        """Have Linux ask us for echoes."""
        ours = self.address
        same = self._ask("ask", str(ours.network), str(ours.node), str(ECHOES))["same"]
        return Seen("AEP: Linux asks, we answer", f"{same} of {ECHOES} came back", same == ECHOES)

    def ours(self, theirs: AppletalkAddress) -> Seen:
        """Ask a program on Linux's socket for echoes, by Winsock."""
        number = self.peer.start_listening(["python3", PROGRAM, "serve", str(ECHOES)])
        winsock, same = self.station.winsock, 0
        handle = winsock.socket(AF_APPLETALK, Sock.DGRAM, DDP_PROTOCOL + AEP)
        winsock.bind(handle, AppletalkAddress(0, 0))
        to, buffer = AppletalkAddress(theirs.network, theirs.node, AEP), bytearray(600)
        for at in range(ECHOES):
            data = bytes(one % 251 for one in range(at * 585 // (ECHOES - 1)))
            winsock.sendto(handle, b"\1" + data, to)
            count, source = winsock.recvfrom(handle, buffer)
            same += bytes(buffer[:count]) == b"\2" + data and source == to
        winsock.closesocket(handle)
        self.peer.finish(number, LIMIT_S)
        return Seen("AEP: we ask by Winsock, Linux answers", f"{same} of {ECHOES} came back", same == ECHOES)

    def retreat(self, theirs: AppletalkAddress) -> Seen:
        """Probe for Linux's address: it must object, and we take another."""
        executive, node, taken = self.station.host.executive, self.node, (theirs.network, theirs.node)
        with executive.entry:
            edge = self.station.host.upper.system.find(AppletalkEdge)
            node.aarp.acquire(edge.now_ns(), STARTUP, type(self.address)(*taken))
            edge.request_turn()
            executive.wait(lambda: node.address is not None, "another address", LIMIT_NS)
        ours, count = self.address, node.aarp.counters["conflicts"]
        result = f"it keeps {taken[0]}.{taken[1]}, we take {ours.network}.{ours.node}, {count} conflict"
        return Seen(
            "AARP: we probe for Linux's address", result, (ours.network, ours.node) != taken and count > 0
        )

    def _ask(self, *what: str) -> Any:  # noqa: ANN401 - JSON
        return self.peer.ask(["python3", PROGRAM, *what], LIMIT_S)
