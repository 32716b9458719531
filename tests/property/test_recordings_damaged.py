"""A recording that was cut or changed anywhere gives one clear line, and what is whole of it still plays."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device.trace.player import Player
from device.trace.recording import Recording, RecordingError
from lab.errors import UsageError
from lab.stepper import recording_file
from lab.stepper.workbench import build
from lab.trials.loopback_driver import Exerciser
from tests.recorded import record

if TYPE_CHECKING:
    from pathlib import Path

PATIENT = [HealthCheck.too_slow]
UNUSED = frozenset({10, 11})
"""Bytes of the file's head that mean nothing yet."""


def drive(path: str) -> None:
    """Bring a card up and send a little."""
    one = Exerciser(path).start()
    one.wait_link()
    one.round_trip(20)
    one.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return a recording of each engine."""
    path = tmp_path_factory.mktemp("whole") / "native.rw"
    record(path, drive)
    out = io.BytesIO()
    build(write=out.write).work(20)
    return {"native": path.read_bytes(), "reference": out.getvalue()}


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_every_cut_is_noticed(files: dict[str, bytes], engine: str) -> None:
    """At each byte of the first blocks' heads and ends, and at each thirteenth elsewhere."""
    whole = files[engine]
    recording = Recording(whole)
    edges = {start + n for start, length in recording.blocks for n in (*range(-30, 30), length - 1, length)}
    cuts = sorted({*range(0, len(whole), 13), *(cut for cut in edges if 0 <= cut < len(whole))})

    for cut in cuts:
        with pytest.raises(RecordingError):
            Recording(whole[:cut])


@settings(max_examples=200, deadline=None, suppress_health_check=PATIENT)
@given(data=st.data())
def test_every_flipped_bit_is_noticed(files: dict[str, bytes], data: st.DataObject) -> None:
    """Anywhere, one or several."""
    whole = files[data.draw(st.sampled_from(["native", "reference"]))]
    damaged = bytearray(whole)
    places = st.integers(0, len(whole) - 1).filter(lambda at: at not in UNUSED)
    for at in data.draw(st.lists(places, min_size=1, max_size=4, unique=True)):
        damaged[at] ^= 1 << data.draw(st.integers(0, 7))

    with pytest.raises(RecordingError):
        Recording(bytes(damaged))


@settings(max_examples=40, deadline=None, suppress_health_check=PATIENT)
@given(data=st.data())
def test_what_is_whole_before_a_cut_plays(files: dict[str, bytes], data: st.DataObject) -> None:
    """Without a difference, on the reference engine, whoever recorded it."""
    whole = files[data.draw(st.sampled_from(["native", "reference"]))]
    recording = Recording(whole)
    head = recording.blocks[0][0] - 24
    cut = data.draw(st.integers(head, len(whole) - 1))

    player = Player(Recording(whole[:cut], partial=True))
    player.run()

    assert player.differences == []


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_the_command_says_it_in_one_line(files: dict[str, bytes], engine: str, tmp_path: Path) -> None:
    """With the place, and what to do."""
    path = tmp_path / "cut.rw"
    path.write_bytes(files[engine][:-7])

    with pytest.raises(UsageError) as told:
        recording_file.load(path)

    assert "\n" not in str(told.value)
    assert "cut short" in str(told.value)
    assert "--partial takes what is whole before that" in str(told.value)
    assert recording_file.load(path, partial=True).damage is not None
