"""``boot``'s arguments, what the guest says, and how the story is told."""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from lab.cli import arguments
from lab.cli.commands import boot
from lab.cli.declared import boot as declared
from lab.errors import UsageError
from lab.machines import boot_report
from lab.machines.boot_report import CardStory, Ping, Story, Transfer
from lab.machines.cards import CardSpec, default_mac, with_address
from lab.machines.guest.agent import Agent, AgentError, parse_reply, request

if TYPE_CHECKING:
    from pathlib import Path

MOVED = Transfer(33.6, 700.0, sha256_agrees=True)
CARD = CardStory(
    kind="82574l",
    engine="native",
    interface="eth0",
    pci="0000:00:01.0",
    driver="e1000e",
    driver_version="6.12",
    firmware="1.8-0",
    mac="52:54:00:82:57:01",
    speed="1000 Mb/s full duplex",
    interrupts="MSI-X, 3 vectors",
    wire="netns",
    address="10.82.57.1",
    ping=Ping(5, 5, 0.4),
    to_host=MOVED,
    to_guest=MOVED,
    account={"tx_frames": 1234567},
)
TOLD = Story("QEMU 11.1.3 (cache)", "tcg", "asked for", "6.12", 5.0, (CARD,))


def parsed(*argv: str) -> argparse.Namespace:
    """Parse boot's arguments."""
    parser = argparse.ArgumentParser()
    declared.add_arguments(parser)
    return parser.parse_args(argv)


def test_without_arguments_there_is_one_card_of_ours() -> None:
    """On the private network."""
    specs = boot.card_specs(parsed())

    assert specs == [CardSpec("82574l", "netns", "52:54:00:82:57:01", "native")]


def test_wires_and_addresses_go_to_the_cards_in_their_order() -> None:
    """A card without one gets the default."""
    args = parsed(
        "--nic", "82574l", "--nic", "virtio-net", "--wire", "loopback", "--mac", "02:00:00:00:00:0A"
    )

    specs = boot.card_specs(args)

    assert [(s.kind, s.wire, s.mac) for s in specs] == [
        ("82574l", "loopback", "02:00:00:00:00:0a"),
        ("virtio-net", "netns", "52:54:00:82:57:02"),
    ]


def test_cards_on_a_shared_cable_have_addresses_of_their_own() -> None:
    """The same on one process's private wires, every time; another in each process on a switch."""
    program = "from lab.machines.cards import default_mac; print(default_mac('switch:lab'))"
    another = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)

    here = [spec.mac for spec in boot.card_specs(parsed(*("--nic", "82574l", "--wire", "switch:lab") * 2))]

    assert len({*here, another.stdout.strip()}) == 3
    assert all(one.startswith("52:54:00:") for one in here)
    assert default_mac("tap:one") == default_mac("tap:one,loss=1%") != default_mac("tap:two")
    assert default_mac("netns,loss=1%", 2) == "52:54:00:82:57:02"


def test_each_netns_wire_of_a_guest_has_a_network_of_its_own() -> None:
    """Two interfaces in one network would answer for each other."""
    assert with_address("netns", 0) == "netns"
    assert "address=10.82.58.1/24" in with_address("netns", 1)
    assert with_address("netns,loss=1%", 1).startswith("netns,loss=1%,address=")
    assert with_address("loopback", 1) == "loopback"


def test_a_capture_of_two_cards_goes_to_two_files(tmp_path: Path) -> None:
    """One file cannot be written twice."""
    args = parsed("--nic", "82574l", "--nic", "82574l", "--pcap", str(tmp_path / "a.pcapng"))

    wires = [spec.wire for spec in boot.card_specs(args)]

    assert wires == [f"netns:pcap={tmp_path}/a.pcapng", f"netns:pcap={tmp_path}/a1.pcapng"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("--wire", "none", "--wire", "none"), "give --nic as often"),
        (("--nic", "82574l", "--mac", "52:54:00:82:57:02", "--nic", "82574l"), "one address"),
        (("--pcap", "/nowhere/a.pcapng"), "directory is missing"),
        (("--pcap", "/nowhere/a,b"), "no comma"),
    ],
)
def test_cards_that_do_not_fit_together_are_refused(argv: tuple[str, ...], message: str) -> None:
    """In one line, with the remedy."""
    with pytest.raises(UsageError, match=message):
        boot.card_specs(parsed(*argv))


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("-i", "--exec", "true"), "exclude each other"),
        (("-i", "--json"), "leave out --json"),
        (("--script", "/nowhere/s.sh"), "no such file"),
    ],
)
def test_wishes_that_exclude_each_other_are_refused(argv: tuple[str, ...], message: str) -> None:
    """Before anything is started."""
    with pytest.raises(UsageError, match=message):
        boot.command(parsed(*argv))


