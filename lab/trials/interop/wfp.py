"""The filtering platform as others see it: nmap and hping3 scan, tcpdump listens, curl reads edited data.

They run at Linux's end of the cable. The rules are those of ``net wfp``, the callout driver is a sample.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.errors import UsageError
from lab.host import filtering
from lab.host.filtering import Rule
from lab.machines import scanners, scratch
from lab.trials.interop.contract import Seen
from lab.trials.interop.verified import add_verify, watched
from ntos.object.token import system_token
from protocols.wfp.bfe import Bfe
from protocols.wfp.engine import FilterEngine
from protocols.wfp.kernel import CalloutDriver
from protocols.wfp.samples.installed import Installed
from protocols.wfp.samples.stream_editor import StreamEditor

if TYPE_CHECKING:
    import argparse

    from lab.host.station import Station
    from lab.machines.peer import Peer
    from lab.trials.parts import Progress

NAME = "wfp"
HELP = "the filtering platform, seen by nmap, hping3, tcpdump and curl at the other end of the cable"
OURS, LINUX = "10.82.57.9", "10.82.57.1"
OPEN, CLOSED, FILTERED, SILENT, EDITED, BARRED, FREE = 80, 81, 82, 83, 8080, 5001, 5002
"""Ports: SILENT is filtered, and nobody listens there; BARRED and FREE are Linux's."""
RULES = (f"tcp from any port {FILTERED}", f"tcp from any port {SILENT}")
EXPECTED = {OPEN: "open", CLOSED: "closed", FILTERED: "filtered", SILENT: "filtered"}
ANSWERS = {"open": "SA", "closed": "RA", "filtered": ""}
"""hping3's names of the flags that come back to a SYN."""
LOSS = "loss=1%,seed=7"
FIND, REPLACE = b"the quick fox", b"an exceedingly quick and brown fox"
KILOBYTES = 200
LIMIT_S = 60.0
LISTEN_S = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the size of the stream, and whether to fetch."""
    add_verify(parser)
    parser.add_argument("--kilobytes", type=int, default=KILOBYTES, metavar="N", help="of the edited stream")
    parser.add_argument("--offline", action="store_true", help="use only what is in the cache")


def run(args: argparse.Namespace, progress: Progress) -> list[Seen]:
    """Scan, listen, then edit over a cable that loses frames."""
    programs = {name: scanners.command(name, offline=args.offline) for name in ("nmap", "hping3", "tcpdump")}
    if shutil.which("curl") is None:
        raise UsageError("no curl program: install curl")
    seen: list[Seen] = []
    with watched("netns", seen, verify=args.verify) as station:
        view = View(station, _far(station), programs)
        station.configure(f"{OURS}/24")
        progress("nmap and hping3")
        seen += view.scanned()
        progress("tcpdump")
        seen.append(view.listened())
        seen.append(_contract(station))
    with watched(f"netns,{LOSS}", seen, verify=args.verify) as station:
        station.configure(f"{OURS}/24")
        progress(f"curl, {LOSS}")
        seen.append(edited(station, _far(station), args.kilobytes * 1000))
        seen.append(_contract(station))
    return seen


def _far(station: Station) -> Peer:
    peer = station.process.peer
    if peer is None:
        raise UsageError("the wire has no far end of ours")
    return peer


def _contract(station: Station) -> Seen:
    reports = station.host.upper.system.find(FilterEngine).verifier.reports
    return Seen("callout contract", "; ".join(map(str, reports)) or "nothing reported", not reports)


@dataclass(frozen=True, slots=True)
class View:
    """Our station, and Linux's programs that look at it."""

    station: Station
    peer: Peer
    programs: dict[str, list[str]]

    def scanned(self) -> list[Seen]:
        """Scan without rules, with them, and without again."""
        listeners = [self._listener(port) for port in (OPEN, FILTERED)]
        seen = []
        without = {OPEN: "open", CLOSED: "closed", FILTERED: "open", SILENT: "closed"}
        seen.append(self._nmap("nmap, no rule", without))
        self._rules("block")
        seen += [self._nmap("nmap, two ports blocked", EXPECTED), self._hping(EXPECTED)]
        self._rules("unblock")
        seen.append(self._nmap("nmap, unblocked", without))
        for one in listeners:
            one.close()
        return seen

    def listened(self) -> Seen:
        """Connect to a blocked port and to a free one, while tcpdump listens on the cable."""
        self._say(f"block tcp to {LINUX} port {BARRED}")
        self._say(f"block icmp to {LINUX}")
        ports = f"host {OURS} and (icmp or tcp port {BARRED} or tcp port {FREE})"
        argv = ["timeout", str(LISTEN_S), *self.programs["tcpdump"], "-n", "-l", "-Z", "root", ports]
        number = self.peer.start(argv)
        time.sleep(LISTEN_S / 4)
        refusals = [self._refusal(port) for port in (BARRED, FREE)]
        host = self.station.host
        with host.executive.entry:
            host.stack.ping(bytes(map(int, LINUX.split("."))), lambda _result: None)
            host.stack.request_turn()
        heard = self.peer.finish(number, LIMIT_S).out
        barred, free = (heard.count(f".{port}: Flags [S]") for port in (BARRED, FREE))
        echoes = heard.count("ICMP")
        for sentence in (f"unblock tcp to {LINUX} port {BARRED}", f"unblock icmp to {LINUX}"):
            self._say(sentence)
        good = refusals == ["PermissionError", "ConnectionRefusedError"] and (barred, echoes) == (0, 0) < (
            free,
        )
        result = (
            f"on the cable: {barred} SYNs to the blocked port, {echoes} pings, {free} SYNs to the free one"
        )
        return Seen("tcpdump", f"{result}; connect: {', '.join(refusals)}", good)

    def _nmap(self, what: str, expected: dict[int, str]) -> Seen:
        ports = ",".join(map(str, expected))
        argv = [
            *self.programs["nmap"],
            "-n",
            "-Pn",
            "-sS",
            "--max-retries",
            "1",
            "-p",
            ports,
            "-oG",
            "-",
            OURS,
        ]
        done = self.peer.finish(self.peer.start(argv), LIMIT_S)
        found = {int(port): state for port, state in re.findall(r"(\d+)/(\w+)/tcp", done.out)}
        told = ", ".join(f"{port} {state}" for port, state in found.items())
        return Seen(what, told or done.err.strip()[-200:], found == expected)

    def _hping(self, expected: dict[int, str]) -> Seen:
        found: dict[int, str] = {}
        for port in expected:
            argv = [*self.programs["hping3"], "-n", "-S", "-c", "1", "-p", str(port), OURS]
            done = self.peer.finish(self.peer.start(["timeout", "5", *argv]), LIMIT_S)
            flags = re.search(r"flags=(\w+)", done.out)
            found[port] = flags.group(1) if flags else ""
        told = ", ".join(f"{port} {flags or 'nothing'}" for port, flags in found.items())
        return Seen("hping3", told, found == {port: ANSWERS[state] for port, state in expected.items()})

    def _rules(self, action: str) -> None:
        for rule in RULES:
            self._say(f"{action} {rule}")

    def _say(self, sentence: str) -> None:
        action, *words = sentence.split()
        host = self.station.host
        with host.executive.entry:
            session = host.upper.system.find(Bfe).engine_open(system_token())
            (filtering.block if action == "block" else filtering.unblock)(session, Rule.read(words))

    def _listener(self, port: int) -> Any:  # noqa: ANN401 - a socket of the stack
        made = self.station.sockets.socket()
        made.bind((OURS, port))
        made.listen(4)
        return made

    def _refusal(self, port: int) -> str:
        with self.station.sockets.socket() as one:
            one.settimeout(LISTEN_S)
            try:
                one.connect((LINUX, port))
            except OSError as error:
                return type(error).__name__
        return "connected"


