"""The conformance suite itself: its catalogue, selection, baseline, reports and command line."""

from __future__ import annotations

import json
import socket
import threading
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from device.engine.reference import ReferenceEngine
from device.regs.nic import NIC
from device.serving import serve
from device.wire.simple import LoopbackWire
from lab.cli import main as cli
from lab.conformance import baseline, catalogue, known
from lab.conformance.bench import BenchError, Capability
from lab.conformance.check import Check, MismatchError, Topic, expect
from lab.conformance.report import documents, html, markdown
from lab.conformance.report.matrix import Matrix
from lab.conformance.runner import judge, run, skip_reason
from lab.conformance.select import select
from lab.conformance.targets import named
from lab.conformance.targets.guest import emitted, parsed
from lab.conformance.targets.inprocess import InProcessBench
from lab.conformance.targets.named import target
from lab.conformance.targets.vfiouser import VfioUserBench
from lab.conformance.verdict import Outcome, Result
from lab.errors import UsageError
from tests.bench import MAC

if TYPE_CHECKING:
    from lab.conformance.subject import Subject


def outcome(check: str, result: Result, on: str = "reference") -> Outcome:
    """Return an outcome with a reason where one belongs."""
    return Outcome(check, on, result, "" if result is Result.PASS else "a < b & c")


def test_there_are_three_hundred_checks_with_sources_and_sentences() -> None:
    """Issue 3, section 2: at least 300, each with an id, a sentence and a source."""
    checks = catalogue.checks()

    unfinished = [check.id for check in checks if not check.summary.endswith(".") or len(check.source) < 8]

    assert len(checks) >= 300
    assert unfinished == []


def test_every_verdict_is_about_a_check_that_exists() -> None:
    """A verdict on a check that was renamed would explain nothing."""
    ids = [check.id for check in catalogue.checks()]

    patterns = [pattern for one in known.VERDICTS for pattern in one.checks.split()]
    orphans = [pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in ids)]

    assert orphans == []


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("TX-PSP", {"TX-PSP"}),
        ("tx-psp or tx-bells-data", {"TX-PSP", "TX-BELLS-DATA"}),
        ("TX-RS and not KEEPS", {"TX-RS-OFF"}),
        ("(tx-psp or tx-bells-data) and not psp", {"TX-BELLS-DATA"}),
    ],
)
def test_an_expression_picks_checks(expression: str, found: set[str]) -> None:
    """As pytest's -k does."""
    chosen = {check.id for check in select(catalogue.checks(), expression)}

    assert chosen == found


@pytest.mark.parametrize("expression", ["and", "(tx", "tx )", "not", "no-check-has-this-name"])
def test_a_wrong_expression_is_the_users_error(expression: str) -> None:
    """One line, and a remedy."""
    with pytest.raises(UsageError, match="-k"):
        select(catalogue.checks(), expression)


def test_a_mismatch_says_what_was_seen_in_hex() -> None:
    """The message is what a developer starts from."""
    with pytest.raises(MismatchError, match=r"TDH: got 0x10, want 0x1$"):
        expect("TDH", 16, 1)


def test_a_topic_takes_the_docstring_as_the_sentence() -> None:
    """The sentence is written once."""
    topic = Topic("a topic", "datasheet 1")

    @topic.check("A-B")
    def body(card: Subject) -> None:
        """Hold what must hold."""

    assert [(check.id, check.summary, check.source) for check in topic] == [
        ("A-B", "Hold what must hold.", "datasheet 1")
    ]


def test_a_check_is_skipped_with_the_capability_it_lacks() -> None:
    """No check is skipped without a reason."""
    bench = target("reference").open()
    real = Check("A-B", "x.", "datasheet", lambda _: None, Capability.WIRE, destructive=True)

    assert skip_reason(real, bench, destructive=True) == ""
    assert "--yes" in skip_reason(real, bench, destructive=False)


def test_a_lost_target_is_an_error_and_is_opened_again() -> None:
    """One crash does not end the run."""

    def die(_: Subject) -> None:
        raise BenchError("gone")

    checks = [Check("A-DIES", "x.", "datasheet", die), Check("A-LIVES", "x.", "datasheet", lambda _: None)]

    results = [(one.check, one.result) for one in run(checks, target("reference"))]

    assert results == [("A-DIES", Result.ERROR), ("A-LIVES", Result.PASS)]


