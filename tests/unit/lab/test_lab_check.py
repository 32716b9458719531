"""The one script that runs every check: what it plans, and how it judges."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from types import ModuleType

SCRIPT = Path(__file__).resolve().parents[3] / "ci" / "check.py"


@pytest.fixture(scope="module")
def check() -> ModuleType:
    """Load the script as a module; its folder is no package."""
    spec = importlib.util.spec_from_file_location("ringwalk_ci_check", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def steps(check: ModuleType) -> list[Any]:
    """Read the project's own list of steps."""
    found: list[Any] = check.read_steps((SCRIPT.parent / "steps.toml").read_text())
    return found


def test_everything_runs_in_order_and_hooks_in_their_place(check: ModuleType, steps: list[Any]) -> None:
    """Lint, hooks, what the tests want, tests, guests."""
    hook = check.Step("sanitize", "lint", ("/hook",))

    names = [step.name for step in check.plan(steps, check.Wish(), [hook])]

    assert names == [
        "ruff check",
        "ruff format",
        "mypy --strict",
        "generated files",
        "circles",
        "sanitize",
        "fetch",
        "tests",
        "guest tests",
    ]


def test_fast_leaves_out_what_boots(check: ModuleType, steps: list[Any]) -> None:
    """And what it would have fetched."""
    kinds = {step.kind for step in check.plan(steps, check.Wish(fast=True), [])}

    assert kinds == {"lint", "tests"}


def test_extra_is_only_what_needs_more_packages(check: ModuleType, steps: list[Any]) -> None:
    """They are fetched first, each in a step of its own that may fail; nothing else runs."""
    planned = check.plan(steps, check.Wish(extra=True), [])

    fetched = {word for step in planned[:-1] for word in step.argv[4:]}
    assert [step.name for step in planned] == [
        "fetch for guests",
        "fetch libvfio-user",
        "fetch chromium",
        "fetch clang",
        "fetch wine",
        "extra tests",
    ]
    assert fetched == {"qemu", "guest", "dpdk", "ovmf", "pppoe", "libvfio-user", "chromium", "clang", "wine"}


def test_a_selection_of_extra_tests_fetches_what_it_wants_itself(check: ModuleType, steps: list[Any]) -> None:
    """Who tries DPDK alone does not wait for Wine."""
    planned = check.plan(steps, check.Wish(extra=True, keyword="dpdk"), [])

    assert [step.name for step in planned] == ["extra tests"]


def test_a_selection_goes_to_pytest_alone(check: ModuleType, steps: list[Any]) -> None:
    """Who asks for one test does not wait for the types."""
    planned = check.plan(steps, check.Wish(keyword="cpio", pytest=("-x",)), [])

    assert [step.name for step in planned] == ["tests"]
    assert planned[0].argv[0] == sys.executable
    assert planned[0].argv[-1] == "-x"
    assert "cpio" in planned[0].argv


def test_a_path_is_all_that_runs(check: ModuleType, steps: list[Any]) -> None:
    """No fetch, no lint, no workers: what the tests need they bring themselves."""
    planned = check.plan(steps, check.Wish(pytest=("tests/unit/ndis",)), [])

    assert [step.argv[1:] for step in planned] == [
        ("-m", "pytest", "-q", "-m", "not extra", "tests/unit/ndis"),
    ]


def test_files_without_the_word_are_not_even_read_by_pytest(check: ModuleType, tmp_path: Path) -> None:
    """But those whose parameters come from elsewhere, and all of them where a word is negated."""
    for name, text in {
        "test_leds.py": "",
        "test_words.py": "def test_leds(): ...",
        "test_other.py": '@pytest.mark.parametrize("x", [1, 2])',
        "test_table.py": '@pytest.mark.parametrize("x", TABLE)',
    }.items():
        (tmp_path / name).write_text(text)

    found = [Path(path).name for path in check.candidates("LEDs or x9", tmp_path)]

    assert found == ["test_leds.py", "test_table.py", "test_words.py"]
    assert check.candidates("not leds", tmp_path) == []


@pytest.mark.parametrize(
    ("status", "selected", "ok"), [(0, False, True), (1, False, False), (5, False, False), (5, True, True)]
)
def test_no_test_at_all_is_a_failure_unless_selected_so(
    check: ModuleType, status: int, *, selected: bool, ok: bool
) -> None:
    """An empty suite must not pass for a good one."""
    wish = check.Wish(keyword="x" if selected else None)
    step = check.Step("tests", "tests", (sys.executable, "-c", f"raise SystemExit({status})"))

    assert check.run(step, wish).ok is ok


def test_a_selection_that_no_test_has_is_told_from_one_that_half_has(check: ModuleType) -> None:
    """A misspelt name must not end in "all checks passed"."""
    steps = [check.Step(kind, kind, ()) for kind in ("fetch", "tests", "guest")]
    fetched, full = check.Outcome("fetch", ok=True, seconds=0), check.Outcome("tests", ok=True, seconds=0)
    empty = check.Outcome("guest", ok=True, seconds=0, empty=True)

    assert check.selects_nothing(steps, [fetched, empty, empty])
    assert not check.selects_nothing(steps, [fetched, full, empty])
    assert not check.selects_nothing(steps, [fetched])


def test_only_executables_are_hooks(check: ModuleType, tmp_path: Path) -> None:
    """A README beside them is none."""
    (tmp_path / "README").touch()
    script = tmp_path / "b"
    script.touch()
    script.chmod(0o755)

    assert [step.name for step in check.hooks(tmp_path)] == ["b"]
    assert check.hooks(tmp_path / "none") == []


def test_a_failing_step_shows_what_it_said(check: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """And its status counts, not its words."""
    step = check.Step("bad", "lint", (sys.executable, "-c", "print('why'); raise SystemExit(3)"))

    outcome = check.run(step, check.Wish())

    assert not outcome.ok
    assert "why" in capsys.readouterr().out
    assert "FAILED: bad" in check.summary([outcome])


def test_a_test_step_keeps_its_closing_line(check: ModuleType) -> None:
    """Pytest's own last words are in the summary."""
    step = check.Step("tests", "tests", (sys.executable, "-c", "print('3 passed in 0.1s')"))

    outcome = check.run(step, check.Wish())

    assert outcome.closing == "3 passed in 0.1s"
    assert os.linesep not in outcome.closing
