"""Connection objects of NBF: TDI requests over a session. Messages keep their bounds.

A receive ends with its message (SUCCESS) or full (BUFFER_OVERFLOW: the rest is the next receive's). Nothing
is kept that nobody asked for: the peer keeps it, until a receive is there.
"""

from __future__ import annotations

import enum
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from ntos.io.status import NtStatus
from protocols.interfaces.tdi.address import NetbiosName
from protocols.interfaces.tdi.requests import Flags, Query
from protocols.interfaces.tdi.transport import ConnectionObject
from protocols.transports.nbf.address import STATUS
from protocols.transports.nbf.parameters import EndReason, NbfError

if TYPE_CHECKING:
    from ntos.io.device import FileObject
    from ntos.io.irp import Irp
    from protocols.transports.nbf.address import NbfAddress
    from protocols.transports.nbf.session import Session
    from protocols.transports.nbf.tdi import NbfDevice


class Phase(enum.Enum):
    """The life of a connection object."""

    IDLE = enum.auto()
    LISTENING = enum.auto()
    CONNECTING = enum.auto()
    CONNECTED = enum.auto()
    OVER = enum.auto()


class Receive(NamedTuple):
    """A receive request, and the bytes that it has."""

    irp: Irp
    at: int


_ACTIVE = frozenset({Phase.LISTENING, Phase.CONNECTING, Phase.CONNECTED})


