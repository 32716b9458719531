"""What the guest's driver and our card put on the cable, and what they make of a test's frames.

The other end of the cable is this process, so each frame is seen as it is, and nothing else is on the cable.
"""

from __future__ import annotations

import re
import time
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import ARP, Dot1Q, Ether

from lab.machines import boot_report

if TYPE_CHECKING:
    from lab.machines.guest_machine import Lab
    from tests.guest.cable_end import CableEnd

Cabled = tuple["Lab", "CableEnd"]

pytestmark = [pytest.mark.guest, pytest.mark.timeout(300)]

PARTNER = "02:00:00:00:00:77"
BROADCAST = "ff:ff:ff:ff:ff:ff"
GUEST_IP, PARTNER_IP = "10.82.90.2", "10.82.90.7"
PAUSE_ADDRESS = bytes.fromhex("0180c2000001")
XOFF, XON = 0xFFFF, 0


def counters(lab: Lab) -> dict[str, int]:
    """Return `ethtool -S` as numbers."""
    listing = boot_report.fields(lab.guest.run("ethtool -S eth0", check=True).out)
    return {name: int(value) for name, value in listing.items() if value}


def grown(lab: Lab, before: dict[str, int], *names: str) -> dict[str, int]:
    """Return by how much counters grew since ``before``."""
    after = counters(lab)
    return {name: after[name] - before[name] for name in names}


def ask(target: str = GUEST_IP) -> Any:  # noqa: ANN401 - scapy's packets have no types
    """Return an ARP question from the partner."""
    return ARP(op=1, hwsrc=PARTNER, psrc=PARTNER_IP, hwdst="00:00:00:00:00:00", pdst=target)


def answer_arrives(end: CableEnd) -> bool:
    """Ask the guest for its address: all that was sent before was taken or dropped when it answers."""
    end.drain()
    end.send(bytes(Ether(src=PARTNER, dst=BROADCAST) / ask()))
    return end.wait(lambda frame: frame[12:14] == b"\x08\x06" and frame[20:22] == b"\x00\x02") is not None


def test_an_arp_question_is_answered_by_a_frame_of_sixty_bytes(cabled: Cabled) -> None:
    """The card pads what is short (TCTL.PSP)."""
    lab, end = cabled
    end.drain()

    end.send(bytes(Ether(src=PARTNER, dst=BROADCAST) / ask()))
    frame = end.wait(lambda frame: frame[12:14] == b"\x08\x06")

    assert frame is not None
    reply = Ether(frame)
    assert (reply[ARP].op, reply[ARP].hwsrc, reply[ARP].psrc) == (2, lab.fitted[0].spec.mac, GUEST_IP)
    assert len(frame) == 60


@pytest.mark.parametrize("offload", ["on", "off"])
def test_a_vlan_tag_is_on_the_cable_whoever_inserted_it(cabled: Cabled, offload: str) -> None:
    """The card with CTRL.VME and the descriptor's VLE, else the driver."""
    lab, end = cabled
    lab.guest.run(f"ethtool -K eth0 rxvlan {offload} txvlan {offload}", check=True)
    lab.guest.wait_link("eth0")
    lab.guest.run(
        "modprobe 8021q; ip link add link eth0 name vlan5 type vlan id 5 egress-qos-map 0:3"
        " && ip address add 10.82.97.2/24 dev vlan5 && ip link set vlan5 up",
        check=True,
    )
    end.drain()

    end.send(bytes(Ether(src=PARTNER, dst=BROADCAST) / Dot1Q(vlan=5) / ask("10.82.97.2")))
    frame = end.wait(lambda frame: frame[12:14] == b"\x81\x00")
    lab.guest.run("ip link del vlan5; ethtool -K eth0 rxvlan on txvlan on", check=True)
    lab.guest.wait_link("eth0")

    assert frame is not None
    reply = Ether(frame)
    assert (reply[Dot1Q].vlan, reply[Dot1Q].prio, reply[ARP].psrc) == (5, 3, "10.82.97.2")


