"""A capture whose file changes while frames pass."""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from device.wire.capture import CaptureFile, CaptureStage
from device.wire.frame import Frame
from device.wire.stage import Way

if TYPE_CHECKING:
    from pathlib import Path

FRAME = Frame(bytes(60))


def _pass(stage: CaptureStage, count: int = 1) -> None:
    for _ in range(count):
        assert list(stage.push(Way.TRANSMIT, FRAME, 0)) == [FRAME]


def _file(tmp_path: Path, name: str) -> CaptureFile:
    return CaptureFile(str(tmp_path / name), "wire")


def _is_open(file: CaptureFile) -> bool:
    return file._fd >= 0


def test_another_file_is_written_from_the_next_frame_on(tmp_path: Path) -> None:
    first, second = _file(tmp_path, "first"), _file(tmp_path, "second")
    stage = CaptureStage(first)
    _pass(stage)

    stage.become(second)
    _pass(stage, 2)

    assert (first.frames, second.frames) == (1, 2)
    assert (_is_open(first), _is_open(second)) == (False, True)


def test_a_start_and_a_stop_between_two_frames_write_nothing(tmp_path: Path) -> None:
    first, second = _file(tmp_path, "first"), _file(tmp_path, "second")
    stage = CaptureStage(first)

    stage.become(second)
    stage.become(None)
    _pass(stage, 3)

    assert (first.frames, second.frames) == (0, 0)


def test_files_that_no_frame_ever_reached_are_closed_too(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names are counted
    stage = CaptureStage(_file(tmp_path, "first"))
    for name in ("second", "third", "fourth"):
        stage.become(_file(tmp_path, name))

    stage.close()

    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - as above
