"""Our LLC against Linux's ``llc2``, whose state machine nobody here wrote: links and datagrams, both ways.

A guest with sockets of AF_LLC and a station with a driver over ``protocols.interfaces.llc``, each with an
emulated card, on one switch.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lab.machines.cards import LOCAL_MAC
from lab.trials.interop import lan_guest, llc_peer
from lab.trials.interop.contract import Seen
from lab.trials.interop.guest_peer import GuestPeer
from lab.trials.interop.lan_guest import GUEST_MAC, LOSS, linux_with
from lab.trials.interop.verified import watched
from ntos.executive.contract import SECOND
from protocols.interfaces.llc import DataReceived, Kind, Link, LinkUp, PduReceived, Sap
from protocols.interfaces.llc.edge import LlcDriver, LlcLink
from protocols.interfaces.llc.sap import XID_FORMAT

if TYPE_CHECKING:
    import argparse

    from lab.host.station import Station
    from lab.machines.guest.session import Guest
    from lab.trials.parts import Progress

NAME = "llc"
HELP = "IEEE 802.2 links and datagrams with Linux's llc2, in a guest, both ways and through loss"
SAPS = (0x04, 0xF0)
DATAGRAMS = 20
LIMIT_S = 60.0
LIMIT_NS = 60 * SECOND
PIECE = 1000
ADDRESS = "10.82.57.9/24"
"""TCP/IP is on the card, too."""
OUR_MAC = LOCAL_MAC.format(2)
LINUX = bytes.fromhex(GUEST_MAC.replace(":", ""))
PROGRAM = "/tmp/llc_peer.py"  # noqa: S108 - in the guest
MOST_TOLD = 300


class EchoDriver(LlcDriver):
    """Sends back what comes, over links that the peer made and as datagrams; keeps what comes over ours."""

    name = "llcecho"
    saps = frozenset(SAPS)

    def card_came(self, link: LlcLink) -> None:
        """Listen at each SAP."""
        self.open_saps: list[Sap] = [link.station.open_sap(sap, listens=True) for sap in SAPS]
        self.told: list[PduReceived] = []
        """Answers to XID and TEST."""
        self.ours: set[Link] = set()
        self.up: set[Link] = set()
        self.came = b""

    def served(self, now_ns: int) -> None:
        """Echo."""
        for sap in self.open_saps:
            for event in sap.take(now_ns):
                self._take(sap, event, now_ns)

    def _take(self, sap: Sap, event: object, now_ns: int) -> None:
        match event:
            case LinkUp(link):
                self.up.add(link)
            case DataReceived(link, data) if link in self.ours:
                self.came += data
            case DataReceived(link, data) if link.is_up:
                link.send(data, now_ns)
            case PduReceived(Kind.UI):
                sap.send_ui(event.source, event.ssap, event.information)
            case PduReceived():
                self.told.append(event)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the size, and whether to fetch."""
    lan_guest.add_arguments(parser)


def run(args: argparse.Namespace, progress: Progress) -> list[Seen]:
    """Boot, load llc2, then each exchange at each SAP; the last again with loss."""
    seen: list[Seen] = []
    progress("a guest and a station on one switch")
    with linux_with("llc2", "llc", {PROGRAM: llc_peer}, offline=args.offline) as lan:
        guest = lan.guest
        with watched(lan.wire, seen, verify=args.verify, mac=OUR_MAC) as station:
            meeting = Meeting(guest, GuestPeer(guest), station, _loaded(station))
            for sap in SAPS:
                progress(f"SAP {sap:02X}")
                seen += [
                    meeting.theirs(sap, args.bytes, "Linux connects, we echo"),
                    meeting.ours(sap, args.bytes, "we connect, Linux echoes"),
                    meeting.datagrams(sap),
                    meeting.questions(sap),
                ]
            progress(LOSS)
            lan.lose()
            seen += [
                meeting.theirs(SAPS[0], args.bytes, f"Linux connects, {LOSS}"),
                meeting.ours(SAPS[0], args.bytes, f"we connect, {LOSS}"),
            ]
    return seen