@pytest.mark.parametrize("offload", ["on", "off"])
def test_a_checksum_on_the_cable_is_right_whoever_summed(cabled: Cabled, offload: str) -> None:
    """The card at the context descriptor's offsets, else the driver: UDP of an odd length."""
    lab, end = cabled
    lab.guest.run(f"ethtool -K eth0 tx {offload}", check=True)
    lab.guest.run(f"ip neigh replace {PARTNER_IP} lladdr {PARTNER} dev eth0 nud permanent", check=True)
    end.drain()

    lab.guest.run(f"bash -c 'printf abcdefghi >/dev/udp/{PARTNER_IP}/5000'", check=True)
    frame = end.wait(lambda frame: frame[12:14] == b"\x08\x00" and frame[23] == 17)
    lab.guest.run("ethtool -K eth0 tx on", check=True)

    assert frame is not None
    sent = Ether(frame)[IP]
    whole = IP(bytes(sent))
    del whole[IP].chksum, whole[UDP].chksum
    again = IP(bytes(whole))
    assert (sent.chksum, sent[UDP].chksum) == (again.chksum, again[UDP].chksum)
    assert bytes(sent[UDP].payload)[:9] == b"abcdefghi"


def test_a_long_segment_leaves_as_segments_with_whole_checksums(cabled: Cabled) -> None:
    """TSO: what Linux gives in one piece is on the cable in pieces of the MSS, in order, each one right.

    4000 bytes fit into Linux's first congestion window of ten segments: nothing is to be confirmed.
    """
    lab, end = cabled
    lab.guest.run(f"ip neigh replace {PARTNER_IP} lladdr {PARTNER} dev eth0 nud permanent", check=True)
    end.drain()
    script = (
        f"bash -c 'exec 3<>/dev/tcp/{PARTNER_IP}/5001; head -c 4000 /dev/zero >&3; sleep 2' >/dev/null 2>&1 &"
    )
    lab.guest.run(script, check=True)
    tcp = lambda frame: frame[12:14] == b"\x08\x00" and frame[23] == 6  # noqa: E731 - one line
    opening = end.wait(tcp)
    assert opening is not None
    syn = Ether(opening)[TCP]

    accept = TCP(
        sport=5001,
        dport=syn.sport,
        seq=1000,
        ack=syn.seq + 1,
        flags="SA",
        window=65535,
        options=[("MSS", 536)],
    )
    end.send(
        bytes(Ether(src=PARTNER, dst=lab.fitted[0].spec.mac) / IP(src=PARTNER_IP, dst=GUEST_IP) / accept)
    )
    got = b""
    segments = []
    while len(got) < 4000:
        frame = end.wait(tcp)
        assert frame is not None
        packet = Ether(frame)[IP]
        payload = bytes(packet[TCP].payload)[: packet.len - 20 - packet[TCP].dataofs * 4]
        if payload and packet[TCP].seq == syn.seq + 1 + len(got):
            segments.append(packet)
            got += payload
    reset = TCP(sport=5001, dport=syn.sport, seq=1001, ack=syn.seq + 1 + len(got), flags="RA")
    end.send(bytes(Ether(src=PARTNER, dst=lab.fitted[0].spec.mac) / IP(src=PARTNER_IP, dst=GUEST_IP) / reset))

    assert got == bytes(4000)
    assert max(packet.len for packet in segments) == 536 + 40
    for packet in segments:
        whole = IP(bytes(packet)[: packet.len])
        sums = whole.chksum, whole[TCP].chksum
        del whole[IP].chksum, whole[TCP].chksum
        again = IP(bytes(whole))
        assert sums == (again.chksum, again[TCP].chksum)


