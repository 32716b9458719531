"""An NT host that runs: threads call Winsock, and whoever waits turns NDIS and TCP/IP meanwhile.

One lock guards everything above the cards; it is given up while anybody sleeps. The stack is driven either
by NDIS over a card (``CardHost``) or, for comparison, by a TAP.
"""

from __future__ import annotations

import os
import select
import threading
import time
from typing import TYPE_CHECKING

from lab.nt.host import Upper
from miniport.hal.executive import US_PER_S, LoopExecutive
from ndis.miniport import MiniportCharacteristics
from ndis.wrapper import Ndis
from protocols.tcpip import Stack, StackConfig
from protocols.tcpip_ndis import TcpipDriver

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ndis.adapter import MiniportAdapter
    from ndis.events import Observer
    from ndis.hardware import Hardware

IDLE_S = 0.25
HANDOVER_S = 0.002
"""How long the loop is left alone after a thread that waited has turned it: it is likely to wait again."""
DORMANT_S = 0.05
"""A wait that is longer than this is ended by telling the loop's own thread."""


class LiveExecutive(LoopExecutive):
    """The loop, with a lock that its sleeps give up.

    Whoever holds the lock may turn it: a call runs down to the card in the thread that makes it, as NT's do,
    and a thread that waits takes the interrupts itself meanwhile. A thread of its own turns it while nobody
    else does.

    Invariant: at most one thread polls the descriptors (``_poller``), without the lock while it sleeps.
    """

    def __init__(self) -> None:
        """Start unlocked."""
        super().__init__()
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.failure: BaseException | None = None
        self._standby = threading.Condition(self.lock)
        self._dormant = False  # the loop's own thread waits to be told that it is needed
        self._poller: threading.Thread | None = None
        self._wanted = False  # a thread that waits would rather poll than be told
        self._polled_at = 0.0
        self._sleeps_until_us = 0
        self._settling = False
        self._wake = os.eventfd(0, os.EFD_NONBLOCK)
        self._stopping = False
        self._thread: threading.Thread | None = None
        self.watch(self._wake, self._woken)

    def start(self) -> None:
        """Run in a thread of its own."""
        self._thread = threading.Thread(target=self._serve, name="nt", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; raise what it died of."""
        with self.lock:
            self._stopping = True
            self._standby.notify()
            self.wake()
            while self._poller is not None and self.failure is None:
                self.changed.wait(IDLE_S)
        if self._thread is not None:
            self._thread.join()
        os.close(self._wake)
        if self.failure is not None:
            raise self.failure

    def wake(self) -> None:
        """Have the loop look at its queues."""
        os.eventfd_write(self._wake, 1)

    def settle(self) -> None:
        """Run all that is ready, in this thread, which holds the lock. Inside of itself: do nothing."""
        if self._settling or self._stopping:
            return
        self._settling = True
        try:
            while self.step(0.0):
                pass
        except BaseException as error:
            self.failure = error
            raise
        finally:
            self._settling = False
            self.changed.notify_all()
        if self._poller is not None and self._next_us() < self._sleeps_until_us:
            self.wake()  # a timer was set that is due before the sleeper wakes

    def poll(self, most_s: float) -> bool:
        """Sleep without the lock until something comes, at most ``most_s``; False: another thread does that.

        What came is run by ``settle``.
        """
        if self._poller is not None or self._stopping:
            if self._poller is self._thread and not self._wanted:
                self._wanted = True
                self.wake()
            return False
        pause_s = self._wait_s(min(most_s, IDLE_S))
        if pause_s <= 0:
            return True
        self._poller = threading.current_thread()
        self._sleeps_until_us = self.now_us() + int(pause_s * US_PER_S)
        # However often this thread has entered the lock, others may have it now, as Condition.wait lets them.
        depth = self.lock._release_save()  # type: ignore[attr-defined]  # noqa: SLF001 - what Condition calls
        try:
            select.select([self._epoll], [], [], pause_s)
        finally:
            self.lock._acquire_restore(depth)  # type: ignore[attr-defined]  # noqa: SLF001 - the same
            self._poller = None
            self._polled_at = time.monotonic()
            if self._stopping:
                self.changed.notify_all()
            if self._dormant:
                self._standby.notify()
        return True

    def _next_us(self) -> int:
        return self._timers[0].due_us if self._timers else self._sleeps_until_us

    def _woken(self) -> None:
        os.eventfd_read(self._wake)

    def _serve(self) -> None:
        try:
            with self.lock:
                while not self._stopping:
                    self._serve_once()
        except BaseException as error:  # noqa: BLE001 - kept, and raised again by stop()
            with self.lock:
                self.failure = error
                self.changed.notify_all()

    def _serve_once(self) -> None:
        """Turn the loop, unless a thread that waits has done it a moment ago and will again."""
        now = time.monotonic()
        if self._poller is None and now - self._polled_at >= HANDOVER_S:
            self.settle()
            self._wanted = False
            self.poll(IDLE_S)
            if not self._wanted:
                self._polled_at = 0.0  # nobody else's: go on at once
                return
            self.settle()
        self._dormant = self._poller is not None and now - self._polled_at > DORMANT_S
        self._standby.wait(None if self._dormant else HANDOVER_S)
        self._dormant = False


class LiveWaiter:
    """Waits by turning the loop, or by a condition that every turn notifies; takes the lock itself."""

    def __init__(self, executive: LiveExecutive) -> None:
        """Share the loop's lock."""
        self._executive = executive
        self.driver: TcpipDriver

    def now_ns(self) -> int:
        """Return the monotonic clock."""
        return time.monotonic_ns()

    def kick(self) -> None:
        """Have the stack take a turn, now and in this thread if it is in no other's."""
        with self._executive.lock:
            self.driver.kick()
            self._executive.settle()

    def wait(self, until: Callable[[], bool], timeout_ns: int | None) -> bool:
        """Sleep until the condition holds."""
        with self._executive.lock:
            return self._wait(until, timeout_ns)

    def _wait(self, until: Callable[[], bool], timeout_ns: int | None) -> bool:
        executive = self._executive
        end = None if timeout_ns is None else time.monotonic_ns() + timeout_ns
        while not until():
            if executive.failure is not None:
                raise executive.failure
            left = None if end is None else (end - time.monotonic_ns()) / 1e9
            if left is not None and left <= 0:
                return False
            if executive.poll(IDLE_S if left is None else left):
                executive.settle()
            else:
                executive.changed.wait(left)
        return True


class LiveHost:
    """NDIS, TCP/IP and all above on one ``LiveExecutive``."""

    def __init__(
        self,
        *,
        host_name: str = "ringwalk",
        config: StackConfig | None = None,
        observer: Observer | None = None,
        large_sends: bool = True,
        checksums: bool = True,
        coalescing: bool = True,
        verify: bool = False,
    ) -> None:
        """Put it together; ``add_card`` gives it a card, ``start`` sets it going."""
        self.executive = LiveExecutive()
        self.waiter = LiveWaiter(self.executive)
        self.ndis = Ndis(self.executive, observer)
        self.stack = Stack(os.urandom, time.monotonic_ns(), config, host_name)
        self.driver = TcpipDriver(
            self.ndis, self.stack, large_sends=large_sends, checksums=checksums, coalescing=coalescing
        )
        self.waiter.driver = self.driver
        self.protocol = self.ndis.register_protocol("Tcpip", self.driver)
        self.upper = Upper(self.stack, self.waiter, host_name=host_name, verify=verify)
        self.adapters: list[MiniportAdapter] = []

    def add_card(
        self,
        miniport: type,
        hardware: Hardware | None,
        configuration: Mapping[str, object] | None = None,
        version: tuple[int, int] = (5, 1),
    ) -> str:
        """Start a card and bind TCP/IP to it; return the interface's name."""
        name = f"Local Area Connection {len(self.adapters) + 1}"
        driver = self.ndis.register_miniport(MiniportCharacteristics.of(miniport, version))
        adapter = self.ndis.add_adapter(driver, name, hardware, configuration)
        self.adapters.append(adapter)
        self.ndis.bind(self.protocol, adapter)
        return name

    def start(self) -> None:
        """Set it going."""
        self.driver.kick()
        self.executive.start()

    def close(self) -> None:
        """Stop the thread and take the cards away."""
        self.executive.stop()
        for adapter in self.adapters:
            self.ndis.remove_adapter(adapter)
        self.executive.close()