def test_a_bug_in_a_check_is_not_the_cards_failure() -> None:
    """Bugs crash; they are not reported as differences."""

    def broken(_: Subject) -> None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        judge(Check("A-B", "x.", "datasheet", broken), "reference", target("reference").open())


def test_a_baseline_knows_failures_and_not_new_ones(tmp_path: Path) -> None:
    """CI fails only on what is new."""
    file = tmp_path / "known.json"
    baseline.write(
        file,
        [outcome("TX-PSP", Result.FAIL), outcome("TX-OFF", Result.FAIL), outcome("TX-FULL", Result.PASS)],
    )
    now = [outcome("TX-PSP", Result.FAIL), outcome("TX-OFF", Result.PASS), outcome("TX-FULL", Result.FAIL)]

    difference = baseline.compare(baseline.read(file), now)

    assert [one.check for one in difference.new] == ["TX-FULL"]
    assert difference.fixed == (("reference", "TX-OFF"),)


def test_a_failure_that_became_a_crash_is_new() -> None:
    """A baseline excuses a wrong answer, not a lost target."""
    difference = baseline.compare({"reference": {"TX-PSP": "fail"}}, [outcome("TX-PSP", Result.ERROR)])

    assert [one.check for one in difference.new] == ["TX-PSP"]


def test_a_file_that_is_no_baseline_is_the_users_error(tmp_path: Path) -> None:
    """It says how to make one."""
    file = tmp_path / "x.json"
    file.write_text("[]")

    with pytest.raises(UsageError, match="--write-baseline"):
        baseline.read(file)


@pytest.fixture
def matrix() -> Matrix:
    """Two checks on two targets, one failing with a verdict."""
    checks = select(catalogue.checks(), "tx-psp or tx-bells-data")
    found = [
        outcome("TX-PSP", Result.PASS),
        outcome("TX-BELLS-DATA", Result.PASS),
        outcome("TX-PSP", Result.FAIL, "qtest:e1000e"),
        outcome("TX-BELLS-DATA", Result.SKIP, "qtest:e1000e"),
    ]
    return Matrix(checks, ("reference", "qtest:e1000e"), found)


def test_junit_counts_failures_and_skips(matrix: Matrix) -> None:
    """CI systems read the counts and the cases."""
    root = ET.fromstring(documents.junit(matrix))  # noqa: S314 - we wrote it

    suites = [
        (suite.get("name"), suite.get("tests"), suite.get("failures"), suite.get("skipped")) for suite in root
    ]
    failure = root.find(".//failure")

    assert suites == [("reference", "2", "0", "0"), ("qtest:e1000e", "2", "1", "1")]
    assert failure is not None
    assert failure.get("message") == "a < b & c"
    assert "ours is right" in (failure.text or "")


def test_json_has_every_outcome_and_verdict(matrix: Matrix) -> None:
    """For programs."""
    report = json.loads(documents.as_json(matrix))

    outcomes = {check["id"]: check["outcomes"] for check in report["checks"]}

    assert report["counts"]["qtest:e1000e"] == {"pass": 0, "fail": 1, "skip": 1, "error": 0}
    assert outcomes["TX-PSP"]["qtest:e1000e"]["verdict"]["right"] == "ours is right"


def test_html_is_one_file_that_loads_nothing(matrix: Matrix) -> None:
    """It can be mailed, or kept as a CI artefact."""
    page = html.page(matrix)

    assert "http" not in page.replace("<!DOCTYPE html>", "")
    assert "a &lt; b &amp; c" in page
    assert page.count(" data-k=") == 2
    assert 'data-k="fail diff"' in page


def test_a_json_report_is_read_again(matrix: Matrix) -> None:
    """``--with``: the same outcomes come out of it."""
    found = documents.outcomes(documents.as_json(matrix))

    assert sorted(found, key=repr) == sorted(matrix.outcomes, key=repr)


def test_a_page_counts_and_judges(matrix: Matrix) -> None:
    """Passed of ran, a line a verdict, and why the others did not run; the same text each time."""
    page = markdown.page(matrix)

    assert "| **all** | **2/2** | **0/1** |" in page
    assert "| `TX-PSP` | `qtest:e1000e` | ours is right: PSP pads" in page
    assert "- `qtest:e1000e`: 1 checks: a < b & c" in page
    assert page == markdown.page(matrix)


