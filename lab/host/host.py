"""The upper half of an NT host: I/O system, TDI, AFD, Winsock's catalogs, over one TCP/IP stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ntos.io.system import IoSystem
from ntos.io.verifier import IrpVerifier
from ntos.irql import IrqlModel
from protocols.apis.afd import AfdDriver
from protocols.apis.winsock.api import Winsock, install_tcpip
from protocols.apis.winsock.namespace import DnsNames, LlmnrNames, LocalNames, Namespaces, NetbtNames
from protocols.apis.winsock.spi import Catalog
from protocols.apis.wsk import WskRegistration, WskSubsystem
from protocols.interfaces.nmr import Nmr
from protocols.interfaces.tdi.registration import TdiRegistry
from protocols.transports.netbt import NameService
from protocols.transports.tcpip.tdi_edge import TcpipDevices
from protocols.transports.tcpip.tl_edge import TcpipTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntos.io.completion import Waiter
    from protocols.apis.wsk.npi import ClientNpi
    from protocols.transports.tcpip.stack import Stack


class Upper:
    """Everything above the stack. ``verifier`` has seen every IRP."""

    devices: TcpipDevices
    afd: AfdDriver
    wsk: WskSubsystem

    def __init__(
        self,
        stack: Stack,
        waiter: Waiter,
        *,
        host_name: str = "ringwalk",
        verify: bool = True,
        load: bool = True,
        irql: IrqlModel | None = None,
    ) -> None:
        """Make the I/O system, TDI and the NMR; load tcpip, AFD, WSK, in this order, unless the caller does.

        ``irql`` is the model of the executive that the host runs on; None: one CPU's.
        """
        self.stack = stack
        self.waiter = waiter
        self.verifier = IrpVerifier()
        self.io = IoSystem(self.verifier if verify else None)
        self.registry = TdiRegistry()
        self.irql = irql or IrqlModel(lambda: 0)
        self.nmr = Nmr(waiter, self.irql)
        self._processes: list[Winsock] = []
        self._offered = load
        self.names = Namespaces(waiter)
        self.netbt = NameService(stack)
        for provider in (
            LocalNames(stack, host_name),
            DnsNames(stack, waiter.kick),
            LlmnrNames(stack, waiter.kick),
            NetbtNames(self.netbt, waiter.kick),
        ):
            self.names.install(provider)
        if load:
            self.load_tcpip()
            self.load_afd()
            self.load_wsk()
            self.wsk.start()

    def load_tcpip(self) -> None:
        """DriverEntry of tcpip.sys's upper edges: devices that TDI knows, TLNPI that the NMR knows."""
        self.devices = TcpipDevices(self.io, self.stack, self.waiter.kick, self.registry)
        self.nmr.register_provider(TcpipTransport(self.devices, self.waiter.kick))

    def load_afd(self) -> None:
        """DriverEntry of afd.sys."""
        self.afd = AfdDriver(self.io, self.waiter.kick)

    def load_wsk(self) -> None:
        """DriverEntry of wsk.sys; ``wsk.start`` attaches it."""
        self.wsk = WskSubsystem(self.io, self.nmr, self.irql, self.names, self.waiter.kick)

    def wsk_register(self, npi: ClientNpi | None = None) -> WskRegistration:
        """WskRegister: a driver's way to kernel sockets."""
        return WskRegistration(self.nmr, self.waiter, self.irql, npi)

    def offer_tcpip(self) -> None:
        """Put TCP/IP into every process's catalog, and into those to come."""
        if not self._offered:
            for winsock in self._processes:
                install_tcpip(winsock.catalog, winsock.base)
        self._offered = True

    def withdraw_tcpip(self) -> None:
        """Take it out: ``socket`` finds no protocol."""
        self._offered = False
        for winsock in self._processes:
            for entry in list(winsock.catalog.entries):
                if not entry.layered:
                    winsock.catalog.deinstall(entry.number)

    def process(self, thread: Callable[[], object] = lambda: 0) -> Winsock:
        """Return a new process's Winsock, its catalog filled with TCP/IP."""
        catalog = Catalog()
        winsock = Winsock(self.io, self.waiter, catalog, thread)
        self._processes.append(winsock)
        if self._offered:
            install_tcpip(catalog, winsock.base)
        return winsock
