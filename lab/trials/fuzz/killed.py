"""Clients killed with SIGKILL in the middle of traffic, one after the other.

A client is a fork of this process, so that a thousand of them take a minute and not an hour; it never returns
from the fork.
"""

from __future__ import annotations

import os
import random
import signal
import time
from typing import TYPE_CHECKING

from device.vfio_user import TransportError
from lab.machines.peer import PeerError
from lab.trials.fuzz.attack import Result, look
from lab.trials.loopback_driver import Exerciser

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.machines.card_process import CardProcess

LATEST_MS = 30


def _client(path: str, ready: int) -> None:
    """Drive traffic until we are killed; after 60 s something has gone wrong, and we go."""
    exerciser = Exerciser(path).start()
    os.write(ready, b"r")
    until = time.monotonic() + 60
    while time.monotonic() < until:
        exerciser.post(32)
        exerciser.reap()


def _start(path: str) -> tuple[int, int]:
    """Fork a client; return its pid and the pipe on which it says that traffic is about to flow."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    try:
        os.close(reading)
        _client(path, writing)
    finally:
        os._exit(1)


def kill_clients(
    card: CardProcess, count: int, seed: int = 1, *, told: Callable[[int], None] = lambda _: None
) -> Result:
    """Kill ``count`` clients at random times; the card must serve each next one and leak nothing."""
    chance, result = random.Random(seed), Result()  # noqa: S311 - repeatable
    path = card.ready.socket
    began = time.monotonic()
    first = last = look(card)
    for number in range(count):
        client, ready = _start(path)
        try:
            if os.read(ready, 1) != b"r":
                result.failures.append(f"client {number} was not served")
                break
            time.sleep(chance.uniform(0, LATEST_MS) / 1000)
        finally:
            os.close(ready)
            os.kill(client, signal.SIGKILL)
            os.waitpid(client, 0)
        result.volleys += 1
        if number % 10 == 9 or number == count - 1:
            try:
                last = look(card)
            except (OSError, TransportError, PeerError) as error:
                result.failures.append(f"after client {number}: {error!r}")
                break
            result.longest_answer_s = max(result.longest_answer_s, last.answer_s)
            told(result.volleys)
            if last.fds > first.fds:
                result.failures.append(f"after client {number}: {last.fds} descriptors, {first.fds} before")
                break
    result.seconds = time.monotonic() - began
    result.fds = (first.fds, last.fds)
    result.resident_kib = (first.resident_kib, last.resident_kib)
    return result
