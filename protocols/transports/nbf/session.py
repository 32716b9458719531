"""One session: messages in frames, flow control by the receiver's requests, an acknowledgment a message.

Sans I/O. A message is sent until its DATA_ACK; the next waits. The receiver's client takes what it wants of
each frame; what it does not take is not kept here: NO_RECEIVE has the sender go back to it,
RECEIVE_OUTSTANDING has it go on. Between the two all data is dropped, up to the frame that says RESYNC.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from protocols.transports.nbf.frame import (
    LARGEST_FRAME_1500,
    RESYNC,
    SESSION_HEADER_BYTES,
    SESSION_VERSION,
    Command,
    DataFlag,
    SessionFrame,
)
from protocols.transports.nbf.parameters import LARGEST_MESSAGE, EndReason, NbfError
from protocols.transports.nbf.states import (
    SEND_TRANSITIONS,
    SESSION_TRANSITIONS,
    SendEvent,
    SendState,
    SessionEvent,
    SessionState,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocols.interfaces.llc import Link
    from protocols.transports.nbf.parameters import NbfParameters

_COUNT: Final = 0x10000
"""Bytes accepted are told modulo this."""
MESSAGES_LIMIT: Final = 1024
COUNTERS: Final = ("messages_sent", "messages_received", "stopped", "piggybacked", "out_of_place")


class SessionClient(Protocol):
    """Who uses a session."""

    def opened(self) -> None:
        """Take note: data can be sent."""

    def receive(self, data: bytes, *, is_last: bool) -> int | None:
        """Take a frame's data, or its beginning; return how many bytes. None: no receive is waiting."""

    def ended(self, reason: EndReason) -> None:
        """Take note: it is over. What was sent and not told as done may or may not have arrived."""


class SessionOwner(Protocol):
    """The station of a session, as the session sees it."""

    parameters: NbfParameters
    now_ns: int

    def send_on_link(self, link: Link, frame: SessionFrame) -> None:
        """Send over a link; a link that takes no more is ended."""

    def next_correlator(self) -> int:
        """Return a number that is not 0 and not used for long."""

    def session_over(self, session: Session) -> None:
        """Forget a session."""


@dataclass(slots=True)
class Message:
    """A send. ``sent`` and ``confirmed`` count its bytes: that are out; that the receiver said it has."""

    data: bytes
    done: Callable[[], None]
    sent: int = 0
    confirmed: int = 0
    correlator: int = 0
    is_resync: bool = False


