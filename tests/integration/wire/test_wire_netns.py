"""Linux's own stack at the other end: TAP and veth, root and not.

Where the machine refuses a namespace, the tests say what it said.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import ARP, Dot1Q, Ether

import device.wire
from device.wire.contract import WireError
from device.wire.frame import Frame, Gso, GsoFlag, GsoType
from device.wire.impairment import ImpairmentStage
from device.wire.netns import NetnsWire
from device.wire.port import Port
from device.wire.pump import PumpedWire
from device.wire.spec import open_wire
from formats.checksum import checksum

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from device.wire.contract import Wire

CHECKOUT = Path(device.wire.__file__).parents[3]
CARD_MAC, CARD, LINUX = "02:00:00:00:00:09", "10.82.57.9", "10.82.57.1"
PATIENCE_SECONDS = 20
CABLES = ["netns,cable=tap", "netns,cable=veth", "netns,userns=on,cable=veth"]


def opened(spec: str) -> NetnsWire:
    """Open a namespace, or skip with what the machine said."""
    try:
        wire = open_wire(spec)
    except WireError as error:
        pytest.skip(str(error))
    assert isinstance(wire, NetnsWire)
    return wire


class Card:
    """A station at our end of a wire: just enough of ARP, UDP and TCP."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.port = Port(wire.fd, wire.framing)
        self.linux_mac = ""

    def send(self, packet: Any, gso: Gso | None = None) -> None:  # noqa: ANN401 - scapy has no types
        """Send a scapy packet, or bytes."""
        assert self.port.write(Frame(bytes(packet), gso))

    def receive(self, wanted: Callable[[Any], bool]) -> Any:  # noqa: ANN401 - scapy has no types
        """Return the next packet that is wanted; answer ARP on the way."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            frame = self.port.read()
            if frame is None:
                select.select([self.wire.fd], [], [], 0.1)
                continue
            assert frame.gso is None, "a card receives what a cable carries"
            packet = Ether(frame.data)
            if ARP in packet and packet[ARP].op == 1 and packet[ARP].pdst == CARD:
                reply = ARP(op=2, hwsrc=CARD_MAC, psrc=CARD, hwdst=packet.src, pdst=LINUX)
                self.send(Ether(src=CARD_MAC, dst=packet.src) / reply)
            if wanted(packet):
                return packet
        pytest.fail("Linux did not send it")

    def ethernet(self) -> Any:  # noqa: ANN401 - scapy has no types
        """Return the header of a frame to Linux, whose address ARP finds."""
        if not self.linux_mac:
            question = ARP(hwsrc=CARD_MAC, psrc=CARD, pdst=LINUX)
            self.send(Ether(src=CARD_MAC, dst="ff:ff:ff:ff:ff:ff") / question)
            self.linux_mac = self.receive(lambda p: ARP in p and p[ARP].op == 2).src
        return Ether(src=CARD_MAC, dst=self.linux_mac)


@pytest.fixture(params=CABLES)
def card(request: pytest.FixtureRequest) -> Iterator[Card]:
    """Put a station on each kind of cable."""
    wire = opened(request.param)
    yield Card(wire)
    wire.close()


def partial(data: bytes) -> bytes:
    """Return an IPv4 TCP or UDP frame with the pseudo header's sum where its checksum belongs."""
    field = 50 if data[23] == 6 else 40
    length = len(data) - 34
    pseudo = data[26:34] + bytes([0, data[23]]) + length.to_bytes(2, "big")
    return data[:field] + (0xFFFF ^ checksum(pseudo)).to_bytes(2, "big") + data[field + 2 :]