@pytest.mark.parametrize("pair", ["a", "a:relative", ":/x", "/nowhere/file:/x"])
def test_a_copy_that_cannot_be_is_refused(pair: str) -> None:
    """The host's file must be there, and the guest's path be absolute."""
    with pytest.raises(UsageError, match="--copy"):
        boot.copies([pair])


def test_a_copy_into_a_folder_keeps_the_file_s_name(tmp_path: Path) -> None:
    """As cp does."""
    file = tmp_path / "tool"
    file.touch()

    assert boot.copies([f"{file}:/opt/", f"{file}:/bin/x"]) == [(file, "/opt/tool"), (file, "/bin/x")]


@pytest.mark.parametrize(("text", "mib"), [("512", 512), ("512M", 512), ("2G", 2048), ("1g", 1024)])
def test_memory_is_read_in_mebibytes(text: str, mib: int) -> None:
    """As QEMU reads it."""
    assert declared.memory_mib(text) == mib


@pytest.mark.parametrize("text", ["64M", "much", "-1", "1T"])
def test_memory_that_cannot_be_is_refused(text: str) -> None:
    """Too little for a kernel to boot in, too."""
    with pytest.raises(argparse.ArgumentTypeError):
        declared.memory_mib(text)


def test_a_multicast_address_is_no_card_s() -> None:
    """Bit 0 of the first byte."""
    with pytest.raises(argparse.ArgumentTypeError, match="unicast"):
        arguments.mac("01:00:5e:00:00:01")


def test_the_story_names_what_was_seen() -> None:
    """Each line has its label."""
    rows = dict(boot_report.rows(TOLD))

    assert rows["driver"] == "e1000e 6.12, firmware 1.8-0"
    assert rows["ping"] == "5 of 5 from 10.82.57.1, 0.40 ms"
    assert rows["TCP out"] == "34 MB guest to host at 700 Mbit/s, SHA-256 agrees"
    assert rows["account"] == "tx frames 1,234,567"
    assert boot_report.text(TOLD).splitlines()[-1] == "traffic flowed"


def test_the_data_says_the_same_as_the_text() -> None:
    """And can be written as JSON."""
    told = json.loads(json.dumps(boot_report.data(TOLD)))

    assert told["flowed"] is True
    assert told["cards"][0]["to_host"]["sha256_agrees"] is True


@pytest.mark.parametrize(
    "card",
    [
        replace(CARD, ping=Ping(5, 0, 0.0)),
        replace(CARD, to_host=Transfer(33.6, 700.0, sha256_agrees=False)),
        replace(CARD, to_guest=Transfer(0.0, 0.0, sha256_agrees=False)),
    ],
)
def test_a_boot_without_whole_traffic_has_failed(card: CardStory) -> None:
    """No answer, a wrong digest, nothing moved."""
    told = replace(TOLD, cards=(card,))

    assert not told.flowed
    assert boot_report.text(told).endswith("traffic did NOT flow")


def test_cards_whose_far_ends_are_not_ours_are_no_failure() -> None:
    """On a switch of theirs nothing is sent; but a driver that complains is one."""
    strange = replace(CARD, address=None, ping=None, to_host=None, to_guest=None)

    told = replace(TOLD, cards=(strange, strange))

    assert (told.good, told.flowed) == (True, False)
    assert boot_report.text(told).endswith("no traffic was tried: no far end is ours")
    assert not replace(told, complaints=("NETDEV WATCHDOG",)).good


def test_a_kernel_that_complains_is_a_failure() -> None:
    """Traffic that flowed between two resets of the card is not good enough."""
    log = "[1.0] ok\n[2.0] e1000e 0000:00:01.0 eth0: Detected Hardware Unit Hang:\n"

    found = boot_report.complaints(log)

    assert found == ("[2.0] e1000e 0000:00:01.0 eth0: Detected Hardware Unit Hang:",)
    assert not replace(TOLD, complaints=found).flowed


