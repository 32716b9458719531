"""Waiting for sockets: select, poll, and events that are recorded or posted as messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from protocols.apis.afd.requests import Poll
from protocols.apis.win32 import waits
from protocols.apis.winsock.constants import Fd, PollFlag
from protocols.apis.winsock.errors import WinsockError, Wsae
from protocols.apis.winsock.library import Entry, Library
from protocols.apis.winsock.window import WindowMessage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ntos.executive.dispatcher import Event
    from ntos.io.irp import Irp
    from protocols.apis.winsock.window import Window

READ = Poll.RECEIVE | Poll.DISCONNECT | Poll.ABORT | Poll.ACCEPT
WRITE = Poll.SEND
EXCEPT = Poll.CONNECT_FAIL | Poll.OOB_RECEIVE
ENDED = Poll.ABORT | Poll.CONNECT_FAIL
ALWAYS = ENDED | Poll.DISCONNECT
"""What WSAPoll tells whether it was asked or not."""
ASKABLE = int(PollFlag.IN | PollFlag.OUT)
WAIT_TIMEOUT = -1
WAIT_IO_COMPLETION = -2
ENDINGS = {waits.WAIT_TIMEOUT: WAIT_TIMEOUT, waits.WAIT_IO_COMPLETION: WAIT_IO_COMPLETION}


class PendingPoll(NamedTuple):
    """A poll on its way: what was asked, which sockets there are (by position), and AFD's request."""

    asked: tuple[PollFlag, ...]
    valid: tuple[int, ...]
    irp: Irp | None


