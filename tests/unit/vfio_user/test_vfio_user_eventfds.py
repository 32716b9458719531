"""Signals to eventfds, which wait for nothing; and descriptors that are closed without waiting."""

from __future__ import annotations

import fcntl
import os
import time
from typing import TYPE_CHECKING

import pytest

from device.vfio_user import eventfds
from device.vfio_user.eventfds import Eventfds, is_eventfd
from device.vfio_user.janitor import Janitor

if TYPE_CHECKING:
    from collections.abc import Iterator

FULL = (1 << 64) - 2


@pytest.fixture(params=["aio", "write"])
def sink(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Eventfds:
    """Signal by the kernel's own means, and as on a kernel that has none."""
    if request.param == "write":
        monkeypatch.setattr(eventfds._signaller, "_context", 0)
    return Eventfds()


@pytest.fixture
def vector() -> Iterator[int]:
    """Make an eventfd to which a write may wait."""
    fd = os.eventfd(0, os.EFD_CLOEXEC)
    yield fd
    os.close(fd)


def test_each_signal_adds_one(sink: Eventfds, vector: int) -> None:
    """More of them than an AIO context has room for completions."""
    for _ in range(1000):
        sink.signal(vector)

    assert os.eventfd_read(vector) == 1000


def test_a_full_counter_is_signalled_already(sink: Eventfds, vector: int) -> None:
    """And keeps nobody."""
    os.eventfd_write(vector, FULL)

    sink.signal(vector)
    sink.signal(vector)

    assert os.eventfd_read(vector) >= FULL


def test_an_eventfd_is_one_by_the_kernels_word(vector: int) -> None:
    """Nothing else is."""
    reading, writing = os.pipe()

    assert is_eventfd(vector)
    assert not is_eventfd(reading)
    assert not is_eventfd(1 << 20)

    os.close(reading)
    os.close(writing)


def test_what_nobody_wants_is_closed_now_or_soon() -> None:
    """A pipe and a device at once; a file by a process of its own, which the kernel may keep."""
    janitor = Janitor()
    reading, writing = os.pipe()
    device, file = os.open(os.devnull, os.O_RDONLY), os.open(__file__, os.O_RDONLY)

    for fd in (writing, device, file):
        janitor.close(fd)

    assert os.read(reading, 1) == b""
    assert not is_open(device)
    deadline = time.monotonic() + 20
    while is_open(file) and time.monotonic() < deadline:
        time.sleep(0.001)
    assert not is_open(file)
    os.close(reading)


def is_open(fd: int) -> bool:
    """Tell whether this process has it."""
    try:
        fcntl.fcntl(fd, fcntl.F_GETFD)
    except OSError:
        return False
    return True