def test_a_tso_frame_reaches_linuxs_tcp_whole(card: Card) -> None:
    """A handshake by hand, then 20,000 bytes in one frame; the socket has them all."""
    wire = card.wire
    assert isinstance(wire, NetnsWire)
    payload = bytes(n * 13 & 0xFF for n in range(20_000))
    with wire.namespace.socket() as listener:
        listener.bind((LINUX, 0))
        listener.listen(1)
        ports = {"sport": 4000, "dport": listener.getsockname()[1]}
        to_linux = card.ethernet() / IP(src=CARD, dst=LINUX)
        card.send(to_linux / TCP(**ports, flags="S", seq=100, window=60000))
        answer = card.receive(lambda p: TCP in p and p[TCP].flags == "SA")[TCP]
        numbers = {"seq": 101, "ack": answer.seq + 1, "window": 60000}
        card.send(to_linux / TCP(**ports, **numbers, flags="A"))
        connection, _ = listener.accept()
        with connection:
            frame = partial(bytes(to_linux / TCP(**ports, **numbers, flags="PA") / payload))
            card.send(frame, Gso(GsoType.TCPV4, 54, 1460, 34, 16, GsoFlag.NEEDS_CSUM))
            connection.settimeout(PATIENCE_SECONDS)
            got = b""
            while len(got) < len(payload):
                got += connection.recv(65536)

    assert hashlib.sha256(got).digest() == hashlib.sha256(payload).digest()


def test_what_linux_sends_fits_the_cable_and_has_whole_checksums(card: Card) -> None:
    """No frame above the MTU, no partial checksum: nothing is left to the card."""
    wire = card.wire
    assert isinstance(wire, NetnsWire)
    card.ethernet()
    with wire.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(bytes(1000), (CARD, 7))
    packet = card.receive(lambda p: UDP in p)

    told = packet[UDP].chksum
    del packet[UDP].chksum
    assert told == Ether(bytes(packet))[UDP].chksum


def test_a_vlan_tag_is_seen_in_the_frame_and_understood(card: Card) -> None:
    """Linux moves tags beside the frame; a cable does not."""
    wire = card.wire
    assert isinstance(wire, NetnsWire)
    outward = Ether(src=CARD_MAC, dst="02:00:00:00:00:0a") / Dot1Q(vlan=5, prio=3) / IP() / UDP()
    inward = Ether(dst=CARD_MAC, src="02:00:00:00:00:0a") / Dot1Q(vlan=6, prio=1) / IP() / UDP()
    with wire.namespace.socket(socket.AF_PACKET, socket.SOCK_RAW) as linux:
        linux.bind((wire.interface, 0x0003))  # ETH_P_ALL
        linux.setsockopt(263, 8, 1)  # SOL_PACKET, PACKET_AUXDATA: where Linux puts the tag it took
        linux.settimeout(PATIENCE_SECONDS)

        card.send(outward)
        taken = 0
        while not taken:
            message, control, _, _ = linux.recvmsg(2000, 100)
            if message.startswith(bytes(outward)[:12]):
                taken = int.from_bytes(control[0][2][16:18], sys.byteorder)
        linux.send(bytes(inward))
        seen = card.receive(lambda p: p.dst == CARD_MAC and UDP in p)

    assert taken == 3 << 13 | 5
    assert bytes(seen) == bytes(inward)


def test_ipv6_answers_without_waiting_for_duplicate_address_detection(card: Card) -> None:
    """The address is of use at once: a socket binds to it."""
    wire = card.wire
    assert isinstance(wire, NetnsWire)

    with wire.namespace.socket(socket.AF_INET6, socket.SOCK_DGRAM) as bound:
        bound.bind(("fd00:8257::1", 0))

        assert bound.getsockname()[0] == "fd00:8257::1"


def test_programs_run_inside_and_see_only_the_cable(card: Card) -> None:
    """Output, exit status and timeout as subprocess has them."""
    wire = card.wire
    assert isinstance(wire, NetnsWire)

    seen = wire.run(["cat", "/proc/net/dev"])
    failed = wire.run(["no-such-program"])

    names = {line.split(":")[0].strip() for line in seen.stdout.splitlines()[2:]}
    assert {"lo", "wire0"} <= names <= {"lo", "wire0", "card0"}
    assert failed.returncode == 127
    assert "no-such-program" in failed.stderr
    with pytest.raises(subprocess.TimeoutExpired):
        wire.run(["sleep", "100"], timeout=0.2)


def test_closing_ends_programs_and_the_descriptor() -> None:
    """And may be done twice."""
    wire = opened("netns")
    program = wire.popen(["sleep", "1000"])

    wire.close()
    wire.close()

    assert program.returncode == -signal.SIGKILL
    assert wire.fd == -1