class Session:
    """A session. ``number`` is ours, ``remote_number`` the peer's; ``link`` is there once it is needed."""

    def __init__(
        self, owner: SessionOwner, number: int, local: bytes, remote: bytes, state: SessionState
    ) -> None:
        self.number, self.remote_number = number, 0
        self.local, self.remote = local, remote
        self.peer = bytes(6)
        self.client: SessionClient | None = None
        self.link: Link | None = None
        self.state = state
        self.correlator = 0
        """What the next answer of the setup is to name."""
        self.tries = 0
        self.deadline: int | None = None
        self.sending = SendState.IDLE
        self.counters = dict.fromkeys(COUNTERS, 0)
        self.largest = 0
        """The most bytes of data that the peer takes in a frame."""
        self._owner = owner
        self._messages: deque[Message] = deque()
        self._accepted = 0
        self._is_dropping = False
        """NO_RECEIVE was sent: data is dropped up to the frame that says RESYNC."""
        self._is_resumed = False
        self._owed: int | None = None
        """The correlator of an acknowledgment that goes with data."""
        self._is_receiving = False

    # Requests from above

    def send(self, data: bytes, done: Callable[[], None]) -> None:
        """Send a message; ``done`` when the peer's client has all of it. NbfError: no session, too much."""
        if self.state is not SessionState.OPEN:
            raise NbfError(EndReason.HUNG_UP)
        if len(data) > LARGEST_MESSAGE or len(self._messages) >= MESSAGES_LIMIT:
            raise NbfError(EndReason.TABLE_FULL)
        self._messages.append(Message(data, done))
        self.pump()

    def resume(self) -> None:
        """Ask for what was not taken: a receive is waiting."""
        if self._is_dropping and not self._is_resumed and self.is_open:
            self._is_resumed = True
            self._emit(Command.RECEIVE_OUTSTANDING, data2=self._accepted % _COUNT)

    def hang_up(self) -> None:
        """End it when all that was sent is acknowledged; ``ended`` says that it is over."""
        if self.state is SessionState.OPEN:
            self._step(SessionEvent.HANG_UP)
            self._drain()
        else:
            self.abort()

    def abort(self, reason: EndReason = EndReason.ABORTED) -> None:
        """End it now."""
        if self.state in _LINKED and self.link is not None:
            self._emit(Command.SESSION_END, data2=1)
        self.end(reason)

    @property
    def is_open(self) -> bool:
        """Whether data can come."""
        return self.state in (SessionState.OPEN, SessionState.DRAINING)

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait to be acknowledged."""
        return sum(len(one.data) for one in self._messages)

    # Setup, for the station

    def initialize(self) -> None:
        """Send SESSION_INITIALIZE: the link is up."""
        if self._step(SessionEvent.LINK_UP):
            answering, self.correlator = self.correlator, self._owner.next_correlator()
            flags = SESSION_VERSION | LARGEST_FRAME_1500
            self._emit(
                Command.SESSION_INITIALIZE,
                data1=flags,
                data2=self._room,
                transmit=answering,
                response=self.correlator,
            )

    def confirm(self, link: Link, frame: SessionFrame, client: SessionClient) -> None:
        """Answer SESSION_INITIALIZE: ``client`` takes the call."""
        self.link, self.client, self.remote_number = link, client, frame.source
        self.largest = frame.data2
        self._step(SessionEvent.INITIALIZED)
        self._emit(Command.SESSION_CONFIRM, data1=SESSION_VERSION, data2=self._room, transmit=frame.response)
        self._touch()
        client.opened()

    def recognized(self, peer: bytes, number: int, correlator: int) -> bool:
        """Take NAME_RECOGNIZED's answer."""
        self.peer, self.remote_number, self.correlator = peer, number, correlator
        return self._step(SessionEvent.RECOGNIZED)

    # From below

    def receive(self, frame: SessionFrame) -> None:
        """Take a frame of this session."""
        method = _COMMANDS.get(frame.command)
        if method is None or (not self.is_open and frame.command not in _BEFORE_OPEN):
            self.counters["out_of_place"] += 1
            return
        self._touch()
        method(self, frame)

    def pump(self) -> None:
        """Send what the flow control and the link let go."""
        if self._is_receiving or not self.is_open or self.link is None:
            return
        if self._messages and self.sending is SendState.IDLE:
            self._messages[0].correlator = self._owner.next_correlator()
            self._advance(SendEvent.BEGIN)
        while self.sending is SendState.SENDING and self.link is not None and self._has_room(self.link):
            self._send_next(self._messages[0])

    def fire(self) -> None:
        """Let the time be up that ``deadline`` said: ask a quiet session's link."""
        if self.is_open:
            self._emit(Command.SESSION_ALIVE)
            self._touch()

    def end(self, reason: EndReason) -> None:
        """Be over, and say so once."""
        if self._step(SessionEvent.END):
            self._finish(reason)

    # Frames of the peer

    def _take_confirm(self, frame: SessionFrame) -> None:
        if self.state is not SessionState.INITIALIZING or frame.transmit != self.correlator:
            self.counters["out_of_place"] += 1
        elif frame.data2 == 0:
            self.abort(EndReason.PROTOCOL_ERROR)
        else:
            self.largest = frame.data2
            self._step(SessionEvent.CONFIRMED)
            self._touch()
            if self.client is not None:
                self.client.opened()

    def _take_end(self, frame: SessionFrame) -> None:
        self.end(EndReason.PEER_ABORTED if frame.data2 else EndReason.PEER_ENDED)

    def _take_data(self, frame: SessionFrame) -> None:
        if frame.data1 & DataFlag.ACK_INCLUDED:
            self._take_ack(frame)
        if self._is_dropping and not (self._is_resumed and frame.data2 == RESYNC):
            return
        self._is_dropping = self._is_resumed = False
        is_last = frame.command is Command.DATA_ONLY_LAST
        self._is_receiving = True
        taken = self.client.receive(frame.data, is_last=is_last) if self.client is not None else None
        self._is_receiving = False
        if not self.is_open:
            return
        self._accepted += taken or 0
        if taken is None or taken < len(frame.data):
            self.counters["stopped"] += 1
            self._is_dropping = True
            self._emit(Command.NO_RECEIVE, data2=self._accepted % _COUNT)
        elif is_last:
            self._accepted = 0
            self.counters["messages_received"] += 1
            if not frame.data1 & DataFlag.NO_ACK:
                self._acknowledge(frame)
        elif frame.data1 & DataFlag.RECEIVE_CONTINUE_REQUESTED:
            self._emit(Command.RECEIVE_CONTINUE, transmit=frame.response)
        self.pump()

    def _acknowledge(self, frame: SessionFrame) -> None:
        if frame.data1 & DataFlag.ACK_WITH_DATA_ALLOWED:
            self._owed = frame.response
            self.pump()
            if self._owed is None:
                self.counters["piggybacked"] += 1
                return
        self._owed = None
        self._emit(Command.DATA_ACK, transmit=frame.response)

    def _take_ack(self, frame: SessionFrame) -> None:
        if not self._messages or frame.transmit != self._messages[0].correlator:
            self.counters["out_of_place"] += 1
        elif self._advance(SendEvent.DATA_ACK):
            message = self._messages.popleft()
            self.counters["messages_sent"] += 1
            message.done()
            self._drain()
            self.pump()

    def _take_no_receive(self, frame: SessionFrame) -> None:
        if (self.sending, SendEvent.NO_RECEIVE) not in SEND_TRANSITIONS:
            self.counters["out_of_place"] += 1
        elif self._go_back(frame.data2):
            self._advance(SendEvent.NO_RECEIVE)

    def _take_outstanding(self, frame: SessionFrame) -> None:
        if self.sending is not SendState.STOPPED:
            self.counters["out_of_place"] += 1
        elif self._go_back(frame.data2):
            self._messages[0].is_resync = True
            self._advance(SendEvent.RECEIVE_OUTSTANDING)
            self.pump()

    def _take_continue(self, frame: SessionFrame) -> None:
        is_ours = bool(self._messages) and frame.transmit == self._messages[0].correlator
        if is_ours and self._advance(SendEvent.RECEIVE_CONTINUE):
            self.pump()
        else:
            self.counters["out_of_place"] += 1

    def _take_alive(self, frame: SessionFrame) -> None:
        """Nothing: the link has acknowledged it."""

    # Inside

    def _go_back(self, told: int) -> bool:
        """Have the message go on behind what the receiver has accepted. It counts modulo 2^16."""
        message = self._messages[0]
        accepted = message.sent - (message.sent - told) % _COUNT
        if accepted < message.confirmed:
            self.abort(EndReason.PROTOCOL_ERROR)
            return False
        message.sent = message.confirmed = accepted
        return True

    def _send_next(self, message: Message) -> None:
        size = min(self.largest, self._room)
        is_first = message.sent == 0
        piece = message.data[message.sent : message.sent + size]
        message.sent += len(piece)
        is_last = message.sent == len(message.data)
        is_asking = is_first and not is_last and not message.is_resync
        flags, transmit = DataFlag.NONE, 0
        if self._owed is not None:
            flags, transmit, self._owed = DataFlag.ACK_INCLUDED, self._owed, None
        if is_last:
            flags |= DataFlag.ACK_WITH_DATA_ALLOWED
        if is_asking:
            flags |= DataFlag.RECEIVE_CONTINUE_REQUESTED
        resync, message.is_resync = message.is_resync, False
        if is_last or is_asking:
            self._advance(SendEvent.LAST_SENT if is_last else SendEvent.CONTINUE_ASKED)
        self._emit(
            Command.DATA_ONLY_LAST if is_last else Command.DATA_FIRST_MIDDLE,
            data1=int(flags),
            data2=RESYNC if resync else 0,
            transmit=transmit,
            response=message.correlator,
            data=piece,
        )

    def _has_room(self, link: Link) -> bool:
        return link.is_up and link.outstanding < 2 * link.parameters.window

    @property
    def _room(self) -> int:
        """The most bytes of data in a frame of the link."""
        return self.link.parameters.n1 - SESSION_HEADER_BYTES if self.link is not None else 0

    def _drain(self) -> None:
        if self.state is SessionState.DRAINING and not self._messages:
            self._emit(Command.SESSION_END)
            self._step(SessionEvent.DRAINED)
            self._finish(EndReason.HUNG_UP)

    def _finish(self, reason: EndReason) -> None:
        self.deadline = None
        self._messages.clear()
        self._owner.session_over(self)
        if self.client is not None:
            self.client.ended(reason)

    def _touch(self) -> None:
        if self.is_open:
            self.deadline = self._owner.now_ns + self._owner.parameters.session_alive_ns

    def _step(self, event: SessionEvent) -> bool:
        after = SESSION_TRANSITIONS.get((self.state, event))
        if after is not None:
            self.state = after
        return after is not None

    def _advance(self, event: SendEvent) -> bool:
        after = SEND_TRANSITIONS.get((self.sending, event))
        if after is not None:
            self.sending = after
        return after is not None

    def _emit(
        self,
        command: Command,
        *,
        data1: int = 0,
        data2: int = 0,
        transmit: int = 0,
        response: int = 0,
        data: bytes = b"",
    ) -> None:
        if self.link is not None:
            numbers = self.remote_number, self.number, data1, data2, transmit, response
            self._owner.send_on_link(self.link, SessionFrame(command, *numbers, data))


_LINKED: Final = frozenset({SessionState.INITIALIZING, SessionState.OPEN, SessionState.DRAINING})
_BEFORE_OPEN: Final = frozenset({Command.SESSION_CONFIRM, Command.SESSION_END})
_COMMANDS: Final = {
    Command.SESSION_CONFIRM: Session._take_confirm,  # noqa: SLF001 - the class's own table
    Command.SESSION_END: Session._take_end,  # noqa: SLF001 - the same
    Command.SESSION_ALIVE: Session._take_alive,  # noqa: SLF001 - the same
    Command.DATA_FIRST_MIDDLE: Session._take_data,  # noqa: SLF001 - the same
    Command.DATA_ONLY_LAST: Session._take_data,  # noqa: SLF001 - the same
    Command.DATA_ACK: Session._take_ack,  # noqa: SLF001 - the same
    Command.NO_RECEIVE: Session._take_no_receive,  # noqa: SLF001 - the same
    Command.RECEIVE_OUTSTANDING: Session._take_outstanding,  # noqa: SLF001 - the same
    Command.RECEIVE_CONTINUE: Session._take_continue,  # noqa: SLF001 - the same
}
