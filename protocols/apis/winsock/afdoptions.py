"""Options and controls of a socket that ends in AFD: WSPGetSockOpt, WSPSetSockOpt, WSPIoctl."""

from __future__ import annotations

from functools import partial
from struct import Struct
from typing import TYPE_CHECKING, Any

from ntos.io.status import NtError, NtStatus
from protocols.apis.afd.requests import Afd, Information
from protocols.apis.winsock.afdcalls import AfdCalls
from protocols.apis.winsock.afdcalls import Handle as AfdHandle
from protocols.apis.winsock.constants import Io, IpOption, So, Sol
from protocols.apis.winsock.errors import WinsockError, Wsae, error_of
from protocols.apis.winsock.options import AFD_NAMES, DATAGRAM_ONLY, STREAM_ONLY
from protocols.apis.winsock.qos import Qos, tos_of
from protocols.interfaces.options import OptionError, checked, checked_all
from protocols.interfaces.tdi.client import TdiClient
from protocols.interfaces.tdi.requests import Action, Tdi

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocols.apis.winsock.afdcalls import Handle


DATAGRAM_SWITCHES: dict[int, str] = {
    Io.UDP_CONNRESET: "port_unreachable",
    Io.UDP_NETRESET: "hops_exceeded",
    Io.ENABLE_CIRCULAR_QUEUEING: "circular",
}
WITHOUT_INPUT = frozenset({Io.ENABLE_CIRCULAR_QUEUEING})
KEEPALIVE = Struct("<III")
KEEPALIVE_FIELDS = ("keepalive", "keepalive_ms", "keepalive_interval_ms")
MILLISECONDS = {"keepalive_s": "keepalive_ms", "keepalive_interval_s": "keepalive_interval_ms"}
"""Options in seconds that the transport knows in milliseconds."""


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
            self._update_context(handle, option, value)
            return
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
        kept = {MILLISECONDS[name]: value * 1000} if name in MILLISECONDS else {name: value}
        self._now(handle, Afd.SET_INFO, Information(kept))
        if name not in ("join", "leave"):
            handle.options[name] = value

    def ioctl(self, handle: Handle, code: int, argument: Any = None) -> Any:  # noqa: ANN401 - each code has its own types
        """WSPIoctl: a control of every socket, a switch of datagram sockets, or the family's own."""
        if code in _CONTROLS:
            return _CONTROLS[code](self, handle, argument)
        if code in DATAGRAM_SWITCHES:
            return self._switch(handle, DATAGRAM_SWITCHES[code], 1 if code in WITHOUT_INPUT else argument)
        try:
            return handle.helper.ioctl(handle, code, argument, partial(self._action, handle))
        except NtError as error:
            raise error_of(error.status) from error

    def set_non_blocking(self, handle: Handle, argument: object) -> None:
        """FIONBIO. WSAEFAULT; WSAEINVAL: a socket that selects events stays non-blocking."""
        if not isinstance(argument, int):
            raise WinsockError(Wsae.WSAEFAULT, "FIONBIO wants a u_long")
        if handle.selects_events and not argument:
            raise WinsockError(Wsae.WSAEINVAL, "events are selected: it stays non-blocking")
        handle.blocking = not argument

    def available(self, handle: Handle, _argument: object) -> int:
        """FIONREAD, in bytes."""
        return int(self._info(handle)["available"])

    def at_mark(self, handle: Handle, _argument: object) -> bool:
        """SIOCATMARK."""
        return bool(self._info(handle).get("at_mark", True))

    def _switch(self, handle: Handle, name: str, value: object) -> None:
        """Set a switch that only datagram sockets have. WSAEOPNOTSUPP, WSAEFAULT."""
        if handle.stream:
            raise WinsockError(Wsae.WSAEOPNOTSUPP, f"{name} of a stream")
        try:
            self._now(handle, Afd.SET_INFO, Information({name: checked(name, value)}))
        except OptionError as error:
            raise WinsockError(Wsae.WSAEFAULT, str(error)) from error

    def ideal_backlog(self, handle: Handle, _argument: object) -> int:
        """SIO_IDEAL_SEND_BACKLOG_QUERY, in bytes. WSAEOPNOTSUPP, WSAENOTCONN."""
        if not handle.stream:
            raise WinsockError(Wsae.WSAEOPNOTSUPP, "a datagram socket has no backlog")
        found = self._info(handle).get("ideal_backlog")
        if found is None:
            raise WinsockError(Wsae.WSAENOTCONN, "no connection")
        return int(found)

    def _action(self, handle: Handle, name: str, **arguments: Any) -> Any:  # noqa: ANN401 - each action has its own
        """TDI_ACTION at the socket's transport, as its helper wants it. NtError."""
        tdi = TdiClient(self._io)
        channel = self._io.open(handle.info.device, None)
        try:
            return tdi.must(tdi.request(channel, Tdi.ACTION, Action(name, arguments)))
        finally:
            self._io.close(channel)

    def _update_context(self, handle: Handle, option: int, listener: object) -> None:
        """SO_UPDATE_ACCEPT_CONTEXT, whose value is the listener, and SO_UPDATE_CONNECT_CONTEXT.

        WSAENOTCONN: there is no connection. WSAEINVAL: another listener's, or not by AcceptEx.
        """
        if not handle.stream or not self._info(handle)["connected"]:
            raise WinsockError(Wsae.WSAENOTCONN, "a context of a connection that there is not")
        if option == So.UPDATE_ACCEPT_CONTEXT:
            if handle.lacks_context is not listener or not isinstance(listener, AfdHandle):
                raise WinsockError(Wsae.WSAEINVAL, "not the listener that accepted it")
            handle.options = dict(listener.options)
        handle.bound, handle.lacks_context = True, None

    def set_keepalive(self, handle: Handle, argument: object) -> None:
        """SIO_KEEPALIVE_VALS: tcp_keepalive, (onoff, keepalivetime, keepaliveinterval) in ms."""
        if isinstance(argument, bytes | bytearray) and len(argument) >= KEEPALIVE.size:
            argument = KEEPALIVE.unpack_from(argument)
        if not isinstance(argument, tuple) or len(argument) != 3:
            raise WinsockError(Wsae.WSAEFAULT, "SIO_KEEPALIVE_VALS wants a tcp_keepalive")
        if not handle.stream:
            raise WinsockError(Wsae.WSAEOPNOTSUPP, "SIO_KEEPALIVE_VALS is TCP's")
        try:
            values = checked_all(dict(zip(KEEPALIVE_FIELDS, argument, strict=True)))
        except OptionError as error:
            raise WinsockError(Wsae.WSAEFAULT if error.is_type else Wsae.WSAEINVAL, str(error)) from error
        self._now(handle, Afd.SET_INFO, Information(values))
        handle.options["keepalive"] = values["keepalive"]
        handle.options["keepalive_s"] = values["keepalive_ms"] // 1000
        handle.options["keepalive_interval_s"] = values["keepalive_interval_ms"] // 1000

    def set_qos(self, handle: Handle, asked: object) -> None:
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
_CONTROLS: dict[int, Callable[[OptionCalls, Handle, Any], Any]] = {
    Io.FIONBIO: OptionCalls.set_non_blocking,
    Io.FIONREAD: OptionCalls.available,
    Io.SIOCATMARK: OptionCalls.at_mark,
    Io.KEEPALIVE_VALS: OptionCalls.set_keepalive,
    Io.IDEAL_SEND_BACKLOG_QUERY: OptionCalls.ideal_backlog,
    Io.GET_QOS: lambda _provider, handle, _argument: handle.qos,
    Io.SET_QOS: OptionCalls.set_qos,
}
