"""DPDK's testpmd in the guest: its em driver, by vfio-pci behind a vIOMMU, forwards between two of our cards.

The cables of both cards end in this process. What the driver cannot do is not asked: em has no TSO.
"""

from __future__ import annotations

import re
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from device.wire.spec import open_wire
from lab.booting import booted
from lab.cards import CardSpec
from lab.guest.session import GuestSpec
from tests.guest.cable_end import PATIENCE_S, CableEnd
from tests.guest.conftest import fetched_or_skipped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.guest.session import Guest

pytestmark = [pytest.mark.guest, pytest.mark.extra, pytest.mark.timeout(300)]

LIBRARIES = "/usr/lib/x86_64-linux-gnu"
SAID, TOLD = "/root/testpmd.out", "/root/testpmd.in"
MACS = ("52:54:00:82:59:00", "52:54:00:82:59:01")
SENDER = "02:00:00:00:00:77"
START_S = 60.0

PREPARE = """
mkdir -p /dev/hugepages
mount -t hugetlbfs nodev /dev/hugepages
echo 128 >/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages
modprobe -a vfio-pci vfio_iommu_type1
for device in /sys/class/net/eth0/device /sys/class/net/eth1/device; do
    name=$(basename $(readlink -f $device))
    echo vfio-pci >/sys/bus/pci/devices/$name/driver_override
    echo $name >/sys/bus/pci/devices/$name/driver/unbind
    echo $name >/sys/bus/pci/drivers_probe
done
[ $(ls /dev/vfio | wc -l) = 3 ]
"""


@dataclass(frozen=True, slots=True)
class Forwarder:
    """A testpmd that runs in a guest, and the far ends of its two cables."""

    guest: Guest
    ends: tuple[CableEnd, CableEnd]

    def tell(self, *commands: str) -> None:
        """Give testpmd commands, and wait until it has done the last of them."""
        before = self.said().count("testpmd> ")
        for command in commands:
            self.guest.run(f"echo '{command}' >>{TOLD}", check=True)
        self.wait_said(lambda text: text.count("testpmd> ") >= before + len(commands))

    def said(self) -> str:
        """Return what testpmd has printed."""
        return self.guest.run(f"cat {SAID} 2>/dev/null").out

    def wait_said(self, enough: object, patience_s: float = START_S) -> str:
        """Wait until what testpmd printed is ``enough``."""
        assert callable(enough)
        deadline = time.monotonic() + patience_s
        while not enough(text := self.said()):
            assert time.monotonic() < deadline, text
            time.sleep(0.5)
        return text

    def wait_linked(self) -> None:
        """Wait until testpmd sees both links: a port that starts negotiates anew, in a second and a half."""
        deadline = time.monotonic() + START_S
        shown = ""
        while len(re.findall(r"net_e1000_em\s+up", shown)) < len(self.ends):
            assert time.monotonic() < deadline, shown
            mark = len(self.said())
            self.tell("show port summary all")
            time.sleep(0.2)
            shown = self.said()[mark:]

    def passes(self, way: int, *frames: bytes) -> list[bytes]:
        """Send frames to card ``way`` and return as many as came out of the other."""
        self.wait_linked()
        self.ends[1 - way].drain()
        self.ends[way].send(*frames)
        found = (self.ends[1 - way].wait(lambda data: data[12:14] == b"\x08\x00", PATIENCE_S) for _ in frames)
        return [frame for frame in found if frame is not None]


