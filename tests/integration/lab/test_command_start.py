"""The command line starts quickly: help loads what is said, not what is done. Told by modules."""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

import subprocess
import sys

import pytest

import lab.trials.bench
import lab.trials.interop
from lab.cli import main
from lab.trials.parts import summaries

STACK = ("protocols", "ndis", "miniport", "device.engine", "asyncio")
WORK = (*STACK[:-1], "ntos", "device.vfio_user", "device.trace", "device.wire", "qemu", "scapy")
"""What no help is in need of."""
CODE = """
import contextlib, io, sys
from lab.cli import main
with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.suppress(SystemExit):
    main.main(sys.argv[1:])
assert said.getvalue().startswith("usage: ringwalk"), said.getvalue()
print(*sorted(sys.modules))
"""
MOST_MODULES = 400
"""Python's own, structlog's and ours: 160 to 354 (doctor) today. The heaviest command loaded 1,100."""


def loaded(*words: str) -> list[str]:
    """Return the modules that a start of the command line loads."""
    told = subprocess.run([sys.executable, "-c", CODE, *words], capture_output=True, text=True, check=True)
    return told.stdout.split()


@pytest.mark.parametrize("command", sorted(main.summaries()))
def test_the_help_of_a_command_loads_nothing_of_its_work(command: str) -> None:
    modules = loaded(command, "--help")

    assert [name for name in modules if name.startswith(WORK)] == []
    assert len(modules) < MOST_MODULES


def test_asking_a_stack_loads_no_stack() -> None:
    modules = loaded("net", "ping", "--help")

    assert "lab.host.control_socket" in modules
    assert [name for name in modules if name.startswith(STACK[:-1])] == []


def test_the_help_of_one_part_loads_no_other_part() -> None:
    modules = loaded("interop", "curl", "--help")

    assert "lab.trials.interop.curl" in modules
    assert "lab.trials.interop.wine" not in modules


def test_every_part_is_declared_by_its_name() -> None:
    """Names and summaries are read without importing; completion imports all, and finds their options."""
    names = {*summaries(lab.trials.bench), *summaries(lab.trials.interop)}

    assert {"engine", "tcp", "curl", "llc", "wine"} <= names
