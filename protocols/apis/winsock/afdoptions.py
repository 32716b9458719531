"""Options and controls of a socket that ends in AFD: WSPGetSockOpt, WSPSetSockOpt, WSPIoctl."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ntos.io.status import NtStatus
from protocols.apis.afd.requests import Afd, Information
from protocols.apis.winsock.afdcalls import AfdCalls
from protocols.apis.winsock.constants import Io, IpOption, So, Sol
from protocols.apis.winsock.errors import WinsockError, Wsae, error_of
from protocols.apis.winsock.options import AFD_NAMES, DATAGRAM_ONLY, STREAM_ONLY
from protocols.apis.winsock.qos import Qos, tos_of
from protocols.interfaces.options import OptionError, checked

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocols.apis.winsock.afdcalls import Handle


class OptionCalls(AfdCalls):
    """The functions."""

    def getsockopt(self, handle: Handle, level: int, option: int) -> Any:  # noqa: ANN401 - each option has its own type
        """WSPGetSockOpt."""
        if level == Sol.SOCKET and option in _COMPUTED:
            return _COMPUTED[option](self, handle)
        name = self._name(handle, level, option)
        if name in ("send_buffer", "receive_buffer"):
            return self._info(handle)[name]
        return handle.options.get(name, 0)

    def setsockopt(self, handle: Handle, level: int, option: int, value: Any) -> None:  # noqa: ANN401 - each option has its own type
        """WSPSetSockOpt. WSAEFAULT: no value of the option's type. WSAEINVAL: out of its range."""
        if level == Sol.SOCKET and option in (So.UPDATE_ACCEPT_CONTEXT, So.UPDATE_CONNECT_CONTEXT):
            return  # what they copy is there already: the file is the connection's own
        if level == Sol.SOCKET and option == So.DONTLINGER:
            option, value = So.LINGER, None
        name = self._name(handle, level, option)
        value = handle.helper.default_of(handle.family, name) if value == -1 and level == Sol.IPV6 else value
        try:
            value = checked(name, value)
        except OptionError as error:
            raise WinsockError(Wsae.WSAEFAULT if error.is_type else Wsae.WSAEINVAL, str(error)) from error
        if name in ("reuse", "exclusive"):
            other = "exclusive" if name == "reuse" else "reuse"
            if handle.bound and name == "exclusive":
                raise WinsockError(Wsae.WSAEINVAL, "the socket is bound already")
            if value and handle.options[other]:
                raise WinsockError(Wsae.WSAEINVAL, "SO_REUSEADDR and SO_EXCLUSIVEADDRUSE exclude each other")
        handle.helper.check_option(handle, name, value)
        self._now(handle, Afd.SET_INFO, Information({name: value}))
        if name not in ("join", "leave"):
            handle.options[name] = value

    def ioctl(self, handle: Handle, code: int, argument: Any = None) -> Any:  # noqa: ANN401 - each code has its own types
        """WSPIoctl."""
        if code == Io.FIONBIO:
            handle.blocking = not argument
            return None
        if code == Io.FIONREAD:
            return self._info(handle)["available"]
        if code == Io.SIOCATMARK:
            return self._info(handle).get("at_mark", True)
        if code == Io.KEEPALIVE_VALS:
            self.setsockopt(handle, Sol.SOCKET, So.KEEPALIVE, argument)
            return None
        if code == Io.GET_QOS:
            return handle.qos
        if code == Io.SET_QOS:
            return self._set_qos(handle, argument)
        raise WinsockError(Wsae.WSAEOPNOTSUPP, f"{code:#x}")

    def _set_qos(self, handle: Handle, asked: object) -> None:
        """Mark what is sent as its service type says; nothing is reserved for it."""
        if not isinstance(asked, Qos):
            raise WinsockError(Wsae.WSAEFAULT, "SIO_SET_QOS wants a QOS")
        try:
            tos = tos_of(asked)
        except ValueError as error:
            raise WinsockError(Wsae.WSA_QOS_ESERVICETYPE, str(error)) from error
        self.setsockopt(handle, Sol.IP, IpOption.TOS, tos)
        handle.qos = asked

    def _name(self, handle: Handle, level: int, option: int) -> str:
        helper = handle.helper
        name = AFD_NAMES.get((level, option)) or helper.options.get((level, option))
        others = DATAGRAM_ONLY | helper.datagram_only if handle.stream else STREAM_ONLY | helper.stream_only
        if name is None or name in others:
            raise WinsockError(Wsae.WSAENOPROTOOPT, f"option {option:#x} of level {level:#x}")
        return name

    def take_error(self, handle: Handle) -> int:
        """SO_ERROR: what a non-blocking connect ended with; asking clears it."""
        status = NtStatus(self._info(handle)["error"])
        self._now(handle, Afd.SET_INFO, Information({"error": NtStatus.SUCCESS}))
        return 0 if status.ok else int(error_of(status).code)

    def connect_time(self, handle: Handle) -> int:
        """SO_CONNECT_TIME: seconds since the handshake, or 0xFFFFFFFF."""
        since = self._info(handle).get("connected_since_ns")
        return 0xFFFF_FFFF if since is None else (self._executive.now_ns() - since) // 1_000_000_000

    def listening(self, handle: Handle) -> bool:
        """SO_ACCEPTCONN."""
        return bool(self._info(handle).get("listening"))


_COMPUTED: dict[int, Callable[[OptionCalls, Handle], Any]] = {
    So.ERROR: OptionCalls.take_error,
    So.TYPE: lambda _provider, handle: int(handle.info.kind),
    So.PROTOCOL_INFO: lambda _provider, handle: handle.info,
    So.CONNECT_TIME: OptionCalls.connect_time,
    So.ACCEPTCONN: OptionCalls.listening,
    So.MAX_MSG_SIZE: lambda _provider, handle: handle.info.max_message,
}