class WaitingCalls(Library):
    """The functions."""

    def select(
        self,
        read: Iterable[int],
        write: Iterable[int],
        exceptional: Iterable[int],
        timeout_ns: int | None = None,
    ) -> tuple[list[int], list[int], list[int]]:
        """Return which of the sockets are readable, writable, exceptional. WSAEINVAL when there are none."""
        self._require()
        wanted: dict[int, Poll] = {}
        sets = [(list(read), READ), (list(write), WRITE), (list(exceptional), EXCEPT)]
        for numbers, poll in sets:
            for number in numbers:
                wanted[number] = wanted.get(number, Poll.NONE) | poll
        if not wanted:
            raise self._failed(WinsockError(Wsae.WSAEINVAL, "select without a socket"))
        order = list(wanted)
        pairs = [(self._entry(number).handle, wanted[number]) for number in order]
        found = self.base.select(pairs, timeout_ns)
        state = {order[at]: poll for at, poll in found.items()}
        for number, poll in state.items():
            if poll & Poll.CLOSE:
                raise self._failed(WinsockError(Wsae.WSAENOTSOCK, f"{number:#x} was closed meanwhile"))
        read_set, write_set, except_set = (
            [n for n in numbers if state.get(n, Poll.NONE) & poll] for numbers, poll in sets
        )
        return read_set, write_set, except_set

    def poll(
        self,
        sockets: Sequence[tuple[int, PollFlag]],
        timeout_ns: int | None = None,
        *,
        hang_ups: bool = True,
    ) -> list[PollFlag]:
        """WSAPoll: what is the case of each; NVAL for what is no socket.

        Without ``hang_ups`` a peer's FIN is told only to those who ask for data.
        WSAEINVAL: no socket at all, or a flag that cannot be asked for. WSAENOTSOCK: none of them is one.
        """
        self._require()
        if not sockets or any(int(flags) & ~ASKABLE for _number, flags in sockets):
            raise self._failed(WinsockError(Wsae.WSAEINVAL, "WSAPoll"))
        pending = self.begin_poll(sockets, hang_ups=hang_ups)
        if not pending.valid:
            raise self._failed(WinsockError(Wsae.WSAENOTSOCK, "WSAPoll of no socket"))
        if len(pending.valid) < len(sockets):
            timeout_ns = 0
        if pending.irp is not None:
            self.base.await_poll(pending.irp, timeout_ns)
        return self.end_poll(pending)

    def begin_poll(
        self,
        sockets: Sequence[tuple[int, PollFlag]],
        signal: Callable[[], None] | None = None,
        *,
        hang_ups: bool = False,
    ) -> PendingPoll:
        """Start a WSAPoll that tells its end by ``signal``, perhaps at once and on another thread.

        A loop that waits for other things too sleeps on those and on ``signal``, then calls ``end_poll``.
        """
        self._require()
        known = [(at, self._known(number)) for at, (number, _flags) in enumerate(sockets)]
        valid = {at: entry.handle for at, entry in known if entry is not None}
        always = ALWAYS if hang_ups else ENDED
        pairs = [(handle, _wanted(sockets[at][1]) | always) for at, handle in valid.items()]
        irp = self.base.begin_poll(pairs, signal) if pairs else None
        return PendingPoll(tuple(flags for _number, flags in sockets), tuple(valid), irp)

    def end_poll(self, pending: PendingPoll) -> list[PollFlag]:
        """End a poll, whether anything has happened or not: what is the case of each, NVAL for no socket."""
        answers = [PollFlag.NVAL] * len(pending.asked)
        for at in pending.valid:
            answers[at] = PollFlag.NONE
        if pending.irp is not None:
            for at, poll in self.base.end_poll(pending.irp).items():
                answers[pending.valid[at]] = _poll_flags(poll, pending.asked[pending.valid[at]])
        return answers

    def event_select(self, number: int, event: Event | int | None, events: int) -> None:
        """WSAEventSelect; it makes the socket non-blocking. No events: that is over."""
        self._call(number, "event_select", self._event(event) if event is not None else None, events)
        self._entry(number).asynchronous = None

    def async_select(self, number: int, window: Window, message: int, events: int) -> None:
        """WSAAsyncSelect: ``message`` is posted for each of the events; the socket becomes non-blocking.

        It ends a WSAEventSelect, and no events end it; sockets that are accepted inherit it.
        """

        def post(event: Fd, error: int) -> None:
            window.post(WindowMessage(message, number, error << 16 | event))

        self._call(number, "async_select", post, events)
        self._entry(number).asynchronous = (window, message, events) if events else None

    def enum_network_events(self, number: int, event: Event | None = None) -> tuple[Fd, dict[Fd, int]]:
        """WSAEnumNetworkEvents."""
        found: tuple[Fd, dict[Fd, int]] = self._call(number, "enum_network_events", event)
        return found

    def wait_for_multiple_events(
        self,
        events: Sequence[Event | int],
        timeout_ns: int | None = None,
        *,
        wait_all: bool = False,
        alertable: bool = False,
    ) -> int:
        """WSAWaitForMultipleEvents, of events or handles: the first set, WAIT_TIMEOUT, WAIT_IO_COMPLETION."""
        found = [self._event(one) for one in events]
        ended = self.win32.wait(found, timeout_ns, wait_all=wait_all, alertable=alertable)
        return ENDINGS.get(ended, ended)

    def _accepted(self, listener: Entry, number: int) -> None:
        """Do what an accepted socket inherits of its listener."""
        if listener.asynchronous is not None:
            self.async_select(number, *listener.asynchronous)

    def _event(self, event: Event | int) -> Event:
        return self.win32.event_of(event) if isinstance(event, int) else event


def _wanted(flags: PollFlag) -> Poll:
    found = Poll.NONE
    if flags & PollFlag.RDNORM:
        found |= Poll.RECEIVE | Poll.ACCEPT | Poll.DISCONNECT
    if flags & PollFlag.RDBAND:
        found |= Poll.OOB_RECEIVE
    return found | Poll.SEND if flags & PollFlag.OUT else found


def _poll_flags(poll: Poll, asked: PollFlag) -> PollFlag:
    found = PollFlag.NONE
    if poll & (Poll.RECEIVE | Poll.ACCEPT):
        found |= PollFlag.RDNORM
    if poll & Poll.OOB_RECEIVE:
        found |= PollFlag.RDBAND
    if poll & Poll.SEND:
        found |= PollFlag.OUT
    if poll & (Poll.DISCONNECT | Poll.ABORT | Poll.CLOSE | Poll.CONNECT_FAIL):
        found |= PollFlag.HUP
    if poll & Poll.CONNECT_FAIL:  # WSAPoll, "Remarks": from Windows 10 2004 on
        found |= asked & PollFlag.OUT
    if poll & (Poll.ABORT | Poll.CONNECT_FAIL):
        found |= PollFlag.ERR
    return found
