"""What joins a call manager and its clients: address family, SAPs, virtual circuits and parties.

The order of calls is checked here, every operation on a circuit is an event (rule V35). Source:
"Connection-Oriented NDIS" (NDIS 5.1): NdisCmRegisterAddressFamily, NdisClMakeCall, NdisCoCreateVc,
….
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, Protocol

from ndis.errors import NdisError
from ndis.events import Kind
from ndis.status import Status
from ntos.errors import BugCheckError

if TYPE_CHECKING:
    from ndis.adapter import MiniportAdapter


class VcState(enum.Enum):
    """The life of a virtual circuit."""

    CREATED = enum.auto()
    ACTIVE = enum.auto()
    DELETED = enum.auto()


VC_TRANSITIONS: dict[tuple[VcState, str], VcState] = {
    (VcState.CREATED, "activate"): VcState.ACTIVE,
    (VcState.ACTIVE, "deactivate"): VcState.CREATED,
    (VcState.ACTIVE, "send"): VcState.ACTIVE,
    (VcState.ACTIVE, "indicate"): VcState.ACTIVE,
    (VcState.CREATED, "delete"): VcState.DELETED,
}


class VirtualCircuit:
    """One VC. ``parties`` are the leaves of a point-to-multipoint call."""

    def __init__(self, family: AddressFamily, number: int) -> None:
        self.family = family
        self.number = number
        self.state = VcState.CREATED
        self.parties: list[object] = []
        self.parameters: dict[str, Any] = {}
        family.emit("create", self)

    def __repr__(self) -> str:
        """Name the circuit as reports do."""
        return f"<VC {self.number} {self.state.name}>"

    def move(self, event: str) -> None:
        """Do ``event``; stops the machine when the state does not allow it."""
        self.family.emit(event, self)
        try:
            self.state = VC_TRANSITIONS[self.state, event]
        except KeyError:
            raise BugCheckError(f"{event} of a circuit that is {self.state.name}", self) from None


class Client(Protocol):
    """A connection-oriented client: what a call manager's news come to."""

    def make_call_complete(self, status: Status, vc: VirtualCircuit) -> None:
        """ProtocolClMakeCallComplete."""

    def incoming_call(self, vc: VirtualCircuit, sap: str) -> Status:
        """ProtocolClIncomingCall: accept, refuse, or PENDING and ``answer`` later."""

    def call_connected(self, vc: VirtualCircuit) -> None:
        """ProtocolClCallConnected."""

    def incoming_close_call(self, status: Status, vc: VirtualCircuit) -> None:
        """ProtocolClIncomingCloseCall: the other side hung up; answer by ``close_call``."""

    def co_receive(self, vc: VirtualCircuit, data: bytes) -> None:
        """ProtocolCoReceivePacket."""


class CallManager(Protocol):
    """A call manager, or a miniport call manager (MCM)."""

    def register_sap(self, sap: str) -> Status:
        """ProtocolCmRegisterSap."""

    def deregister_sap(self, sap: str) -> None:
        """ProtocolCmDeregisterSap."""

    def make_call(self, vc: VirtualCircuit, parameters: dict[str, Any]) -> Status:
        """ProtocolCmMakeCall: PENDING, then ``family.call_made``."""

    def close_call(self, vc: VirtualCircuit) -> Status:
        """ProtocolCmCloseCall: deactivate the circuit, then SUCCESS."""

    def incoming_call_complete(self, status: Status, vc: VirtualCircuit) -> None:
        """ProtocolCmIncomingCallComplete."""

    def add_party(self, vc: VirtualCircuit, party: object) -> Status:
        """ProtocolCmAddParty."""

    def drop_party(self, vc: VirtualCircuit, party: object) -> Status:
        """ProtocolCmDropParty."""

    def co_send(self, vc: VirtualCircuit, data: bytes) -> Status:
        """MiniportCoSendPackets."""


