"""NBF: two of ours, and a guest that speaks NetBIOS frames over Linux's ``llc2``, both ways and through loss.

No other implementation of NBF's sessions runs on a present system. The links below them are judged by Linux's
state machine; the frames by tshark (``tests/integration/protocols/test_nbf_dissected.py``).
"""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING

from lab.machines.cards import LOCAL_MAC
from lab.trials.interop import lan_guest, nbf_peer
from lab.trials.interop.contract import Seen
from lab.trials.interop.guest_peer import GuestPeer
from lab.trials.interop.lan_guest import GUEST_MAC, LOSS, linux_with
from lab.trials.interop.verified import watched
from ntos.executive.contract import SECOND
from ntos.io.status import NtStatus
from protocols.interfaces.tdi.address import NetbiosName
from protocols.interfaces.tdi.client import TdiClient
from protocols.interfaces.tdi.requests import Connect, Datagram, Flags, Tdi, Transfer, TransportAddress

if TYPE_CHECKING:
    import argparse

    from lab.host.station import Station
    from lab.machines.guest.session import Guest
    from lab.trials.parts import Progress
    from ntos.io.device import FileObject
    from ntos.io.irp import Irp

NAME = "nbf"
HELP = "NetBIOS frames: two of ours, and with a guest's llc2 below a script of the frames, through loss"
OURS, SECOND_OURS = NetbiosName.of("ringwalk", 0x20), NetbiosName.of("second")
LINUX = NetbiosName.of("linux", 0x20)
ADDRESSES = "10.82.57.9/24", "10.82.57.10/24"
"""TCP/IP is on the cards, too."""
LIMIT_S = 60.0
LIMIT_NS = 60 * SECOND
OUR_MAC, SECOND_MAC = (LOCAL_MAC.format(number) for number in (2, 3))
PROGRAM = "/tmp/nbf_peer.py"  # noqa: S108 - in the guest
MOST_TOLD = 300


