"""Hostile clients against a live card process, and what watches that process.

One volley is one connection. What was consumed is counted by the highest id that the card replied to, a lower
bound. Between volleys a well-behaved client looks in: it must be answered, and the process must hold as many
descriptors as at the start.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from device.regs.nic import NIC
from device.vfio_user import Client, TransportError
from lab.machines.peer import PeerError
from lab.trials.fuzz.messages import MEMORY_BYTES, make

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lab.machines.card_process import CardProcess
    from lab.trials.fuzz.messages import Shot

HANG_S: Final = 20.0
"""Silence that is a hang on any machine; the longest answer is reported besides."""
LOOK_EVERY: Final = 25
_HEADER: Final = struct.Struct("<HHIII")
_REPLY: Final = 1


@dataclass(slots=True)
class Result:
    """What the hostile clients showed."""

    messages: int = 0
    """Messages that the card is known to have handled."""
    volleys: int = 0
    seconds: float = 0.0
    longest_answer_s: float = 0.0
    fds: tuple[int, int] = (0, 0)
    """Descriptors of the card's process at the start and at the end."""
    resident_kib: tuple[int, int] = (0, 0)
    failures: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether the card outlived all of it and leaked no descriptor."""
        return not self.failures


class Arsenal:
    """The descriptors that a hostile client sends along; made once, but memory for each volley."""

    def __init__(self) -> None:
        """Open one of each kind."""
        reading, self._pipe = os.pipe()
        os.close(reading)
        self._kinds = {
            "eventfd": os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK),
            "pipe": self._pipe,
            "null": os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC),
        }
        self.memory = -1

    def renew(self) -> None:
        """Make fresh memory."""
        if self.memory >= 0:
            os.close(self.memory)
        self.memory = os.memfd_create("hostile", os.MFD_CLOEXEC)
        os.truncate(self.memory, MEMORY_BYTES)

    def of(self, kinds: Sequence[str]) -> list[int]:
        """Return a descriptor of each kind."""
        return [self.memory if kind == "memory" else self._kinds[kind] for kind in kinds]

    def close(self) -> None:
        """Close them all."""
        for fd in (*self._kinds.values(), self.memory):
            if fd >= 0:
                os.close(fd)


class _Replies:
    """Finds the highest message id replied to in a byte stream."""

    def __init__(self) -> None:
        self.highest = -1
        self._rest = b""

    def feed(self, data: bytes) -> None:
        data = self._rest + data
        at = 0
        while len(data) - at >= _HEADER.size:
            number, _, size, flags, _ = _HEADER.unpack_from(data, at)
            if len(data) - at < size:
                break
            if flags & 0xF == _REPLY:
                self.highest = max(self.highest, number)
            at += max(size, _HEADER.size)
        self._rest = data[at:]


def fire(path: str, shots: Sequence[Shot], arsenal: Arsenal) -> int:
    """Send a volley and hang up; return how many messages were handled. TimeoutError when it hangs."""
    arsenal.renew()
    replies = _Replies()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(path)
        connection.setblocking(False)  # noqa: FBT003 - the method has no keyword
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for shot in shots:
                _send(connection, shot, arsenal.of(shot.fds), replies)
                if shot.truncate:
                    os.truncate(arsenal.memory, 0)
            connection.shutdown(socket.SHUT_WR)
            while _receive(connection, replies, HANG_S):
                pass
    return replies.highest + 1


def _send(connection: socket.socket, shot: Shot, fds: list[int], replies: _Replies) -> None:
    data = shot.data
    while data:
        try:
            sent = socket.send_fds(connection, [data], fds) if fds else connection.send(data)
        except BlockingIOError:
            readable, writable, _ = select.select([connection], [connection], [], HANG_S)
            if not readable and not writable:
                raise TimeoutError("the card takes no message") from None
            if readable and not _receive(connection, replies, 0):
                raise BrokenPipeError from None
            continue
        data, fds = data[sent:], []


def _receive(connection: socket.socket, replies: _Replies, timeout_s: float) -> bool:
    """Take what has come; False at the end of the stream."""
    if timeout_s and not select.select([connection], [], [], timeout_s)[0]:
        raise TimeoutError("the card does not hang up")
    try:
        data = connection.recv(1 << 18)
    except BlockingIOError:
        return True
    replies.feed(data)
    return bool(data)


@dataclass(frozen=True, slots=True)
class Look:
    """What a well-behaved client found."""

    answer_s: float
    fds: int
    resident_kib: int


def look(card: CardProcess) -> Look:
    """Connect as an honest client would and read STATUS. OSError, TransportError when nobody answers."""
    began = time.monotonic()
    with Client.connect(card.ready.socket, timeout_s=HANG_S) as client:
        status = client.read(0, NIC["STATUS"].offset, 4)
        took = time.monotonic() - began
        if status == b"\xff" * 4:
            raise TransportError("STATUS reads as all ones")
        fds = card.descriptors()
        resident = Path(f"/proc/{card.ready.pid}/status").read_text().partition("VmRSS:")[2].split()[0]
    return Look(took, fds, int(resident))


def attack(
    card: CardProcess,
    seed: int,
    count: int,
    *,
    until: float | None = None,
    told: Callable[[int], None] = lambda _: None,
) -> Result:
    """Send volleys from ``seed`` on until ``count`` messages were handled or it is ``until`` (monotonic)."""
    result, arsenal = Result(), Arsenal()
    path = card.ready.socket
    began = time.monotonic()
    first = last = look(card)
    number = seed
    try:
        while result.messages < count and (until is None or time.monotonic() < until):
            result.messages += fire(path, make(number).shots, arsenal)
            result.volleys += 1
            number += 1
            if result.volleys % LOOK_EVERY == 0:
                last = look(card)
                result.longest_answer_s = max(result.longest_answer_s, last.answer_s)
                told(result.messages)
                if last.fds > first.fds:
                    result.failures.append(
                        f"volley {number}: {last.fds} descriptors, {first.fds} at the start"
                    )
                    break
        last = look(card)
    except (OSError, TransportError, PeerError) as error:  # TimeoutError is one
        state = "lives" if card.running else "is dead"
        result.failures.append(f"volley {number}: {error!r}; the card's process {state}")
    finally:
        arsenal.close()
    result.seconds = time.monotonic() - began
    result.fds = (first.fds, last.fds)
    result.resident_kib = (first.resident_kib, last.resident_kib)
    return result
