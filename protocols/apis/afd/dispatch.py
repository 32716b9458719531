r"""The driver behind \Device\Afd: opens, requests by name, and the polls that wait for several endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntos.io.irp import Major
from ntos.io.status import NtStatus
from protocols.apis.afd.datagram import DatagramEndpoint
from protocols.apis.afd.requests import MAY_BLOCK, MAY_WAIT, Afd, AfdOpen, Kind, Poll
from protocols.apis.afd.stream import StreamEndpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntos.io.device import DeviceObject
    from ntos.io.irp import Irp
    from ntos.io.system import IoSystem
    from protocols.apis.afd.endpoint import Endpoint

AFD = "\\Device\\Afd"
KINDS: dict[Kind, type[Endpoint]] = {
    Kind.STREAM: StreamEndpoint,
    Kind.DATAGRAM: DatagramEndpoint,
    Kind.RAW: DatagramEndpoint,
}


class AfdDriver:
    """The driver. ``polls`` wait for endpoints."""

    name = "afd"

    def __init__(self, io: IoSystem) -> None:
        self.io = io
        self.endpoints: set[Endpoint] = set()
        self.withdrawn: frozenset[str] = frozenset()
        self.transports: list[str] = []
        """The instances that AFD is bound to, in that order."""
        self.watchers: list[Callable[[], None]] = []
        """Called when ``transports`` has changed."""
        self.polls: list[Irp] = []
        io.create_device(self, AFD)

    def dispatch(self, device: DeviceObject, irp: Irp) -> NtStatus:  # noqa: C901, PLR0911 - one return for each reason to refuse
        """Dispatch by major function; reads and writes are receives and sends."""
        del device
        location = irp.location
        if location.major is Major.CREATE:
            return self._create(irp)
        endpoint = location.file.fs_context if location.file is not None else None
        if location.major is Major.CLEANUP and endpoint is not None:
            if not endpoint.closed:
                endpoint.cleanup()
            self.endpoints.discard(endpoint)
        if location.major in (Major.CLEANUP, Major.CLOSE):
            return self.io.complete(irp, NtStatus.SUCCESS)
        if endpoint is None:
            return self.io.complete(irp, NtStatus.INVALID_DEVICE_REQUEST)
        if endpoint.closed:
            return self.io.complete(irp, NtStatus.CONNECTION_ABORTED)  # its transport was unbound
        if location.major is Major.READ:
            location.minor, location.parameters = Afd.RECEIVE, MAY_WAIT
        elif location.major is Major.WRITE:
            location.minor, location.parameters = Afd.SEND, MAY_BLOCK
        elif location.major is not Major.DEVICE_CONTROL or not isinstance(location.minor, Afd):
            return self.io.complete(irp, NtStatus.INVALID_DEVICE_REQUEST)
        if location.minor is Afd.SELECT:
            return self._select(irp)
        method = getattr(endpoint, location.minor.method, None)
        if method is None:
            return self.io.complete(irp, NtStatus.INVALID_DEVICE_REQUEST)
        status: NtStatus = method(irp)
        return status

    def endpoint_changed(self, endpoint: Endpoint) -> None:
        """Complete the polls whose condition has come true."""
        for irp in [one for one in self.polls if _involves(one, endpoint)]:
            found = _look(irp)
            if found and irp in self.polls:
                self.polls.remove(irp)
                if self.io.claim(irp):
                    self.io.complete(irp, NtStatus.SUCCESS, len(found), found)

    def offer(self, transports: frozenset[str]) -> None:
        """Let sockets of these transports be made (again): AFD is bound to them."""
        self.withdrawn -= transports

    def withdraw(self, transports: frozenset[str]) -> None:
        """End every socket of these transports and make no more: AFD is unbound from them."""
        self.withdrawn |= transports
        for endpoint in [one for one in self.endpoints if one.opened.transport in transports]:
            endpoint.cleanup()
            self.endpoints.discard(endpoint)

    def _create(self, irp: Irp) -> NtStatus:
        file, create = irp.location.file, irp.location.parameters
        opened = create.ea
        if file is None or not isinstance(opened, AfdOpen):
            return self.io.complete(irp, NtStatus.INVALID_PARAMETER)
        if opened.transport in self.withdrawn:
            return self.io.complete(irp, NtStatus.OBJECT_NAME_NOT_FOUND)
        endpoint = file.fs_context = KINDS[opened.kind](self, opened)
        endpoint.file, endpoint.owner = file, create.token
        self.endpoints.add(endpoint)
        return self.io.complete(irp, NtStatus.SUCCESS)

    def _select(self, irp: Irp) -> NtStatus:
        found = _look(irp)
        if found:
            return self.io.complete(irp, NtStatus.SUCCESS, len(found), found)
        self.polls.append(irp)
        return self.io.pend_cancellable(irp, self._cancel_poll)

    def _cancel_poll(self, irp: Irp) -> None:
        self.polls.remove(irp)
        self.io.complete(irp, NtStatus.CANCELLED)


def _look(irp: Irp) -> dict[int, Poll]:
    """Return, by position, what of the wanted is the case."""
    found: dict[int, Poll] = {}
    for at, (file, wanted) in enumerate(irp.location.parameters.files):
        endpoint = file.fs_context
        state = Poll.CLOSE if endpoint.closed else endpoint.ready()
        if state & (wanted | Poll.CLOSE):
            found[at] = state & (wanted | Poll.CLOSE)
    return found


def _involves(irp: Irp, endpoint: Endpoint) -> bool:
    return any(file.fs_context is endpoint for file, _wanted in irp.location.parameters.files)