class AddressFamily:
    """An open address family: one client, one call manager, the circuits between them."""

    def __init__(self, adapter: MiniportAdapter, manager: CallManager, client: Client) -> None:
        self.adapter = adapter
        self.circuits: list[VirtualCircuit] = []
        self._manager = manager
        self._client = client
        self._saps: list[str] = []
        self._numbers = 0

    def emit(self, name: str, vc: VirtualCircuit) -> None:
        """Tell the observer of an operation, with the state before it."""
        if self.adapter.observer is not None:
            self.adapter.emit(Kind.VC, name, vc, state=vc.state.name)

    # The client's calls.

    def register_sap(self, sap: str) -> None:
        """NdisClRegisterSap. Raises NdisError when the call manager refuses."""
        status = self._manager.register_sap(sap)
        if status is not Status.SUCCESS:
            raise NdisError(status, f"SAP {sap}")
        self._saps.append(sap)

    def deregister_sap(self, sap: str) -> None:
        """NdisClDeregisterSap."""
        self._saps.remove(sap)
        self._manager.deregister_sap(sap)

    def make_call(self, parameters: dict[str, Any]) -> VirtualCircuit:
        """NdisCoCreateVc and NdisClMakeCall; ``make_call_complete`` follows."""
        vc = self.create_vc()
        status = self._manager.make_call(vc, parameters)
        if status is not Status.PENDING:
            self.call_made(status, vc)
        return vc

    def close_call(self, vc: VirtualCircuit) -> None:
        """NdisClCloseCall, then NdisCoDeleteVc."""
        if vc.parties:
            raise NdisError(Status.INVALID_DATA, f"{vc!r} still has parties")
        self._manager.close_call(vc)
        self.delete_vc(vc)

    def send(self, vc: VirtualCircuit, data: bytes) -> Status:
        """NdisCoSendPackets."""
        vc.move("send")
        return self._manager.co_send(vc, data)

    def answer(self, vc: VirtualCircuit, status: Status) -> None:
        """NdisClIncomingCallComplete."""
        self._manager.incoming_call_complete(status, vc)

    def add_party(self, vc: VirtualCircuit, party: object) -> Status:
        """NdisClAddParty."""
        status = self._manager.add_party(vc, party)
        if status is Status.SUCCESS:
            vc.parties.append(party)
        return status

    def drop_party(self, vc: VirtualCircuit, party: object) -> Status:
        """NdisClDropParty."""
        vc.parties.remove(party)
        return self._manager.drop_party(vc, party)

    def close(self) -> None:
        """NdisClCloseAddressFamily. Raises NdisError while circuits or SAPs are left."""
        if self.circuits or self._saps:
            raise NdisError(Status.CLOSING, f"{len(self.circuits)} circuits, {len(self._saps)} SAPs")

    # The call manager's calls.

    def create_vc(self) -> VirtualCircuit:
        """NdisCoCreateVc."""
        self._numbers += 1
        vc = VirtualCircuit(self, self._numbers)
        self.circuits.append(vc)
        return vc

    def delete_vc(self, vc: VirtualCircuit) -> None:
        """NdisCoDeleteVc."""
        vc.move("delete")
        self.circuits.remove(vc)

    def call_made(self, status: Status, vc: VirtualCircuit) -> None:
        """NdisCmMakeCallComplete; a circuit whose call failed is deleted afterwards."""
        self._client.make_call_complete(status, vc)
        if status is not Status.SUCCESS and vc in self.circuits:
            self.delete_vc(vc)

    def dispatch_incoming_call(self, sap: str, vc: VirtualCircuit) -> Status:
        """NdisCmDispatchIncomingCall."""
        if sap not in self._saps:
            return Status.NOT_RECOGNIZED
        return self._client.incoming_call(vc, sap)

    def dispatch_call_connected(self, vc: VirtualCircuit) -> None:
        """NdisCmDispatchCallConnected."""
        self._client.call_connected(vc)

    def dispatch_incoming_close_call(self, status: Status, vc: VirtualCircuit) -> None:
        """NdisCmDispatchIncomingCloseCall."""
        self._client.incoming_close_call(status, vc)

    def indicate(self, vc: VirtualCircuit, data: bytes) -> None:
        """NdisMCoIndicateReceivePacket."""
        vc.move("indicate")
        self._client.co_receive(vc, data)
