"""Our PPPoE call manager over our miniport and card, against Debian's pppoe-server and pppd in a guest."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

import pytest

from lab.errors import UsageError
from lab.host.ndis_rigs import ISR_REGISTERS
from lab.host.wired_cards import Wired
from lab.machines import fetch
from lab.machines.boot_report import parse_ping
from lab.machines.cards import CardSpec
from lab.machines.guest.session import GuestSpec
from lab.machines.guest_machine import booted
from ndis.co.pppoe import PppoeManager
from ndis.oids import Oid
from ndis.requests import Request
from ndis.status import Status
from ndis.verifier.core import Verifier
from tests.guest.ndis_host import checksum, echo_reply
from tests.guest.pppoe_server import FIRST, PASSWORD, SERVER, USER, install, start

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.machines.guest.session import Guest
    from ndis.co.family import AddressFamily, VirtualCircuit

pytestmark = [
    pytest.mark.guest,
    pytest.mark.extra,
    pytest.mark.timeout(300),
]

LOGIN = {"service": "gold", "user": USER, "password": PASSWORD}
PATIENCE_S = 40


@dataclass
class Subscriber:
    """The client of the calls: answers pings, remembers everything."""

    family: AddressFamily | None = None
    made: list[tuple[Status, int]] = field(default_factory=list)
    closed: list[int] = field(default_factory=list)
    got: list[tuple[int, bytes]] = field(default_factory=list)

    def make_call_complete(self, status: Status, vc: VirtualCircuit) -> None:
        """ProtocolClMakeCallComplete."""
        self.made.append((status, vc.number))

    def incoming_call(self, vc: VirtualCircuit, sap: str) -> Status:
        """ProtocolClIncomingCall."""
        del vc, sap
        return Status.NOT_ACCEPTED

    def call_connected(self, vc: VirtualCircuit) -> None:
        """ProtocolClCallConnected."""

    def incoming_close_call(self, status: Status, vc: VirtualCircuit) -> None:
        """ProtocolClIncomingCloseCall."""
        del status
        self.closed.append(vc.number)
        if self.family is not None:
            self.family.close_call(vc)

    def co_receive(self, vc: VirtualCircuit, data: bytes) -> None:
        """ProtocolCoReceivePacket."""
        self.got.append((vc.number, data))
        reply = echo_reply(data)
        if reply is not None and self.family is not None:
            self.family.send(vc, reply)


@dataclass(frozen=True, slots=True)
class Line:
    """The guest with the concentrator, and our side."""

    guest: Guest
    wired: Wired
    family: AddressFamily
    subscriber: Subscriber
    verifier: Verifier

    def call(self, **parameters: Any) -> VirtualCircuit:  # noqa: ANN401 - what make_call takes
        """Make a call and wait for its end or its success."""
        before = len(self.subscriber.made)
        with self.wired.still:
            vc = self.family.make_call({**LOGIN, **parameters})
        assert self.wired.until(lambda: len(self.subscriber.made) > before, PATIENCE_S)
        return vc


@pytest.fixture(scope="module")
def line(fetched: None) -> Iterator[Line]:  # noqa: ARG001 - it decides whether there is a guest
    """Boot the concentrator; bind the call manager to a card of ours at the other end of its cable."""
    try:
        fetch.ensure(["pppoe"])
    except UsageError as error:
        pytest.skip(f"no pppoe-server here: {error}")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    verifier = Verifier(isr_registers=ISR_REGISTERS)
    with booted([CardSpec("qemu-e1000e", f"dgram:fd={theirs.fileno()}")], GuestSpec(accel="auto")) as lab:
        install(lab.guest)
        ours.settimeout(0)
        wired = Wired([ours.fileno()], observer=verifier)
        manager = PppoeManager(wired.ndis)
        open_ = wired.ndis.bind(manager.protocol, wired.adapters[0])
        open_.request(Request.set(Oid.GEN_CURRENT_PACKET_FILTER, b"\x01\0\0\0"))
        subscriber = Subscriber()
        subscriber.family = manager.open_family(subscriber)
        with wired:
            start(lab.guest, lab.interfaces()[0])
            yield Line(lab.guest, wired, subscriber.family, subscriber, verifier)
    ours.close()
    theirs.close()


def echo_request(source: bytes, to: bytes, number: int) -> bytes:
    """Return a whole ICMP echo request."""
    icmp = struct.pack(">BBHHH", 8, 0, 0, 7, number) + b"ringwalk"
    icmp = icmp[:2] + struct.pack(">H", checksum(icmp)) + icmp[4:]
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(icmp), number, 0, 64, 1, 0, source, to)
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + icmp


def test_each_session_is_a_circuit_with_an_address_of_pppds(line: Line) -> None:
    """Two calls at once, by PAP; both ways IP flows on each circuit, and on no other."""
    first, second = line.call(), line.call()

    addresses = [IPv4Address(vc.parameters["address"]) for vc in (first, second)]
    sessions = {vc.parameters["session"] for vc in (first, second)}
    pings = [
        parse_ping(line.guest.run(f"ping -c 5 -i 0.2 -W 5 {address}").out).received for address in addresses
    ]
    line.subscriber.got.clear()
    with line.wired.still:
        source = second.parameters["address"]
        line.family.send(second, echo_request(source, IPv4Address(SERVER).packed, 1))
    answered = line.wired.until(lambda: bool(line.subscriber.got), PATIENCE_S)

    assert set(map(str, addresses)) <= {str(IPv4Address(FIRST) + n) for n in range(4)}
    assert len(set(addresses)) == len(sessions) == 2
    assert pings == [5, 5]
    assert answered
    (number, reply), *_ = line.subscriber.got
    assert (number, reply[20], reply[-8:]) == (second.number, 0, b"ringwalk")


def test_a_closed_call_ends_pppd_and_a_killed_pppd_ends_the_call(line: Line) -> None:
    """Each side hears of the other's hanging up; the circuits are gone, and the family may be left."""
    while len(line.family.circuits) < 2:
        line.call()
    mine, theirs = line.family.circuits

    with line.wired.still:
        line.family.close_call(mine)
    line.guest.run(
        "n=0; until [ $(ls -d /sys/class/net/ppp* | wc -l) = 1 ];"
        " do n=$((n+1)); [ $n -lt 200 ] || exit 1; sleep 0.1; done",
        check=True,
    )
    line.guest.run("kill -TERM $(pidof pppd)")
    heard = line.wired.until(lambda: theirs.number in line.subscriber.closed, PATIENCE_S)

    assert heard
    assert line.family.circuits == []


def test_a_wrong_password_makes_no_call(line: Line) -> None:
    """The call fails, and leaves no circuit; those of the other tests, in any order, are there as before."""
    before = list(line.family.circuits)

    vc = line.call(password="wrong")  # noqa: S106 - it is wrong

    assert line.subscriber.made[-1] == (Status.FAILURE, vc.number)
    assert line.family.circuits == before


def test_the_verifier_has_nothing_to_say_after_all_that(line: Line) -> None:
    """Rule V35 among others."""
    with line.wired.still:
        reports = [str(report) for report in line.verifier.reports]

    assert reports == []
