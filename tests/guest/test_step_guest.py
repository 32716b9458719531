"""A real guest under the stepper: it goes on unharmed, and its recording plays again."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pexpect
import pytest

from device.trace.breakpoints import parse
from device.trace.recording import Recording
from lab.machines.cards import CardSpec
from lab.machines.guest.session import GuestSpec
from lab.machines.guest_machine import booted
from lab.stepper import guest_symbols
from lab.stepper.replaying import Replay
from lab.stepper.stepped_guest import Steered
from lab.stepper.wish import Wish

if TYPE_CHECKING:
    from lab.machines.guest.session import Guest
    from lab.stepper.session import Session, Stop

pytestmark = [pytest.mark.guest, pytest.mark.timeout(300)]

TOP = Path(__file__).resolve().parents[2]
STOPS = 1000


class Stepping:
    """Steps by stages through the driver's start, and looks about at each stop; then lets go."""

    def __init__(self) -> None:
        self.kinds: set[str] = set()
        self.longest = 0.0

    def stopped(self, session: Session, stop: Stop) -> None:
        """Look at what a user would look at."""
        began = time.monotonic()
        self.kinds.add(type(stop.event).__name__)
        for ring in (*session.look.tx, *session.look.rx):
            ring.lines()
        if session.stops == STOPS // 2:
            time.sleep(8)  # longer than a vfio-user client waits by itself
        if session.stops < STOPS:
            session.step("stage")
        else:
            session.detach()
        self.longest = max(self.longest, time.monotonic() - began)


def test_a_thousand_stops_do_not_break_the_link_of_linux_s_driver(
    fetched: None,  # noqa: ARG001 - it decides whether there is a guest
    tmp_path: Path,
) -> None:
    """Every stage of its start is a stop, one of them for eight seconds; afterwards traffic flows."""
    front = Stepping()
    path = tmp_path / "run.rw"
    machine = GuestSpec(patient=True)
    steered = Steered(Wish(record=path), front)

    with booted([CardSpec(engine="reference")], machine, steered.fit, steered.begun) as lab:
        lab.configure()
        guest = lab.guest
        ping = guest.run("ping -c 5 -i 0.2 10.82.57.1")
        state = guest.run("cat /sys/class/net/eth0/carrier; dmesg | grep -ciE 'hang|reset adapter|timed out'")

    assert front.longest > 8
    assert {"RegisterRead", "RegisterWritten", "CausesRaised"} <= front.kinds
    assert "0% packet loss" in ping.out, ping.out
    assert state.out.split() == ["1", "0"]

    began = time.monotonic()
    replay = Replay(Recording(path.read_bytes()), front)
    replay.session.detach()
    replay.run()
    took = time.monotonic() - began

    assert replay.player.differences == []
    assert replay.player.card.account.frames_sent >= 5
    assert took < replay.player.time_ns / 1e9


