"""Asking a stack that runs starts quickly: the command loads what asks, and no stack."""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

import subprocess
import sys

STACK = ("protocols", "ndis", "miniport", "device.engine", "asyncio")
CODE = "import sys, lab.cli.commands.net; print(*sorted(sys.modules))"


def test_asking_a_stack_loads_no_stack() -> None:
    told = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)

    loaded = told.stdout.split()
    assert "lab.host.control_socket" in loaded
    assert [name for name in loaded if name.startswith(STACK)] == []