def test_reports_of_several_runs_make_one_page(tmp_path: Path) -> None:
    """A long run on somebody's silicon and a short one here."""
    reports = [tmp_path / "reference.json", tmp_path / "native.json"]
    for report in reports:
        assert cli.main(["conform", "--target", report.stem, "-k", "tx-psp", "--json", str(report)]) == 0
    page = tmp_path / "page.md"

    both = ["--with", str(reports[0]), "--with", str(reports[1])]
    codes = [
        cli.main(["conform", "-k", "tx-psp", *both, "--markdown", str(page)]),
        cli.main(["conform", "-k", "tx-psp", *both, "--target", "native"]),
        cli.main(["conform", "-k", "tx-psp", "--with", str(page)]),
    ]

    assert codes == [0, 2, 2]
    assert "| **all** | **1/1** | **1/1** |" in page.read_text()


@pytest.mark.parametrize("name", ["guest:", "guest:virtio-net", "guest:82574l:quick"])
def test_a_guest_without_such_a_card_is_the_users_error(name: str) -> None:
    """What is judged is an 82574L."""
    with pytest.raises(UsageError, match="names no card"):
        target(name)


def test_outcomes_come_home_from_a_guest_as_lines() -> None:
    """Reasons may hold anything."""
    sent = Outcome("TX-PSP", "guest:82574l", Result.FAIL, 'got "x"\nwant €', 0.25)

    assert parsed(emitted(sent)) == sent


class Forgetful(InProcessBench):
    """A card that does not keep LEDCTL."""

    def write(self, offset: int, value: int, width: int = 4, bar: int = 0) -> None:
        """Write, but not that."""
        if offset != NIC["LEDCTL"].offset:
            super().write(offset, value, width, bar)


def test_the_command_line_exits_by_what_was_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """0 when all pass, 1 when not, 0 when the baseline knows."""
    known_file = tmp_path / "known.json"
    failing = ["conform", "--target", "native", "-k", "led-ctl"]
    monkeypatch.setitem(
        named.KINDS, "native", lambda _: Forgetful(lambda memory: ReferenceEngine(memory, offload=False))
    )

    codes = [
        cli.main(["conform", "--target", "reference", "-k", "tx-psp"]),
        cli.main(failing),
        cli.main([*failing, "--write-baseline", str(known_file)]),
        cli.main([*failing, "--baseline", str(known_file)]),
        cli.main(["conform", "--target", "nothing"]),
    ]

    assert codes == [0, 1, 0, 0, 2]
    assert "no target is called 'nothing'" in capsys.readouterr().err


def test_the_list_names_ids_and_sources(capsys: pytest.CaptureFixture[str]) -> None:
    """--list runs nothing."""
    code = cli.main(["conform", "--list", "-k", "tx-psp"])

    printed = capsys.readouterr().out
    assert code == 0
    assert "TX-PSP" in printed
    assert "TCTL.PSP" in printed


def test_a_frame_waits_while_the_servers_wire_is_full(tmp_path: Path) -> None:
    """More frames than a datagram socket holds: none is lost, and none is an error."""
    stop, ready = threading.Event(), threading.Event()
    near, far = tmp_path / "near", tmp_path / "far"
    server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    server.bind(str(far))
    server.settimeout(20)
    card = threading.Thread(
        target=serve,
        args=(str(tmp_path / "card"), LoopbackWire(), MAC),
        kwargs={"ready": lambda _: ready.set(), "stop": stop},
    )
    card.start()
    assert ready.wait(20)
    bench = VfioUserBench(str(tmp_path / "card"), (str(near), str(far)))
    got: list[bytes] = []
    reader = threading.Timer(0.3, lambda: got.extend(server.recv(100) for _ in range(1000)))
    reader.start()

    for number in range(1000):
        bench.send(number.to_bytes(2, "big"))

    reader.join()
    bench.close()
    stop.set()
    card.join()
    server.close()
    assert got == [number.to_bytes(2, "big") for number in range(1000)]


def test_the_matrix_in_the_documentation_is_of_these_checks() -> None:
    """Made again when a check comes or goes (docs/conformance.md, Reports); it judges every difference."""
    page = (Path(__file__).resolve().parents[3] / "docs/reference/conformance-matrix.md").read_text()

    topics = Matrix(catalogue.checks(), (), ()).topics()

    assert f"{len(catalogue.checks())} checks. Generated" in page
    assert [name for name, _ in topics if f"\n| {name} |" not in page] == []
    assert "not judged yet" not in page


