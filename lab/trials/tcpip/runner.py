"""Drives a stack from real descriptors and the real clock. The only place here that waits."""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.trials.tcpip.tap import TapLink
    from protocols.transports.tcpip.interface import Interface
    from protocols.transports.tcpip.stack import Stack

LONGEST_WAIT = 50_000_000  # ns, so that ``until`` is looked at now and then


class Runner:
    """One stack and its TAP links."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        stack.context.timers.clock = time.monotonic_ns
        self._links: list[tuple[TapLink, Interface]] = []
        self._poll = select.poll()

    def add(self, link: TapLink) -> Interface:
        """Bind a link to the stack."""
        link.now = time.monotonic_ns
        interface = self.stack.add_interface(link)
        self._links.append((link, interface))
        self._poll.register(link.fd, select.POLLIN)
        return interface

    def run(self, until: Callable[[], bool], timeout: float) -> bool:
        """Work until the condition holds; False when ``timeout`` seconds were not enough."""
        end = time.monotonic_ns() + int(timeout * 1e9)
        self.stack.advance(time.monotonic_ns())
        while not until():
            now = time.monotonic_ns()
            if now >= end:
                return False
            self._poll.poll(self._wait_ms(now))
            self.turn()
        return True

    def turn(self) -> None:
        """Handle what has come and what is due, once."""
        for link, interface in self._links:
            frames = link.receive()
            if frames:
                self.stack.receive(interface, frames, time.monotonic_ns())
        deadline = self.stack.next_deadline()
        now = time.monotonic_ns()
        if deadline is not None and deadline <= now:
            self.stack.advance(now)

    def _wait_ms(self, now: int) -> float:
        wake = now + LONGEST_WAIT
        deadline = self.stack.next_deadline()
        for when in (deadline, *(link.next_due() for link, _ in self._links)):
            if when is not None:
                wake = min(wake, when)
        return max(0, wake - now + 999_999) // 1_000_000
