"""The modules ``_socket`` and ``socket`` over one process's Winsock."""

from __future__ import annotations

import errno
import importlib.util
import socket as standard
import sys
import threading
import types
from typing import TYPE_CHECKING, Any

from protocols.apis.win32 import Win32Error
from protocols.apis.win32.handles import HandleFlags
from protocols.apis.winsock.pysocket import numbers
from protocols.apis.winsock.pysocket.base import FIRST_FILENO, BaseSocket, checked_timeout
from protocols.apis.winsock.pysocket.names import Resolver
from protocols.apis.winsock.pysocket.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocols.apis.winsock.api import Winsock
    from protocols.apis.winsock.namespace import Namespaces

UNCHANGED = (
    *(
        "error",
        "gaierror",
        "herror",
        "timeout",
        "has_ipv6",
        "getprotobyname",
        "getservbyname",
        "getservbyport",
    ),
    *("htonl", "htons", "ntohl", "ntohs", "inet_aton", "inet_ntoa", "inet_ntop", "inet_pton"),
)
"""What of Python's module touches no network."""
WITHOUT = ("send_fds", "recv_fds")
"""What ``socket.py`` defines and cannot do here."""
_importing = threading.Lock()


def _no_interface(address: bytes) -> int:
    raise LookupError(address)


def socket_module(
    winsock: Winsock,
    names: Namespaces,
    *,
    host_name: str | None = None,
    interface_of: Callable[[bytes], int] = _no_interface,
) -> types.ModuleType:
    """Return a module ``socket``: Python's own ``socket.py`` over Winsock. Its ``_socket`` is below it."""
    resolver = Resolver(names, host_name or standard.gethostname(), interface_of)
    low = _lowlevel(World(winsock, resolver))
    spec = importlib.util.spec_from_file_location("socket", standard.__file__)
    if spec is None or spec.loader is None:
        raise ImportError(f"{standard.__file__} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    with _importing:
        before = {name: sys.modules.get(name) for name in ("socket", "_socket")}
        sys.modules.update({"socket": module, "_socket": low})
        try:
            spec.loader.exec_module(module)
        finally:
            for name, one in before.items():
                if one is None:
                    del sys.modules[name]
                else:
                    sys.modules[name] = one
    _fit(module.socket, winsock)
    for name in WITHOUT:
        vars(module).pop(name, None)
    exported = vars(module)["__all__"]
    exported[:] = [name for name in exported if hasattr(module, name)]
    return module


def _fit(kind: Any, winsock: Any) -> None:  # noqa: ANN401 - socket.socket; Winsock behind a lock
    """Let what ``socket.py`` does by descriptors be done by handles, and by reading and sending."""

    def get_inheritable(self: BaseSocket) -> bool:
        """Tell whether a process that is created gets the handle."""
        return bool(winsock.win32.get_handle_information(_number(self.fileno())) & HandleFlags.INHERIT)

    def set_inheritable(self: BaseSocket, inheritable: bool) -> None:  # noqa: FBT001 - the standard library's signature
        """Have a process that is created get the handle, or not."""
        told = HandleFlags.INHERIT if inheritable else HandleFlags.NONE
        winsock.win32.set_handle_information(_number(self.fileno()), HandleFlags.INHERIT, told)

    kind.get_inheritable, kind.set_inheritable = get_inheritable, set_inheritable
    kind._sendfile_use_sendfile = kind._sendfile_use_send  # noqa: SLF001 - os.sendfile wants a descriptor


def _lowlevel(world: World) -> types.ModuleType:
    class Socket(BaseSocket):
        """``_socket.socket`` of this process."""

        __slots__ = ()

    Socket.world = world
    Socket.__name__ = Socket.__qualname__ = "socket"
    module = types.ModuleType("_socket", "Sockets of the stack, as socket.py wants them from below.")
    resolver = world.resolver
    fixed = {name: getattr(standard, name) for name in numbers.CONSTANTS if hasattr(standard, name)}
    of_names = {
        name: int(value)
        for name, value in vars(standard).items()
        if name.startswith(numbers.FAMILIES_OF_NAMES) and isinstance(value, int)
    }

    def close(fileno: int, /) -> None:
        world.close(_number(fileno))

    def dup(fileno: int, /) -> int:
        try:
            handle: int = winsock.win32.duplicate_handle(_number(fileno))
        except Win32Error as error:
            raise OSError(errno.EBADF, str(error)) from None
        return FIRST_FILENO + handle

    def setdefaulttimeout(value: Any, /) -> None:  # noqa: ANN401 - a number or None
        world.default_timeout = checked_timeout(value)

    winsock: Any = world.winsock
    functions: dict[str, Any] = {
        **{name: getattr(standard, name) for name in UNCHANGED},
        **{name: int(value) for name, value in fixed.items()},
        **of_names,
        "socket": Socket,
        "SocketType": Socket,
        "world": world,
        "close": close,
        "dup": dup,
        "getaddrinfo": resolver.getaddrinfo,
        "getnameinfo": resolver.getnameinfo,
        "gethostbyname": resolver.gethostbyname,
        "gethostbyname_ex": resolver.gethostbyname_ex,
        "gethostbyaddr": resolver.gethostbyaddr,
        "gethostname": lambda: resolver.host_name,
        "getdefaulttimeout": lambda: world.default_timeout,
        "setdefaulttimeout": setdefaulttimeout,
    }
    vars(module).update(functions)
    vars(module)["__all__"] = [name for name in functions if name != "world"]
    return module


def _number(fileno: int) -> int:
    if fileno < FIRST_FILENO:  # also -1, of a socket that is closed
        raise OSError(errno.EBADF, "a descriptor of the machine is no socket of the stack")
    return fileno - FIRST_FILENO
