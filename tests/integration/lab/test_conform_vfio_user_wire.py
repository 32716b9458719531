"""The datagram wire of conform's vfio-user bench: a card that takes nothing is said, and hangs nobody."""

from __future__ import annotations

import select
import socket
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from lab.conformance.bench import BenchError
from lab.conformance.targets import vfiouser
from lab.conformance.targets.vfiouser import VfioUserBench
from lab.machines.card_process import start_card


def test_a_full_wire_and_one_without_an_end_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reads the far end, then nobody is there."""
    monkeypatch.setattr(vfiouser, "FULL_S", 0.05)
    with TemporaryDirectory(prefix="rw-") as folder:
        here, there = Path(folder) / "here", Path(folder) / "there"
        card = start_card(Path(folder) / "card", "none", engine="reference")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as far:
            far.bind(str(there))
            bench = VfioUserBench(card.ready.socket, (str(here), str(there)))
            wire = bench._wire
            assert wire is not None
            while select.select([], [wire], [], 0)[1]:
                bench.send(bytes(60))

            with pytest.raises(BenchError, match="has taken no frame"):
                bench.send(bytes(60))

            assert bench.frames() == []
        with pytest.raises(BenchError, match="the server"):
            bench.send(bytes(60))
        bench.close()
        card.close()