def test_a_wrong_checksum_is_found_by_the_card(cabled: Cabled) -> None:
    """And a right one is: `rx_csum_offload_errors` and `_good` are counted from the descriptor's bits."""
    lab, end = cabled
    before = counters(lab)
    packet = Ether(src=PARTNER, dst=lab.fitted[0].spec.mac) / IP(src=PARTNER_IP, dst=GUEST_IP)

    end.send(*[bytes(packet / UDP(dport=9, chksum=0xDEAD) / b"wrong")] * 3)
    end.send(*[bytes(packet / UDP(dport=9) / b"right")] * 2)

    assert answer_arrives(end)
    assert grown(lab, before, "rx_csum_offload_errors", "rx_csum_offload_good") == {
        "rx_csum_offload_errors": 3,
        "rx_csum_offload_good": 2,
    }


def test_frames_for_others_are_not_counted_as_received(cabled: Cabled) -> None:
    """The filters take ours and broadcast, and drop a stranger's and a group's nobody joined."""
    lab, end = cabled
    before = counters(lab)
    others = ["52:54:00:99:99:99", "01:00:5e:7f:00:09"]

    end.send(
        *[bytes(Ether(src=PARTNER, dst=mac) / IP(src=PARTNER_IP, dst=GUEST_IP) / ICMP()) for mac in others]
    )

    assert answer_arrives(end)
    assert grown(lab, before, "rx_packets", "rx_broadcast", "rx_multicast") == {
        "rx_packets": 1,  # the question itself
        "rx_broadcast": 1,
        "rx_multicast": 0,
    }


def test_a_frame_beyond_the_mtu_is_counted_and_goes_nowhere(cabled: Cabled) -> None:
    """Without RCTL.LPE what is longer than 1522 bytes is oversize (ROC)."""
    lab, end = cabled
    before = counters(lab)

    end.send(bytes(Ether(src=PARTNER, dst=lab.fitted[0].spec.mac, type=0x88B5) / bytes(2000)))

    assert answer_arrives(end)
    assert grown(lab, before, "rx_packets", "rx_length_errors", "rx_long_length_errors") == {
        "rx_packets": 1,
        "rx_length_errors": 1,
        "rx_long_length_errors": 1,
    }


def test_the_frame_check_sequence_is_kept_when_asked_for(cabled: Cabled) -> None:
    """`ethtool -K rx-fcs on` clears RCTL.SECRC: the four bytes are the frame's CRC-32, not zeros."""
    lab, end = cabled
    lab.guest.run("ethtool -K eth0 rx-fcs on", check=True)
    lab.guest.wait_link("eth0")
    frame = bytes(Ether(src=PARTNER, dst=lab.fitted[0].spec.mac, type=0x88B5) / bytes(range(50)))
    lab.guest.run(
        "(tcpdump -p -n --immediate-mode -c 1 -i eth0 -w /tmp/fcs ether proto 0x88b5 2>/tmp/said;"
        " : >/tmp/done) &"
        " n=0; until grep -q listening /tmp/said; do n=$((n+1)); [ $n -lt 100 ] || exit 3; sleep 0.1; done",
        check=True,
    )

    end.send(frame)
    arrived = answer_arrives(end)
    captured = lab.guest.run(
        "n=0; until [ -e /tmp/done ] || [ $n -gt 50 ]; do n=$((n+1)); sleep 0.1; done;"
        " od -An -v -tx1 /tmp/fcs",
        check=True,
    ).out
    lab.guest.run("ethtool -K eth0 rx-fcs off", check=True)
    lab.guest.wait_link("eth0")

    assert arrived
    assert frame + zlib.crc32(frame).to_bytes(4, "little") in bytes.fromhex("".join(captured.split()))


