"""Hostile frames by the million on the cable of a whole stack: card, miniport, NDIS, TCP/IP, AFD, a server.

After each volley an honest peer (a few lines here) asks for an echo: that paces the attack by what the stack
really takes, and shows that it lives. The card's own count says how many frames it handed up.
"""

from __future__ import annotations

import os
import shutil
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

from formats import ethernet, ipv4
from formats.checksum import verifies
from formats.transport import ICMP
from lab.machines import scratch
from lab.trials.interop.contract import Seen
from lab.trials.interop.echo import EchoServer
from lab.trials.interop.hostile_frames import Attacker, Ends
from lab.trials.interop.verified import add_verify, watched
from protocols.transports.tcpip import arp, icmp
from protocols.transports.tcpip.addresses import parse

if TYPE_CHECKING:
    import argparse

    from formats.checksum import Buffer
    from lab.host.station import Station
    from lab.trials.parts import Progress

NAME = "hostile"
HELP = "hostile frames by the million on the cable of a whole stack; it must answer a ping all the time"
FRAMES = 100_000
VOLLEY = 200
LARGEST_FRAME = 2048
PORT = 7000
MAC, PEER_MAC = bytes.fromhex("525400825702"), bytes.fromhex("0200000000ee")
OURS, PEER = "10.82.57.9", "10.82.57.1"
SILENCE_S = 20.0
"""Silence that is a hang on any machine; the longest answer is reported besides."""
LOOK_S, REPEAT_S = 0.2, 1.0
GROWTH_MIB = 64
"""What the process may have grown by at the end: the stack's budgets, all of them full, are far less."""
WARM_VOLLEYS = 50
"""After so many the caches, pools and limits are full, and memory is looked at."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how much, how long, and the seed."""
    add_verify(parser)
    parser.add_argument("--frames", type=int, default=FRAMES, metavar="N", help="how many (default 100,000)")
    parser.add_argument("--minutes", type=float, metavar="N", help="stop after so long")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="the same seed: the same frames")


def run(args: argparse.Namespace, progress: Progress) -> list[Seen]:
    """Attack until all frames are sent or the time is over, then look at what is left."""
    folder = Path(scratch.make())
    seen: list[Seen] = []
    try:
        theirs, ours = str(folder / "peer"), str(folder / "wire")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as cable:
            cable.bind(theirs)
            wire = f"dgram:{ours},{theirs}"
            with watched(wire, seen, verify=args.verify, mac=MAC.hex(":")) as station:
                station.configure(f"{OURS}/24")
                server = EchoServer(station.sockets, PORT)
                cable.connect(ours)
                until = time.monotonic() + args.minutes * 60 if args.minutes else float("inf")
                try:
                    seen += attack(station, HonestPeer(cable), args.seed, args.frames, until, progress)
                finally:
                    server.close()
        return seen
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def attack(  # noqa: PLR0917 - one call, whose arguments are the command's
    station: Station, peer: HonestPeer, seed: int, frames: int, until: float, progress: Progress
) -> list[Seen]:
    """Send volleys, an echo after each; judge life, memory and connections at the end."""
    ip6 = next(one for one in station.link.interface.addresses if len(one) == 16)
    ends = Ends(MAC, parse(OURS), ip6, PEER_MAC, parse(PEER), parse("fe80::ee"), PORT)
    attacker = Attacker(ends, seed)
    peer.echo()
    began, sent, volleys, warm = time.monotonic(), 0, 0, resident_mib()
    while sent < frames and time.monotonic() < until:
        volley = attacker.volley(min(VOLLEY, frames - sent))
        for frame in volley:
            peer.send(frame)
        sent += len(volley)
        volleys += 1
        peer.echo()
        if volleys == WARM_VOLLEYS:
            warm = resident_mib()
        if not volleys % 500:
            progress(f"{sent:,} frames, {resident_mib()} MiB")
    seconds = time.monotonic() - began
    grown = resident_mib() - warm
    received = station.process.account().get("frames_received", 0)
    tcp = station.host.stack.tcp
    return [
        Seen("frames", f"{sent:,} in {seconds:.0f} s, {sent / seconds:,.0f}/s; {received:,} passed the card"),
        Seen("kinds", ", ".join(f"{name} {count:,}" for name, count in attacker.made.items())),
        Seen(
            "echoes",
            f"{peer.answered:,} of {peer.asked:,} answered, the longest took {peer.longest_s:.2f} s",
            peer.answered == peer.asked,
        ),
        Seen("memory", f"{warm} MiB after {WARM_VOLLEYS} volleys, {grown:+} at the end", grown < GROWTH_MIB),
        Seen("half-open connections", f"{len(tcp.connections)}", len(tcp.connections) < 10_000),
        Seen(
            "the stack's thread",
            "runs" if station.host.executive.failure is None else repr(station.host.executive.failure),
            station.host.executive.failure is None,
        ),
    ]


