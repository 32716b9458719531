"""Our NDIS and miniport on the host, Linux in a guest at the other ends of the cables."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from lab.host.ndis_rigs import ISR_REGISTERS
from lab.host.wired_cards import Wired
from lab.machines.boot_report import parse_ping
from lab.machines.cards import CardSpec
from lab.machines.guest.session import GuestSpec
from lab.machines.guest_machine import booted
from ndis.im.lbfo import Lbfo, Mode
from ndis.im.mux import Mux, Vlan
from ndis.im.passthru import Capture
from ndis.verifier.core import Verifier
from tests.guest.ndis_host import Host

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.machines.guest.session import Guest

pytestmark = [pytest.mark.guest, pytest.mark.timeout(300)]

CABLES = 3
BOTH = 2
MACS = [f"52:54:00:82:58:{n:02x}" for n in range(1, CABLES + 1)]
TEAM, PLAIN, FIVE = "10.91.1.1", "10.91.2.1", "10.91.5.1"
ALL_SET = 0x3F
"""Activity, timeout, aggregation, synchronization, collecting, distributing: a port that carries traffic."""
BOND = """
modprobe bonding max_bonds=0
ip link add bond0 type bond mode 802.3ad lacp_rate fast miimon 100 xmit_hash_policy layer3+4
for i in {0} {1}; do ip link set $i down; ip link set $i master bond0; done
ip addr add 10.91.1.2/24 dev bond0
ip link set bond0 up
"""
VLANS = """
modprobe 8021q
ip link set {2} up
ip addr add 10.91.2.2/24 dev {2}
for id in 5 7; do
  ip link add link {2} name vlan$id type vlan id $id
  ip addr add 10.91.$id.2/24 dev vlan$id
  ip link set vlan$id up
done
"""


@dataclass(frozen=True, slots=True)
class Pair:
    """The guest, and our side."""

    guest: Guest
    interfaces: list[str]
    wired: Wired
    team: Lbfo
    mux: Mux
    hosts: dict[str, Host]
    written: list[bytes]
    verifier: Verifier


@pytest.fixture(scope="module")
def pair(fetched: None) -> Iterator[Pair]:  # noqa: ARG001 - it decides whether there is a guest
    """Join three cards of a guest to three of ours: a team over two, a MUX over a capture over one."""
    cables = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(CABLES)]
    specs = [
        CardSpec("qemu-e1000e", f"dgram:fd={theirs.fileno()}", mac)
        for (_, theirs), mac in zip(cables, MACS, strict=True)
    ]
    verifier = Verifier(isr_registers=ISR_REGISTERS)
    written: list[bytes] = []
    with booted(specs, GuestSpec(accel="auto")) as lab:
        for ours, _ in cables:
            ours.settimeout(0)
        wired = Wired([ours.fileno() for ours, _ in cables], observer=verifier)
        team = Lbfo(wired.ndis, Mode.LACP)
        for adapter in wired.adapters[:2]:
            wired.ndis.bind(team.protocol, adapter)
        tap = Capture(wired.ndis, written.append)
        wired.ndis.bind(tap.protocol, wired.adapters[2])
        mux = Mux(wired.ndis, [Vlan("plain"), Vlan("five", 5)])
        wired.ndis.bind(mux.protocol, tap.adapters[0])
        places = {TEAM: team.adapters[0], PLAIN: mux.adapters[0], FIVE: mux.adapters[1]}
        hosts = {address: Host(wired.ndis, adapter, address) for address, adapter in places.items()}
        interfaces = lab.interfaces()
        with wired:
            lab.guest.run(BOND.format(*interfaces), check=True)
            lab.guest.run(VLANS.format(*interfaces), check=True)
            yield Pair(lab.guest, interfaces, wired, team, mux, hosts, written, verifier)
    for cable in cables:
        for end in cable:
            end.close()


def ping(guest: Guest, address: str, *options: str, count: int = 10) -> int:
    """Return how many answers came."""
    text = guest.run(f"ping -c {count} -i 0.1 -W 2 {' '.join(options)} {address}").out
    return parse_ping(text).received


def aggregated(pair: Pair, ports: int) -> bool:
    """Wait until our side carries traffic on so many ports, and, if that is both, Linux's side, too."""
    ours = pair.wired.until(lambda: len(pair.team.usable) == ports, 30)
    theirs = pair.guest.run(
        "n=0; until [ $(grep -c 'port state: 63' /proc/net/bonding/bond0) = 4 ];"
        " do n=$((n+1)); [ $n -lt 300 ] || exit 1; sleep 0.1; done"
        if ports == BOTH
        else "true"
    )
    return ours and theirs.status == 0


