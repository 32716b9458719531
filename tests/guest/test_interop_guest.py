"""A Linux guest and our stack, each with an emulated card: ``boot --stack`` and ``interop guest``."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from lab.host.boot_stack import DOWN
from lab.host.systems import osi_map
from lab.trials.interop.guest import IPERF3_CASES, NETEM
from tests.conformance.interop_command import run_part

pytestmark = pytest.mark.guest


@pytest.mark.usefixtures("fetched")
@pytest.mark.timeout(200)
def test_boot_stack_pings_and_moves_data_both_ways_and_names_the_hops() -> None:
    """The hops are those that a send was seen to pass, with their layers; the verifiers are silent."""
    done = subprocess.run(
        [sys.executable, "-m", "lab.cli.main", "boot", "--stack", "--verify", "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=190,
    )

    told = {one["what"]: one for one in json.loads(done.stdout or "[]")}
    assert done.returncode == 0, done.stderr
    assert list(told) == [
        "NT stack pings guest",
        "guest pings NT stack",
        "guest sends to NT stack",
        "NT stack sends to guest",
        "the hops of a send",
        "the NT side's card",
        "verifiers",
    ]
    assert told["the hops of a send"]["result"] == osi_map().describe(DOWN)
    assert all(one["good"] for one in told.values())


@pytest.mark.usefixtures("fetched")
@pytest.mark.timeout(300)
def test_iperf3_and_netem_in_a_guest_meet_our_stack() -> None:
    """Two rules of netem, the second with every fault; the other five are in the command's default."""
    rules = (NETEM[0], NETEM[-1])

    seen = run_part("guest", *(f"--netem={rule}" for rule in rules), "--kilobytes", "100", timeout_s=290)

    assert [one["what"] for one in seen[2 * len(IPERF3_CASES) :]] == [f"netem {rule}" for rule in rules]
