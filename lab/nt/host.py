"""The upper half of an NT host: I/O system, TDI, AFD, Winsock's catalogs, over one TCP/IP stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocols.afd import AfdDriver
from protocols.io.system import IoSystem
from protocols.io.verifier import IrpVerifier
from protocols.tcpip_tdi import TcpipDevices
from protocols.tdi.registration import TdiRegistry
from protocols.winsock.api import Winsock, install_tcpip
from protocols.winsock.namespace import DnsNames, LlmnrNames, LocalNames, Namespaces
from protocols.winsock.spi import Catalog

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocols.io.completion import Waiter
    from protocols.tcpip.stack import Stack


class Upper:
    """Everything above the stack. ``verifier`` has seen every IRP."""

    def __init__(
        self, stack: Stack, waiter: Waiter, *, host_name: str = "ringwalk", verify: bool = True
    ) -> None:
        """Load the drivers, in the order of their dependencies: TDI, tcpip, AFD."""
        self.stack = stack
        self.waiter = waiter
        self.verifier = IrpVerifier()
        self.io = IoSystem(self.verifier if verify else None)
        self.registry = TdiRegistry()
        self.devices = TcpipDevices(self.io, stack, waiter.kick, self.registry)
        self.afd = AfdDriver(self.io, waiter.kick)
        self.names = Namespaces(waiter)
        for provider in (
            LocalNames(stack, host_name),
            DnsNames(stack, waiter.kick),
            LlmnrNames(stack, waiter.kick),
        ):
            self.names.install(provider)

    def process(self, thread: Callable[[], object] = lambda: 0) -> Winsock:
        """Return a new process's Winsock, its catalog filled with TCP/IP."""
        catalog = Catalog()
        winsock = Winsock(self.io, self.waiter, catalog, thread)
        install_tcpip(catalog, winsock.base)
        return winsock
