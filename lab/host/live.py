"""An NT host that runs: a thread turns NDIS and TCP/IP, other threads call Winsock and wait.

One lock guards everything above the cards; it is given up while anybody waits. What a call has asked for is
carried out by the calling thread before the call ends or waits: to hand it to the loop's thread would cost
two wake-ups and a change of Python's own lock.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from lab.host.busy_poll import Patience
from lab.host.host import Upper
from miniport.hal.executive import US_PER_S, LoopExecutive
from ndis.miniport import MiniportCharacteristics
from ndis.wrapper import Ndis
from protocols.transports.tcpip import Stack, StackConfig
from protocols.transports.tcpip import driver as tcpip
from protocols.transports.tcpip.ndis_edge import TcpipDriver
from protocols.transports.tcpip.tcp import states

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from miniport.hal.executive import LoopTimer
    from ndis.adapter import MiniportAdapter
    from ndis.events import Observer
    from ndis.hardware import Hardware

IDLE_S = 0.25
DONE_SENDING = frozenset((states.State.FIN_WAIT_2, states.State.TIME_WAIT))
"""The far end has all of ours, and would take a reset for a loss of what it has not read yet."""
FAREWELL_NS = 2_000_000_000
"""How long a host that goes down waits for the FINs of closed connections to be acknowledged."""


class LiveExecutive(LoopExecutive):
    """The loop, with a lock that its sleeps give up, and a way to wake it from another thread."""

    def __init__(self) -> None:
        """Start unlocked."""
        super().__init__()
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.failure: BaseException | None = None
        self._led = select.epoll()
        """Where a thread that waits sleeps. ``watch`` has it woken before ``_epoll``."""
        self._patience = Patience(self._led)
        self._has_asked = False  # whether anything was carried out for a program since a thread last waited
        self._wakes = self._wake, self._wake_leader = tuple(os.eventfd(0, os.EFD_NONBLOCK) for _ in range(2))
        self._awake = True
        self._stopping = False
        self._thread: threading.Thread | None = None
        self.is_settling = False
        """Whether a thread runs what is queued, and will look at the queue again."""
        self._sleepers = 0
        self._sleeps_until_us: int | None = None  # None: it is awake, and looks before it sleeps
        self.queued = self._ready
        """What was asked for and not carried out yet: where it is empty, ``settle`` has nothing to do."""
        self.is_running = False
        """Whether its thread turns it."""
        self.is_entered = False
        """Whether whoever has the lock will call ``settle`` before he gives it up."""
        self.is_led = False
        """Whether a thread that waits turns the loop."""
        self.turns = 0
        """How often the loop's own thread was awake."""
        self.entry = Entry(self)
        self._watched = {fd: partial(_quiet, fd) for fd in (self._wake, self._wake_leader)}
        self._epoll.register(self._wake, select.EPOLLIN)
        self._led.register(self._wake_leader, select.EPOLLIN)

    def close(self) -> None:
        """Give the descriptors back."""
        super().close()
        self._led.close()

    def watch(self, fd: int, ready: Callable[[], None], *, edge: bool = False) -> None:
        """Call ``ready`` whenever ``fd`` is readable; with ``edge`` in a thread that waits, if one does."""
        if not edge:
            super().watch(fd, ready)
            return
        self._watched[fd] = ready
        for epoll in (self._led, self._epoll):  # the first that has a sleeper is woken, and no other
            epoll.register(fd, select.EPOLLIN | select.EPOLLET | select.EPOLLEXCLUSIVE)

    def unwatch(self, fd: int) -> None:
        """Call it no more."""
        super().unwatch(fd)
        with contextlib.suppress(FileNotFoundError):  # not with ``edge``
            self._led.unregister(fd)

    def start(self) -> None:
        """Run in a thread of its own."""
        self._thread = threading.Thread(target=self._serve, name="nt", daemon=True)
        self.is_running = True
        self._thread.start()

    def drain(self) -> None:
        """Do now what is ready, with the lock held."""
        while self.step(0.0):
            pass

    def settle(self) -> None:
        """Run what is queued, with the lock held and nothing of the stack entered; look at no descriptor."""
        if self.is_settling or not self._ready:
            return
        self.is_settling = self._has_asked = True
        try:
            while self._ready:
                self._run_ready()
        finally:
            self.is_settling = False
        if self._sleepers or self.is_led:
            self._tell()

    def lead(self, most_s: float | None) -> None:
        """Turn the loop once from a thread that waits, which has the lock once: no other has to wake it.

        The loop's own thread goes on waiting, for what comes while nobody else does, and for the timers.
        """
        self.is_led = True
        has_asked, self._has_asked = self._has_asked, False
        pause_s = self._wait_s(IDLE_S if most_s is None else min(most_s, IDLE_S))
        self.lock.release()
        try:
            readable = self._patience.wait(pause_s, answer=has_asked)
        finally:
            self.lock.acquire()
            self.is_led = False
        self._work(readable)

    def sleep(self, most_s: float | None) -> None:
        """Wait for the next turn of the loop, which another thread takes; the lock is held, and given up."""
        self._sleepers += 1
        try:
            self.changed.wait(most_s)
        finally:
            self._sleepers -= 1

    def call_at(self, due_us: int, name: str, routine: Callable[[], None]) -> LoopTimer:
        """Set a timer; the loop's thread sleeps no longer than to the first."""
        timer = super().call_at(due_us, name, routine)
        if self._sleeps_until_us is not None and due_us < self._sleeps_until_us:
            self.wake()
        return timer

    def stop(self) -> None:
        """End the thread; raise what it died of."""
        self._stopping, self.is_running = True, False
        self.wake()
        if self._thread is not None:
            self._thread.join()
        with self.lock:
            self._awake = False
            os.close(self._wake)
            os.close(self._wake_leader)
        if self.failure is not None:
            raise self.failure

    def wake(self) -> None:
        """Have the loop look at its queues. Once it was stopped, nothing: a program may yet close sockets."""
        with self.lock:
            if self._awake:
                os.eventfd_write(self._wake, 1)

    def _serve(self) -> None:
        pause_s = 0.0
        try:
            while not self._stopping:
                pause_s = self._turn(pause_s)
        except BaseException as error:  # noqa: BLE001 - kept, and raised again by stop()
            with self.lock:
                self.failure, self.is_running = error, False
                self.changed.notify_all()

    def _turn(self, pause_s: float) -> float:
        """Wait without the lock, work with it; return how long the next wait may be."""
        readable = self._epoll.poll(pause_s)
        with self.lock:
            self._sleeps_until_us = None
            self.turns += 1
            self._work(readable)
            pause_s = self._wait_s(IDLE_S)
            self._sleeps_until_us = self.now_us() + int(pause_s * US_PER_S)
        return pause_s

    def _work(self, readable: list[tuple[int, int]]) -> None:
        has_worked = False
        self.is_settling = True
        try:
            for fd, _ in readable:
                has_worked = has_worked or fd not in self._wakes
                ready = self._watched.get(fd)
                if ready is not None:
                    ready()
            while (self._ready and self._run_ready()) or self._fire():
                has_worked = True
        finally:
            self.is_settling = False
        if has_worked and (self._sleepers or self.is_led):
            self._tell()

    def _tell(self) -> None:
        """Have all who wait look whether it is over."""
        self.changed.notify_all()
        if self.is_led and self._awake:
            os.eventfd_write(self._wake_leader, 1)