def resident_mib() -> int:
    """Return what this process has in memory; the stack is a thread of it."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20


class HonestPeer:
    """Enough of a host to ask for an echo, and to answer when it is asked who it is."""

    def __init__(self, cable: socket.socket) -> None:
        """Talk over ``cable``, one frame a datagram."""
        self.asked = 0
        self.answered = 0
        self.longest_s = 0.0
        self._cable = cable

    def send(self, frame: bytes) -> None:
        """Put a frame on the cable; waits while that is full."""
        self._cable.settimeout(SILENCE_S)
        self._cable.send(frame)

    def echo(self) -> None:
        """Ask for an echo and wait for it; answer ARP meanwhile. TimeoutError after 20 s of silence."""
        self.asked += 1
        began = time.monotonic()
        number = self.asked & 0xFFFF
        body = icmp.build4(icmp.ECHO_REQUEST, 0, 0xBEEF << 16 | number, b"alive?")
        head = ipv4.build(parse(PEER), parse(OURS), ICMP, len(body), ttl=64)
        asked = ethernet.header(MAC, PEER_MAC, ethernet.IPV4) + head + body
        self.send(asked)
        again = began + REPEAT_S
        while time.monotonic() < began + SILENCE_S:
            self._cable.settimeout(LOOK_S)
            try:
                frame = self._cable.recv(LARGEST_FRAME)
            except TimeoutError:
                frame = b""
            if frame and self._is_answer(frame, number):
                self.answered += 1
                self.longest_s = max(self.longest_s, time.monotonic() - began)
                return
            if frame:
                self._tell_who(frame)
            elif time.monotonic() > again:  # one that found the card's ring full is lost, as on any cable
                self.send(asked)
                again = time.monotonic() + REPEAT_S
        raise TimeoutError(f"no echo for {SILENCE_S:.0f} s, after {self.answered:,} answered")

    def _is_answer(self, frame: Buffer, number: int) -> bool:
        ip = frame[14:]
        if ethernet.ethertype(frame) != ethernet.IPV4 or len(ip) < 28 or ip[9] != ICMP:
            return False
        message = ip[20 : int.from_bytes(ip[2:4])]
        wanted = bytes((icmp.ECHO_REPLY, 0))
        return (
            message[:2] == wanted
            and message[4:8] == (0xBEEF << 16 | number).to_bytes(4)
            and verifies(message)
        )

    def _tell_who(self, frame: Buffer) -> None:
        if ethernet.ethertype(frame) != ethernet.ARP:
            return
        asked = arp.parse(frame)
        if asked is not None and asked.operation == arp.REQUEST and asked.target_ip == parse(PEER):
            answer = arp.ArpMessage(arp.REPLY, PEER_MAC, parse(PEER), asked.sender_mac, asked.sender_ip)
            self.send(ethernet.header(asked.sender_mac, PEER_MAC, ethernet.ARP) + arp.build(answer))