HOLDER = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a job that runs in the background
from device.wire.spec import open_wire
wire = open_wire("netns,cable=veth")
program = wire.popen(["sleep", "1000"])
print(program.pid, flush=True)
time.sleep(1000)
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_nothing_outlives_the_process_however_it_ends(end: signal.Signals) -> None:
    """The program inside is gone, and with it the namespace's last holder."""
    opened("netns,cable=veth").close()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )
    assert holder.stdout is not None
    program = int(holder.stdout.readline())
    command = Path(f"/proc/{program}/cmdline")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while b"sleep" not in command.read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.01)

    holder.send_signal(end)
    holder.communicate()

    while _runs(program):
        assert time.monotonic() < deadline, "the program inside still runs"
        time.sleep(0.01)


def _runs(pid: int) -> bool:
    """Tell whether a process runs; a zombie that init has not reaped yet does not."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


AS_NOBODY = """
import select, socket, struct, sys, time
from device.wire.frame import Frame
from device.wire.port import Port
from device.wire.spec import open_wire
wire = open_wire("netns")
mac = bytes([2, 0, 0, 0, 0, 9])
question = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac
question += bytes([10, 82, 57, 9, 0, 0, 0, 0, 0, 0, 10, 82, 57, 1])
port = Port(wire.fd, wire.framing)
port.write(Frame(bytes([255] * 6) + mac + b"\\x08\\x06" + question))
deadline = time.monotonic() + 20
while time.monotonic() < deadline:
    select.select([wire.fd], [], [], 0.1)
    frame = port.read()
    if frame is not None and frame.data[12:14] == b"\\x08\\x06" and frame.data[21] == 2:
        user = wire.run(["id", "-u"]).stdout.strip()
        print(wire.cable, socket.inet_ntoa(frame.data[28:32]), user)
        break
wire.close()
"""


def test_an_ordinary_user_has_a_namespace_of_his_own() -> None:
    """As nobody: veth where /dev/net/tun is closed, and Linux answers."""
    if os.geteuid() != 0:
        pytest.skip("this test becomes nobody, which takes root; the others ran as this user")
    python = _python_for_nobody()

    told = subprocess.run(
        [python, "-c", AS_NOBODY],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        user=65534,
        group=65534,
        extra_groups=[],
        cwd="/",
        env={
            "PYTHONPATH": str(CHECKOUT),
            "PATH": os.environ["PATH"],
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    )

    if "refuses a network namespace" in told.stderr:
        pytest.skip(told.stderr.strip().rpartition("\n")[2])
    assert told.stderr == ""
    cable = "tap" if os.stat("/dev/net/tun").st_mode & 0o006 == 0o006 else "veth"  # noqa: PTH116 - one call
    assert told.stdout.split() == [cable, LINUX, "0"]


def _python_for_nobody() -> str:
    """Return an interpreter that nobody may run and that may read the checkout, or skip."""
    for python in (sys.executable, "/usr/bin/python3"):
        probe = [python, "-c", "import sys, device.wire.spec; sys.exit(sys.version_info < (3, 11))"]
        with contextlib.suppress(OSError):
            done = subprocess.run(
                probe,
                check=False,
                capture_output=True,
                user=65534,
                group=65534,
                extra_groups=[],
                cwd="/",
                env={"PYTHONPATH": str(CHECKOUT)},
            )
            if done.returncode == 0:
                return python
    pytest.skip("nobody may run no Python 3.11 here, or may not read the checkout")


TAP_INSIDE = """
from device.wire.spec import open_wire
import pathlib, socket
from device.wire.contract import WireError
wire = open_wire("tap:lab0,address=10.1.0.1/24")
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.sendto(b"x", ("10.1.0.2", 9))  # Linux asks who that is
import select, os
while True:
    select.select([wire.fd], [], [])
    message = os.read(wire.fd, 2000)
    if message[22:24] == b"\\x08\\x06":
        break
print(message[:10].hex(), socket.inet_ntoa(message[48:52]))
try:
    open_wire("tap:lab0")
except WireError as error:
    print(error)
