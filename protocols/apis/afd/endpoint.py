"""What all sockets share: the poll state, recorded network events, and who waits for them.

Level and edge are two things: ``ready`` says what is the case now (``select``), ``record`` remembers that
something happened (WSAEventSelect). An event that was recorded is recorded again only after the call that
re-enables it: FD_READ after a receive, FD_ACCEPT after an accept, FD_WRITE after a send that would have
blocked; FD_CONNECT and FD_CLOSE come once. Source: WSAEventSelect, "Remarks".
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from ntos.io.status import NtError, NtStatus
from protocols.apis.afd.requests import AfdOpen, Bind, Kind, Poll
from protocols.interfaces.options import OptionError, checked_all
from protocols.interfaces.tdi.client import TdiClient
from protocols.interfaces.tdi.requests import Query, TransportAddress

if TYPE_CHECKING:
    from ntos.io.device import FileObject
    from ntos.io.irp import Irp
    from ntos.io.system import IoSystem
    from ntos.object.token import Token
    from protocols.interfaces.tdi.address import TdiAddress

DEFAULT_BUFFER = 65536
OWN_OPTIONS = frozenset(
    {
        *("reuse", "exclusive", "debug", "dont_route", "linger", "oob_inline"),
        *("send_timeout_ms", "receive_timeout_ms", "packet_info"),
        *("port_unreachable", "hops_exceeded", "circular"),
    }
)
"""What AFD or its client keep to themselves."""

_polled = cache(Poll)
"""``Poll`` of a number: there are few, and each receive asks for one."""


class EndpointHost(Protocol):
    """What an endpoint needs of its driver. ``polls`` wait for endpoints; ``endpoints`` are the open ones."""

    io: IoSystem
    polls: list[Irp]
    endpoints: set[Endpoint]

    def endpoint_changed(self, endpoint: Endpoint) -> None:
        """Complete the polls whose condition has come true."""


class Endpoint:
    """A socket's half of AFD; subclasses add methods named as the ``Afd`` requests in lower case."""

    def __init__(self, driver: EndpointHost, opened: AfdOpen) -> None:
        self.driver = driver
        self.io = driver.io
        self.tdi = TdiClient(driver.io)
        self.opened = opened
        self.file: FileObject | None = None
        self.owner: Token | None = None  # on whose behalf the socket was opened
        self.address: FileObject | None = None
        self.local: TdiAddress | None = None
        self.remote: TdiAddress | None = None
        self.receive_limit = DEFAULT_BUFFER
        self.send_limit = DEFAULT_BUFFER
        self.options: dict[str, Any] = {}
        self.error = NtStatus.SUCCESS  # SO_ERROR
        self.event_errors: dict[Poll, NtStatus] = {}
        self.closed = False
        self.copied_bytes = 0
        self._wanted = Poll.NONE  # WSAEventSelect
        self._signal: Any = None
        self._recorded = Poll.NONE  # happened, and not enabled again yet; nothing while nothing is wanted
        self._unreported = Poll.NONE  # of these, what WSAEnumNetworkEvents has not told yet

    # What subclasses say

    def ready(self) -> Poll:
        """Return what is the case now."""
        return Poll.NONE

    def transport_options(self) -> dict[str, Any]:
        """Return what of the options is the transport's: all that are not AFD's own."""
        return {name: value for name, value in self.options.items() if name not in OWN_OPTIONS}

    def transport_address(self, asked: Bind) -> TransportAddress:
        """Return what an address object is opened with."""
        protocol = self.opened.protocol if self.opened.kind is not Kind.STREAM else 0
        options = self.transport_options()
        return TransportAddress(asked.address, asked.share, protocol, asked.exclusive, options, self.owner)

    def cleanup(self) -> None:
        """End: the last handle is closed."""
        self.closed = True
        self._wanted, self._signal = Poll.NONE, None
        self.changed()

    def set_handlers(self, address: FileObject) -> None:
        """Say what the transport is to call on an address of this socket. NtError."""

    # Its address

    def bind(self, irp: Irp) -> NtStatus:
        """IOCTL_AFD_BIND."""
        if self.address is not None:
            return self.io.complete(irp, NtStatus.INVALID_PARAMETER)
        try:
            self._open(irp.location.parameters)
        except NtError as error:
            return self.io.complete(irp, error.status)
        return self.io.complete(irp, NtStatus.SUCCESS, result=self.local)

    def _open_any(self) -> None:
        """Open an address of the transport's choice. NtError."""
        self._open(Bind(self.opened.any_address))

    def _open(self, asked: Bind) -> None:
        """Open the address object and give it this socket's handlers and options. NtError."""
        address = self.tdi.open_address(self.opened.transport, self.transport_address(asked))
        try:
            self.set_handlers(address)
            local = self.tdi.query(address, Query.ADDRESS_INFO)
            if options := self.transport_options():
                self.tdi.set_information(address, **options)
        except NtError:
            self.io.close(address)
            raise
        self.address, self.local = address, local

    # Polls and recorded events

    def record(self, event: Poll, status: NtStatus = NtStatus.SUCCESS) -> None:
        """Remember that something happened, and signal whoever wants to know."""
        if self._wanted:
            self._remember(event, status)
        self.changed()

    def rearm(self, event: Poll) -> None:
        """Enable an event again; when it is the case already, it happens at once.

        Polls need no such thing: they are told when something becomes the case.
        """
        if self._recorded:
            self._recorded = _polled(int(self._recorded) & ~int(event))
        if not self._wanted:
            return
        now = int(event) & int(self.ready())
        if now:
            self.record(_polled(now))

    def changed(self) -> None:
        """Have the polls that wait for this endpoint looked at again."""
        if self.driver.polls:
            self.driver.endpoint_changed(self)

    def _remember(self, event: Poll, status: NtStatus) -> None:
        fresh = event & ~self._recorded
        self._recorded |= event
        self._unreported |= fresh
        for bit in Poll:
            if bit & event:
                self.event_errors[bit] = status
        if fresh & self._wanted and self._signal is not None:
            self._signal()

    def event_select(self, irp: Irp) -> NtStatus:
        """IOCTL_AFD_EVENT_SELECT: what is the case already is recorded now.

        What was told before is not told again until its call re-enables it, whoever asks then.
        """
        asked = irp.location.parameters
        self._wanted, self._signal = asked.events, asked.signal
        if asked.anew:
            self._recorded &= ~asked.events | Poll.CONNECT
            self._unreported &= self._recorded
        if asked.signal is not None:
            if self._unreported & self._wanted:
                asked.signal()
            self.record(self.ready() & asked.events)
        return self.io.complete(irp, NtStatus.SUCCESS)

    def enum_network_events(self, irp: Irp) -> NtStatus:
        """IOCTL_AFD_ENUM_NETWORK_EVENTS: what was recorded, with its errors; it is forgotten."""
        found = self._unreported & self._wanted
        self._unreported &= ~found
        codes = {bit: self.event_errors.get(bit, NtStatus.SUCCESS) for bit in Poll if bit and bit & found}
        return self.io.complete(irp, NtStatus.SUCCESS, result=(found, codes))

    # What Winsock keeps with the file

    def set_context(self, irp: Irp) -> NtStatus:
        """IOCTL_AFD_SET_CONTEXT."""
        if irp.location.file is not None:
            irp.location.file.fs_context2 = irp.location.parameters.value
        return self.io.complete(irp, NtStatus.SUCCESS)

    def get_context(self, irp: Irp) -> NtStatus:
        """IOCTL_AFD_GET_CONTEXT: the result is what was set; INVALID_PARAMETER when nothing was."""
        found = irp.location.file.fs_context2 if irp.location.file is not None else None
        status = NtStatus.INVALID_PARAMETER if found is None else NtStatus.SUCCESS
        return self.io.complete(irp, status, result=found)

    # Names and options

    def get_sock_name(self, irp: Irp) -> NtStatus:
        """IOCTL_AFD_GET_SOCK_NAME."""
        if self.local is None:
            return self.io.complete(irp, NtStatus.INVALID_PARAMETER)
        return self.io.complete(irp, NtStatus.SUCCESS, result=self.local)

    def get_peer_name(self, irp: Irp) -> NtStatus:
        """IOCTL_AFD_GET_PEER_NAME."""
        if self.remote is None:
            return self.io.complete(irp, NtStatus.CONNECTION_INVALID)
        return self.io.complete(irp, NtStatus.SUCCESS, result=self.remote)

    def get_info(self, irp: Irp) -> NtStatus:
        """IOCTL_AFD_GET_INFO."""
        return self.io.complete(irp, NtStatus.SUCCESS, result=self.information())

    def information(self) -> dict[str, Any]:
        """Return what a socket can be asked."""
        found = {
            "receive_buffer": self.receive_limit,
            "send_buffer": self.send_limit,
            "error": self.error,
            "available": 0,
            "copied_bytes": self.copied_bytes,
        }
        return {**self.options, **found}

    def set_info(self, irp: Irp) -> NtStatus:
        """IOCTL_AFD_SET_INFO. INVALID_PARAMETER: a value that its option does not take."""
        try:
            values = checked_all(irp.location.parameters.values)
        except OptionError:
            return self.io.complete(irp, NtStatus.INVALID_PARAMETER)
        for name, value in values.items():
            if name == "receive_buffer":
                self.receive_limit = value
            elif name == "send_buffer":
                self.send_limit = value
            elif name == "error":
                self.error = NtStatus(value)
            else:
                self.options[name] = value
        status = self.options_changed(values)
        return self.io.complete(irp, status)

    def options_changed(self, values: dict[str, Any]) -> NtStatus:
        """Tell the transport."""
        del values
        return NtStatus.SUCCESS
