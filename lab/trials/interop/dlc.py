"""DLC's command control blocks against Linux's ``llc2``: it prints to a printer there, and echoes what comes.

The printer is scripted (``jetdirect``); its link is Linux's. The other way a Linux socket connects to a SAP
that DLC has opened, and an application of CCBs sends back what comes, as I frames and as UI.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from lab.machines.cards import LOCAL_MAC
from lab.machines.peer import PeerError
from lab.trials.interop import jetdirect, lan_guest, llc_peer, printer_peer
from lab.trials.interop.contract import Seen
from lab.trials.interop.guest_peer import GuestPeer
from lab.trials.interop.lan_guest import GUEST_MAC, LOSS, linux_with
from lab.trials.interop.verified import watched
from ntos.executive.contract import SECOND
from protocols.transports.dlc import ccb
from protocols.transports.dlc.ccb import Ccb, Code, Command, Event, Frame, Happened, LinkStatus

if TYPE_CHECKING:
    import argparse

    from lab.host.station import Station
    from lab.machines.guest.session import Guest
    from lab.trials.parts import Progress
    from protocols.transports.dlc.edge import DlcEdge

NAME = "dlc"
HELP = "DLC's CCBs with Linux's llc2, in a guest: a printer, links and datagrams, through loss"
PRINTER_SAP, ECHO_SAP = 0x04, 0x08
ADDRESS = "10.82.57.9/24"
"""TCP/IP is on the card, too."""
DATAGRAMS = 20
PIECE = 600
POOL = 200_000
LIMIT_S = 60.0
LIMIT_NS = 60 * SECOND
OUR_MAC = LOCAL_MAC.format(2)
LINUX = bytes.fromhex(GUEST_MAC.replace(":", ""))
FOLDER = "/tmp"  # noqa: S108 - in the guest
MOST_TOLD = 300


class Application:
    """A program over DLC: an open adapter, an echo at one SAP, a client of printers at another."""

    def __init__(self, station: Station) -> None:
        host = station.host
        station.configure(ADDRESS)
        self.executive = host.executive
        with self.executive.entry:
            host.loader.load("netdlc")
            self.edge: DlcEdge = host.loader.objects.of["DLC"].edge  # type: ignore[attr-defined]  # DLC's object
        self.card = next(iter(self.edge.adapters))
        self.must(Command.DIR_OPEN_ADAPTER, ccb.NoParameters())
        self.must(Command.BUFFER_CREATE, ccb.Pool(POOL))
        self.printers = self.must(Command.DLC_OPEN_SAP, ccb.OpenSap(PRINTER_SAP, maximum_out=8, stations=2))
        echo = ccb.OpenSap(ECHO_SAP, maximum_out=8, maximum_information=1496, stations=4)
        self.echo = self.must(Command.DLC_OPEN_SAP, echo)
        self.issue(Command.RECEIVE, ccb.Receive(self.echo, is_standing=True))
        self._read()

    def issue(self, command: Command, parameters: object) -> Ccb:
        """Issue a command."""
        block = Ccb(command, parameters)
        with self.executive.entry:
            self.edge.issue(self.card, block)
        return block

    def wait(self, block: Ccb) -> Ccb:
        """Wait for its end."""
        with self.executive.entry:
            self.executive.wait(lambda: block.code is not Code.PENDING, block.command.name, LIMIT_NS)
        return block

    def must(self, command: Command, parameters: object) -> Any:  # noqa: ANN401 - each command's own
        """Issue a command, wait, and return its result. PeerError."""
        block = self.wait(self.issue(command, parameters))
        if block.code is not Code.SUCCESS:
            raise PeerError(f"{command.name}: {block.code.name}")
        return block.result

    def _read(self) -> None:
        """Have the next event of the echo's SAP come to ``_echo``."""
        with self.executive.entry:
            self.edge.issue(self.card, Ccb(Command.READ, ccb.Read(self.echo), self._echo))

    def _echo(self, block: Ccb) -> None:
        if block.code is not Code.SUCCESS:
            return
        event: Happened = block.result
        issue = self.edge.issue
        if event.status is LinkStatus.SABME_RECEIVED:
            issue(self.card, Ccb(Command.DLC_CONNECT_STATION, ccb.Station(event.station_id)))
        elif event.event is Event.STATUS_CHANGE:
            issue(self.card, Ccb(Command.DLC_CLOSE_STATION, ccb.Station(event.station_id)))
        elif event.frame is not None:
            frame = event.frame
            kind = Command.TRANSMIT_I_FRAME if frame.kind is Frame.I else Command.TRANSMIT_UI_FRAME
            back = ccb.Transmit(frame.station_id, frame.data, frame.source, frame.sap)
            issue(self.card, Ccb(kind, back))
            issue(self.card, Ccb(Command.BUFFER_FREE, ccb.Pool(len(frame.data))))
        issue(self.card, Ccb(Command.READ, ccb.Read(self.echo), self._echo))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the size, and whether to fetch."""
    lan_guest.add_arguments(parser)


def run(args: argparse.Namespace, progress: Progress) -> list[Seen]:
    """Print, echo, and both again with loss."""
    seen: list[Seen] = []
    progress("a guest and a station on one switch")
    modules = (jetdirect, llc_peer, printer_peer)
    programs = {f"{FOLDER}/{one.__name__.rpartition('.')[2]}.py": one for one in modules}
    with (
        linux_with("llc2", "dlc", programs, offline=args.offline) as lan,
        watched(lan.wire, seen, verify=args.verify, mac=OUR_MAC) as station,
    ):
        meeting = Meeting(lan.guest, Application(station))
        progress("without loss")
        seen += [
            meeting.prints(args.bytes, "DLC prints at Linux's"),
            meeting.echoes(args.bytes, "Linux connects, DLC echoes"),
            meeting.datagrams(),
        ]
        progress(LOSS)
        lan.lose()
        seen += [
            meeting.prints(args.bytes, f"DLC prints at Linux's, {LOSS}"),
            meeting.echoes(args.bytes, f"Linux connects, DLC echoes, {LOSS}"),
        ]
    return seen


class Meeting:
    """Our end and the guest's."""

    def __init__(self, guest: Guest, application: Application) -> None:
        self._guest, self._peer, self._application = guest, GuestPeer(guest), application

    def prints(self, size: int, what: str) -> Seen:
        """Connect to the printer, ask what it is, send a job, and compare what it has printed."""
        began, end = time.monotonic(), self._application
        argv = ["python3", f"{FOLDER}/printer_peer.py", str(PRINTER_SAP), _digits(GUEST_MAC)]
        number = self._peer.start_listening(argv)
        station = end.must(Command.DLC_OPEN_STATION, ccb.OpenStation(end.printers, PRINTER_SAP, LINUX))
        end.must(Command.DLC_CONNECT_STATION, ccb.Station(station))
        answer = end.issue(Command.RECEIVE, ccb.Receive(station))
        page = b"a line of a page\r\n" * (size // 18)
        data = b"@PJL INFO ID\r\n" + jetdirect.job(page)
        sent = [
            end.issue(Command.TRANSMIT_I_FRAME, ccb.Transmit(station, data[at : at + PIECE]))
            for at in range(0, len(data), PIECE)
        ]
        for block in [*sent, answer]:
            end.wait(block)
        end.must(Command.BUFFER_FREE, ccb.Pool(len(answer.result.data)))
        end.must(Command.DLC_CLOSE_STATION, ccb.Station(station))
        done = self._peer.finish(number, LIMIT_S)
        jobs = [bytes.fromhex(one) for one in json.loads(done.out)] if not done.status else []
        good = jobs == [page] and jetdirect.ID in answer.result.data
        result = (
            f"{sum(map(len, jobs)):,} of {len(page):,} bytes printed, in {time.monotonic() - began:.1f} s"
        )
        return Seen(what, result, good, "" if good else done.err.strip()[-MOST_TOLD:])

    def echoes(self, size: int, what: str) -> Seen:
        """Have Linux connect, send, and compare what comes back."""
        told = self._ask("connect", size)
        return Seen(what, f"{told['bytes']:,} of {size:,} bytes came back", bool(told["same"]))

    def datagrams(self) -> Seen:
        """Have Linux send UI, and read it back."""
        same = self._ask("datagrams", DATAGRAMS)["same"]
        return Seen("UI", f"{same} of {DATAGRAMS} came back", same == DATAGRAMS)

    def _ask(self, what: str, size: int) -> Any:  # noqa: ANN401 - JSON
        macs = _digits(GUEST_MAC), _digits(OUR_MAC)
        argv = ["python3", f"{FOLDER}/llc_peer.py", what, str(ECHO_SAP), *macs, str(size)]
        return self._peer.ask(argv, LIMIT_S)


def _digits(mac: str) -> str:
    return mac.replace(":", "")
