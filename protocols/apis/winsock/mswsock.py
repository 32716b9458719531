"""The extensions, reached by SIO_GET_EXTENSION_FUNCTION_POINTER: AcceptEx and its kin.

Each takes handles of the base provider. Source: "Winsock Extensions" (mswsock.h).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ntos.io.status import NtStatus
from protocols.apis.afd.requests import Accept, Afd, ConnectTo, Disconnect, Send
from protocols.apis.winsock import control
from protocols.apis.winsock.constants import Msg
from protocols.apis.winsock.errors import WinsockError, Wsae

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ntos.io.irp import Irp, Memory
    from protocols.apis.win32.overlapped import Overlapped
    from protocols.apis.winsock.afdcalls import Handle
    from protocols.apis.winsock.control import ControlMessage
    from protocols.apis.winsock.msafd import MsafdProvider
    from protocols.interfaces.tdi.address import TdiAddress

TF_DISCONNECT = 0x01
TF_REUSE_SOCKET = 0x02


class Element(NamedTuple):
    """TRANSMIT_PACKETS_ELEMENT: ``length`` bytes (0: the rest) from ``offset`` of memory or a mapped file."""

    memory: Memory
    offset: int = 0
    length: int = 0

    @property
    def view(self) -> memoryview:
        """The bytes, uncopied. What the cache manager has mapped is sent from where it lies."""
        view = memoryview(self.memory)[self.offset :]
        return view[: self.length] if self.length else view


@dataclass(frozen=True, slots=True)
class Message:
    """WSAMSG as WSARecvMsg fills it: bytes, sender, MSG_* flags, control data."""

    count: int
    source: TdiAddress | None
    flags: Msg
    control: tuple[ControlMessage, ...]


class MessageTruncatedError(WinsockError):
    """WSAEMSGSIZE of WSARecvMsg: ``message`` is what there is room for, with MSG_TRUNC."""

    def __init__(self, message: Message) -> None:
        super().__init__(Wsae.WSAEMSGSIZE, "the datagram was longer")
        self.message = message


class Extensions:
    """The functions, over the base provider."""

    def __init__(self, provider: MsafdProvider) -> None:
        self._provider = provider

    def accept_ex(
        self,
        listener: Handle,
        accepting: Handle,
        buffer: Memory = b"",
        overlapped: Overlapped | None = None,
    ) -> int:
        """AcceptEx: with a buffer, complete only when the first data is there too.

        The accepting socket is the request's until its end. WSAEINVAL: it is no unused stream socket, or
        ``listener`` does not listen.
        """
        asked = Accept(accepting.file, len(buffer))
        try:
            irp = self._provider.request(listener, Afd.SUPER_ACCEPT, asked, [buffer], overlapped)
        except WinsockError as error:
            if error.code is Wsae.WSA_IO_PENDING:
                accepting.lacks_context = listener
            raise
        accepting.lacks_context = listener
        return irp.information

    @staticmethod
    def get_accept_ex_sockaddrs(irp: Irp) -> tuple[TdiAddress, TdiAddress]:
        """GetAcceptExSockaddrs: local and remote address of a completed AcceptEx."""
        local, remote = irp.result
        return local, remote

    def connect_ex(
        self,
        handle: Handle,
        address: TdiAddress,
        data: Memory = b"",
        overlapped: Overlapped | None = None,
    ) -> int:
        """ConnectEx: the socket must be bound; ``data`` goes out behind the handshake."""
        if not handle.bound:
            raise WinsockError(Wsae.WSAEINVAL, "ConnectEx wants a bound socket")
        handle.helper.check_address(handle.family, address)
        handle.helper.check_peer(handle, address)
        buffers = [data] if len(data) else []
        try:
            irp = self._provider.request(handle, Afd.CONNECT, ConnectTo(address), buffers, overlapped)
        except WinsockError as error:
            if error.code is Wsae.WSA_IO_PENDING:
                handle.lacks_context = handle
            raise
        handle.lacks_context = handle
        return irp.information

    def disconnect_ex(self, handle: Handle, flags: int = 0, overlapped: Overlapped | None = None) -> None:
        """DisconnectEx; TF_REUSE_SOCKET: when it is done, the socket may connect or accept again."""
        if flags & TF_REUSE_SOCKET:
            handle.lacks_context = None
        asked = Disconnect(send=True, reuse=bool(flags & TF_REUSE_SOCKET))
        self._provider.request(handle, Afd.SUPER_DISCONNECT, asked, (), overlapped)

    def transmit_file(  # noqa: PLR0917 - the original's arguments
        self,
        handle: Handle,
        file: Element,
        head: Memory = b"",
        tail: Memory = b"",
        flags: int = 0,
        overlapped: Overlapped | None = None,
    ) -> int:
        """TransmitFile: head, file and tail without a copy; TF_DISCONNECT sends FIN behind them."""
        pieces = [Element(head), file, Element(tail)]
        return self.transmit_packets(handle, pieces, flags, overlapped)

    def transmit_packets(
        self,
        handle: Handle,
        elements: Sequence[Element],
        flags: int = 0,
        overlapped: Overlapped | None = None,
    ) -> int:
        """TransmitPackets: elements in order, from where they lie."""
        if not handle.stream:
            for element in elements:
                self._provider.request(handle, Afd.SEND, Send(), [element.view], None)
            return sum(len(element.view) for element in elements)
        buffers: list[Memory] = [element.view for element in elements if len(element.view)]
        irp = self._provider.request(handle, Afd.SEND, Send(steady=True), buffers, overlapped)
        if flags & TF_REUSE_SOCKET:
            self.disconnect_ex(handle, TF_REUSE_SOCKET)
        elif flags & TF_DISCONNECT:
            self.disconnect_ex(handle)
        return irp.information

    def recv_msg(
        self,
        handle: Handle,
        buffers: Sequence[Memory],
        flags: int = 0,
        control_bytes: int = 256,
        overlapped: Overlapped | None = None,
    ) -> Message:
        """WSARecvMsg: a datagram with where it came in, as far as ``control_bytes`` hold that (MSG_CTRUNC).

        MessageTruncatedError (WSAEMSGSIZE) when the datagram was longer; it carries the message all the same.
        An overlapped one that has ended is read by ``message_of``.
        """
        if handle.stream:
            raise WinsockError(Wsae.WSAEOPNOTSUPP, "WSARecvMsg is for datagrams")
        irp = self._provider.receive_irp(handle, buffers, flags, overlapped)
        message = self.message_of(handle, irp, control_bytes)
        if message.flags & Msg.TRUNC:
            raise MessageTruncatedError(message)
        return message

    @staticmethod
    def message_of(handle: Handle, irp: Irp, control_bytes: int = 256) -> Message:
        """Return the WSAMSG of a completed WSARecvMsg."""
        source, details = irp.result
        wanted = control.received(details, handle.options)
        given = control.fitting(wanted, control_bytes)
        flags: Msg = Msg.TRUNC if irp.status is NtStatus.BUFFER_OVERFLOW else Msg.NONE
        if given != wanted:
            flags |= Msg.CTRUNC
        return Message(irp.information, source, flags, given)

    def send_msg(  # noqa: PLR0917 - the original's arguments
        self,
        handle: Handle,
        buffers: Sequence[Memory],
        address: TdiAddress | None = None,
        messages: Sequence[ControlMessage] = (),
        flags: int = 0,
        overlapped: Overlapped | None = None,
    ) -> int:
        """WSASendMsg: a datagram, with IP_PKTINFO from a chosen address and interface of ours.

        WSAEOPNOTSUPP on streams; WSAEINVAL for other control data; WSAEADDRNOTAVAIL when it is not ours.
        """
        if handle.stream:
            raise WinsockError(Wsae.WSAEOPNOTSUPP, "WSASendMsg is for datagrams")
        try:
            source = control.source_of(messages)
        except ValueError as error:
            raise WinsockError(Wsae.WSAEINVAL, str(error)) from error
        return self._provider.sendto(handle, buffers, flags, address, overlapped, source)

    def table(self) -> dict[str, Any]:
        """Return what SIO_GET_EXTENSION_FUNCTION_POINTER finds by name (Windows: by GUID)."""
        return {
            "WSAID_ACCEPTEX": self.accept_ex,
            "WSAID_CONNECTEX": self.connect_ex,
            "WSAID_DISCONNECTEX": self.disconnect_ex,
            "WSAID_GETACCEPTEXSOCKADDRS": self.get_accept_ex_sockaddrs,
            "WSAID_TRANSMITFILE": self.transmit_file,
            "WSAID_TRANSMITPACKETS": self.transmit_packets,
            "WSAID_WSARECVMSG": self.recv_msg,
            "WSAID_WSASENDMSG": self.send_msg,
        }
