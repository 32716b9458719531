"""tcpip.sys's provider module: by the NMR, it gives its dispatch to every client that attaches."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from ntos.io.status import NtStatus
from protocols.interfaces.nmr.modules import NOT_ATTACHED, Attached, ModuleId, RegistrationInstance
from protocols.interfaces.tdi.address import InternetAddress, internet
from protocols.interfaces.tlnpi.npi import NPI_TRANSPORT_LAYER_ID, TL_VERSION, TlKind, TlTransport
from protocols.transports.tcpip.tl_edge.datagrams import UdpTlAddress
from protocols.transports.tcpip.tl_edge.stream import TcpTlAddress

if TYPE_CHECKING:
    from typing import Any

    from protocols.interfaces.nmr.binding import Binding
    from protocols.interfaces.tlnpi.npi import BindRequest, DatagramEvents
    from protocols.transports.tcpip.tdi_edge.devices import TcpipDevices

TCPIP = ModuleId(UUID("0c6f8d52-3e0b-4c47-8a55-6d1f4b2a9e10"), "Tcpip")
TCP, UDP = 6, 17


class TcpipTransport:
    """The provider module and its dispatch in one: it has no state for each client.

    ``devices`` are TDI's side of the same driver: both share the claims on addresses.
    """

    transports = tuple(
        TlTransport(version, kind, protocol)
        for version in (4, 6)
        for kind, protocol in ((TlKind.STREAM, TCP), (TlKind.DATAGRAM, UDP))
    )

    def __init__(self, devices: TcpipDevices) -> None:
        """Speak for the stack that ``devices`` speak for."""
        self.instance = RegistrationInstance(NPI_TRANSPORT_LAYER_ID, TCPIP, specific=TL_VERSION)
        self._devices = devices

    # ProviderModule

    def attach_client(
        self,
        binding: Binding,
        client: RegistrationInstance,
        context: Any,  # noqa: ANN401 - the client's own
        dispatch: Any,  # noqa: ANN401 - no client of this interface has one: its objects have events
    ) -> Attached:
        """ProviderAttachClient: any client of our version."""
        del binding, context, dispatch
        return Attached(NtStatus.SUCCESS, None, self) if client.specific == TL_VERSION else NOT_ATTACHED

    def detach_client(self, context: Any) -> NtStatus:  # noqa: ANN401 - as above
        """ProviderDetachClient: the client has aborted and closed what it had."""
        del context
        return NtStatus.SUCCESS

    def cleanup_binding_context(self, context: Any) -> None:  # noqa: ANN401 - as above
        """ProviderCleanupBindingContext: there is none."""

    # TlProvider

    def addresses(self) -> tuple[InternetAddress, ...]:
        """Return the host's usable addresses, loopback's left out."""
        stack = self._devices.tcp.stack
        return tuple(
            internet(entry.address, 0, interface.index)
            for interface in stack.interfaces[1:]
            for entry in interface.addresses.values()
            if entry.usable
        )

    def open_stream(self, request: BindRequest) -> TcpTlAddress:
        """Claim an address for connections. NtError."""
        tcp = self._devices.tcp
        return TcpTlAddress(tcp.stack, tcp.claims, request)

    def open_datagrams(self, request: BindRequest, events: DatagramEvents) -> UdpTlAddress:
        """Claim an address for datagrams. NtError."""
        return UdpTlAddress(self._devices.udp, request, events)