def _quiet(fd: int) -> None:
    """Read an eventfd that only wakes."""
    with contextlib.suppress(BlockingIOError):
        os.eventfd_read(fd)


class Entry:
    """``with executive.entry:`` is how another thread calls the stack: locked, and carried out at its end."""

    def __init__(self, executive: LiveExecutive) -> None:
        """Guard what ``executive`` turns."""
        self._executive = executive

    def __enter__(self) -> None:
        """Take the lock."""
        self._executive.lock.acquire()
        self._executive.is_entered = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Carry out what was asked, and give the lock back."""
        executive = self._executive
        try:
            executive.is_entered = False
            if executive.queued:
                executive.settle()
        finally:
            executive.lock.release()


class LiveWaiter:
    """Waits by a condition that every turn of the loop notifies. Calls are made with the lock held."""

    def __init__(self, executive: LiveExecutive) -> None:
        """Share the loop's lock."""
        self._executive = executive
        self.kick_stack: Callable[[], None]
        """Queues a turn of the stack; set when TCP/IP is loaded."""

    def now_ns(self) -> int:
        """Return the monotonic clock."""
        return time.monotonic_ns()

    def kick(self) -> None:
        """Queue a turn of the stack, and wake the loop unless the caller carries it out himself."""
        self.kick_stack()
        executive = self._executive
        if not (executive.is_entered or executive.is_settling):
            executive.wake()

    def wait(self, until: Callable[[], bool], timeout_ns: int | None) -> bool:
        """Sleep until the condition holds."""
        executive = self._executive
        end = None if timeout_ns is None else time.monotonic_ns() + timeout_ns
        was_entered, executive.is_entered = executive.is_entered, False  # while another has the lock
        if was_entered and executive.queued:
            executive.settle()
        try:
            while not until():
                if executive.failure is not None:
                    raise executive.failure
                left = None if end is None else (end - time.monotonic_ns()) / 1e9
                if left is not None and left <= 0:
                    return False
                if executive.is_running and not executive.is_led:
                    executive.lead(left)
                else:
                    executive.sleep(left)
        finally:
            executive.is_entered = was_entered
        return True


