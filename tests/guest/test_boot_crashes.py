"""``boot`` for drivers that crash: what goes wrong in the guest is told at once, and so is what it writes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab.machines.cards import CardSpec
from lab.machines.guest.session import GuestSpec
from lab.machines.guest_machine import booted

pytestmark = [pytest.mark.guest, pytest.mark.timeout(300), pytest.mark.usefixtures("fetched")]

TOP = Path(__file__).resolve().parents[2]
BOOT = [sys.executable, "-m", "lab.cli.main", "boot"]


def boot(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Boot, and return what it said."""
    return subprocess.run([*BOOT, *map(str, arguments)], capture_output=True, text=True, check=False, cwd=TOP)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("--exec", "echo c > /proc/sysrq-trigger"), 1, "the guest's kernel panicked: Kernel panic"),
        (("--exec", "reboot -f; sleep 60"), 1, "the guest has started again by itself"),
        (("--exec", "sleep 300", "--timeout", "30"), 124, "it did not end in 30 s"),
        (("--append", "rdinit=/nowhere", "--exec", "true"), 1, "Kernel panic - not syncing"),
        (("--exec", "exit 7"), 7, ""),
    ],
)
def test_the_end_of_a_guest_is_told_with_its_reason_and_a_status(
    arguments: tuple[str, ...], status: int, said: str
) -> None:
    """Nobody waits for what cannot come; the console is shown from where it went wrong, and kept."""
    done = boot(*arguments)

    assert done.returncode == status, done.stderr
    assert said in done.stderr
    if "panic" in said:
        kept = Path(done.stderr.split("the whole console: ")[1].splitlines()[0])
        assert "Kernel panic - not syncing" in kept.read_text()


def test_output_comes_as_it_is_written() -> None:
    """Not all at once at the end."""
    script = "for n in 1 2 3; do echo line $n; sleep 1; done"
    times = []

    with subprocess.Popen([*BOOT, "--exec", script], stdout=subprocess.PIPE, text=True, cwd=TOP) as child:
        assert child.stdout is not None
        for line in child.stdout:
            assert line.startswith("line ")
            times.append(time.monotonic())

    assert child.returncode == 0
    assert len(times) == 3
    assert times[2] - times[0] > 1


def test_an_oops_is_told_while_the_script_goes_on_and_the_status_is_not_0() -> None:
    """A driver that oopses in its own thread leaves the rest of the guest alive."""
    script = "echo BUG: unable to handle page fault >/dev/console; sleep 1; echo alive"

    done = boot("--exec", script)

    assert (done.returncode, done.stdout) == (1, "alive\n")
    assert "ringwalk: oops: BUG: unable to handle page fault" in done.stderr


def test_folders_are_shared_and_copied_both_ways(tmp_path: Path) -> None:
    """A shared folder that is for reading only stays as it was."""
    shared, out = tmp_path / "shared", tmp_path / "out"
    (shared / "deep").mkdir(parents=True)
    (shared / "deep" / "a").write_text("from the host\n")
    script = (
        "cat /mnt/shared/deep/a /opt/x/deep/a; touch /mnt/shared/b; grep -o 'foo=bar' /proc/cmdline;"
        " mkdir -p /opt/out/d; echo back >/opt/out/d/f; ls /sys/class/net"
    )

    done = boot(
        *("--share", f"{shared}:ro", "--copy", f"{shared}:/opt/x", "--copy-out", f"/opt/out:{out}"),
        *("--append", "foo=bar", "--no-driver", "--exec", script),
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout == "from the host\nfrom the host\nfoo=bar\nlo\n"
    assert "Read-only file system" in done.stderr
    assert (out / "d" / "f").read_text() == "back\n"
    assert os.listdir(shared) == ["deep"]  # noqa: PTH208 - the names


def test_a_card_without_a_cable_boots_and_two_on_a_switch_move_traffic() -> None:
    """The story's lines say which."""
    alone = boot("--wire", "none")
    wire = f"switch:test{os.getpid()}"
    pair = boot("--nic", "82574l", "--nic", "82574l", "--wire", wire, "--wire", wire)

    assert alone.returncode == 0, alone.stderr
    assert "link       down" in alone.stdout
    assert pair.returncode == 0, pair.stderr
    assert "ping 5 of 5" in pair.stdout
    assert "SHA-256 agrees" in pair.stdout
    assert pair.stdout.endswith("traffic flowed\n")


def test_a_panic_is_told_by_the_guest_itself_where_its_console_says_nothing() -> None:
    """By pvpanic: QMP's GUEST_PANICKED; nothing is read of the console."""
    with booted([CardSpec("82574l", "none")], GuestSpec()) as lab:
        guest = lab.guest
        guest.watch = None
        assert not guest.process.guest_panicked()

        guest.run("(sleep 1; echo c > /proc/sysrq-trigger) >/dev/null 2>&1 &")

        until = time.monotonic() + 60
        while not guest.process.guest_panicked() and time.monotonic() < until:
            time.sleep(0.2)
        assert guest.process.guest_panicked()
