"""What every WSK socket has: options, event callbacks, and an end. By itself it is a basic socket.

A public method is a function of the provider dispatch tables: it sends the IRP to the subsystem's device,
whence the method of the same name with an underscore is called. Source: "Winsock Kernel Socket Categories".
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from ntos.errors import BugCheckError
from ntos.io.device import FileObject
from ntos.io.status import NtError, NtStatus
from protocols.apis.winsock.constants import Io, Sol
from protocols.apis.wsk.callbacks import Callbacks
from protocols.apis.wsk.constants import (
    NPI_WSK_INTERFACE_ID,
    Category,
    ControlType,
    Event,
    Flag,
    SioWsk,
    SoWsk,
    Wsk,
)
from protocols.apis.wsk.npi import EventCallbackControl, Output
from protocols.apis.wsk.options import NOT_KEPT, OPTIONS, Option
from protocols.interfaces.options import OptionError, checked

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntos.executive.irql import IrqlModel
    from ntos.io.device import DeviceObject
    from ntos.io.irp import Irp
    from ntos.io.system import IoSystem
    from ntos.object.descriptor import SecurityDescriptor
    from ntos.object.token import Token
    from protocols.interfaces.tlnpi.npi import TlProvider

AT_DISPATCH = Flag.AT_DISPATCH_LEVEL
INET6 = 23


class Opened(NamedTuple):
    """What WskSocket was given."""

    family: int
    socket_type: int
    protocol: int
    context: object
    dispatch: Any
    owner: Token
    security: SecurityDescriptor | None


class IrpDevice(Protocol):
    """The device that a socket's IRPs are sent to, and the way to it and back."""

    io: IoSystem
    irql: IrqlModel
    device: DeviceObject

    def submit(
        self,
        irp: Irp,
        function: Wsk,
        file: FileObject | None,
        method: Callable[..., NtStatus],
        *arguments: object,
    ) -> NtStatus:
        """Set up the application's IRP and send it to the device."""

    def complete(self, irp: Irp, status: NtStatus, information: int = 0, result: Any = None) -> NtStatus:  # noqa: ANN401 - each function has its own
        """IoCompleteRequest, at DISPATCH_LEVEL."""


class SocketHost(Protocol):
    """What a socket needs of the application it belongs to.

    ``sockets`` are those the application has to close; ``descriptors`` are its cached security descriptors;
    ``static_events`` are enabled for every socket from its start.
    """

    sockets: set[Socket]
    descriptors: set[SecurityDescriptor]
    static_events: Event

    @property
    def subsystem(self) -> IrpDevice:
        """The subsystem's device."""

    def closed(self, socket: Socket) -> None:
        """Forget a socket."""


