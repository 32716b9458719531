"""Winsock's way to AFD: a socket's handle, and a request that is asked, awaited and judged.

A call without an overlapped structure on a blocking socket waits by the executive; on a
non-blocking one it says ``immediate`` to AFD. It knows no function of Winsock: those are in ``msafd``.
"""

from __future__ import annotations

from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from ntos.executive.contract import MILLISECOND
from ntos.io.irp import Irp, Major
from ntos.io.status import NtStatus
from protocols.apis.afd.requests import Afd
from protocols.apis.winsock.constants import Sock
from protocols.apis.winsock.errors import WinsockError, Wsae, error_of
from protocols.apis.winsock.options import DEFAULTS
from protocols.apis.winsock.qos import Qos
from protocols.apis.winsock.spi import Provider

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ntos.executive.contract import Executive
    from ntos.io.device import FileObject
    from ntos.io.irp import Memory
    from ntos.io.system import IoSystem
    from ntos.object.process import Process
    from protocols.apis.win32.overlapped import Overlapped
    from protocols.apis.winsock.spi import ProtocolInfo

_has_completed = attrgetter("completed")
"""Asked of a request before and after each sleep; in C, as no lambda is."""


class Handle:
    """A socket as the provider knows it: its file, and what Winsock itself remembers."""

    def __init__(self, file: FileObject, info: ProtocolInfo, protocol: int) -> None:
        self.file = file
        self.info = info
        self.protocol = protocol
        self.stream = info.kind is Sock.STREAM
        self.blocking = True
        self.helper = info.helper
        self.family, self.kind = info.family, info.kind
        helper = info.helper
        self.options: dict[str, Any] = {
            **DEFAULTS,
            **{name: helper.default_of(info.family, name) for name in helper.defaults},
            **(helper.stream_defaults if self.stream else {}),
        }
        self.connecting = False
        self.selects_events = False  # by WSAEventSelect or WSAAsyncSelect: it stays non-blocking
        self.bound = False
        self.lacks_context: Handle | None = None
        """After AcceptEx its listener, after ConnectEx itself: until SO_UPDATE_*_CONTEXT."""
        self.qos = Qos()


class AfdCalls(Provider):
    """A provider that asks AFD."""

    def __init__(self, io: IoSystem, executive: Executive, process: Process) -> None:
        self._io = io
        self._executive = executive
        self._process = process

    def request(
        self,
        handle: Handle,
        code: Afd,
        parameters: object,
        buffers: Sequence[Memory] = (),
        overlapped: Overlapped | None = None,
    ) -> Irp:
        """Ask AFD directly, as the extension functions do; without ``overlapped`` wait and raise."""
        return self._finish(self._ask(handle, code, parameters, buffers, overlapped), overlapped)

    def _ask(
        self,
        handle: Handle,
        code: Afd,
        parameters: object,
        buffers: Sequence[Memory] = (),
        overlapped: Overlapped | None = None,
    ) -> Irp:
        file = handle.file
        irp = Irp(
            file.device,
            Major.DEVICE_CONTROL,
            file,
            minor=code,
            parameters=parameters,
            buffers=buffers,
        )
        if overlapped is not None:
            overlapped.begin(irp, self._process.thread)
            self._io.call(irp)
            overlapped.sent()
            return irp
        self._io.call(irp)
        return irp

    def _now(self, handle: Handle, code: Afd, parameters: object = None) -> Any:  # noqa: ANN401 - each request has its own result
        irp = self._ask(handle, code, parameters)
        self._raise(irp)
        return irp.result

    def _raise(self, irp: Irp) -> None:
        if not irp.status.ok:
            raise error_of(irp.status)

    def _finish(self, irp: Irp, overlapped: Overlapped | None = None, timeout_ms: int = 0) -> Irp:
        """Return a request that has ended well; an overlapped one is not waited for. 0: wait for ever."""
        if not irp.completed:
            if overlapped is not None:
                raise WinsockError(Wsae.WSA_IO_PENDING)
            if not self._wait(partial(_has_completed, irp), "a socket", timeout_ms * MILLISECOND or None):
                self._io.cancel(irp)
                raise WinsockError(Wsae.WSAETIMEDOUT)
            file = irp.locations[-1].file
            if irp.status is NtStatus.CANCELLED and file is not None and not file.is_open:
                raise WinsockError(Wsae.WSAEINTR, "the socket was closed under the call")
        if not irp.status.ok:
            raise error_of(irp.status)
        return irp

    def _wait(self, is_over: Callable[[], bool], reason: str, timeout_ns: int | None) -> bool:
        """Wait alertably, as every blocking call of Winsock does (WSARecv, "Remarks"); False: in vain."""
        apcs, executive = self._process.thread.apcs, self._executive
        end_ns = None if timeout_ns is None else executive.now_ns() + timeout_ns
        while executive.wait(lambda: is_over() or len(apcs) > 0, reason, timeout_ns):
            if is_over():
                return True
            apcs.deliver()
            if end_ns is not None:
                timeout_ns = max(end_ns - executive.now_ns(), 0)
        return False

    def _info(self, handle: Handle) -> dict[str, Any]:
        found: dict[str, Any] = self._now(handle, Afd.GET_INFO)
        return found
