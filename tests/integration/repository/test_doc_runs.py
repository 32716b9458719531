"""The short commands of the docs are run as they stand there; of the others it is said who tests them."""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.repository.test_doc_commands import COMMANDS, INLINE

TOP = Path(__file__).resolve().parents[3]
LIMIT_S = 120
SHORT = (
    "conform --list -k 'TSO and not V6'",
    "conform --fuzz 7 --steps 2000 --target native --target reference",
    "conform --suite ndis --miniport 82574l -k faults",
    "ndis bindings miniport/netrwnic.inf protocols/transports/tcpip/nettcpip.inf --disable 'Tcpip>{1}'",
    "ndis rules",
    "ndis stacks",
    "step --fault rs-forgotten",
    "step --miniport",
)
"""Run to their end here, with nothing on standard input; each ends with status 0."""
ELSEWHERE = {
    "bench": "tests/unit/lab/test_lab_bench.py",
    "boot": "tests/guest/test_boot_crashes.py",
    "boot --guest nt": "tests/guest/test_miniport_guest.py",
    "boot --module": "tests/guest/test_guest_afternoon.py",
    "boot --record": "tests/guest/test_record_guest.py",
    "boot --step": "tests/guest/test_step_guest.py",
    "boot --transport libvfio-user": "tests/guest/test_libvfio_guest.py",
    "boot --wire": "tests/guest/test_wire_qemu.py",
    "card": "tests/integration/device/test_card_control.py",
    "conform": "tests/integration/lab/test_conform_suite.py",
    "conform --target guest": "tests/guest/test_conform_guest.py",
    "doctor": "tests/unit/lab/test_lab_check.py",
    "fetch": "tests/unit/lab/test_lab_fetch.py",
    "fuzz": "tests/property/test_hostile_guests.py",
    "interop": "tests/conformance/interop_command.py",
    "interop llc": "tests/guest/test_interop_llc.py",
    "kbuild": "tests/guest/test_guest_afternoon.py",
    "ndis": "tests/unit/lab/test_tables_fit.py",
    "net": "tests/unit/lab/test_net_tools.py",
    "replay": "tests/guest/test_record_guest.py",
    "serve": "tests/integration/lab/test_conform_vfio_user_wire.py",
    "soak": "tests/integration/vfio_user/test_hostile_clients.py",
    "test": "tests/unit/lab/test_lab_check.py",
}
"""The kinds that want a guest, a peer, rights or minutes: by first words, who tests the like or the parts."""


def in_blocks() -> list[str]:
    return sorted({command for _, command in COMMANDS if not command.startswith(INLINE)})


@pytest.mark.timeout(LIMIT_S + 30)
@pytest.mark.parametrize("command", SHORT)
def test_a_short_command_of_the_docs_does_what_it_says(command: str) -> None:
    assert command in in_blocks(), "no page shows it any more: take it out here"

    done = subprocess.run(
        [sys.executable, "-m", "lab.cli.main", *shlex.split(command)],
        cwd=TOP,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout


def test_of_every_other_command_a_test_is_named() -> None:
    kinds = sorted(ELSEWHERE, key=len, reverse=True)

    unnamed = [
        command
        for command in in_blocks()
        if command not in SHORT and not any(command.startswith(kind) for kind in kinds)
    ]

    assert unnamed == []
    assert [path for path in ELSEWHERE.values() if not (TOP / path).is_file()] == []
