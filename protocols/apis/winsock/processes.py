"""The processes of a host that have loaded Winsock, and what their catalogs hold.

A catalog has the protocols of every transport that AFD is bound to, as the transport's helper DLL lists them;
layered providers are the process's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntos.netcfg.driver import DriverObject
from ntos.netcfg.registry import SERVICES
from ntos.object.sid import Sid
from ntos.object.token import user_token
from protocols.apis.afd import AfdDriver
from protocols.apis.win32 import Win32
from protocols.apis.winsock.api import Winsock
from protocols.apis.winsock.errors import WinsockError, Wsae
from protocols.apis.winsock.helpers.contract import WinsockHelper
from protocols.apis.winsock.spi import Catalog

if TYPE_CHECKING:
    from ntos.netcfg.system import System
    from ntos.object.token import Token
    from protocols.apis.winsock.helpers.contract import CatalogEntry

HOST_USER = Sid(5, (21, 1004336348, 1177238915, 682003330, 1001))
"""Who runs a host's programs, unless somebody else is named."""


class WinsockProcesses(DriverObject):
    """Winsock over AFD: while they are parted, ``socket`` finds no protocol."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._processes: list[Winsock] = []
        self._is_bound = False
        self._afd = system.find(AfdDriver)
        self._afd.watchers.append(self._refresh)

    def process(self, token: Token | None = None, name: str = "program") -> Winsock:
        """Return a new process's Winsock, its catalog filled; the process runs with ``token``."""
        io, executive = self._system.io, self._system.executive
        process = io.objects.create_process(
            name, token or user_token(HOST_USER), current=executive.current_thread
        )
        winsock = Winsock(Win32(process, io, executive), Catalog())
        self._processes.append(winsock)
        self._fill(winsock)
        return winsock

    def helper(self, family: int) -> WinsockHelper:
        """Return the helper of a family that is bound. WinsockError(WSAEAFNOSUPPORT)."""
        for helper, entry in self._entries():
            if entry.family == family:
                return helper
        raise WinsockError(Wsae.WSAEAFNOSUPPORT, f"family {family}")

    def bind(self, lower: str) -> None:
        """Fill the catalogs, and those to come."""
        del lower
        self._is_bound = True
        self._refresh()

    def unbind(self, lower: str) -> None:
        """Empty them of all but layered providers."""
        del lower
        self._is_bound = False
        self._refresh()

    def _refresh(self) -> None:
        for winsock in self._processes:
            self._fill(winsock)

    def _fill(self, winsock: Winsock) -> None:
        """Bring a catalog to what is bound: what has gone goes, what is new comes at the end."""
        catalog = winsock.catalog
        wanted = self._entries()
        names = {entry.name for _helper, entry in wanted}
        for one in [one for one in catalog.entries if not one.layered and one.name not in names]:
            catalog.deinstall(one.number)
        there = {one.name for one in catalog.entries if not one.layered}
        for helper, entry in wanted:
            if entry.name not in there:
                catalog.install(winsock.base, entry, helper)

    def _entries(self) -> list[tuple[WinsockHelper, CatalogEntry]]:
        if not self._is_bound:
            return []
        helpers = [self._helper(instance) for instance in self._afd.transports]
        return [(one, entry) for one in helpers if one is not None for entry in one.catalog]

    def _helper(self, transport: str) -> WinsockHelper | None:
        """Return what the transport's service names as HelperDllName; None: it has no sockets."""
        service = self._system.service(transport)
        path = self._system.registry.get(rf"{SERVICES}\{service}\Parameters\Winsock", "HelperDllName")
        if path is None:
            return None
        found = self._system.load_library(str(path).rpartition("\\")[2])
        return found if isinstance(found, WinsockHelper) else None