wire.close()
print("lab0" in pathlib.Path("/proc/net/dev").read_text())
"""


def test_a_tap_is_made_set_up_and_gone_again() -> None:
    """In a namespace, so that the host's network is not touched."""
    outside = opened("netns,cable=tap")
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}

    program = outside.popen(
        [sys.executable, "-c", TAP_INSIDE],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    out, err = program.communicate(timeout=PATIENCE_SECONDS)
    outside.close()

    assert err == ""
    assert out.splitlines() == [
        "00" * 10 + " 10.1.0.2",
        "tap:lab0: another process has it; close that one, or name another",
        "False",
    ]


PACKET_INSIDE = """
import os, select
from device.wire.spec import open_wire
wire = open_wire("packet:wire0")
print("ready", flush=True)
while True:
    select.select([wire.fd], [], [])
    message = os.read(wire.fd, 70000)
    if message[22:26] == bytes.fromhex("81000005"):
        break
os.write(wire.fd, message[:10] + message[16:22] + message[10:16] + message[22:])
print(message[:10].hex(), len(message), flush=True)
wire.close()
"""


def test_a_packet_wire_is_the_cable_of_an_interface_with_its_tags(card: Card) -> None:
    """A tagged frame comes in as it was sent, and its answer goes out."""
    wire = card.wire
    assert isinstance(wire, NetnsWire)
    program = wire.popen(
        [sys.executable, "-c", PACKET_INSIDE],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )
    assert program.stdout is not None
    assert program.stdout.readline() == "ready\n"
    to, of = "02:00:00:00:00:0a", CARD_MAC

    card.send(Ether(src=of, dst=to) / Dot1Q(vlan=5) / IP() / UDP() / bytes(500))
    answer = card.receive(lambda p: p.src == to and p.dst == of)

    assert bytes(answer)[12:] == bytes(Ether() / Dot1Q(vlan=5) / IP() / UDP() / bytes(500))[12:]
    assert program.communicate(timeout=PATIENCE_SECONDS)[0] == "00" * 10 + " 556\n"


SERVER = """
import hashlib, socket, sys
server = socket.create_server(("10.82.58.1", 0))
print(server.getsockname()[1], flush=True)
peer, _ = server.accept()
digest = hashlib.sha256()
while piece := peer.recv(65536):
    digest.update(piece)
print(digest.hexdigest(), flush=True)
"""

CLIENT = """
import socket, sys
with socket.create_connection(("10.82.58.1", int(sys.argv[1])), 30) as peer:
    peer.sendall(bytes(n * 7 & 255 for n in range(1000)) * int(sys.argv[2]))
"""


def joined(one: Wire, two: Wire, stop: threading.Event) -> None:
    """Carry frames between two wires until told to stop."""
    ports = {one.fd: Port(one.fd, one.framing), two.fd: Port(two.fd, two.framing)}
    other = {one.fd: two.fd, two.fd: one.fd}
    while not stop.is_set():
        for fd in select.select(list(ports), [], [], 0.05)[0]:
            for _ in range(64):
                frame = ports[fd].read()
                if frame is None:
                    break
                ports[other[fd]].write(frame)


@pytest.mark.parametrize("impaired", ["", ",loss=1%,reorder=1%,duplicate=1%,corrupt=0.1%,seed=7"])
def test_linuxs_tcp_gets_everything_across_a_bad_cable(impaired: str) -> None:
    """Two namespaces, a megabyte, SHA-256."""
    ends = [f"netns,address=10.82.58.{n}/24,address6=" for n in (1, 2)]
    server_end, client_end = opened(ends[0]), open_wire(ends[1] + impaired)
    inside: Any = getattr(client_end, "inner", client_end)
    stop = threading.Event()
    carrier = threading.Thread(target=joined, args=(server_end, client_end, stop), daemon=True)
    carrier.start()
    server = server_end.popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    port = server.stdout.readline().strip()

    client = inside.run([sys.executable, "-c", CLIENT, port, "1000"])
    digest = server.communicate(timeout=PATIENCE_SECONDS)[0].strip()
    stop.set()
    carrier.join()
    for wire in (server_end, client_end):
        wire.close()

    assert client.returncode == 0, client.stderr
    if isinstance(client_end, PumpedWire):
        (stage,) = client_end.pump._stages
        assert isinstance(stage, ImpairmentStage)
        assert all(line.statistics.lost for line in stage.lines.values())
    assert digest == hashlib.sha256(bytes(n * 7 & 255 for n in range(1000)) * 1000).hexdigest()
