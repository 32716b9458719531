"""The guest session, and a first look at the card in it: for every kind of card the same tests."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from lab.machines import boot_report
from lab.machines.guest.session import GuestError

if TYPE_CHECKING:
    from lab.machines.guest_machine import Lab

pytestmark = [pytest.mark.guest, pytest.mark.timeout(300)]


def test_a_command_gives_its_output_errors_and_status(lab: Lab) -> None:
    """Each by itself."""
    result = lab.guest.run("echo out; echo err >&2; exit 7")

    assert (result.status, result.out, result.err) == (7, "out\n", "err\n")


def test_a_command_reads_what_it_is_given(lab: Lab) -> None:
    """Bytes that are no text, too."""
    data = bytes(range(256)) * 300

    result = lab.guest.run("sha256sum; wc -c", data=data)

    assert result.out.startswith(hashlib.sha256(data).hexdigest())


def test_a_command_that_takes_too_long_is_killed(lab: Lab) -> None:
    """And the session goes on."""
    late = lab.guest.run("sleep 60", timeout_s=1)
    after = lab.guest.run("echo here")

    assert (late.status, after.out) == (137, "here\n")


def test_a_file_comes_back_as_it_went(lab: Lab) -> None:
    """With its mode, into a directory that is not there yet."""
    content = bytes(range(256)) * 5000

    lab.guest.put("/opt/new/it's odd", content, 0o750)

    assert lab.guest.get("/opt/new/it's odd") == content
    assert lab.guest.run('stat -c %a "/opt/new/it\'s odd"').out == "750\n"


def test_a_file_that_is_not_there_is_an_error(lab: Lab) -> None:
    """With the guest's own words."""
    with pytest.raises(GuestError, match="cannot read /nowhere in the guest"):
        lab.guest.get("/nowhere")


def test_the_driver_bound_by_the_device_s_own_alias(lab: Lab) -> None:
    """Nobody named the module: the PCI identity did."""
    about = boot_report.fields(lab.guest.run("ethtool -i eth0", check=True).out)

    assert about["driver"] == "e1000e"
    assert lab.guest.run("cat /sys/class/net/eth0/device/vendor /sys/class/net/eth0/device/device").out == (
        "0x8086\n0x10d3\n"
    )


def test_the_interface_has_the_address_it_was_given(lab: Lab) -> None:
    """From the card's NVM."""
    assert lab.interfaces() == ["eth0"]
    assert lab.guest.run("cat /sys/class/net/eth0/address").out.strip() == lab.fitted[0].spec.mac


def test_the_link_is_a_gigabit(lab: Lab) -> None:
    """As negotiated by the PHY."""
    listing = boot_report.fields(lab.guest.run("ethtool eth0", check=True).out)

    assert (listing["Speed"], listing["Duplex"], listing["Link detected"]) == ("1000Mb/s", "Full", "yes")


def test_ping_and_tcp_flow_both_ways_whole(lab: Lab) -> None:
    """By digest, and without a complaint of the kernel."""
    told = lab.tell()

    assert told.flowed
    assert told.cards[0].ping == boot_report.Ping(
        5, 5, told.cards[0].ping.average_ms if told.cards[0].ping else 0
    )
    assert told.complaints == ()


@pytest.mark.parametrize("off", ["tso", "tx", "rx", "gso", "gro", "sg"])
def test_tcp_flows_without_an_offload(lab: Lab, off: str) -> None:
    """The driver then does itself what the card did before."""
    end = lab.fitted[0].far_end
    assert end is not None
    assert end.address is not None
    lab.guest.run(f"ethtool -K eth0 {off} off", check=True)

    moved = [
        boot_report.transfer_to_host(lab.guest, end, str(end.address.ip), 8 << 20),
        boot_report.transfer_to_guest(lab.guest, end, str(end.address.ip), 8 << 20),
    ]
    lab.guest.run(f"ethtool -K eth0 {off} on", check=True)

    assert [one.sha256_agrees for one in moved] == [True, True]


def test_ten_times_down_and_up_the_link_comes_back(lab: Lab) -> None:
    """And traffic flows afterwards."""
    end = lab.fitted[0].far_end
    assert end is not None
    assert end.address is not None
    for _ in range(10):
        lab.guest.run("ip link set eth0 down", check=True)
        lab.guest.wait_link("eth0")

    ping = boot_report.parse_ping(lab.guest.run(f"ping -c 5 -i 0.2 -W 5 {end.address.ip}").out)

    assert ping.received == 5


@pytest.mark.parametrize(("mode", "kind"), [(2, "MSI-X"), (1, "MSI"), (0, "INTx")])
def test_the_driver_is_loaded_anew_in_each_interrupt_mode(lab: Lab, nic: str, mode: int, kind: str) -> None:
    """Five times each; then it pings."""
    if nic == "qemu-e1000e" and kind == "MSI":
        kind = "INTx"  # on QEMU's model the driver says "MSI interrupt test failed" and falls back
    end = lab.fitted[0].far_end
    assert end is not None
    assert end.address is not None

    for _ in range(5):
        lab.guest.run(f"rmmod e1000e && modprobe e1000e IntMode={mode}", check=True)
    lab.configure()
    seen = boot_report.interrupt_kind(lab.guest.run("cat /proc/interrupts").out, "eth0")
    ping = boot_report.parse_ping(lab.guest.run(f"ping -c 5 -i 0.2 -W 5 {end.address.ip}").out)

    assert seen.split(",")[0] == kind
    assert ping.received == 5


def test_a_warm_reboot_brings_the_card_back(lab: Lab) -> None:
    """The system is a new one, the card the same; traffic flows again."""
    before = lab.guest.agent.boot_id

    lab.guest.reboot()
    lab.configure()

    assert lab.guest.agent.boot_id != before
    assert lab.tell().flowed
