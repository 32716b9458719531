"""``step --miniport``: our own driver and NDIS under the stepper, and both halves of their rings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from device.trace.player import Player
from device.trace.recording import Recording
from lab.stepper import scenario
from lab.stepper.hooks import Hooks
from lab.stepper.ndis_bench import KINDS, NdisBench
from lab.stepper.scenario import ScenarioError

if TYPE_CHECKING:
    from collections.abc import Callable

    from device.trace.events import Event
    from lab.stepper.session import Session, Stop

TOP = Path(__file__).resolve().parents[3]


class Watching:
    """Stops at everything, and keeps what a function of the session says."""

    def __init__(self, look: Callable[[Session, Stop], tuple[int, int] | None]) -> None:
        """Look by ``look``; what it returns is kept unless it is None."""
        self.look = look
        self.seen: list[tuple[int, int]] = []

    def stopped(self, session: Session, stop: Stop) -> None:
        """Look, and go on by one stage."""
        told = self.look(session, stop)
        if told is not None:
            self.seen.append(told)
        session.step()


def ringwalk(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    return subprocess.run(
        [sys.executable, "-m", "lab.cli.main", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=TOP,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_stage_is_a_stop_and_the_driver_goes_on_unharmed(kind: str) -> None:
    """From MiniportInitialize to Halt; and at each fetch the driver waits for what the card owns."""

    def halves(session: Session, stop: Stop) -> tuple[int, int] | None:
        driver = session.look.driver
        if type(stop.event).__name__ != "DescriptorFetched" or driver is None or not driver.tx:
            return None
        return driver.tx[0].rung, session.look.tx[0].tail

    front = Watching(halves)
    bench = NdisBench(kind, front)

    outcome = bench.work(scenario.parse(["send 3 200", "large 4000", "receive 5", "wait 3000"]))

    assert (outcome.sent, outcome.completed, outcome.received) == (4, 4, 5)
    assert outcome.on_the_wire == 3 + 3  # the large one was cut in three
    assert outcome.reports == ()
    assert front.seen
    assert all(rung == tail for rung, tail in front.seen)
    assert bench.session.stops > 500


@pytest.mark.parametrize("kind", KINDS)
def test_a_ring_that_a_hook_hangs_is_reset_by_ndis_and_traffic_goes_on(kind: str, tmp_path: Path) -> None:
    """The second doorbell is lost: CheckForHang finds out; the recording plays without the hook."""
    hook = tmp_path / "hook.py"
    hook.write_text(
        "from lab.stepper.hooks import DROP\n"
        "class Tracer:\n"
        "    rung = 0\n"
        "    def w_TDT0(self, value):\n"
        "        self.rung += value != 0\n"
        "        return DROP if self.rung == 2 and value else None\n"
    )
    hooks, recording = Hooks(), bytearray()
    hooks.load(hook)
    lost: list[str] = []

    bench = NdisBench(kind, Watching(lambda *_: None), hooks=hooks, write=recording.extend)
    bench.session.detach()

    def tails(_: Event) -> None:
        look = bench.session.look
        if look.driver is not None and look.driver.tx and look.driver.tx[0].rung > look.tx[0].tail:
            lost.append("\n".join(look.driver.calls(1)))

    bench.session.watchers.append(tails)

    outcome = bench.work(scenario.parse(["send 1", "send 2", "wait 10000", "send 4", "receive 2"]))
    player = Player(Recording(bytes(recording)))
    player.run()

    assert (outcome.completed, outcome.failed, outcome.resets, outcome.received) == (5, 2, 1, 2)
    assert hooks.injected == {"w_TDT0: dropped": 1}
    assert lost  # the halves showed it, while the ring hung
    assert player.differences == []


def test_the_command_line_shows_both_halves_and_the_calls(tmp_path: Path) -> None:
    """As a user does it: a script, a scenario, a recording that checks, a page."""
    script, recording, page = tmp_path / "script", tmp_path / "run.rw", tmp_path / "page.html"
    script.write_text(
        "until fetch tx0 index=2\ndriver\nassert driver.tx[0].busy == 4\nassert tx[0].pending == 2\n"
        "driver calls 3\nstep interrupt\nassert driver.tx[0].clean == 0\ndetach\n"
    )
    plan = tmp_path / "plan"
    plan.write_text("send 4 100\nunplug\nwait 3000\nplug\nwait 3000\nreset\nreceive 2\n")

    done = ringwalk(
        *("step", "--miniport", "deserialized", "--scenario", plan, "--command", script),
        *("--record", recording, "--html", page),
    )
    checked = ringwalk("replay", recording, "--check")

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("holds:") == 3
    assert "told the card 4" in done.stdout
    assert "NDIS 5.1, deserialized, RUNNING" in done.stdout
    assert "send_packets" in done.stdout
    assert "sent 4 packets: 4 completed, 0 failed, 4 frames on the wire" in done.stdout
    assert "1 resets; the verifier reports nothing" in done.stdout
    assert page.read_text().startswith("<!doctype html>")
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("sent 3", "nothing to do; these are: send"),
        ("send 0", "give N from 1"),
        ("send 1 13", "give BYTES from 14"),
        ("send 1 60 9", "nothing to do"),
        ("wait soon", "give MS"),
    ],
)
def test_a_scenario_that_says_nothing_is_refused_with_its_line(line: str, told: str) -> None:
    """And with what would do."""
    with pytest.raises(ScenarioError, match=rf"line 3: .*{told}"):
        scenario.parse(["# a comment", "send", line])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--miniport", "--fault", "rs-forgotten"), "small driver's"),
        (("--scenario", "x"), "--scenario is for --miniport"),
        (("--miniport", "--scenario", "/no/such"), "No such file"),
        (("--tui", "--command", "x"), "needs no screen"),
    ],
)
def test_options_that_do_not_go_together_are_told_in_one_line(arguments: tuple[str, ...], told: str) -> None:
    """With status 2."""
    done = ringwalk("step", *arguments)

    assert done.returncode == 2
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