class Socket:
    """WSK_SOCKET. ``provider`` is its transport; a socket whose transport has gone is not functional."""

    category: ClassVar[Category] = Category.BASIC
    can_enable: ClassVar[Event] = Event.NONE
    """The events that SO_WSK_EVENT_CALLBACK takes."""

    def __init__(self, client: SocketHost, provider: TlProvider, opened: Opened) -> None:
        self.client = client
        self.subsystem = client.subsystem
        self.io = client.subsystem.io
        self.provider = provider
        self.opened = opened
        self.context = opened.context
        self.options: dict[str, Any] = {one.name: one.default for one in OPTIONS.values()}
        self.options["security"] = opened.security
        self.callbacks = Callbacks(self.subsystem.irql, client.static_events & self.can_enable)
        self._file = FileObject(device=self.subsystem.device, fs_context=self)
        self._is_closing = False
        self._is_functional = True
        self._closing_irp: Irp | None = None

    # WSK_PROVIDER_BASIC_DISPATCH

    def control_socket(
        self,
        request: ControlType,
        code: int,
        level: int = 0,
        value: Any = None,  # noqa: ANN401 - InputBuffer: each code has its own
        irp: Irp | None = None,
        *,
        output: Output | None = None,
    ) -> NtStatus:
        """WskControlSocket. The output is written to ``output`` and is the IRP's result.

        Only SO_WSK_EVENT_CALLBACK goes without an IRP; it is then told whether a callback is in progress.
        """
        self.require_open("WskControlSocket")
        if irp is None:
            if (request, level, code) != (ControlType.SET_OPTION, Sol.SOCKET, SoWsk.EVENT_CALLBACK):
                return NtStatus.INVALID_PARAMETER
            return self._set_callbacks(value, None)
        return self.submit(irp, Wsk.CONTROL_SOCKET, self._control_socket, request, code, level, value, output)

    def close_socket(self, irp: Irp) -> NtStatus:
        """WskCloseSocket: cancels what is pending, waits for callbacks in progress; no call may follow."""
        self.require_open("WskCloseSocket")
        return self.subsystem.submit(irp, Wsk.CLOSE_SOCKET, None, self._close_socket)

    # For the subsystem

    def force_closed(self) -> None:
        """Be no longer functional: the transport has gone. The application is told, and has to close."""
        if not self._is_functional or self._is_closing:
            return
        self._is_functional = False
        self.end(NtStatus.FILE_FORCED_CLOSED)
        self.tell_lost()

    def discard(self) -> None:
        """Close on WSK's own behalf a socket that the application has not got."""
        self._is_closing = True
        self.end(NtStatus.CANCELLED)
        self.client.closed(self)

    # For the categories

    def end(self, status: NtStatus) -> None:
        """Complete with ``status`` what is pending, and give back what the transport has for this socket."""

    def tell_lost(self) -> None:
        """Make the callbacks that say so: those of data and of connections, with none."""

    def enabled(self, events: Event) -> None:
        """Look what there is to tell now that ``events`` are enabled."""

    def require_ready(self, events: Event) -> None:
        """Refuse to enable ``events`` in this state. NtError."""
        del events

    def may_disable(self, event: Event) -> bool:
        """Tell whether an event of ``can_enable`` can be disabled again."""
        del event
        return True

    def retained(self) -> int:
        """How many indications the application retains."""
        return 0

    def io_control(self, code: int, value: Any) -> Any:  # noqa: ANN401 - each code has its own
        """WskIoctl. NtError(NOT_SUPPORTED)."""
        del value
        if code == Io.ADDRESS_LIST_QUERY:
            return list(self.provider.addresses())
        name = SioWsk(code).name if code in list(SioWsk) else f"{code:#x}"
        raise NtError(NtStatus.NOT_SUPPORTED, f"{name} of a {self.category.name} socket")

    def option_set(self, option: Option) -> None:
        """Apply an option. NtError."""
        del option

    @property
    def is_bound(self) -> bool:
        """Whether it has a local address."""
        return False

    def require_open(self, function: str) -> None:
        """Stop when the application calls a function of a socket that it has closed."""
        if self._is_closing:
            raise BugCheckError(f"{function} of a closed socket", self)

    def submit(
        self, irp: Irp, function: Wsk, method: Callable[..., NtStatus], *arguments: object
    ) -> NtStatus:
        """Send an IRP for this socket to the device; FILE_FORCED_CLOSED when the transport has gone."""
        self.require_open(function.value)
        if not self._is_functional:
            return self.subsystem.submit(irp, function, self._file, self._refuse)
        return self.subsystem.submit(irp, function, self._file, method, *arguments)

    def complete(self, irp: Irp, status: NtStatus, information: int = 0, result: Any = None) -> NtStatus:  # noqa: ANN401 - each function has its own
        """Complete an IRP."""
        return self.subsystem.complete(irp, status, information, result)

    def finish(self, irp: Irp, status: NtStatus, information: int = 0, result: Any = None) -> None:  # noqa: ANN401 - each function has its own
        """Complete an IRP that was pending, unless a cancel was faster."""
        if self.io.claim(irp):
            self.complete(irp, status, information, result)

    def pend(self, irp: Irp, routine: Callable[[Irp], None]) -> bool:
        """Mark an IRP pending, cancellable by ``routine``; False: it was cancelled before."""
        self.io.pend_cancellable(irp, routine)
        return not irp.completed

    # Inside

    def _refuse(self, irp: Irp) -> NtStatus:
        return self.complete(irp, NtStatus.FILE_FORCED_CLOSED)

    def _control_socket(  # noqa: PLR0917 - as WskControlSocket has them
        self,
        irp: Irp,
        request: ControlType,
        code: int,
        level: int,
        value: Any,  # noqa: ANN401 - each code has its own
        output: Output | None,
    ) -> NtStatus:
        found: Any = None
        try:
            if request is ControlType.IOCTL:
                found = self.io_control(code, value)
            elif (level, code) == (Sol.SOCKET, SoWsk.EVENT_CALLBACK):
                return self._set_callbacks(value, irp)
            elif request is ControlType.GET_OPTION:
                found = self.options[_option(level, code).name]
            else:
                self._set_option(_option(level, code), value)
        except NtError as error:
            return self.complete(irp, error.status)
        if output is not None:
            output.value = found
        return self.complete(irp, NtStatus.SUCCESS, result=found)

    def _set_option(self, option: Option, value: Any) -> None:  # noqa: ANN401 - each option has its own
        if option.early and self.is_bound:
            raise NtError(NtStatus.INVALID_DEVICE_STATE, f"{option.name} after the bind")
        if option.name == "security" and value not in self.client.descriptors:
            raise NtError(NtStatus.INVALID_PARAMETER, "the security descriptor was not cached")
        before = self.options[option.name]
        try:
            self.options[option.name] = checked(option.name, value)
        except OptionError as error:
            raise NtError(NtStatus.INVALID_PARAMETER, str(error)) from error
        try:
            self.option_set(option)
        except NtError:
            self.options[option.name] = before
            raise
        if option.name in NOT_KEPT and self.is_bound:
            self.options[option.name] = None

    def _set_callbacks(self, control: Any, irp: Irp | None) -> NtStatus:  # noqa: ANN401 - checked here
        status = self._callbacks_refused(control, with_irp=irp is not None)
        if status is not None:
            return status if irp is None else self.complete(irp, status)
        events = control.event_mask
        if not events & Event.DISABLE:
            self.callbacks.enable(events)
            self.enabled(events)
            return NtStatus.SUCCESS
        event = events & ~Event.DISABLE
        if irp is None:
            return NtStatus.SUCCESS if self.callbacks.disable(event, _nothing) else NtStatus.EVENT_PENDING
        if self.callbacks.disable(event, lambda: self._disabled(irp)):
            return self.complete(irp, NtStatus.SUCCESS)
        return self.io.mark_pending(irp)

    def _disabled(self, irp: Irp) -> None:
        self.complete(irp, NtStatus.SUCCESS)

    def _callbacks_refused(self, control: Any, *, with_irp: bool) -> NtStatus | None:  # noqa: ANN401 - checked here
        if not isinstance(control, EventCallbackControl) or control.npi_id != NPI_WSK_INTERFACE_ID:
            return NtStatus.INVALID_PARAMETER
        events = control.event_mask & ~Event.DISABLE
        if not events or events & ~self.can_enable:
            return NtStatus.INVALID_PARAMETER
        if control.event_mask & Event.DISABLE:
            one = not events & (events - 1)
            may = one and not events & self.callbacks.static and self.may_disable(events)
            return None if may else NtStatus.INVALID_PARAMETER
        try:
            self.require_ready(events)
        except NtError as error:
            return error.status
        return NtStatus.INVALID_PARAMETER if with_irp else None

    def _close_socket(self, irp: Irp) -> NtStatus:
        if self.retained():
            raise BugCheckError(f"WskCloseSocket with {self.retained()} indications retained", self)
        self._is_closing = True
        self.end(NtStatus.CANCELLED)
        if not self.callbacks.when_idle(partial(self._closed, irp)):
            return self.io.mark_pending(irp)
        return self._closed(irp)

    def _closed(self, irp: Irp) -> NtStatus:
        self.io.close(self._file)
        self.client.closed(self)
        return self.complete(irp, NtStatus.SUCCESS)


def _option(level: int, code: int) -> Option:
    found = OPTIONS.get((level, code))
    if found is None:
        raise NtError(NtStatus.NOT_SUPPORTED, f"option {code:#x} of level {level}")
    return found


def _nothing() -> None:
    """Nobody waits for it."""
