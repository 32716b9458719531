"""The one place with threads between a card and a cable: a pump moves frames through stages.

The card's end is a SOCK_SEQPACKET socket pair, so its descriptor stays the same while the far end
comes and goes. The thread sleeps in poll(2) until a descriptor, a due time or ``close`` wakes it.
Release times are exact to a millisecond, poll's unit. It knows nothing of what stages do or of how
a far end is opened.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from device.wire.contract import Framing, TellsLink, WireClosed
from device.wire.port import Port
from device.wire.stage import Way

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from device.wire.carrier import LinkMonitor
    from device.wire.contract import Wire
    from device.wire.frame import Frame
    from device.wire.notices import LinkNotices
    from device.wire.stage import Stage

LEAVING_S: Final = 2.0
"""How long a thread of a wire may take to end."""
_BATCH: Final = 64  # frames of one direction before the other has its turn
_LAST_FRAMES: Final = 1024
_REDIAL_NS: Final = 200_000_000
_MUTE_NS: Final = 100_000_000
_SOCKET_BUFFER_BYTES: Final = 1 << 20  # some 64 KiB frames; Linux cuts it down to net.core.wmem_max
_TROUBLE: Final = select.POLLERR | select.POLLHUP | select.POLLNVAL


@dataclass(frozen=True, slots=True)
class Link:
    """A far end: the port to use, and what to call when it is given up."""

    port: Port
    close: Callable[[], None]


def seqpacket_pair() -> tuple[socket.socket, socket.socket]:
    """Return two connected non-blocking sockets whose messages hold the largest frame."""
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in pair:
        end.settimeout(0)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER_BYTES)
    return pair


class Pump:
    """A thread that owns a far end and moves frames between it and a card.

    Invariants: the thread alone touches ``_far``, the stages and the near port; a direction whose
    way out is full is not read, so that nothing piles up here; while there is no far end, what is
    sent is lost.
    """

    def __init__(
        self,
        near: socket.socket,
        framing: Framing,
        far: Link | None,
        stages: Sequence[Stage] = (),
        redial: Callable[[], Link | None] | None = None,
        *,
        notices: LinkNotices | None = None,
    ) -> None:
        """Pump between ``near`` and ``far``; ``redial`` is called where there is no far end.

        ``notices``: link messages are exchanged with the far end.
        """
        self.lost = 0
        self._socket = near
        self._near = Port(near.fileno(), framing)
        self._far = far
        self._redial = redial
        self._notices = notices
        self._stages = [*stages, *([notices] if notices is not None else [])]
        self._out: dict[Way, deque[Frame]] = {way: deque() for way in Way}
        self._dial_at_ns = 0
        self._muted_until_ns = 0
        self._stopping = False
        self._waker = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="wire-pump", daemon=True)

    def start(self) -> None:
        """Start the thread; once."""
        self._thread.start()

    @property
    def connected(self) -> bool:
        """Whether there is a far end now."""
        return self._far is not None

    @property
    def far_link(self) -> bool:
        """Whether the far end has a link, as far as it says."""
        return self._notices is None or self._notices.far_link

    def offer(self, *, link: bool) -> None:
        """Tell the far end of the link at this one; any thread may call it."""
        if self._notices is not None and self._waker >= 0 and self._notices.offer(link=link):
            os.eventfd_write(self._waker, 1)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """What frames pass, for those who ask how it went."""
        return tuple(self._stages)

    def close(self) -> None:
        """Stop the thread and give up the far end, the stages and the near socket."""
        if self._waker < 0:
            return
        self._stopping = True
        os.eventfd_write(self._waker, 1)
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(LEAVING_S)
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            return  # it still uses all of this
        self._drop_far()
        for stage in self._stages:
            stage.close()
        self._socket.close()
        os.close(self._waker)
        self._waker = -1

    def _run(self) -> None:
        try:
            while not self._stopping:
                now_ns = time.monotonic_ns()
                self._dial(now_ns)
                for index, stage in enumerate(self._stages):
                    for way, frame in stage.collect(now_ns):
                        self._advance(way, frame, index, now_ns)
                self._flush(Way.TRANSMIT)
                self._flush(Way.RECEIVE)
                self._sleep(now_ns)
            self._finish()
        except WireClosed:  # the card's end is closed: there is nobody left to pump for
            self._drop_far()

    def _finish(self) -> None:
        """Send what the card had sent before the wire was closed, as far as it goes at once."""
        for _ in range(_LAST_FRAMES // _BATCH):
            self._read(self._near, Way.TRANSMIT, time.monotonic_ns())
            self._flush(Way.TRANSMIT)

    def _dial(self, now_ns: int) -> None:
        if self._far is None and self._redial is not None and now_ns >= self._dial_at_ns:
            self._dial_at_ns = now_ns + _REDIAL_NS
            self._far = self._redial()
            if self._far is not None and self._notices is not None:
                self._notices.connected()

    def _advance(self, way: Way, frame: Frame, index: int, now_ns: int) -> None:
        """Take a frame that left stage ``index`` through the stages after it, to the way out."""
        step = 1 if way is Way.TRANSMIT else -1
        frames = [frame]
        index += step
        while 0 <= index < len(self._stages) and frames:
            stage = self._stages[index]
            frames = [out for one in frames for out in stage.push(way, one, now_ns)]
            index += step
        self._out[way].extend(frames)

    def _flush(self, way: Way) -> None:
        waiting = self._out[way]
        if way is Way.RECEIVE:
            self._send(self._near, waiting)
        elif self._far is None:
            self.lost += len(waiting)
            waiting.clear()
        else:
            try:
                self._send(self._far.port, waiting)
            except WireClosed:
                self._drop_far()

    @staticmethod
    def _send(port: Port, waiting: deque[Frame]) -> None:
        port.flush()
        while waiting and port.write(waiting[0]):
            waiting.popleft()

    def _sleep(self, now_ns: int) -> None:
        """Wait for something to do, then read what came."""
        far = self._far.port if self._far is not None else None
        muted = now_ns < self._muted_until_ns
        poll = select.poll()
        poll.register(self._waker, select.POLLIN)
        full = {Way.TRANSMIT: self._full(Way.TRANSMIT, far)}
        full[Way.RECEIVE] = self._full(Way.RECEIVE, self._near)
        poll.register(self._near.fd, _interest(full[Way.TRANSMIT], full[Way.RECEIVE]))
        if far is not None and not muted:
            poll.register(far.fd, _interest(full[Way.RECEIVE], full[Way.TRANSMIT]))
        events = dict(poll.poll(self._timeout_ms(now_ns, muted=muted)))
        now_ns = time.monotonic_ns()
        if events.get(self._near.fd, 0) & (select.POLLIN | _TROUBLE):
            self._read(self._near, Way.TRANSMIT, now_ns)
        trouble = events.get(far.fd, 0) if far is not None else 0
        if far is not None and trouble & (select.POLLIN | _TROUBLE):
            try:
                self._read(far, Way.RECEIVE, now_ns)
            except WireClosed:
                self._drop_far()
            if trouble & _TROUBLE and not trouble & select.POLLIN:
                # An interface that is gone reports an error for ever: look again later, not at
                # once.
                self._muted_until_ns = now_ns + _MUTE_NS

    def _full(self, way: Way, port: Port | None) -> bool:
        return bool(self._out[way]) or (port is not None and port.blocked)

    def _read(self, port: Port, way: Way, now_ns: int) -> None:
        start = -1 if way is Way.TRANSMIT else len(self._stages)
        for _ in range(_BATCH):
            frame = port.read()
            if frame is None:
                return
            self._advance(way, frame, start, now_ns)

    def _timeout_ms(self, now_ns: int, *, muted: bool) -> float | None:
        times = [stage.next_due_ns for stage in self._stages]
        if self._far is None and self._redial is not None:
            times.append(self._dial_at_ns)
        if muted:
            times.append(self._muted_until_ns)
        due_ns = min((at for at in times if at is not None), default=None)
        return None if due_ns is None else max(0, -((now_ns - due_ns) // 1_000_000))

    def _drop_far(self) -> None:
        far, self._far = self._far, None
        self._dial_at_ns = time.monotonic_ns() + _REDIAL_NS // 4
        if far is not None:
            far.close()


def _interest(source_blocked: bool, target_blocked: bool) -> int:  # noqa: FBT001 - a truth table
    """Return what to poll a port for, by whether its frames can go on and whether some wait."""
    return (0 if source_blocked else select.POLLIN) | (select.POLLOUT if target_blocked else 0)


class PumpedWire:
    """A wire whose descriptor is one end of a socket pair, with a pump behind it."""

    def __init__(
        self,
        spec: str,
        framing: Framing,
        far: Link | None,
        stages: Sequence[Stage] = (),
        redial: Callable[[], Link | None] | None = None,
        *,
        inner: Wire | None = None,
        notices: LinkNotices | None = None,
        monitor: LinkMonitor | None = None,
        started: bool = True,
    ) -> None:
        """Pump from now on, or from ``start`` on; see ``Pump``. ``inner`` is the wire that was wrapped.

        ``monitor`` says whether the interface at the other end has a carrier; it is closed with the wire.
        """
        self.inner = inner
        self._monitor = monitor
        self.spec = spec
        self.framing = framing
        self._end, near = seqpacket_pair()
        self._dials = redial is not None
        self.pump = Pump(near, framing, far, stages, redial, notices=notices)
        if started:
            self.pump.start()

    def start(self) -> None:
        """Start pumping, in a wire that was made without; once."""
        self.pump.start()

    @property
    def fd(self) -> int:
        """The card's end; -1 once closed."""
        return self._end.fileno()

    @property
    def link(self) -> bool:
        """Whether the far end is there, and has a link; always, for a cable that has none to wait for."""
        if self.inner is not None:
            return self.inner.link and (self.pump.connected or self.inner.framing is Framing.NONE)
        if self._monitor is not None and not self._monitor.present:
            return False
        return self.pump.far_link and (self.pump.connected or not self._dials)

    def offer(self, *, link: bool) -> None:
        """Tell the far end, if it takes link messages."""
        if isinstance(self.inner, TellsLink):
            self.inner.offer(link=link)
        self.pump.offer(link=link)

    def close(self) -> None:
        """Stop the pump and close everything."""
        self.pump.close()
        self._end.close()
        if self._monitor is not None:
            self._monitor.close()
        if self.inner is not None:
            self.inner.close()  # the pump did it if it had the wire as its far end; none has none
