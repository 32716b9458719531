"""The fault table: every record that we know of is a row, and every row's tests exist on both engines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from lab.trials.fuzz import faults, judged

ROOT = Path(__file__).resolve().parents[3]
RECORDS = {
    *("CVE-2012-6075", "CVE-2015-6815", "CVE-2016-1981", "CVE-2017-9310", "CVE-2020-16092", "CVE-2020-25707"),
    *("CVE-2020-28916", "CVE-2021-20257", "CVE-2021-3416", "CVE-2023-3019", "CVE-2024-3567", "CVE-2016-6834"),
    *("CVE-2016-6835", "CVE-2016-6836", "CVE-2016-6888", "CVE-2016-2857", "CVE-2020-13754"),
    *("CVE-2020-27821", "CVE-2015-7549", "QEMU 537", "QEMU 1863", "QEMU 6da0c98281", "QEMU a01344d9d7"),
}
"""What e1000, e1000e and vmxnet3 models fell for."""


def test_every_known_record_is_a_row_of_the_table() -> None:
    """None was forgotten; rows of our own come on top."""
    listed = {record for fault in faults.FAULTS for record in fault.records}

    assert listed == RECORDS | {"ours"}


def test_every_row_has_tests_that_exist_on_both_engines() -> None:
    """Each id of the table is collected; one that does not exist is an error of pytest's."""
    argv = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-n", "0", "-p", "no:cacheprovider"]

    done = subprocess.run([*argv, *faults.every_id()], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert set(faults.every_id()) <= set(done.stdout.split("\n"))
    of_engines = [fault for fault in faults.FAULTS if all("{engine}" in test for test in fault.tests)]
    of_none = [fault for fault in faults.FAULTS if not any("{engine}" in test for test in fault.tests)]
    assert all(set(fault.ids("native")).isdisjoint(fault.ids("reference")) for fault in of_engines)
    assert len(of_engines) + len(of_none) == len(faults.FAULTS)  # none is of one engine alone


def test_the_table_says_what_each_rows_tests_said() -> None:
    """One test that failed, or was not run, is seen in its row and engine."""
    fault = faults.FAULTS[0]
    verdicts = dict.fromkeys(faults.every_id(), "passed")
    verdicts[fault.ids("native")[0]] = "failed"
    del verdicts[faults.FAULTS[1].ids("reference")[0]]

    lines = faults.markdown(verdicts).splitlines()

    assert lines[2].endswith("| passed | failed |")
    assert lines[3].endswith("| not run | passed |")
    assert all(line.endswith("| passed | passed |") for line in lines[4:])


def test_verdicts_are_read_from_the_report_of_pytest() -> None:
    """A test that did not pass has a child that says why."""
    report = (
        '<testsuites><testsuite><testcase classname="tests.unit.test_a" name="test_b[native-1]"/>'
        '<testcase classname="tests.unit.test_a" name="test_c"><failure/></testcase>'
        '<testcase classname="tests.unit.test_a" name="test_d"><skipped/></testcase></testsuite></testsuites>'
    )

    found = judged.parse(report)

    assert found == {
        "tests/unit/test_a.py::test_b[native-1]": "passed",
        "tests/unit/test_a.py::test_c": "failed",
        "tests/unit/test_a.py::test_d": "skipped",
    }