class End:
    """A station with NBF loaded, a name open, and requests that are waited for."""

    def __init__(self, station: Station, name: NetbiosName, address: str) -> None:
        """Load NBF beside TCP/IP, and claim the name."""
        station.configure(address)
        self.executive = station.host.executive
        self._client = TdiClient(station.host.upper.io)
        with self.executive.entry:
            station.host.loader.load("netnbf")
            self.device = next(one for one in station.host.upper.registry.devices if "Nbf_" in one)
            self.address = self._client.open_address(self.device, TransportAddress(name))

    def connection(self) -> FileObject:
        """Return a new connection object."""
        with self.executive.entry:
            made = self._client.open_connection(self.device, None)
            self._client.associate(made, self.address)
        return made

    def begin(self, file: FileObject, minor: Tdi, parameters: object, *buffers: bytearray | bytes) -> Irp:
        """Send a request."""
        with self.executive.entry:
            return self._client.request(file, minor, parameters, buffers)

    def wait(self, irp: Irp) -> Irp:
        """Wait for its end."""
        with self.executive.entry:
            self.executive.wait(lambda: irp.completed, "NBF", LIMIT_NS)
        return irp

    def ask(self, file: FileObject, minor: Tdi, parameters: object, *buffers: bytearray | bytes) -> Irp:
        """Send a request, and wait for its end."""
        return self.wait(self.begin(file, minor, parameters, *buffers))

    def receive(self, file: FileObject, size: int) -> bytes:
        """Receive a message in halves: so that the sender is stopped on its way."""
        came, status = b"", NtStatus.BUFFER_OVERFLOW
        while status is NtStatus.BUFFER_OVERFLOW:
            buffer = bytearray(size // 2 + 1)
            irp = self.ask(file, Tdi.RECEIVE, Transfer(), buffer)
            came += buffer[: irp.information]
            status = irp.status
        return came


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the size, and whether to fetch."""
    lan_guest.add_arguments(parser, "a message")


def run(args: argparse.Namespace, progress: Progress) -> list[Seen]:
    """Exchange between two stations of ours, then with the guest; the last again with loss."""
    seen: list[Seen] = []
    progress("a guest and two stations on one switch")
    with (
        linux_with("llc2", "nbf", {PROGRAM: nbf_peer}, offline=args.offline) as lan,
        watched(lan.wire, seen, verify=args.verify, mac=OUR_MAC) as station,
        watched(lan.wire, seen, verify=args.verify, mac=SECOND_MAC) as second,
    ):
        ends = End(station, OURS, ADDRESSES[0]), End(second, SECOND_OURS, ADDRESSES[1])
        progress("two of ours")
        seen += between(*ends, args.bytes)
        meeting = Meeting(lan.guest, lan.interface, ends[0])
        progress("with Linux")
        seen += [meeting.theirs(args.bytes, "Linux calls"), meeting.ours(args.bytes, "we call")]
        progress(LOSS)
        lan.lose()
        seen += [
            meeting.theirs(args.bytes, f"Linux calls, {LOSS}"),
            meeting.ours(args.bytes, f"we call, {LOSS}"),
        ]
    return seen


def between(near: End, far: End, size: int) -> list[Seen]:
    """Two of ours: a session with messages in halves, a name in use, a datagram."""
    theirs, ours = far.connection(), near.connection()
    listening = far.begin(theirs, Tdi.LISTEN, Transfer())
    calling = near.ask(ours, Tdi.CONNECT, Connect(SECOND_OURS))
    far.wait(listening)
    data = nbf_peer.pattern(size)
    sending = near.begin(ours, Tdi.SEND, Transfer(), data)
    came = far.receive(theirs, size)
    near.wait(sending)
    leaving = near.ask(ours, Tdi.DISCONNECT, Transfer(Flags.RELEASE))
    good = (calling.status, sending.status, leaving.status) == (NtStatus.SUCCESS,) * 3 and came == data
    buffer = bytearray(100)
    waiting = far.begin(far.address, Tdi.RECEIVE_DATAGRAM, None, buffer)
    near.ask(near.address, Tdi.SEND_DATAGRAM, Datagram(SECOND_OURS), b"datagram")
    far.wait(waiting)
    datagram = bytes(buffer[: waiting.information])
    return [
        Seen("two of ours: a session", f"{len(came):,} of {size:,} bytes in a message came", good),
        Seen(
            "two of ours: a datagram",
            f"{datagram.decode()} from {OURS.name.decode().strip()}"
            if waiting.result == OURS
            else repr(waiting.result),
            (datagram, waiting.result) == (b"datagram", OURS),
        ),
    ]


class Meeting:
    """Our end and the guest's."""

    def __init__(self, guest: Guest, interface: str, end: End) -> None:
        self._guest, self._peer, self._end = guest, GuestPeer(guest), end
        self._interface = interface

    def theirs(self, size: int, what: str) -> Seen:
        """Have Linux call and send; send it back."""
        began, end = time.monotonic(), self._end
        file = end.connection()
        listening = end.begin(file, Tdi.LISTEN, Transfer())
        number = self._peer.start(self._command("call", size))
        end.wait(listening)
        came = end.receive(file, size)
        end.ask(file, Tdi.SEND, Transfer(), came)
        told = self._peer.told(number, LIMIT_S)
        seconds = time.monotonic() - began
        result = f"{told['bytes']:,} of {size:,} bytes came back, in {seconds:.1f} s"
        return Seen(what, result, bool(told["same"]))

    def ours(self, size: int, what: str) -> Seen:
        """Call Linux, send, and compare what comes back, and what Linux says that came."""
        began, end = time.monotonic(), self._end
        number = self._peer.start_listening(self._command("listen", size))
        file = end.connection()
        calling = end.ask(file, Tdi.CONNECT, Connect(LINUX))
        data = nbf_peer.pattern(size)
        end.ask(file, Tdi.SEND, Transfer(), data)
        came = end.receive(file, size) if calling.status is NtStatus.SUCCESS else b""
        end.ask(file, Tdi.DISCONNECT, Transfer(Flags.RELEASE))
        told = self._peer.told(number, LIMIT_S)
        same = came == data and told["sha256"] == hashlib.sha256(data).hexdigest()
        result = f"{len(came):,} of {size:,} bytes came back, in {time.monotonic() - began:.1f} s"
        return Seen(what, result, same, "" if same else f"{calling.status.name}; Linux: {told}")

    def _command(self, what: str, size: int) -> list[str]:
        macs = (one.replace(":", "") for one in (GUEST_MAC, OUR_MAC))
        return ["python3", PROGRAM, what, self._interface, *macs, str(size)]