def _loaded(station: Station) -> EchoDriver:
    host = station.host
    station.configure(ADDRESS)
    with host.executive.entry:
        driver = EchoDriver(host.ndis)
        host.ndis.bind(host.ndis.register_protocol(driver.name, driver), host.adapters[0])
    return driver


@dataclass(frozen=True, slots=True)
class Meeting:
    """Both ends."""

    guest: Guest
    peer: GuestPeer
    station: Station
    driver: EchoDriver

    def theirs(self, sap: int, size: int, what: str) -> Seen:
        """Have Linux connect, send, and compare what comes back."""
        began = time.monotonic()
        told = self._ask("connect", sap, size)
        result = f"{told['bytes']:,} of {size:,} bytes came back, in {time.monotonic() - began:.1f} s"
        return Seen(f"SAP {sap:02X}: {what}", result, bool(told["same"]))

    def ours(self, sap: int, size: int, what: str) -> Seen:
        """Connect to Linux, send, and compare what comes back, and what Linux says that came."""
        began = time.monotonic()
        executive, driver = self.station.host.executive, self.driver
        number = self.peer.start_listening(_command("listen", sap, size))
        data = bytes(at * 7 % 251 for at in range(size))
        with executive.entry:
            driver.came = b""
            link = driver.open_saps[SAPS.index(sap)].connect(LINUX, sap, driver.now_ns())
            driver.ours.add(link)
            driver.request_turn()
            executive.wait(lambda: link in driver.up, "a link to Linux", LIMIT_NS)
            for at in range(0, size, PIECE):
                link.send(data[at : at + PIECE], driver.now_ns())
            driver.request_turn()
            executive.wait(lambda: len(driver.came) >= size, "Linux's echo", LIMIT_NS)
            link.disconnect(driver.now_ns())
            driver.request_turn()
        done = self.peer.finish(number, LIMIT_S)
        told = json.loads(done.out) if not done.status else {"sha256": done.err.strip()[-MOST_TOLD:]}
        same = driver.came == data and told["sha256"] == hashlib.sha256(data).hexdigest()
        result = f"{len(driver.came):,} of {size:,} bytes came back, in {time.monotonic() - began:.1f} s"
        return Seen(f"SAP {sap:02X}: {what}", result, same, "" if same else f"Linux: {told['sha256']}")

    def datagrams(self, sap: int) -> Seen:
        """Have Linux send UI, and read it back."""
        same = self._ask("datagrams", sap, DATAGRAMS)["same"]
        return Seen(f"SAP {sap:02X}: UI", f"{same} of {DATAGRAMS} came back", same == DATAGRAMS)

    def questions(self, sap: int) -> Seen:
        """Send TEST and XID to Linux's null SAP."""
        executive, driver = self.station.host.executive, self.driver
        with executive.entry:
            driver.told.clear()
            asking = driver.open_saps[SAPS.index(sap)]
            asking.send_test(LINUX, 0, b"are you there")
            asking.send_xid(LINUX, 0)
            driver.request_turn()
            executive.wait(lambda: len(driver.told) == 2, "Linux's answers", LIMIT_NS)
            told = {one.kind: one.information for one in driver.told}
        same, xid = told[Kind.TEST] == b"are you there", told[Kind.XID]
        result = f"TEST {'equal' if same else 'differs'}, XID {xid.hex()}"
        return Seen(f"SAP {sap:02X}: TEST and XID", result, same and xid[0] == XID_FORMAT)

    def _ask(self, what: str, sap: int, size: int) -> Any:  # noqa: ANN401 - JSON
        return self.peer.ask(_command(what, sap, size), LIMIT_S)


def _command(what: str, sap: int, size: int) -> list[str]:
    macs = (one.replace(":", "") for one in (GUEST_MAC, OUR_MAC))
    return ["python3", PROGRAM, what, str(sap), *macs, str(size)]