class Dying:
    """A target whose card is lost in one check and does not come back."""

    name, real = "dying", False

    def __init__(self, fatal: str) -> None:
        self.fatal, self.opened = fatal, 0

    def open(self) -> InProcessBench:
        """Make the bench, once."""
        self.opened += 1
        if self.opened > 1:
            raise UsageError("no vfio-user server answers: is it running?")
        return InProcessBench(lambda memory: ReferenceEngine(memory, offload=False))


def dying_checks() -> list[Check]:
    """Return three checks, the second of which ends the server."""

    def fine(_: Subject) -> None:
        return

    def fatal(_: Subject) -> None:
        raise BenchError("the server: it closed the connection")

    return [
        Check(name, "It is so.", "the promise", body)
        for name, body in (("A-ONE", fine), ("A-TWO", fatal), ("A-THREE", fine))
    ]


def test_a_target_that_dies_is_named_with_the_check_that_killed_it() -> None:
    """The rest is marked, and the reports can be written: that is the most interesting result there is."""
    outcomes = list(run(dying_checks(), Dying("A-TWO")))

    assert [outcome.result for outcome in outcomes] == [Result.PASS, Result.ERROR, Result.ERROR]
    assert outcomes[1].reason == "the server: it closed the connection"
    assert outcomes[2].reason.startswith("not run: the target was lost in A-TWO and does not come back")


def test_a_run_in_which_everything_was_skipped_is_not_green(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """``conform --target vfio-user:SOCKET -k tx-rs`` without ``wire=`` passed with 0 of 0."""
    bench = InProcessBench(lambda memory: ReferenceEngine(memory, offload=False))
    monkeypatch.setattr(bench, "capabilities", Capability.NONE)
    monkeypatch.setitem(named.KINDS, "reference", lambda _: bench)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    status = cli.main(["conform", "--target", "reference", "-k", "tx-rs-off"])

    assert status == 2
    assert "every check was skipped" in capsys.readouterr().err


def test_reports_are_tried_before_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody waits three minutes for a report that cannot be written."""
    status = cli.main(["conform", "--target", "reference", "--html", "/nonexistent/x.html"])

    said = capsys.readouterr().err
    assert status == 2
    assert "/nonexistent/x.html cannot be written" in said
    assert "checks on reference" not in said


def test_every_report_says_what_it_is_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions, machine and time; the page that is kept in the repository excepted."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    files = {name: tmp_path / name for name in ("r.json", "r.xml", "r.html")}

    status = cli.main(
        [
            *("conform", "--target", "reference", "-k", "tx-rs-off", "--json", str(files["r.json"])),
            *("--junit", str(files["r.xml"]), "--html", str(files["r.html"])),
        ]
    )

    about = json.loads(files["r.json"].read_text())["about"]
    assert status == 0
    assert {"ringwalk", "python", "machine", "kernel", "began"} <= set(about)
    assert f'value="{about["kernel"]}"' in files["r.xml"].read_text()
    assert about["began"] in files["r.html"].read_text()


def test_what_failed_last_time_can_be_run_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As pytest's ``--lf``."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(catalogue, "checks", lambda: tuple(dying_checks()))
    monkeypatch.setattr(catalogue, "topic_of", lambda _: "a topic")
    monkeypatch.setitem(
        named.KINDS,
        "reference",
        lambda _: InProcessBench(lambda memory: ReferenceEngine(memory, offload=False)),
    )
    first = cli.main(["conform", "--target", "reference"])
    capsys.readouterr()

    again = cli.main(["conform", "--target", "reference", "--lf"])

    said = capsys.readouterr()
    assert (first, again) == (3, 3)
    assert "1 checks on reference" in said.err
    assert "A-ONE" not in said.out


def test_long_bytes_are_shown_where_they_part() -> None:
    """Whoever reads it looks for one byte among a thousand."""
    got, want = bytes(1000), bytes(700) + b"\x01" + bytes(299)

    with pytest.raises(
        MismatchError, match=r"1000 bytes, first different at byte 700: got …00 .* want …00 .*01 00"
    ):
        expect("the frame", got, want)


@pytest.mark.parametrize("device", ["e1000", "rtl8139"])
def test_a_model_of_another_card_fails_and_is_not_lost(
    device: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """QEMU's other cards are the first thing one tries."""
    wireless = ["conform", "--target", f"qtest:{device}", "-k", "bells or msix-bounds or flop", "--json"]

    status = cli.main(wireless)

    report = json.loads(capsys.readouterr().out)
    results = {cell["result"] for check in report["checks"] for cell in check["outcomes"].values()}
    assert status == 1
    assert "fail" in results
    assert "error" not in results
