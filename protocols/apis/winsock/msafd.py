"""The base provider: Winsock's functions as requests to AFD (msafd.dll); families are their helpers'."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntos.executive.contract import MILLISECOND
from ntos.io.create import Create
from ntos.io.status import NtError, NtStatus
from ntos.object.access import Access
from protocols.apis.afd.dispatch import AFD
from protocols.apis.afd.requests import (
    MAY_BLOCK,
    MAY_WAIT,
    NO_WAIT,
    SEND_NOW,
    Accept,
    Afd,
    AfdOpen,
    Bind,
    ConnectTo,
    Context,
    Disconnect,
    Kind,
    Listen,
    Receive,
    Send,
)
from protocols.apis.winsock.afdcalls import Handle
from protocols.apis.winsock.afdevents import EventCalls
from protocols.apis.winsock.afdoptions import OptionCalls
from protocols.apis.winsock.constants import Msg, Shut, Sock
from protocols.apis.winsock.errors import WinsockError, Wsae, error_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ntos.io.irp import Irp, Memory
    from protocols.apis.win32.overlapped import Overlapped
    from protocols.apis.winsock.control import PacketInfo
    from protocols.apis.winsock.spi import ProtocolInfo
    from protocols.interfaces.tdi.address import TdiAddress

ACCESS = int(Access.GENERIC_READ | Access.GENERIC_WRITE | Access.SYNCHRONIZE)
KINDS = {Sock.STREAM: Kind.STREAM, Sock.DGRAM: Kind.DATAGRAM, Sock.RAW: Kind.RAW}


class MsafdProvider(OptionCalls, EventCalls):
    """The provider of every socket that ends in a TDI transport: opening, names and data are here."""

    # Opening and closing

    def socket(self, info: ProtocolInfo, protocol: int) -> Handle:
        """WSPSocket."""
        opened = AfdOpen(KINDS[info.kind], info.device, info.helper.any_address(info.family), protocol)
        create = Create(access=ACCESS, ea=opened, token=self._process.thread.token)
        try:
            file = self._io.create_file(AFD, create).result()
        except NtError as error:
            raise error_of(error.status) from error
        handle = Handle(file, info, protocol or info.protocol)
        self._now(handle, Afd.SET_CONTEXT, Context(handle))
        return handle

    def closesocket(self, handle: Handle) -> None:
        """WSPCloseSocket. With SO_LINGER of some seconds: when the peer has all, else by a reset.

        A non-blocking socket that would have to linger stays open: WSAEWOULDBLOCK.
        """
        last = handle.file.handles == 1
        if last and handle.stream and handle.options["linger"] and self._linger(handle):
            raise WinsockError(Wsae.WSAEWOULDBLOCK, "it lingers")
        if handle.file.is_open:  # while it lingered, its handle may have been closed
            self._io.close(handle.file)

    def duplicate_socket(self, handle: Handle) -> Handle:
        """WSPDuplicateSocket: another handle of the same socket, whose options and mode are shared."""
        try:
            self._io.duplicate(handle.file)
        except NtError as error:
            raise error_of(error.status) from error
        return handle

    def join_leaf(self, handle: Handle, address: TdiAddress, flags: int) -> None:
        """WSPJoinLeaf, as the family's helper says."""
        self._family(handle, address)
        handle.helper.join_leaf(self, handle, address, flags)

    def _linger(self, handle: Handle) -> bool:
        """Wait for the last acknowledgment, SO_LINGER seconds at most; True if it must not wait."""
        if not self._info(handle)["connected"]:
            return False
        self._now(handle, Afd.DISCONNECT, Disconnect(send=True))
        timeout = int(handle.options["linger"] * 1000) * MILLISECOND
        if not handle.blocking:
            return bool(self._unacknowledged(handle))
        if not self._executive.wait(lambda: not self._unacknowledged(handle), "the last bytes", timeout):
            self._now(handle, Afd.DISCONNECT, Disconnect(abort=True))
        return False

    def _unacknowledged(self, handle: Handle) -> int:
        found: int = self._info(handle).get("unacknowledged", 0)
        return found

    def bind(self, handle: Handle, address: TdiAddress) -> None:
        """WSPBind."""
        self._family(handle, address)
        if handle.bound:
            raise WinsockError(Wsae.WSAEINVAL, "the socket is bound already")
        share, exclusive = bool(handle.options["reuse"]), bool(handle.options["exclusive"])
        self._now(handle, Afd.BIND, Bind(address, share, exclusive))
        handle.bound = True

    def listen(self, handle: Handle, backlog: int) -> None:
        """WSPListen."""
        if not handle.stream:
            raise WinsockError(Wsae.WSAEOPNOTSUPP, "listen")
        self._now(handle, Afd.START_LISTEN, Listen(backlog))

    def connect(self, handle: Handle, address: TdiAddress) -> None:
        """WSPConnect. A non-blocking socket: WSAEWOULDBLOCK, then WSAEALREADY, then WSAEISCONN."""
        self._family(handle, address)
        if not handle.stream:
            self._now(handle, Afd.CONNECT, ConnectTo(address))
            return
        if handle.connecting:
            info = self._info(handle)
            if info["connected"]:
                handle.connecting = False
                raise WinsockError(Wsae.WSAEISCONN)
            if info["error"].ok:
                raise WinsockError(Wsae.WSAEALREADY)
            handle.connecting = False
        handle.helper.check_peer(handle, address)
        handle.bound = True
        handle.lacks_context = None
        if handle.blocking:
            self.request(handle, Afd.CONNECT, ConnectTo(address))
            return
        irp = self._ask(handle, Afd.CONNECT, ConnectTo(address, immediate=True))
        handle.connecting = irp.status is NtStatus.DEVICE_NOT_READY
        self._raise(irp)

    def accept(self, handle: Handle) -> tuple[Handle, TdiAddress]:
        """WSPAccept: the new socket has the listener's options, and its non-blocking mode."""
        child = self.socket(handle.info, handle.protocol)
        try:
            asked = Accept(child.file, immediate=not handle.blocking)
            irp = self._ask(handle, Afd.ACCEPT, asked)
            self._finish(irp, timeout_ms=handle.options["receive_timeout_ms"])
            _local, remote = irp.result
        except BaseException:
            self.closesocket(child)
            raise
        child.options = dict(handle.options)
        child.blocking = handle.blocking
        child.bound = True
        return child, remote

    def shutdown(self, handle: Handle, how: int) -> None:
        """WSPShutdown."""
        if how not in set(Shut):
            raise WinsockError(Wsae.WSAEINVAL, f"how {how}")
        self._require_context(handle)
        asked = Disconnect(send=how != Shut.RECEIVE, receive=how != Shut.SEND)
        self._now(handle, Afd.DISCONNECT, asked)

    # Data

    def send(
        self,
        handle: Handle,
        buffers: Sequence[Memory],
        flags: int = 0,
        overlapped: Overlapped | None = None,
    ) -> int:
        """WSPSend: the number of bytes; overlapped: WSA_IO_PENDING as an error until it is done."""
        immediate = overlapped is None and not handle.blocking
        asked = SEND_NOW if immediate else MAY_BLOCK
        if flags and flags & Msg.OOB:
            asked = Send(immediate, out_of_band=True)
        irp = self._ask(handle, Afd.SEND, asked, buffers, overlapped)
        return self._finish(irp, overlapped, handle.options["send_timeout_ms"]).information

    def sendto(  # noqa: PLR0917 - the original's arguments
        self,
        handle: Handle,
        buffers: Sequence[Memory],
        flags: int,
        address: TdiAddress | None,
        overlapped: Overlapped | None = None,
        source: PacketInfo | None = None,
    ) -> int:
        """WSPSendTo; ``source`` is WSASendMsg's IP_PKTINFO: from which address and interface."""
        if handle.stream or (address is None and source is None):
            return self.send(handle, buffers, flags, overlapped)
        if address is not None:
            self._family(handle, address)
            handle.helper.check_peer(handle, address)
        asked = Send(remote=address, source=(source.destination, source.interface) if source else None)
        irp = self._ask(handle, Afd.SEND_DATAGRAM, asked, buffers, overlapped)
        handle.bound = True
        return self._finish(irp, overlapped, handle.options["send_timeout_ms"]).information

    def recv(
        self,
        handle: Handle,
        buffers: Sequence[Memory],
        flags: int = 0,
        overlapped: Overlapped | None = None,
    ) -> int:
        """WSPRecv."""
        irp = self._receive(handle, buffers, flags, overlapped)
        return self._finish(irp, overlapped, handle.options["receive_timeout_ms"]).information

    def recvfrom(
        self,
        handle: Handle,
        buffers: Sequence[Memory],
        flags: int = 0,
        overlapped: Overlapped | None = None,
    ) -> tuple[int, TdiAddress | None]:
        """WSPRecvFrom: bytes and, for datagrams, from whom."""
        irp = self._receive(handle, buffers, flags, overlapped)
        self._finish(irp, overlapped, handle.options["receive_timeout_ms"])
        return irp.information, irp.result[0] if irp.result else None

    def receive_irp(
        self,
        handle: Handle,
        buffers: Sequence[Memory],
        flags: int = 0,
        overlapped: Overlapped | None = None,
    ) -> Irp:
        """Receive for WSARecvMsg: the request, whose result is (source, details), maybe BUFFER_OVERFLOW."""
        irp = self._receive(handle, buffers, flags, overlapped)
        try:
            self._finish(irp, overlapped, handle.options["receive_timeout_ms"])
        except WinsockError:
            if irp.status is not NtStatus.BUFFER_OVERFLOW:
                raise
        return irp

    def _receive(
        self, handle: Handle, buffers: Sequence[Memory], flags: int, overlapped: Overlapped | None
    ) -> Irp:
        immediate = overlapped is None and not handle.blocking
        asked = NO_WAIT if immediate else MAY_WAIT
        if flags:
            asked = Receive(
                immediate,
                peek=bool(flags & Msg.PEEK),
                out_of_band=bool(flags & Msg.OOB),
                wait_all=bool(flags & Msg.WAITALL),
            )
        code = Afd.RECEIVE if handle.stream else Afd.RECEIVE_DATAGRAM
        return self._ask(handle, code, asked, buffers, overlapped)

    # Names

    def getsockname(self, handle: Handle) -> TdiAddress:
        """WSPGetSockName."""
        found: TdiAddress = self._now(handle, Afd.GET_SOCK_NAME)
        return found

    def getpeername(self, handle: Handle) -> TdiAddress:
        """WSPGetPeerName. WSAENOTCONN."""
        self._require_context(handle)
        found: TdiAddress = self._now(handle, Afd.GET_PEER_NAME)
        return found

    # Inside

    @staticmethod
    def _require_context(handle: Handle) -> None:
        """Refuse what AcceptEx and ConnectEx do not enable by themselves ("Remarks" of both)."""
        if handle.lacks_context is not None:
            raise WinsockError(Wsae.WSAENOTCONN, "SO_UPDATE_*_CONTEXT comes first")

    def _family(self, handle: Handle, address: TdiAddress) -> None:
        handle.helper.check_address(handle.family, address)
