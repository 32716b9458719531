"""Waiting on sockets that end in AFD: select, WSAEventSelect, WSAAsyncSelect, overlapped results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntos.io.irp import Irp, Major
from ntos.io.status import NtStatus
from protocols.apis.afd.requests import Afd, EventSelect, Poll, Select
from protocols.apis.winsock.afdcalls import AfdCalls
from protocols.apis.winsock.constants import Fd
from protocols.apis.winsock.errors import WinsockError, Wsae, error_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ntos.executive.dispatcher import Event
    from protocols.apis.win32.overlapped import Overlapped
    from protocols.apis.winsock.afdcalls import Handle

EVENTS = {
    Fd.READ: Poll.RECEIVE,
    Fd.WRITE: Poll.SEND,
    Fd.OOB: Poll.OOB_RECEIVE,
    Fd.ACCEPT: Poll.ACCEPT,
    Fd.CONNECT: Poll.CONNECT | Poll.CONNECT_FAIL,
    Fd.CLOSE: Poll.DISCONNECT | Poll.ABORT,
}


class EventCalls(AfdCalls):
    """The functions."""

    def select(self, wanted: Sequence[tuple[Handle, Poll]], timeout_ns: int | None) -> dict[int, Poll]:
        """WSPSelect: by position, what is the case; empty when the time was over."""
        irp = self.begin_poll(wanted)
        self.await_poll(irp, timeout_ns)
        return self.end_poll(irp)

    def begin_poll(
        self, wanted: Sequence[tuple[Handle, Poll]], signal: Callable[[], None] | None = None
    ) -> Irp:
        """Leave a poll with AFD; ``signal`` is called when it ends, perhaps at once."""
        files = tuple((handle.file, poll) for handle, poll in wanted)
        file = files[0][0]
        irp = Irp(file.device, Major.DEVICE_CONTROL, file, minor=Afd.SELECT, parameters=Select(files))
        if signal is not None:
            irp.done = lambda _irp: signal()
        self._io.call(irp)
        return irp

    def await_poll(self, irp: Irp, timeout_ns: int | None) -> None:
        """Wait until a poll has ended or the time is over."""
        if not irp.completed and timeout_ns != 0:
            self._wait(lambda: irp.completed, "select", timeout_ns)

    def end_poll(self, irp: Irp) -> dict[int, Poll]:
        """Take a poll's answer by position; cancel it when there is none."""
        if not irp.completed:
            irp.done = None
            self._io.cancel(irp)
            return {}
        found: dict[int, Poll] = irp.result
        return found

    def event_select(self, handle: Handle, event: Event | None, events: int) -> None:
        """WSPEventSelect: the socket becomes non-blocking."""
        self._select_events(handle, event.set if event is not None else None, events)

    def _select_events(
        self, handle: Handle, signal: Callable[[], None] | None, events: int, *, anew: bool = False
    ) -> None:
        handle.blocking, handle.selects_events = False, bool(events)
        wanted = Poll.NONE
        for fd, poll in EVENTS.items():
            if events & fd:
                wanted |= poll
        self._now(handle, Afd.EVENT_SELECT, EventSelect(signal, wanted, anew))

    def async_select(self, handle: Handle, post: Callable[[Fd, int], None], events: int) -> None:
        """WSPAsyncSelect: ``post`` each event with its error; what re-enables one is WSAEventSelect's."""

        def tell() -> None:
            happened, errors = self.enum_network_events(handle, None)
            for fd in Fd:
                if fd & happened:
                    post(fd, errors.get(fd, 0))

        self._select_events(handle, tell if events else None, events, anew=True)

    def enum_network_events(self, handle: Handle, event: Event | None) -> tuple[Fd, dict[Fd, int]]:
        """WSPEnumNetworkEvents: what happened, and an error code for each."""
        if event is not None:
            event.reset()
        found, codes = self._now(handle, Afd.ENUM_NETWORK_EVENTS)
        happened, errors = Fd.NONE, {}
        for fd, poll in EVENTS.items():
            if found & poll:
                happened |= fd
                failed = [codes[bit] for bit in codes if bit & poll and codes[bit] is not NtStatus.SUCCESS]
                errors[fd] = int(error_of(failed[0]).code) if failed else 0
        return happened, errors

    def get_overlapped_result(self, handle: Handle, overlapped: Overlapped, *, wait: bool) -> int:
        """WSPGetOverlappedResult. WinsockError(WSA_IO_INCOMPLETE) while it goes on."""
        del handle
        if not overlapped.done and wait:
            self._executive.wait(lambda: overlapped.done, "an overlapped call")
        if not overlapped.done:
            raise WinsockError(Wsae.WSA_IO_INCOMPLETE)
        if not overlapped.status.ok:
            raise error_of(overlapped.status)
        return overlapped.information