INTERRUPTS = """\
 24:  3  PCI-MSIX-0000:00:01.0   0-edge      eth0-rx-0
 25:  1  PCI-MSIX-0000:00:01.0   1-edge      eth0-tx-0
 26:  0  PCI-MSIX-0000:00:01.0   2-edge      eth0
 22: 10  IO-APIC  22-fasteoi   eth1
 27:  1  PCI-MSI-0000:00:03.0   0-edge      eth2
"""


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("eth0", "MSI-X, 3 vectors"),
        ("eth1", "INTx, 1 vector"),
        ("eth2", "MSI, 1 vector"),
        ("eth9", "no interrupts"),
    ],
)
def test_the_kind_of_interrupt_is_read(name: str, kind: str) -> None:
    """From the kernel's own table."""
    assert boot_report.interrupt_kind(INTERRUPTS, name) == kind


def test_ping_s_summary_is_read() -> None:
    """As iputils writes it; and nothing when it said nothing."""
    out = "5 packets transmitted, 4 received, 20% packet loss\nrtt min/avg/max/mdev = 0.1/0.25/0.5/0.1 ms"

    assert boot_report.parse_ping(out) == Ping(5, 4, 0.25)
    assert boot_report.parse_ping("ping: unreachable").received == 0


def test_an_agent_s_answer_is_put_together_from_its_pieces() -> None:
    """An answer that nobody waits for any more is passed over."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"noise\nready boot-7\n")
        agent = Agent(ours)
        boot_id = agent.wait_ready(5)
        theirs.sendall(b"0 0 3 0\nold" + b"1 7 5 3\nhel")
        later = threading.Timer(0.01, theirs.sendall, (b"loerr",))
        later.start()

        result = agent.run("true", timeout_s=5)
        later.join()
        asked = theirs.recv(100)

    assert boot_id == "boot-7"
    assert result == (7, b"hello", b"err")
    assert asked == request(1, "true", b"", 5) == b"1 5 4 0\ntrue"


def test_a_guest_that_is_gone_is_told() -> None:
    """The end of the stream is the end of QEMU."""
    ours, theirs = socket.socketpair()
    theirs.close()

    with ours, pytest.raises(AgentError, match=r"QEMU has ended|takes no request"):
        Agent(ours).run("true", timeout_s=5)


def test_a_request_to_a_guest_that_was_ended_here_is_the_agents_error() -> None:
    """Its socket is closed already: who left the stepper by ``quit`` reads no traceback."""
    ours, theirs = socket.socketpair()
    theirs.close()
    ours.close()

    with pytest.raises(AgentError, match="takes no request"):
        Agent(ours).run("true", timeout_s=5)
    with pytest.raises(AgentError, match="is gone"):
        Agent(ours).wait_ready(1)


def test_an_answer_that_is_none_is_told() -> None:
    """Something else speaks on the port."""
    with pytest.raises(AgentError, match="said b'login:'"):
        parse_reply(b"login:")


def test_a_script_s_output_comes_as_it_is_written() -> None:
    """In pieces, in their order; what an earlier request still says is passed over."""
    ours, theirs = socket.socketpair()
    seen: list[tuple[str, bytes]] = []
    with ours, theirs:
        agent = Agent(ours)
        theirs.sendall(
            b"0 out 3\nold" + b"1 out 4\none\n" + b"1 err 2\ne\n" + b"1 out 4\ntwo\n" + b"1 3 0 0\n"
        )

        status = agent.stream("true", lambda kind, data: seen.append((kind, data)), timeout_s=5)
        asked = theirs.recv(100)

    assert status == 3
    assert seen == [("out", b"one\n"), ("err", b"e\n"), ("out", b"two\n")]
    assert asked == request(1, "true", b"", 5, stream=True) == b"1 5 4 0 stream\ntrue"


@pytest.mark.parametrize("line", [b"1 out 99999999\n", b"1 out -5\n", b"x out 5\n", b"what\n"])
def test_a_piece_that_no_agent_would_send_is_told(line: bytes) -> None:
    """No number that a guest names makes us wait for more than a piece."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(line)
        with pytest.raises(AgentError, match="the guest's agent said"):
            Agent(ours).stream("true", lambda _kind, _data: None, timeout_s=5)


def test_a_guest_that_starts_again_in_the_middle_of_a_script_is_told() -> None:
    """Its answer will never come."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"1 out 3\nabcready boot-8\n")
        with pytest.raises(AgentError, match="started again by itself"):
            Agent(ours).stream("true", lambda _kind, _data: None, timeout_s=5)


def test_an_answer_is_awaited_no_longer_than_somebody_sees_a_reason_to() -> None:
    """A panic on the console ends the wait at once."""
    ours, theirs = socket.socketpair()

    def look() -> None:
        raise AgentError("the guest's kernel panicked")

    with ours, theirs:
        agent = Agent(ours)
        agent.look = look
        with pytest.raises(AgentError, match="panicked"):
            agent.run("true", timeout_s=600)