def test_pause_frames_are_counted_and_consumed(cabled: Cabled) -> None:
    """XOFF and XON of a partner: `rx_flow_control_*` grow, and the driver sees none of them as a frame."""
    lab, end = cabled
    before = counters(lab)
    head = PAUSE_ADDRESS + bytes.fromhex(PARTNER.replace(":", "")) + b"\x88\x08\x00\x01"

    end.send(*[(head + quanta.to_bytes(2, "big")).ljust(60, b"\0") for quanta in (XOFF, XOFF, XON)])

    assert answer_arrives(end)
    assert grown(lab, before, "rx_flow_control_xoff", "rx_flow_control_xon", "multicast") == {
        "rx_flow_control_xoff": 2,
        "rx_flow_control_xon": 1,
        "multicast": 0,
    }


def test_a_partner_is_paused_while_the_ring_is_full(cabled: Cabled) -> None:
    """The guest stands still: frames find no descriptor, and XOFF is sent; when it goes on, XON."""
    lab, end = cabled
    pause = lambda frame: frame[:6] == PAUSE_ADDRESS and frame[12:16] == b"\x88\x08\x00\x01"  # noqa: E731 - one line
    before = counters(lab)
    end.drain()
    frame = bytes(Ether(src=PARTNER, dst=lab.fitted[0].spec.mac, type=0x88B5) / bytes(1000))

    lab.guest.process.ask("stop")
    end.send(*[frame] * 300)  # the ring has 256
    stopped = end.wait(pause)
    lab.guest.process.ask("cont")
    released = end.wait(pause)

    assert stopped is not None
    assert released is not None
    assert int.from_bytes(stopped[16:18], "big") > 0
    assert int.from_bytes(released[16:18], "big") == 0
    assert answer_arrives(end)
    more = grown(lab, before, "tx_flow_control_xoff", "tx_flow_control_xon", "rx_packets")
    assert more["tx_flow_control_xoff"] >= 1
    assert more["tx_flow_control_xon"] >= 1
    assert more["rx_packets"] == 301  # nothing was lost: the cable was held back


def suspended(lab: Lab, end: CableEnd, frame: bytes) -> str:
    """Let the guest put its devices to sleep and wake them, sending a frame all the time; return its log."""
    lab.guest.run(
        "echo platform >/sys/power/pm_test; echo 4 >/sys/module/suspend/parameters/pm_test_delay;"
        " dmesg -c >/dev/null",
        check=True,
    )
    lab.guest.agent.send_only("echo mem >/sys/power/state")
    for _ in range(SLEEP_TENTHS):
        end.send(frame)
        time.sleep(0.1)
    log = lab.guest.run("dmesg", check=True).out
    lab.guest.wait_link("eth0")
    return log


SLEEP_TENTHS = 70
"""The guest sleeps for four seconds, of which its own reset of the PHY costs the link one and a half (the
break_link_timer of IEEE 802.3); before and after, the frames are received, or lost, as any."""


@pytest.mark.parametrize(
    ("wake_on", "kind", "cause"),
    [("g", "magic", "Magic Packet"), ("b", "broadcast", "Broadcast Packet"), ("g", "broadcast", None)],
)
def test_a_sleeping_card_knows_what_would_wake_it(
    cabled: Cabled, wake_on: str, kind: str, cause: str | None
) -> None:
    """In D3hot with PME enabled the card compares frames with WUFC; the driver reads WUS when it resumes.

    Linux's own suspend test (/sys/power/pm_test) puts the device to sleep and wakes it again after a time.
    """
    lab, end = cabled
    mac = bytes.fromhex(lab.fitted[0].spec.mac.replace(":", ""))
    head = Ether(src=PARTNER, dst=BROADCAST, type=0x0842)
    frame = {"magic": bytes(head / (b"\xff" * 6 + mac * 16)), "broadcast": bytes(head / bytes(102))}[kind]
    lab.guest.run(f"ethtool -s eth0 wol {wake_on}", check=True)

    log = suspended(lab, end, frame)

    assert "PM: suspend exit" in log
    assert re.findall(r"MAC Wakeup cause - ([\w ]+)", log) == ([cause] if cause else [])
    assert answer_arrives(end)
