"""A child process of ``interop cpython``: one of CPython's test modules, over the stack or the machine.

``python -m lab.trials.interop.cpython_suite SIDE MODULE RESULTS [SKIPPED...]``. RESULTS gets lines
for each test: ``start ID``, then ``ok``, ``fail``, ``error`` or ``skip`` with the ID and words; ``end`` at
last. A test that takes longer than ``LIMIT_S`` ends the process, and so RESULTS ends with its ``start``.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import os
import sys
import tempfile
import unittest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.host.live import LiveHost
from lab.host.locked_winsock import Entered
from lab.host.programs import sockets_of
from lab.logs import configure
from protocols.apis.winsock.pysocket import socket_module

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator

LIMIT_S = 25
WORDS = 160


class Recorder(unittest.TestResult):
    """Writes each result when it is known."""

    def __init__(self, results: io.TextIOBase) -> None:
        super().__init__()
        self._results = results

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802 - unittest's name
        """Say which one runs, and limit its time."""
        super().startTest(test)
        self._write("start", test)
        faulthandler.dump_traceback_later(LIMIT_S, exit=True)

    def addSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802 - unittest's name
        """Write that it passed."""
        super().addSuccess(test)
        self._write("ok", test)

    def addError(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802, ANN401 - unittest's name and type
        """Write what it raised."""
        super().addError(test, err)
        self._write("error", test, repr(err[1]))

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802, ANN401 - unittest's name and type
        """Write how it failed."""
        super().addFailure(test, err)
        self._write("fail", test, repr(err[1]))

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:  # noqa: N802 - unittest's name
        """Write why it was skipped."""
        super().addSkip(test, reason)
        self._write("skip", test, reason)

    def _write(self, what: str, test: unittest.TestCase, words: str = "") -> None:
        self._results.write(f"{what} {test.id()} {' '.join(words.split())[:WORDS]}".rstrip() + "\n")
        self._results.flush()


@contextlib.contextmanager
def _side(side: str) -> Iterator[None]:
    if side == "machine":
        yield
        return
    host = LiveHost()
    host.start()
    process = host.upper.process()
    process.startup()
    winsock: Any = Entered(process, host.executive)
    names: Any = Entered(host.upper.names, host.executive)
    with sockets_of(winsock, socket_module(winsock, names, interface_of=host.stack.interface_of)):
        yield


def _wanted(suite: unittest.TestSuite, skipped: frozenset[str]) -> Iterator[unittest.TestCase]:
    for one in suite:
        if isinstance(one, unittest.TestSuite):
            yield from _wanted(one, skipped)
        elif one.id() not in skipped:
            yield one


def main(side: str, module: str, path: str, *skipped: str) -> None:
    """Run the module and leave at once: threads of a failed test may never end."""
    with Path(path).open("w", encoding="utf-8") as results, _side(side):
        support = importlib.import_module("test.support")  # which is to find the side's sockets
        vars(support)["use_resources"] = ["network"]
        os.chdir(tempfile.mkdtemp(prefix="cpython", dir=str(Path(path).parent)))
        found = unittest.defaultTestLoader.loadTestsFromName(f"test.{module}")
        unittest.TestSuite(_wanted(found, frozenset(skipped))).run(Recorder(results))
        results.write("end\n")
        results.flush()
        os._exit(0)


if __name__ == "__main__":
    configure()  # standard output is for what it says to its starter
    main(*sys.argv[1:])
