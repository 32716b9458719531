"""Datagram sockets: a queue as long as SO_RCVBUF says; what comes beyond it is lost."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ntos.io.status import NtError, NtStatus
from protocols.apis.wsk.bound import BoundSocket
from protocols.apis.wsk.constants import Category, Event, MessageFlag, SioWsk, Wsk
from protocols.apis.wsk.npi import NO_DATAGRAM_EVENTS, DatagramDispatch, DatagramIndication, WskBuf
from protocols.apis.wsk.socket import AT_DISPATCH

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ntos.io.irp import Irp
    from protocols.apis.wsk.socket import Opened, SocketHost
    from protocols.interfaces.tdi.address import InternetAddress
    from protocols.interfaces.tlnpi.npi import BindRequest, TlDatagramAddress, TlProvider


@dataclass(eq=False, slots=True)
class ReceivingFrom:
    """A WskReceiveFrom that waits."""

    irp: Irp
    buffer: WskBuf


@dataclass(frozen=True, slots=True)
class Received:
    """The result of a WskReceiveFrom besides the bytes: RemoteAddress, ControlFlags, ControlInfo."""

    remote: InternetAddress
    flags: MessageFlag
    control_info: dict[str, Any]


class DatagramSocket(BoundSocket):
    """A datagram socket; the ``DatagramEvents`` of its address."""

    category = Category.DATAGRAM
    can_enable = Event.RECEIVE_FROM

    def __init__(self, client: SocketHost, provider: TlProvider, opened: Opened) -> None:
        super().__init__(client, provider, opened)
        self.dropped = 0
        self._address: TlDatagramAddress | None = None
        self._receives: deque[ReceivingFrom] = deque()
        self._queue: deque[DatagramIndication] = deque()
        self._queued_bytes = 0
        self._retained: set[DatagramIndication] = set()
        self._indicating: DatagramIndication | None = None
        self._is_refused = False  # disabled by DATA_NOT_ACCEPTED until it is enabled again
        self._send_to: InternetAddress | None = None

    # WSK_PROVIDER_DATAGRAM_DISPATCH, beyond the basic one and the bind

    def send_to(
        self,
        buffer: WskBuf,
        remote: InternetAddress | None,
        irp: Irp,
        control_info: Mapping[str, Any] | None = None,
    ) -> NtStatus:
        """WskSendTo; ``control_info`` may have ``source``: our address and interface (IP_PKTINFO)."""
        return self.submit(irp, Wsk.SEND_TO, self._transmit, buffer, remote, dict(control_info or {}))

    def receive_from(self, buffer: WskBuf, irp: Irp) -> NtStatus:
        """WskReceiveFrom: the result is a ``Received``; BUFFER_OVERFLOW and MSG_TRUNC: it was longer."""
        return self.submit(irp, Wsk.RECEIVE_FROM, self._receive_from, buffer)

    def release(self, indication: DatagramIndication) -> NtStatus:
        """WskRelease. INVALID_PARAMETER: it is not retained."""
        self.require_open("WskRelease")
        if indication is self._indicating:
            self._indicating = None
        elif indication in self._retained:
            self._retained.remove(indication)
        else:
            return NtStatus.INVALID_PARAMETER
        return NtStatus.SUCCESS

    # BoundSocket

    @property
    def address(self) -> TlDatagramAddress | None:
        """The transport's address object."""
        return self._address

    @property
    def local(self) -> InternetAddress | None:
        """What was bound."""
        return self._address.local if self._address is not None else None

    def claim(self, request: BindRequest) -> None:
        """Claim. NtError."""
        self._address = self.provider.open_datagrams(request, self)

    # Socket

    def end(self, status: NtStatus) -> None:
        """Give the address back."""
        super().end(status)
        address, self._address = self._address, None
        if address is not None:
            address.close()
        self._queue.clear()
        while self._receives:
            self.finish(self._receives.popleft().irp, status)

    def tell_lost(self) -> None:
        """WskReceiveFromEvent without a datagram."""
        super().tell_lost()
        tell = self._events.receive_from_event
        if Event.RECEIVE_FROM in self.callbacks and tell is not None:
            self.callbacks.call(Event.RECEIVE_FROM, tell, self.context, AT_DISPATCH, None)

    def require_ready(self, events: Event) -> None:
        """Events come after the bind."""
        super().require_ready(events)
        if not self.is_bound:
            raise NtError(NtStatus.INVALID_DEVICE_STATE, "it is not bound")

    def enabled(self, events: Event) -> None:
        """Indicate what is buffered."""
        super().enabled(events)
        self._is_refused = False
        while self._queue and self._indicate(self._queue[0]):
            self._queued_bytes -= self._queue.popleft().buffer.size

    def retained(self) -> int:
        """How many indications the application retains."""
        return len(self._retained)

    def io_control(self, code: int, value: Any) -> Any:  # noqa: ANN401 - each code has its own
        """Fix the peer, or whom to send to. NtError."""
        if code == SioWsk.SET_SENDTO_ADDRESS:
            self._send_to = value
            return None
        if code == SioWsk.SET_REMOTE_ADDRESS:
            if self._address is None:
                raise NtError(NtStatus.INVALID_DEVICE_STATE, "it is not bound")
            self._address.connect(value)
            self._send_to = value
            return None
        return super().io_control(code, value)

    # DatagramEvents

    def arrived(self, data: memoryview, source: InternetAddress, details: Mapping[str, Any]) -> None:
        """Give a datagram to who waits for one, else tell of it, else keep it."""
        flags = MessageFlag.BCAST if details["broadcast"] else MessageFlag.NONE
        if _is_multicast(details["destination"]):
            flags = MessageFlag.MCAST
        info = {"destination": details["destination"], "interface": details["interface"]}
        made = DatagramIndication(WskBuf((bytes(data),)), source, info, flags)
        if self._receives:
            one = self._receives.popleft()
            self._give(one, made)
            return
        if not self._queue and self._indicate(made):
            return
        if self._queued_bytes + len(data) > self.options["receive_buffer"]:
            self.dropped += 1
            return
        self._queue.append(made)
        self._queued_bytes += len(data)

    # What the IRPs ask

    def _transmit(
        self, irp: Irp, buffer: WskBuf, remote: InternetAddress | None, control_info: dict[str, Any]
    ) -> NtStatus:
        to = remote or self._send_to
        if self._address is None or to is None:
            return self.complete(irp, NtStatus.INVALID_DEVICE_STATE)
        try:
            data = buffer.data()
            self._address.send(data, to, control_info.get("source"))
        except ValueError:
            return self.complete(irp, NtStatus.INVALID_PARAMETER)
        except NtError as error:
            return self.complete(irp, error.status)
        return self.complete(irp, NtStatus.SUCCESS, len(data))

    def _receive_from(self, irp: Irp, buffer: WskBuf) -> NtStatus:
        if self._address is None:
            return self.complete(irp, NtStatus.INVALID_DEVICE_STATE)
        one = ReceivingFrom(irp, buffer)
        if self.pend(irp, self._cancel_receive):
            if self._queue:
                made = self._queue.popleft()
                self._queued_bytes -= made.buffer.size
                self._give(one, made)
            else:
                self._receives.append(one)
        return NtStatus.PENDING

    # Inside

    @property
    def _events(self) -> DatagramDispatch:
        found: DatagramDispatch = self.opened.dispatch or NO_DATAGRAM_EVENTS
        return found

    def _give(self, one: ReceivingFrom, made: DatagramIndication) -> None:
        data = made.buffer.data()
        copied = one.buffer.scatter(data)
        is_whole = copied == len(data)
        flags = made.flags if is_whole else made.flags | MessageFlag.TRUNC
        status = NtStatus.SUCCESS if is_whole else NtStatus.BUFFER_OVERFLOW
        self.finish(one.irp, status, copied, Received(made.remote, flags, made.control_info))

    def _indicate(self, made: DatagramIndication) -> bool:
        """Call WskReceiveFromEvent; return whether the datagram is dealt with."""
        tell = self._events.receive_from_event
        if tell is None or Event.RECEIVE_FROM not in self.callbacks or self._is_refused:
            return False
        self._indicating = made
        said = self.callbacks.call(Event.RECEIVE_FROM, tell, self.context, AT_DISPATCH, made)
        is_kept, self._indicating = self._indicating is not None, None
        if said is NtStatus.PENDING and is_kept:
            self._retained.add(made)
        if said is not NtStatus.DATA_NOT_ACCEPTED:
            return True
        # Enabled statically it stays so, and the datagram is gone (PFN_WSK_RECEIVE_FROM_EVENT).
        self._is_refused = not self.callbacks.static & Event.RECEIVE_FROM
        return not self._is_refused

    def _cancel_receive(self, irp: Irp) -> None:
        self._receives = deque(one for one in self._receives if one.irp is not irp)
        self.complete(irp, NtStatus.CANCELLED)


def _is_multicast(address: bytes) -> bool:
    return address[0] & 0xF0 == 0xE0 if len(address) == 4 else address[0] == 0xFF
