"""The plain prompt as a user has it: typed at on a terminal, or fed by a pipe or a file."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pexpect
import pytest

from device.regs.nic import NIC
from device.vfio_user import Client, TransportError
from lab.stepper.completion import complete
from lab.stepper.walkthrough import walk

TOP = Path(__file__).resolve().parents[3]
RINGWALK = [sys.executable, "-m", "lab.cli.main"]
PROMPT = r"\(ringwalk\) "


def ringwalk(*arguments: str | Path, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    return subprocess.run(
        [*RINGWALK, *map(str, arguments)], input=given, capture_output=True, text=True, check=False, cwd=TOP
    )


def test_a_session_at_a_terminal() -> None:
    """Commands, Tab, an empty line that repeats, help, the end."""
    with pexpect.spawn(
        RINGWALK[0], [*RINGWALK[1:], "step"], cwd=str(TOP), encoding="utf-8", timeout=60
    ) as child:
        child.expect(PROMPT)
        child.sendline("break fetch tx0")
        child.expect("breakpoint 1: fetch tx0")
        child.expect(PROMPT)
        child.sendline("continue")
        child.expect(r"tx\[0\]\.desc\[0\] legacy buffer 0x10000 64 bytes EOP\|IFCS\|RS")
        child.expect(PROMPT)
        child.sendline("")
        child.expect(r"tx\[0\]\.desc\[1\]")
        child.expect(PROMPT)
        child.send("reverse-c\t\n")
        child.expect(r"tx\[0\]\.desc\[0\]")
        child.expect(PROMPT)
        child.sendline("print regs.TDT0")
        child.expect("0x00000001")
        child.sendline("quit")
        child.expect(pexpect.EOF)
    assert child.wait() == 0


def test_tab_completes_kinds_queues_registers_and_facts() -> None:
    """At each place what may stand there."""
    assert complete("br") == ["break", "breakpoints"]
    assert complete("until wri") == ["write", "writeback"]
    assert complete("until write TDT") == ["TDT0", "TDT1"]
    assert {"index=", "flag=", "tx0", "rx1", "every=", "nth="} <= set(complete("break fetch "))
    assert complete("break cause TXD") == ["TXDW", "TXD_LOW"]
    assert complete("break irq v") == ["vector="]
    assert complete("nonsense x") == []


def test_running_to_a_descriptor_and_to_the_nth_doorbell(tmp_path: Path) -> None:
    """``to`` is the prompt's cursor; ``until`` is gone when it has stopped."""
    script = tmp_path / "script"
    script.write_text(
        "to tx0 4\nassert index == 4 and ring == 'tx'\nuntil doorbell tx nth=2\nassert regs.TDH0 == 6\n"
        "registers TDH0\ninterrupts\nbreak\nto tx9 1\nquit\n"
    )

    done = ringwalk("step", "--command", script)

    assert done.returncode == 1  # the last command is wrong on purpose
    assert done.stdout.count("holds:") == 2, done.stdout
    assert "(was 0x" in done.stdout
    assert "quiet     no throttle" in done.stdout
    assert "no breakpoints:" in done.stdout
    assert "error: to tx9 1: give a ring" in done.stdout


def test_commands_come_through_a_pipe() -> None:
    """And the end of the pipe lets everything run to its end."""
    done = ringwalk("step", given="until doorbell tx\nprint tx[0].count\n")

    assert done.returncode == 0
    assert "8 (0x8)" in done.stdout


def test_a_script_s_status_tells_whether_its_assertions_held(tmp_path: Path) -> None:
    """So that a script is a test."""
    script = tmp_path / "script"
    script.write_text("# a comment\nuntil fetch tx0\nassert tx[0].pending == 1\nquit\n")
    good = ringwalk("step", "--command", script)
    script.write_text("until fetch tx0\nassert tx[0].pending == 2\nquit\n")
    bad = ringwalk("step", "--command", script)

    assert (good.returncode, bad.returncode) == (0, 1)
    assert "it does not hold at #" in bad.stdout


def test_a_faulty_driver_s_recording_fails_its_check_and_a_good_one_s_passes(tmp_path: Path) -> None:
    """The recording is the regression test: on both engines the engine is right, the driver is not."""
    bad, good = tmp_path / "bad.rw", tmp_path / "good.rw"
    ringwalk("step", "--fault", "rs-forgotten", "--record", bad)
    ringwalk("step", "--record", good)

    checks = [
        ringwalk("replay", path, f"--check={what}", "--engine", engine).returncode
        for path, what, engine in (
            (good, "all", "reference"),
            (bad, "all", "reference"),
            (bad, "driver", "reference"),
            (bad, "engine", "reference"),
            (bad, "engine", "native"),
            (bad, "all", "native"),
        )
    ]
    parted = ringwalk("replay", "--diff", good, bad)

    assert checks == [0, 1, 1, 0, 0, 1]
    assert parted.returncode == 1
    assert "they part at input" in parted.stdout


