"""DPDK's testpmd in the guest: its em driver, by vfio-pci behind a vIOMMU, forwards between two of our cards.

The cables of both cards end in this process. What the driver cannot do is not asked: em has no TSO.
"""

from __future__ import annotations

import itertools
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from device.wire.spec import open_wire
from lab.machines.cards import CardSpec
from lab.machines.guest.session import GuestSpec
from lab.machines.guest_machine import booted
from tests.guest.cable_end import PATIENCE_S, CableEnd
from tests.guest.conftest import fetched_or_skipped
from tests.guest.testpmd import Testpmd

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.guest, pytest.mark.extra, pytest.mark.timeout(300)]

MACS = ("52:54:00:82:59:00", "52:54:00:82:59:01")
SENDER = "02:00:00:00:00:77"


@dataclass(frozen=True, slots=True)
class Forwarder:
    """A testpmd that runs in a guest, and the far ends of its two cables."""

    testpmd: Testpmd
    ends: tuple[CableEnd, CableEnd]

    def passes(self, way: int, *frames: bytes) -> list[bytes]:
        """Send frames to card ``way`` and return as many as came out of the other, until one is missing."""
        out = self.ends[1 - way]
        out.drain()
        self.ends[way].send(*frames)
        found = (out.wait(lambda data: data[12:14] == b"\x08\x00", PATIENCE_S) for _ in frames)
        return [frame for frame in itertools.takewhile(lambda frame: frame is not None, found) if frame]


@pytest.fixture(scope="module")
def forwarder(engine: str) -> Iterator[Forwarder]:
    """Boot a guest with a vIOMMU and two of our cards, and start testpmd on them."""
    fetched_or_skipped("qemu", "guest", "dpdk")
    spec = GuestSpec(
        cpus=2,
        memory_mib=1024,
        extras=("dpdk",),
        features=("kernel-irqchip=split",),
        append="intel_iommu=on iommu=nopt no_timer_check",  # why the last: lab.host.nt_guest.machine
        extra=("-device", "intel-iommu,intremap=on,caching-mode=on"),
    )
    with tempfile.TemporaryDirectory(prefix="rw-") as folder:
        ends = tuple(CableEnd(open_wire(f"dgram:{folder}/t{n},{folder}/c{n}")) for n in range(2))
        cards = [
            CardSpec(wire=f"dgram:{folder}/c{n},{folder}/t{n}", mac=MACS[n], engine=engine) for n in range(2)
        ]
        try:
            with booted(cards, spec) as lab:
                testpmd = Testpmd(lab.guest)
                yield Forwarder(testpmd, (ends[0], ends[1]))
                assert "Port 1 is closed" in testpmd.quit()
        finally:
            for end in ends:
                end.close()


def datagram(number: int, size: int = 100) -> bytes:
    """Return an Ethernet frame with an UDP datagram to the first card."""
    layers = IP(src="10.0.0.1", dst="10.0.0.2", id=number) / UDP(sport=7, dport=1000 + number)
    return bytes(Ether(src=SENDER, dst=MACS[0]) / layers / bytes([number & 0xFF] * size))


def test_frames_are_forwarded_as_they_are(forwarder: Forwarder) -> None:
    """Io mode, both ways, in order and whole: of 60 bytes to the MTU."""
    frames = [datagram(n, size) for n, size in enumerate([18, 19, 100, 700, 1471, 1472] * 10)]
    forwarder.testpmd.tell("set fwd io", "start")

    there, back = forwarder.passes(0, *frames), forwarder.passes(1, *frames)
    forwarder.testpmd.tell("stop")

    assert there == frames
    assert back == frames


def test_addresses_are_rewritten(forwarder: Forwarder) -> None:
    """Mac mode: the source is the sending card's own address."""
    forwarder.testpmd.tell("set fwd mac", "start")

    out = forwarder.passes(0, datagram(1))
    forwarder.testpmd.tell("stop")

    assert [(Ether(f).src, f[14:]) for f in out] == [(MACS[1], datagram(1)[14:])]


def test_the_card_mends_checksums(forwarder: Forwarder) -> None:
    """Csum engine with IP, UDP and TCP sums in hardware: what arrives wrong leaves right."""
    commands = [f"csum set {kind} hw {port}" for port in (0, 1) for kind in ("ip", "udp", "tcp")]
    wrong = Ether(src=SENDER, dst=MACS[0]) / IP(src="10.0.0.1", dst="10.0.0.2", chksum=0x1111)
    wrong = wrong / UDP(sport=7, dport=1000, chksum=0x2222) / (b"odd" * 33)
    forwarder.testpmd.restart(*commands)
    forwarder.testpmd.tell("set fwd csum", "start")

    out = forwarder.passes(0, bytes(wrong))
    forwarder.testpmd.tell("stop")

    assert len(out) == 1
    sent = Ether(out[0])[IP]
    right = IP(bytes(sent))
    del right[IP].chksum, right[UDP].chksum
    again = IP(bytes(right))
    assert (sent.chksum, sent[UDP].chksum) == (again.chksum, again[UDP].chksum)


def test_two_queues_each_way_forward(forwarder: Forwarder) -> None:
    """The em driver sets both rings up, as it says; a burst passes whole."""
    frames = [datagram(n) for n in range(64)]
    forwarder.testpmd.restart("port config all rxq 2", "port config all txq 2")
    forwarder.testpmd.tell("set fwd io", "start")

    out = forwarder.passes(0, *frames)
    forwarder.testpmd.tell("stop")
    forwarder.testpmd.restart("port config all rxq 1", "port config all txq 1")

    assert sorted(out) == sorted(frames)
    assert "port 0: RX queue number: 2 Tx queue number: 2" in forwarder.testpmd.said()


def test_a_ring_is_set_up_anew_again_and_again(forwarder: Forwarder) -> None:
    """Ports stopped and started three times; frames pass after each."""
    counts = []
    for _ in range(3):
        forwarder.testpmd.restart()
        forwarder.testpmd.tell("set fwd io", "start")
        counts.append(len(forwarder.passes(0, *[datagram(n) for n in range(8)])))
        forwarder.testpmd.tell("stop")

    assert counts == [8] * 3
