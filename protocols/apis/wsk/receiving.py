"""What a connection-oriented socket does with data that comes: WskReceive, WskReceiveEvent, WskRelease.

Data that the application does not take stays in the transport, so that the peer's window closes. ``_held``
are bytes that were taken out for an indication and not accepted: they come first. While the application
retains as much as SO_RCVBUF says, nothing more is indicated.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ntos.io.status import NtStatus
from protocols.apis.wsk.bound import BoundSocket
from protocols.apis.wsk.constants import Event, Flag, ReceiveFlag, Wsk
from protocols.apis.wsk.npi import NO_CONNECTION_EVENTS, ConnectionDispatch, DataIndication, SizeOut, WskBuf
from protocols.apis.wsk.socket import AT_DISPATCH

if TYPE_CHECKING:
    from ntos.io.irp import Irp, Memory
    from protocols.apis.wsk.socket import Opened, SocketHost
    from protocols.interfaces.tlnpi.npi import TlConnection, TlProvider

INDICATE_BYTES = 65536
"""What is taken out of the transport for one indication."""


@dataclass(eq=False, slots=True)
class Receiving:
    """A receive, and how far it is filled."""

    irp: Irp
    buffer: WskBuf
    flags: ReceiveFlag
    filled: int = 0


class ReceivingSocket(BoundSocket):
    """The half of a connection-oriented socket that receives. ``_tl`` is its connection, if it has one."""

    def __init__(self, client: SocketHost, provider: TlProvider, opened: Opened) -> None:
        super().__init__(client, provider, opened)
        self.failure: NtStatus | None = None
        self._tl: TlConnection | None = None
        self._connecting: Irp | None = None
        self._receives: deque[Receiving] = deque()
        self._held: deque[Memory] = deque()
        self._retained: dict[DataIndication, int] = {}
        self._indicating: DataIndication | None = None
        self._is_silent = False  # the application accepted not all: not a word until it receives
        self._is_delivering = False
        self._has_told_end = False

    def receive(self, buffer: WskBuf, irp: Irp, flags: ReceiveFlag = ReceiveFlag.NONE) -> NtStatus:
        """WskReceive: what there is, one byte at least; none: the peer has disconnected.

        A buffer of no length resumes WskReceiveEvent.
        """
        return self.submit(irp, Wsk.RECEIVE, self._receive, buffer, flags)

    def release(self, indication: DataIndication) -> NtStatus:
        """WskRelease. INVALID_PARAMETER: it is not retained."""
        self.require_open("WskRelease")
        if indication is self._indicating:
            self._indicating = None  # released before it was kept
        elif self._retained.pop(indication, None) is None:
            return NtStatus.INVALID_PARAMETER
        self._deliver()
        return NtStatus.SUCCESS

    @property
    def events(self) -> ConnectionDispatch:
        """The application's callbacks."""
        found: ConnectionDispatch = self.opened.dispatch or NO_CONNECTION_EVENTS
        return found

    def retained(self) -> int:
        """How many indications the application retains."""
        return len(self._retained)

    def _receive(self, irp: Irp, buffer: WskBuf, flags: ReceiveFlag) -> NtStatus:
        if self._connecting is not None or (self._tl is None and not self._held):
            return self.complete(irp, self._why())
        try:
            size = buffer.size
        except ValueError:
            return self.complete(irp, NtStatus.INVALID_PARAMETER)
        drain = bool(flags & ReceiveFlag.DRAIN)
        if drain and (size or flags & ReceiveFlag.WAITALL):
            return self.complete(irp, NtStatus.INVALID_PARAMETER)
        self._is_silent = False
        if self._has_told_end or (not size and not drain):
            self.complete(irp, NtStatus.SUCCESS)
            self._deliver()
            return NtStatus.SUCCESS
        if self.pend(irp, self._cancel_receive):
            self._receives.append(Receiving(irp, buffer, flags))
            self._deliver()
        return NtStatus.PENDING

    def _why(self) -> NtStatus:
        return self.failure or NtStatus.INVALID_DEVICE_STATE

    def _deliver(self) -> None:
        if self._is_delivering:
            return  # from within a callback or a completion: the loop below goes on
        self._is_delivering = True
        while self._fill_receive() or self._indicate():
            pass
        self._is_delivering = False
        tl = self._tl
        if tl is not None and tl.at_end and not self._held and not self._has_told_end:
            self._has_told_end = True
            while self._receives:
                one = self._receives.popleft()
                self.finish(one.irp, NtStatus.SUCCESS, one.filled)
            self._tell_disconnect(Flag.NONE)

    def _take(self, limit: int) -> None:
        wanted = limit - sum(map(len, self._held))
        if wanted > 0 and self._tl is not None and self._connecting is None:
            self._held.extend(self._tl.take(wanted))

    def _fill_receive(self) -> bool:
        if not self._receives:
            return False
        one = self._receives[0]
        drain = bool(one.flags & ReceiveFlag.DRAIN)
        room = INDICATE_BYTES if drain else one.buffer.size - one.filled
        self._take(room)
        if not self._held:
            return False
        if drain:
            self._held.clear()
            return True
        while self._held and room:
            piece = self._held.popleft()
            fitted = one.buffer.scatter(piece, one.filled)
            one.filled += fitted
            room -= fitted
            if fitted < len(piece):
                self._held.appendleft(memoryview(piece)[fitted:])
        if not room or not one.flags & ReceiveFlag.WAITALL:
            self._receives.popleft()
            self.finish(one.irp, NtStatus.SUCCESS, one.filled)
        return True

    def _indicate(self) -> bool:
        tell, limit = self.events.receive_event, self.options["receive_buffer"]
        kept = sum(self._retained.values())
        if self._is_silent or self._receives or tell is None or Event.RECEIVE not in self.callbacks:
            return False
        if kept >= limit:
            return False
        self._take(INDICATE_BYTES)
        if not self._held:
            return False
        indicated, self._held = self._held, deque()
        size = sum(map(len, indicated))
        indication, accepted = DataIndication(WskBuf(tuple(indicated))), SizeOut(size)
        flags = AT_DISPATCH | (Flag.RELEASE_ASAP if 2 * (kept + size) > limit else Flag.NONE)
        self._is_silent = True  # unless it accepts all, or receives from within the callback
        self._indicating = indication
        said = self.callbacks.call(Event.RECEIVE, tell, self.context, flags, indication, size, accepted)
        is_kept, self._indicating = self._indicating is not None, None
        if said is NtStatus.PENDING:
            if is_kept:
                self._retained[indication] = size
            self._is_silent = False
            return True
        taken = min(accepted.value, size) if said is NtStatus.SUCCESS else 0
        if self._tl is not None:
            self._held.extend(WskBuf(tuple(indicated), taken).pieces())
        if taken == size:
            self._is_silent = False
        return taken > 0 or not self._is_silent

    def _tell_disconnect(self, flags: Flag) -> None:
        tell = self.events.disconnect_event
        if Event.DISCONNECT in self.callbacks and tell is not None and not self._is_closing:
            self.callbacks.call(Event.DISCONNECT, tell, self.context, flags | AT_DISPATCH)

    def _cancel_receive(self, irp: Irp) -> None:
        (one,) = [each for each in self._receives if each.irp is irp]
        self._receives.remove(one)
        self.complete(irp, NtStatus.CANCELLED, one.filled)