def test_a_live_driver_is_stepped_with_a_hook(tmp_path: Path) -> None:
    """Faults are injected while one looks."""
    hook, script = tmp_path / "hook.py", tmp_path / "script"
    hook.write_text(
        "from lab.stepper.hooks import DROP\nclass Tracer:\n    def on_interrupt(self, vector): return DROP\n"
    )
    script.write_text("until irq\ndetach\n")

    done = ringwalk("step", "--live", "--hook", hook, "--command", script)

    assert done.returncode == 0
    assert "0 completed; received 0" in done.stdout


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "it is empty"),
        (b"something else entirely, longer than a header", "no Ringwalk recording"),
    ],
)
def test_a_file_that_is_no_recording_is_told_in_one_line(tmp_path: Path, content: bytes, told: str) -> None:
    """With status 2, as every error a user can mend."""
    path = tmp_path / "file"
    path.write_bytes(content)

    done = ringwalk("replay", path)

    assert done.returncode == 2
    assert told in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_recording_that_was_cut_short_can_be_played_as_far_as_it_goes(tmp_path: Path) -> None:
    """If that is asked for."""
    path = tmp_path / "run.rw"
    ringwalk("step", "--record", path, "--frames", "2000")
    path.write_bytes(path.read_bytes()[:-1000])

    refused = ringwalk("replay", path)
    taken = ringwalk("replay", path, "--partial", "--check=engine")

    assert refused.returncode == 2
    assert "--partial takes what is whole" in refused.stderr
    assert taken.returncode == 0
    assert "playing what is whole" in taken.stderr


def test_the_walk_in_the_docs_is_what_the_program_does() -> None:
    """Renewed by ``ringwalk step --walk``."""
    page = (TOP / "docs/stepping.md").read_text()

    assert walk() in page


def test_the_walk_finds_the_planted_fault() -> None:
    """From its symptom to the rule, and to a check that fails."""
    told = walk()

    assert "13 refused (ring full)" in told
    assert "EOP|IFCS  (step)" in told
    assert "there was none before" in told
    assert told.endswith("check failed\nstatus 1\n")
    assert "error:" not in told.replace("error: missing-rs", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_at_the_prompt_of_a_served_card_ends_it_and_removes_the_socket(
    tmp_path: Path, number: signal.Signals
) -> None:
    """The account is told as ever, the status is 0; nobody has to type anything."""
    path = tmp_path / "card"

    def write() -> None:
        """Make the card stop; there is no answer, for the server goes."""
        with contextlib.suppress(TransportError):
            Client.connect(path).write(0, NIC["IMC"].offset, b"\xff" * 4)

    with pexpect.spawn(
        RINGWALK[0],
        [*RINGWALK[1:], "serve", "--socket", str(path), "--wire", "none", "--step"],
        cwd=str(TOP),
        encoding="utf-8",
        timeout=60,
    ) as child:
        child.expect("reference engine")
        child.expect("vfio-user-pci")
        client = threading.Thread(target=write)
        client.start()
        child.expect(PROMPT)

        child.kill(number)
        child.expect("register writes 1")
        child.expect(pexpect.EOF)
        child.wait()
        client.join(60)

    assert (child.exitstatus, path.exists(), client.is_alive()) == (0, False, False)


def test_ctrl_c_opens_the_prompt_of_a_served_card_that_nobody_uses(tmp_path: Path) -> None:
    """No event comes to stop at; and the state of a client that has died is there to look at."""
    path = tmp_path / "card"
    with pexpect.spawn(
        RINGWALK[0],
        [*RINGWALK[1:], "serve", "--socket", str(path), "--wire", "none", "--step"],
        cwd=str(TOP),
        encoding="utf-8",
        timeout=60,
    ) as child:
        child.expect('"x-no-posted-writes": true')
        child.sendintr()
        child.expect(r"\(paused\) the card is idle")
        child.expect(PROMPT)
        child.sendline("continue")
        with Client.connect(path) as client:
            client.write(0, NIC["TDLEN0"].offset, (128).to_bytes(4, "little"))
        child.expect("the client has left, and its last state is kept")
        child.expect(PROMPT)
        child.sendline("ring tx0")
        child.expect("8 slots")
        child.expect(PROMPT)
        child.sendintr()
        child.expect("Ctrl-C once more ends it")
        child.sendintr()
        child.expect(pexpect.EOF)

    assert child.wait() == 130
    assert not path.exists()


def test_a_recording_may_stand_behind_check_which_is_the_natural_order(tmp_path: Path) -> None:
    """`replay --check run.rw` checks run.rw; a word that is no check beside a recording is refused."""
    good = tmp_path / "good.rw"
    ringwalk("step", "--record", good)

    natural = ringwalk("replay", "--check", good)
    wrong = ringwalk("replay", good, "--check", "everything")

    assert (natural.returncode, natural.stdout.splitlines()[-1]) == (0, "check passed")
    assert (wrong.returncode, "choose of all, engine, driver" in wrong.stderr) == (2, True)


def test_ctrl_c_stops_a_replay_that_runs(tmp_path: Path) -> None:
    """At the next event, with the prompt."""
    path = tmp_path / "long.rw"
    ringwalk("step", "--record", path, "--frames", "20000")

    with pexpect.spawn(
        RINGWALK[0],
        [*RINGWALK[1:], "replay", str(path), "--step"],
        cwd=str(TOP),
        encoding="utf-8",
        timeout=60,
    ) as child:
        child.expect("stepping through a recording")
        child.expect(PROMPT)
        child.sendline("tracepoint frame nth=10")
        child.expect(PROMPT)
        child.sendline("continue")
        child.expect("tracepoint 1")
        child.sendintr()
        child.expect(r"\(paused\)")
        child.expect(PROMPT)
        child.sendline("quit")
        child.expect(pexpect.EOF)