@pytest.fixture(scope="module")
def forwarder(engine: str) -> Iterator[Forwarder]:
    """Boot a guest with a vIOMMU and two of our cards, and start testpmd on them."""
    fetched_or_skipped("qemu", "guest", "dpdk")
    spec = GuestSpec(
        cpus=2,
        memory_mib=1024,
        extras=("dpdk",),
        features=("kernel-irqchip=split",),
        append="intel_iommu=on iommu=nopt",
        extra=("-device", "intel-iommu,intremap=on,caching-mode=on"),
    )
    with tempfile.TemporaryDirectory(prefix="rw-") as folder:
        ends = tuple(CableEnd(open_wire(f"dgram:{folder}/t{n},{folder}/c{n}")) for n in range(2))
        cards = [
            CardSpec(wire=f"dgram:{folder}/c{n},{folder}/t{n}", mac=MACS[n], engine=engine) for n in range(2)
        ]
        try:
            with booted(cards, spec) as lab:
                lab.guest.run(PREPARE, check=True)
                drivers = " ".join(
                    f"-d {LIBRARIES}/librte_{name}.so.??" for name in ("mempool_ring", "net_e1000")
                )
                lab.guest.run(
                    f": >{TOLD}; (tail -n +1 -f {TOLD} | dpdk-testpmd -l 0,1 -m 128 --no-telemetry {drivers}"
                    f" -- --nb-cores=1 --total-num-mbufs=4096 -i >{SAID} 2>&1) &",
                    check=True,
                )
                made = Forwarder(lab.guest, (ends[0], ends[1]))
                made.wait_said(
                    lambda text: text.count("link state change event") == 2 and "testpmd> " in text
                )
                yield made
                lab.guest.run(f"echo quit >>{TOLD}", check=True)
                assert "Port 1 is closed" in made.wait_said(lambda text: "Bye..." in text)
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
    forwarder.tell("set fwd io", "start")

    there, back = forwarder.passes(0, *frames), forwarder.passes(1, *frames)
    forwarder.tell("stop")

    assert there == frames
    assert back == frames


def test_addresses_are_rewritten(forwarder: Forwarder) -> None:
    """Mac mode: the source is the sending card's own address."""
    forwarder.tell("set fwd mac", "start")

    out = forwarder.passes(0, datagram(1))
    forwarder.tell("stop")

    assert [(Ether(f).src, f[14:]) for f in out] == [(MACS[1], datagram(1)[14:])]


def test_the_card_mends_checksums(forwarder: Forwarder) -> None:
    """Csum engine with IP, UDP and TCP sums in hardware: what arrives wrong leaves right."""
    commands = [f"csum set {kind} hw {port}" for port in (0, 1) for kind in ("ip", "udp", "tcp")]
    wrong = Ether(src=SENDER, dst=MACS[0]) / IP(src="10.0.0.1", dst="10.0.0.2", chksum=0x1111)
    wrong = wrong / UDP(sport=7, dport=1000, chksum=0x2222) / (b"odd" * 33)
    forwarder.tell("port stop all", *commands, "port start all", "set fwd csum", "start")

    out = forwarder.passes(0, bytes(wrong))
    forwarder.tell("stop")

    assert len(out) == 1
    sent = Ether(out[0])[IP]
    right = IP(bytes(sent))
    del right[IP].chksum, right[UDP].chksum
    again = IP(bytes(right))
    assert (sent.chksum, sent[UDP].chksum) == (again.chksum, again[UDP].chksum)


def test_two_queues_each_way_forward(forwarder: Forwarder) -> None:
    """The em driver sets both rings up; a burst passes whole."""
    frames = [datagram(n) for n in range(64)]
    forwarder.tell("port stop all", "port config all rxq 2", "port config all txq 2", "port start all")
    forwarder.tell("set fwd io", "start")

    out = forwarder.passes(0, *frames)
    forwarder.tell(
        "stop", "port stop all", "port config all rxq 1", "port config all txq 1", "port start all"
    )

    assert sorted(out) == sorted(frames)


def test_a_ring_is_set_up_anew_again_and_again(forwarder: Forwarder) -> None:
    """Ports stopped and started three times; frames pass after each."""
    counts = []
    for _ in range(3):
        forwarder.tell("port stop all", "port start all", "set fwd io", "start")
        counts.append(len(forwarder.passes(0, *[datagram(n) for n in range(8)])))
        forwarder.tell("stop")

    assert counts == [8] * 3
