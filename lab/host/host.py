"""The upper half of an NT host: I/O system, TDI, AFD, Winsock's catalogs, over one TCP/IP stack."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from lab.host import systems
from ntos.io.system import IoSystem
from ntos.io.verifier import IrpVerifier
from ntos.netcfg.loader import Loader
from ntos.netcfg.system import System
from protocols.apis.afd import AfdDriver
from protocols.apis.winsock.namespace import DnsNames, LlmnrNames, LocalNames, Namespaces, NetbtNames
from protocols.apis.winsock.processes import WinsockProcesses
from protocols.apis.wsk import WskRegistration, WskSubsystem
from protocols.interfaces.nmr import Nmr
from protocols.interfaces.tdi.registration import TdiRegistry
from protocols.transports.netbt import NameService
from protocols.transports.tcpip.tdi_edge import TcpipDevices

if TYPE_CHECKING:
    from ntos.executive.contract import Executive
    from ntos.object.token import Token
    from protocols.apis.winsock import Winsock
    from protocols.apis.wsk.npi import ClientNpi
    from protocols.transports.tcpip.stack import Stack


class Upper:
    """Everything above the stack. ``verifier`` has seen every IRP."""

    def __init__(
        self,
        stack: Stack,
        executive: Executive,
        *,
        host_name: str = "ringwalk",
        verify: bool = True,
        load: bool = True,
    ) -> None:
        """Make the I/O system, TDI and the NMR; load what starts with the system, unless the caller does."""
        self.stack = stack
        self.executive = executive
        self.verifier = IrpVerifier()
        self.io = IoSystem(self.verifier if verify else None)
        self.io.wait = partial(executive.wait, what="a create")
        self.registry = TdiRegistry()
        self.nmr = Nmr(executive)
        self.names = Namespaces(executive)
        self.system = System(self.io, executive)
        self.system.export(stack, self.registry, self.nmr, self.names)
        self.loader = Loader(systems.store(), self.system)
        self._host_name = host_name
        if load:
            self.load()

    def load(self) -> None:
        """Load and bind all that starts with the system, and install the namespace providers."""
        self.loader.load_host()
        for provider in (
            LocalNames(self.stack, self._host_name),
            DnsNames(self.stack),
            LlmnrNames(self.stack),
            NetbtNames(self.netbt),
        ):
            self.names.install(provider)

    @property
    def devices(self) -> TcpipDevices:
        """TDI's devices of TCP/IP."""
        return self.system.find(TcpipDevices)

    @property
    def afd(self) -> AfdDriver:
        """AFD's device."""
        return self.system.find(AfdDriver)

    @property
    def wsk(self) -> WskSubsystem:
        """The subsystem of kernel sockets."""
        return self.system.find(WskSubsystem)

    @property
    def netbt(self) -> NameService:
        """NetBIOS names over TCP/IP."""
        return self.system.find(NameService)

    def wsk_register(self, npi: ClientNpi | None = None) -> WskRegistration:
        """WskRegister: a driver's way to kernel sockets."""
        return WskRegistration(self.nmr, self.executive, npi)

    def process(self, token: Token | None = None) -> Winsock:
        """Return a new process's Winsock, its catalog filled with what is bound.

        ``token``: whose process it is; None: the host's own user's.
        """
        return self.system.find(WinsockProcesses).process(token)
