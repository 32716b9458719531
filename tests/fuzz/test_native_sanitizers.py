r"""The C core under AddressSanitizer, UndefinedBehaviorSanitizer and ThreadSanitizer, with hostile inputs.

The targets are libFuzzer's (csrc/fuzz_*.c); here csrc/driver.c feeds them seeded inputs, so that the suite is
deterministic and needs gcc alone. With clang, ``ringwalk fuzz --libfuzzer`` hunts with the same targets and
keeps what it found in corpus/, which is replayed here.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from lab.errors import UsageError
from lab.trials.fuzz import clang, corpus, libfuzzer
from tests.fuzz.sanitized import run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fuzz.conftest import Build

pytestmark = pytest.mark.timeout(400)  # above the patience of tests.fuzz.sanitized

TARGETS = libfuzzer.TARGETS
RUNS = 2000
RUNS_OF = {"fuzz_mapped": 200, "fuzz_attached": 600}
"""A thread is started and ended in each run of the one, a program of rings is run in each of the other."""
STRESS_ROUNDS = 8000
LITMUS_ROUNDS = 300


@pytest.mark.parametrize("target", libfuzzer.names())
def test_hostile_inputs_break_no_memory_rule(build: Build, target: str) -> None:
    """A guest, a client, a cable, a recording that say anything: no overrun, no leak, nothing undefined."""
    program = build("memory", (TARGETS / f"{target}.c", TARGETS / "driver.c"))

    runs = RUNS_OF.get(target, RUNS)

    done = run(program, 1, runs)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{runs} inputs\n"


@pytest.mark.parametrize("target", libfuzzer.names())
def test_what_libfuzzer_found_worth_keeping_breaks_no_memory_rule(
    build: Build, tmp_path: Path, target: str
) -> None:
    """The corpus reaches code that random inputs seldom reach; every target has one."""
    program = build("memory", (TARGETS / f"{target}.c", TARGETS / "driver.c"))
    inputs = corpus.unpack(corpus.read(corpus.FOLDER, target), tmp_path)

    done = run(program, 1, 0, *inputs)

    assert len(inputs) > 20
    assert (done.returncode, done.stderr) == (0, "")


def test_a_corpus_keeps_the_shortest_inputs_and_comes_back(tmp_path: Path) -> None:
    """As many as fit, each once, none of nothing."""
    inputs = [b"\x00\xff", b"a", b"", b"a", bytes(corpus.MOST_BYTES)]

    kept = corpus.write(tmp_path, "fuzz_any", inputs)

    assert kept == 2
    assert corpus.read(tmp_path, "fuzz_any") == [b"a", b"\x00\xff"]
    assert corpus.read(tmp_path, "another") == []


@pytest.mark.extra
@pytest.mark.timeout(900)
def test_libfuzzer_hunts_with_every_target_and_finds_nothing(tmp_path: Path) -> None:
    """``ringwalk fuzz --libfuzzer``, two seconds a target: clang is fetched where the system has none."""
    try:
        clang.find(tmp_path)
    except UsageError as error:
        pytest.skip(f"no clang can be had here: {error}")
    argv = [sys.executable, "-m", "lab.cli.main", "fuzz", "--libfuzzer", "--minutes", "0.2", "--json"]

    done = run(*argv, "--corpus", tmp_path / "corpus")

    results = json.loads(done.stdout)
    assert (done.returncode, results["passed"]) == (0, True)
    assert [one["target"] for one in results["targets"]] == libfuzzer.names()
    assert all(one["runs"] > 0 and one["kept"] > 0 for one in results["targets"])
    assert sorted(path.stem for path in (tmp_path / "corpus").iterdir()) == libfuzzer.names()


def test_a_lock_held_over_guest_memory_ends_a_debug_build(build: Build) -> None:
    """What a SIGBUS would make of it is a lock that nobody releases: the rule is asserted, not hoped for."""
    program = build("memory", (TARGETS / "lock_rule.c",))

    kept, broken = run(program), run(program, "locked")

    assert (kept.returncode, kept.stderr) == (0, "")
    assert broken.returncode < 0
    assert "under a lock that its guard would not release" in broken.stderr


@pytest.mark.parametrize("recorded", [False, True], ids=["plain", "recorded"])
def test_the_threads_of_a_card_race_nowhere(build: Build, tmp_path: Path, recorded: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Doorbells, frames, timers, mappings, links and resets at once, and traffic goes on."""
    program = build("threads", (TARGETS / "stress.c",))

    done = run(program, STRESS_ROUNDS, *([tmp_path / "stress.rw"] if recorded else []))

    assert "WARNING" not in done.stderr, done.stderr[:4000]
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("pair", ["transmit-done", "receive-done", "head", "cause", "hungry", "mapped"])
def test_what_orders_a_guest_and_a_card_is_enough(build: Build, pair: str) -> None:
    """The pairs of docs/memory-model.md: each alone orders the plain accesses on its two sides."""
    program = build("threads", (TARGETS / "litmus.c",))

    done = run(program, pair, LITMUS_ROUNDS)

    assert "WARNING" not in done.stderr, done.stderr[:4000]
    assert (done.returncode, done.stdout) == (0, f"{LITMUS_ROUNDS} rounds\n"), done.stderr


def test_a_card_and_two_senders_race_nowhere_over_the_drivers_rings(build: Build) -> None:
    """DD and the doorbell alone order what they write; every frame comes, most of them joined."""
    program = build("threads", (TARGETS / "stress_rings.c",))

    done = run(program, STRESS_ROUNDS)

    assert "WARNING" not in done.stderr, done.stderr[:4000]
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith(f"{STRESS_ROUNDS} received, {STRESS_ROUNDS} sent, ")