def partner_states(guest: Guest) -> list[int]:
    """Return Partner_State of every port, as Linux sees us."""
    text = guest.run("cat /proc/net/bonding/bond0", check=True).out
    return [
        int(state)
        for _, state in re.findall(r"details partner lacp pdu:(.*?)port state: (\d+)", text, re.DOTALL)
    ]


def test_linux_bonding_takes_our_team_as_its_lacp_partner(pair: Pair) -> None:
    """One aggregator with two ports, its partner our system, both ports fully up."""
    assert aggregated(pair, BOTH)

    text = pair.guest.run("cat /proc/net/bonding/bond0", check=True).out

    assert re.search(r"Number of ports: (\d+)", text).group(1) == "2"  # type: ignore[union-attr]  # else it fails
    assert f"Partner Mac Address: {pair.team.virtuals[0].address.hex(':')}" in text
    assert partner_states(pair.guest) == [ALL_SET, ALL_SET]


def test_traffic_flows_through_the_team_and_goes_on_when_a_link_is_pulled(pair: Pair) -> None:
    """Without the link's state changing in the guest: only the LACPDUs stop."""
    assert aggregated(pair, BOTH)

    before = ping(pair.guest, TEAM)
    with pair.wired.still:
        pair.wired.cards[0].plug(present=False)
    one_left = aggregated(pair, 1)
    pair.guest.run("sleep 4")  # Linux's short timeout is three seconds
    without = ping(pair.guest, TEAM)
    with pair.wired.still:
        pair.wired.cards[0].plug(present=True)
    both_again = aggregated(pair, BOTH)
    after = ping(pair.guest, TEAM)

    assert (before, one_left, without, both_again, after) == (10, True, 10, True, 10)


def test_each_vlan_reaches_its_own_adapter_and_no_other(pair: Pair) -> None:
    """Linux's tags are ours, and ours are Linux's; what has no adapter gets no answer."""
    third = pair.interfaces[2]

    answers = {
        "untagged": ping(pair.guest, PLAIN, "-I", third),
        "vlan 5": ping(pair.guest, FIVE, "-I", "vlan5"),
        "vlan 7": ping(pair.guest, FIVE, "-I", "vlan7", count=2),
    }

    assert answers == {"untagged": 10, "vlan 5": 10, "vlan 7": 0}
    assert (pair.hosts[PLAIN].asked, pair.hosts[FIVE].asked) == (10, 10)


def test_tcpdump_reads_what_the_capture_driver_wrote(pair: Pair) -> None:
    """As pcapng: every echo request and reply, with the tags they had on the wire."""
    ping(pair.guest, FIVE, "-I", "vlan5", count=3)
    with pair.wired.still:
        whole = b"".join(pair.written)

    pair.guest.put("/run/capture.pcapng", whole)
    shown = pair.guest.run("tcpdump -enr /run/capture.pcapng vlan 5 and icmp", check=True).out.splitlines()

    last = shown[-6:]
    assert ["vlan 5" in line for line in last] == [True] * 6
    assert [("echo request" in line, "echo reply" in line) for line in last] == [
        (True, False),
        (False, True),
    ] * 3


def test_the_verifier_has_nothing_to_say_after_all_that(pair: Pair) -> None:
    """Neither of the miniport nor of the intermediate drivers."""
    with pair.wired.still:
        reports = [str(report) for report in pair.verifier.reports]

    assert reports == []