def edited(station: Station, peer: Peer, size: int) -> Seen:
    """Serve a page whose phrase a sample driver replaces, and have curl fetch it."""
    phrase = b"I saw " + FIND + b" run; "
    page = phrase * (size // len(phrase))
    host = station.host
    with host.executive.entry:
        engine = host.upper.system.find(FilterEngine)
        session = host.upper.system.find(Bfe).engine_open(system_token(), is_dynamic=True)
        installed = Installed(CalloutDriver("stream editor", engine), session)
        editor = StreamEditor(installed.driver, FIND, REPLACE)
        installed.add("STREAM_V4", editor)
    listener = station.sockets.socket()
    listener.bind((OURS, EDITED))
    listener.listen(1)
    server = threading.Thread(target=_serve, args=(listener, page), daemon=True)
    server.start()
    copy = Path(scratch.make()) / "copy"
    began = time.monotonic()
    argv = ["curl", "-sS", "-o", str(copy), f"http://{OURS}:{EDITED}/"]
    done = peer.finish(peer.start(argv), LIMIT_S)
    seconds = time.monotonic() - began
    server.join(LIMIT_S)
    listener.close()
    with host.executive.entry:
        installed.remove()
    got = copy.read_bytes() if copy.exists() else b""
    shutil.rmtree(copy.parent, ignore_errors=True)
    wanted = page.replace(FIND, REPLACE)
    same = hashlib.sha256(got).hexdigest() == hashlib.sha256(wanted).hexdigest()
    lengths = f"{len(page):,} bytes served, {len(got):,} fetched, {editor.edits} phrases replaced"
    again = host.stack.counters.get("tcp.retransmitted_segments", 0)
    result = f"{lengths}, {again} segments sent again, in {seconds:.1f} s"
    return Seen(f"curl, edited, {LOSS}", result, same and not done.status, done.err.strip())


def _serve(listener: Any, page: bytes) -> None:  # noqa: ANN401 - a socket of the stack
    connection, _peer = listener.accept()
    with connection:
        while b"\r\n\r\n" not in connection.recv(4096):
            pass
        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n" + page)