class NbfConnection(ConnectionObject):
    """A connection endpoint, and the client of a session."""

    driver: NbfDevice
    address: NbfAddress | None

    def __init__(self, driver: NbfDevice, file: FileObject, context: object) -> None:
        super().__init__(driver, file, context)
        self.phase = Phase.IDLE
        self.session: Session | None = None
        self._setup: Irp | None = None
        """The connect or listen request that waits for the session."""
        self._sends: list[Irp] = []
        self._receives: deque[Receive] = deque()
        self._disconnects: list[Irp] = []
        self._failure: NtStatus | None = None

    @property
    def is_active(self) -> bool:
        """Whether there is a session, or will be."""
        return self.phase in _ACTIVE

    # Requests

    def connect(self, irp: Irp) -> NtStatus:
        """TDI_CONNECT: call a name."""
        remote = irp.location.parameters.remote
        problem = self._setup_problem()
        if problem is None and not (isinstance(remote, NetbiosName) and not remote.is_any):
            problem = NtStatus.INVALID_ADDRESS_COMPONENT
        if problem is not None or self.address is None:
            return self.io.complete(irp, problem or NtStatus.ADDRESS_NOT_ASSOCIATED)
        if self.driver.station.names.usable(self.address.local.name) is None:
            return self.io.complete(irp, NtStatus.ADDRESS_ALREADY_EXISTS)
        try:
            self.session = self.driver.station.call(self.address.local.name, remote.name, SessionEnd(self))
        except NbfError as error:
            return self.io.complete(irp, STATUS[error.reason])
        self._begin(Phase.CONNECTING, irp)
        self.driver.request_turn()
        return self.io.pend_cancellable(irp, self._cancel_setup)

    def listen(self, irp: Irp) -> NtStatus:
        """TDI_LISTEN: the next call to the name becomes this object's."""
        problem = self._setup_problem()
        if problem is not None or self.address is None:
            return self.io.complete(irp, problem or NtStatus.ADDRESS_NOT_ASSOCIATED)
        self._begin(Phase.LISTENING, irp)
        self.address.waiting.append((irp, self))
        return self.io.pend_cancellable(irp, self._cancel_setup)

    def accept(self, irp: Irp) -> NtStatus:
        """TDI_ACCEPT: confirm a session that TDI_LISTEN has brought."""
        there = self.phase is Phase.CONNECTED
        return self.io.complete(irp, NtStatus.SUCCESS if there else NtStatus.CONNECTION_INVALID)

    def send(self, irp: Irp) -> NtStatus:
        """TDI_SEND: one message; complete when the peer's client has it."""
        if self.phase is not Phase.CONNECTED or self.session is None:
            return self.io.complete(irp, self._failure or NtStatus.CONNECTION_INVALID)
        irp.location.pending = True
        irp.cancel_routine = self._cancel_send
        self._sends.append(irp)
        try:
            self.session.send(b"".join(irp.buffers), lambda: self._sent(irp))
        except NbfError as error:
            self._sends.remove(irp)
            self.io.claim(irp)
            self.io.complete(irp, _SEND_STATUS.get(error.reason, STATUS[error.reason]))
        self.driver.request_turn()
        return NtStatus.PENDING

    def receive(self, irp: Irp) -> NtStatus:
        """TDI_RECEIVE: the rest of the message that comes, or the next one."""
        if self.phase is not Phase.CONNECTED or self.session is None:
            return self.io.complete(irp, self._failure or NtStatus.CONNECTION_INVALID)
        self._receives.append(Receive(irp, 0))
        self.io.pend_cancellable(irp, self._cancel_receive)
        self.session.resume()
        self.driver.request_turn()
        return NtStatus.PENDING

    def disconnect(self, irp: Irp) -> NtStatus:
        """TDI_DISCONNECT: ABORT at once; RELEASE when what was sent has arrived; WAIT for the peer's."""
        if self.phase is not Phase.CONNECTED or self.session is None:
            return self.io.complete(irp, self._failure or NtStatus.CONNECTION_INVALID)
        flags = irp.location.parameters.flags
        self._disconnects.append(irp)
        self.io.pend_cancellable(irp, self._cancel_disconnect)
        if not irp.completed and not flags & Flags.WAIT:
            end = self.session.abort if flags & Flags.ABORT else self.session.hang_up
            end()
            self.driver.request_turn()
        return NtStatus.PENDING

    def set_information(self, irp: Irp) -> NtStatus:
        """There is no option."""
        return self.io.complete(irp, NtStatus.SUCCESS)

    def cleanup(self) -> None:
        """End the session."""
        session, self.session = self.session, None
        if self._setup is not None:
            self.io.cancel(self._setup)
        if session is not None:
            session.client = None
            session.abort()
            self.driver.request_turn()
        self._over(NtStatus.CANCELLED, tell=False)

    # The station's

    def adopt(self, session: Session, irp: Irp | None) -> SessionEnd:
        """Own a session that came in; ``irp`` is the listen request that it ends."""
        if irp is None:
            self._begin(Phase.CONNECTING, None)
        self.session = session
        return SessionEnd(self)

    # SessionClient, by ``SessionEnd``

    def opened(self) -> None:
        """Complete the connect or listen request."""
        self.phase = Phase.CONNECTED
        irp, self._setup = self._setup, None
        if irp is not None and self.io.claim(irp):
            remote = NetbiosName(self.session.remote) if self.session is not None else None
            self.io.complete(irp, NtStatus.SUCCESS, result=remote)

    def take(self, data: bytes, *, is_last: bool) -> int | None:
        """Give a frame's data to receive requests, then to the event handler, as far as they take it."""
        view, taken, is_done = memoryview(data), 0, False
        while not is_done:
            if self._receives:
                count, is_done = self._fill(view[taken:], is_last=is_last)
                taken += count
                continue
            said = self._indicate(view[taken:], is_last=is_last)
            if said is None and not self._receives:
                return taken or None
            taken += said or 0
            is_done = taken == len(view) and (bool(view) or not self._receives)
        return taken

    def ended(self, reason: EndReason) -> None:
        """Tell of the end."""
        self.session = None
        irp, self._setup = self._setup, None
        if irp is not None:
            self.phase = Phase.OVER
            if self.io.claim(irp):
                self.io.complete(irp, STATUS[reason])
            return
        self._over(STATUS[reason], tell=reason not in _OURS, flags=_FLAGS.get(reason, Flags.ABORT))

    # Inside

    def _setup_problem(self) -> NtStatus | None:
        if self.is_active:
            return NtStatus.CONNECTION_ACTIVE
        return NtStatus.ADDRESS_NOT_ASSOCIATED if self.address is None else None

    def _begin(self, phase: Phase, irp: Irp | None) -> None:
        self.phase, self._setup, self._failure = phase, irp, None

    def _sent(self, irp: Irp) -> None:
        if irp in self._sends:
            self._sends.remove(irp)
            if self.io.claim(irp):
                self.io.complete(irp, NtStatus.SUCCESS, irp.length)

    def _fill(self, data: memoryview, *, is_last: bool) -> tuple[int, bool]:
        """Copy to the oldest receive; return the bytes that it took, and whether ``data`` is done with."""
        irp, at = self._receives[0]
        copied = irp.scatter(data, at)
        is_all = copied == len(data)
        self._receives[0] = Receive(irp, at + copied)
        if is_all and is_last:
            self._complete_receive(NtStatus.SUCCESS)
        elif at + copied == irp.length:
            self._complete_receive(NtStatus.BUFFER_OVERFLOW)
        return copied, is_all

    def _complete_receive(self, status: NtStatus) -> None:
        irp, count = self._receives.popleft()
        if self.io.claim(irp):
            self.io.complete(irp, status, count)

    def _indicate(self, data: memoryview, *, is_last: bool) -> int | None:
        """Ask the client's event handler; None: it takes nothing now."""
        handlers = self.address.handlers if self.address is not None else None
        flags = Flags.ENTIRE_MESSAGE if is_last else Flags.NONE
        if handlers is None:
            return None
        if handlers.chained_receive is not None:
            is_taken = handlers.chained_receive(self.context, [bytes(data)]) is NtStatus.SUCCESS
            return len(data) if is_taken else None
        if handlers.receive is None:
            return None
        said = handlers.receive(self.context, flags, len(data), bytes(data))
        if said.irp is not None:
            self._receives.append(Receive(said.irp, 0))
            self.io.mark_pending(said.irp)
            said.irp.cancel_routine = self._cancel_receive
        if said.status is NtStatus.DATA_NOT_ACCEPTED:
            return None
        taken = min(max(said.bytes_taken, 0), len(data))
        return taken if taken or not data or said.irp is not None else None

    def _over(self, status: NtStatus, *, tell: bool = True, flags: Flags = Flags.ABORT) -> None:
        was, self.phase, self._failure = self.phase, Phase.OVER, status
        receives, self._receives = list(self._receives), deque()
        sends, self._sends = self._sends, []
        disconnects, self._disconnects = self._disconnects, []
        for irp in [one.irp for one in receives] + sends:
            if self.io.claim(irp):
                self.io.complete(irp, status)
        for irp in disconnects:
            if self.io.claim(irp):
                self.io.complete(irp, NtStatus.SUCCESS)
        handler = self.address.handlers.disconnect if self.address is not None else None
        if tell and was is Phase.CONNECTED and handler is not None:
            handler(self.context, flags)

    def _answers(self) -> dict[Query, Any]:
        found = super()._answers()
        if self.session is not None:
            found[Query.CONNECTION_INFO] = {
                "state": self.session.state.name,
                "remote": NetbiosName(self.session.remote),
                "unacknowledged": self.session.waiting_bytes,
            }
        return found

    # Cancels

    def _cancel_setup(self, irp: Irp) -> None:
        self._setup = None
        if self.address is not None:
            self.address.waiting = deque(one for one in self.address.waiting if one[0] is not irp)
        session, self.session = self.session, None
        self.phase = Phase.OVER
        if session is not None:
            session.client = None
            session.abort()
            self.driver.request_turn()
        self.io.complete(irp, NtStatus.CANCELLED)

    def _cancel_send(self, irp: Irp) -> None:
        """Part of it may have arrived: the session ends, as NT's does."""
        if irp in self._sends:
            self._sends.remove(irp)
        self.io.complete(irp, NtStatus.CANCELLED)
        if self.session is not None:
            self.session.abort()
            self.driver.request_turn()

    def _cancel_receive(self, irp: Irp) -> None:
        """Leave in its buffer what has come; the count says how much."""
        count = next((one.at for one in self._receives if one.irp is irp), 0)
        self._receives = deque(one for one in self._receives if one.irp is not irp)
        self.io.complete(irp, NtStatus.CANCELLED, count)

    def _cancel_disconnect(self, irp: Irp) -> None:
        if irp in self._disconnects:
            self._disconnects.remove(irp)
        self.io.complete(irp, NtStatus.CANCELLED)


class SessionEnd:
    """A connection object as its session's client: TDI's ``receive`` is another."""

    def __init__(self, connection: NbfConnection) -> None:
        self._connection = connection

    def opened(self) -> None:
        """Complete the connect or listen request."""
        self._connection.opened()

    def receive(self, data: bytes, *, is_last: bool) -> int | None:
        """Take a frame's data."""
        return self._connection.take(data, is_last=is_last)

    def ended(self, reason: EndReason) -> None:
        """Tell of the end."""
        self._connection.ended(reason)


_OURS = frozenset({EndReason.HUNG_UP, EndReason.ABORTED})
_FLAGS = {EndReason.PEER_ENDED: Flags.RELEASE}
_SEND_STATUS = {
    EndReason.TABLE_FULL: NtStatus.INVALID_PARAMETER,
    EndReason.HUNG_UP: NtStatus.LOCAL_DISCONNECT,
}