class LiveHost:
    """NDIS, TCP/IP and all above on one ``LiveExecutive``, loaded and bound as the INF files say."""

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
        self.upper = Upper(
            self.stack, self.waiter, host_name=host_name, verify=verify, load=False, irql=self.ndis.irql
        )
        self.upper.system.export(self.ndis)
        self.upper.system.set_parameters(
            tcpip.SERVICE,
            **{
                tcpip.LARGE_SENDS: int(large_sends),
                tcpip.CHECKSUMS: int(checksums),
                tcpip.COALESCING: int(coalescing),
            },
        )
        self.loader = self.upper.loader
        self.adapters: list[MiniportAdapter] = []
        self.waiter.kick_stack = lambda: None
        self.upper.load()
        self.driver = self.upper.system.find(TcpipDriver)
        self.waiter.kick_stack = self.driver.kick

    def add_card(
        self,
        miniport: type,
        hardware: Hardware | None,
        configuration: Mapping[str, object] | None = None,
        version: tuple[int, int] = (5, 1),
    ) -> str:
        """Start a card and have the engine bind what matches it; return the interface's name."""
        name = f"Local Area Connection {len(self.adapters) + 1}"
        component = self.loader.add_adapter("netrwnic", name)
        driver = self.ndis.register_miniport(MiniportCharacteristics.of(miniport, version))
        self.adapters.append(self.ndis.add_adapter(driver, name, hardware, configuration))
        self.loader.bind(component)
        return name

    def start(self) -> None:
        """Set it going."""
        self.driver.kick()
        self.executive.start()

    def close(self) -> None:
        """End the connections, stop the thread, unbind from the top down, and take the cards away."""
        self._say_farewell()
        self.executive.stop()
        self.loader.unbind_adapters()
        for adapter in self.adapters:
            self.ndis.remove_adapter(adapter)
        self.executive.close()

    def _say_farewell(self) -> None:
        """Let closed connections end in good order, and reset the others: nobody is left to serve them.

        Without it a FIN that is queued, or lost, is never sent, and the far end waits for ever.
        """
        with self.executive.lock:
            if not self.executive.is_running:
                return
            connections = self.stack.tcp.connections
            self.waiter.wait(
                lambda: not any(one.state in states.HAS_CLOSED for one in connections.values()), FAREWELL_NS
            )
            for connection in list(connections.values()):
                if connection.state not in DONE_SENDING:
                    connection.abort()
            self.waiter.kick()
            self.executive.drain()
