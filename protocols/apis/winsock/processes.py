"""The processes of a host that have loaded Winsock, and what their catalogs hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntos.netcfg.driver import DriverObject
from protocols.apis.winsock.api import Winsock, install_tcpip
from protocols.apis.winsock.spi import Catalog

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntos.io.completion import Waiter
    from ntos.io.system import IoSystem


class WinsockProcesses(DriverObject):
    """Winsock over AFD: while they are parted, ``socket`` finds no protocol."""

    def __init__(self, io: IoSystem, waiter: Waiter) -> None:
        self._io = io
        self._waiter = waiter
        self._processes: list[Winsock] = []
        self._is_bound = False

    def process(self, thread: Callable[[], object] = lambda: 0) -> Winsock:
        """Return a new process's Winsock, its catalog filled."""
        catalog = Catalog()
        winsock = Winsock(self._io, self._waiter, catalog, thread)
        self._processes.append(winsock)
        if self._is_bound:
            install_tcpip(catalog, winsock.base)
        return winsock

    def bind(self, lower: str) -> None:
        """Fill the catalogs, and those to come."""
        del lower
        if not self._is_bound:
            for winsock in self._processes:
                install_tcpip(winsock.catalog, winsock.base)
        self._is_bound = True

    def unbind(self, lower: str) -> None:
        """Empty them of all but layered providers."""
        del lower
        self._is_bound = False
        for winsock in self._processes:
            for entry in list(winsock.catalog.entries):
                if not entry.layered:
                    winsock.catalog.deinstall(entry.number)