def test_a_script_drives_boot_and_leaves_a_recording_that_checks(
    fetched: None,  # noqa: ARG001 - it decides whether there is a guest
    tmp_path: Path,
) -> None:
    """As a user would: `boot --command --record --html`, then `replay --check` on both engines."""
    script, recording, page = tmp_path / "script", tmp_path / "run.rw", tmp_path / "run.html"
    script.write_text("until fetch tx0\nring tx0\nassert tx[0].pending > 0\ndescriptor tx0 0\ndetach\n")
    run = [sys.executable, "-m", "lab.cli.main"]

    booted_ = subprocess.run(
        [
            *run,
            "boot",
            "--command",
            script,
            "--record",
            recording,
            "--html",
            page,
            "--exec",
            "ping -c 3 10.82.57.1",
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=TOP,
    )
    checks = [
        subprocess.run(
            [*run, "replay", recording, f"--check={what}", "--engine", engine, "--json"],
            capture_output=True,
            text=True,
            check=False,
            cwd=TOP,
        )
        for what, engine in (("all", "reference"), ("engine", "native"))
    ]

    assert booted_.returncode == 0, booted_.stderr
    assert "holds: tx[0].pending > 0" in booted_.stdout
    assert "3 packets received" in booted_.stdout or "3 received" in booted_.stdout
    told = [json.loads(check.stdout) for check in checks]
    assert [check.returncode for check in checks] == [0, 0], told
    assert told[0]["frames_sent"] == told[1]["frames_sent"] > 3
    assert page.read_text().startswith("<!doctype html>")


def test_a_user_at_the_prompt_stops_looks_injects_pauses_and_leaves(
    fetched: None,  # noqa: ARG001 - it decides whether there is a guest
    tmp_path: Path,
) -> None:
    """`boot --step` on a terminal: a hook loaded and reloaded while the guest runs, Ctrl-C, `quit`."""
    hook, head = tmp_path / "hook.py", "from lab.stepper.hooks import DROP, Delay\nclass Tracer:\n"
    hook.write_text(head + "    def on_frame_received(self, data): return Delay(us=500)\n")
    said: list[str] = []

    def ask(child: pexpect.spawn[str], line: str, answer: str) -> None:
        child.sendline(line)
        child.expect(answer)
        child.expect(r"\(ringwalk\) ")
        said.append(line)

    arguments = ["-m", "lab.cli.main", "boot", "--step", "--exec", "ping -c 10000 -i 0.1 10.82.57.1"]
    with pexpect.spawn(sys.executable, arguments, cwd=str(TOP), encoding="utf-8", timeout=120) as child:
        child.expect(r"\(ringwalk\) ")
        ask(child, "until frame proto=icmp host=10.82.57.1", r"frame +tx\[0\] to the wire: .*icmp")
        ask(child, "descriptor tx0 0", "address")
        ask(child, "registers TDT0", "TDT0 +0x03818")
        ask(child, "console 5", "\\S+")
        ask(child, f"hook {hook}", "on_frame_received")
        ask(child, "until arrive proto=icmp nth=3", r"arrive +from the wire")
        ask(child, "hook", r"on_frame_received: delayed \d+ times")
        hook.write_text(head + "    def on_interrupt(self, vector): return DROP\n")
        ask(child, "reload", "on_interrupt")
        child.sendline("continue")
        time.sleep(3)
        child.sendintr()
        child.expect(r"\(paused\)")
        child.expect(r"\(ringwalk\) ")
        ask(child, "hook", r"on_interrupt: dropped \d+ times")
        child.sendline("quit")
        child.expect(pexpect.EOF)

    assert child.wait() == 0
    assert len(said) == 9


class Thinking:
    """Stops at a doorbell, asks where the driver stood, steps through what comes of it, takes its time."""

    THINKS_S = 8.0

    def __init__(self) -> None:
        self.stood: list[list[str]] = []
        self.reasons: list[str] = []
        self.tails: list[int] = []

    def stopped(self, session: Session, stop: Stop) -> None:
        """Look; think at the second stop; let go at the third."""
        if not session.breakpoints:  # power-on: the driver is not there yet
            session.run()
            return
        self.reasons.append(stop.reason)
        self.stood.append([str(place) for place in session.calls(stop.event)])
        if len(self.stood) == 2:
            self.tails.append(session.look.tx[0].tail)
            time.sleep(self.THINKS_S)
            self.tails.append(session.look.tx[0].tail)
        if len(self.stood) == 3:
            session.detach()
        else:
            session.step("stage")


def test_a_stop_at_a_doorbell_holds_the_guest_in_its_driver_s_function_and_its_clock_too(
    fetched: None,  # noqa: ARG001 - it decides whether there is a guest
) -> None:
    """Eight seconds at a stop are none for the guest, which stands where it rang the bell."""
    front = Thinking()
    steered = Steered(Wish(), front)
    spec = GuestSpec(patient=True, append=guest_symbols.APPEND)

    with booted([CardSpec(engine="reference")], spec, steered.fit, steered.begun, ready=steered.ready) as lab:
        session = steered.session
        assert session is not None
        lab.configure()
        before, began = uptime_s(lab.guest), time.monotonic()
        session.add(parse("write TDT0 value>0 caller=e1000_xmit_frame"))
        ping = lab.guest.run("ping -c 5 -i 0.2 10.82.57.1")
        passed, took = uptime_s(lab.guest) - before, time.monotonic() - began
        complaints = lab.guest.run("dmesg | grep -E 'NETDEV WATCHDOG|Hang|Reset adapter|stall'").out

    assert front.reasons[0].startswith("breakpoint 1")
    assert front.stood[0][0].startswith("e1000_xmit_frame+0x")
    assert front.stood[0][0].endswith("[e1000e]")
    assert any(place.startswith("dev_hard_start_xmit+0x") for place in front.stood[0])
    assert front.stood[1] == front.stood[0], "the guest moved while what it did was stepped through"
    assert front.tails[0] == front.tails[1]
    assert "0% packet loss" in ping.out, ping.out
    assert took > Thinking.THINKS_S
    assert passed < took - Thinking.THINKS_S / 2, "the guest's clock went on at the stop"
    assert complaints == ""


def uptime_s(guest: Guest) -> float:
    """Return the guest's own time since its start, in seconds."""
    return float(guest.run("cat /proc/uptime", check=True).out.split()[0])
