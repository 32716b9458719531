"""The protocol's side: what a transport implements, and the open it sends and asks through.

``BindingClient`` has every ProtocolXxx handler with a default; a transport overrides what it cares
for. Source: "ProtocolXxx Functions" and NdisOpenAdapter, NDIS 5.1.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ndis.errors import NdisError
from ndis.events import Kind
from ndis.oids import ProtocolOption
from ndis.packet import Owner, Packet
from ndis.status import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ndis.adapter import MiniportAdapter
    from ndis.nbl import NetBufferList
    from ndis.requests import Request
    from ndis.wrapper import BindContext


class NetEvent(enum.Enum):
    """NET_PNP_EVENT_CODE."""

    SET_POWER = enum.auto()
    QUERY_POWER = enum.auto()
    QUERY_REMOVE_DEVICE = enum.auto()
    CANCEL_REMOVE_DEVICE = enum.auto()
    RECONFIGURE = enum.auto()
    BIND_LIST = enum.auto()
    BINDS_COMPLETE = enum.auto()
    PNP_CAPABILITIES = enum.auto()
    PAUSE = enum.auto()  # NDIS 6
    RESTART = enum.auto()


@dataclass(frozen=True, slots=True)
class PnPEvent:
    """NET_PNP_EVENT: what happens, and its buffer."""

    code: NetEvent
    data: Any = None


class BindingClient:
    """A transport's context for one binding: its handlers.

    PENDING is never returned by the defaults.

    A client may also have ``receive_packet(packet) -> int`` (the references it takes) and
    ``receive_net_buffer_lists(nbls, resources)``, which NDIS prefers to ``receive`` when they are
    there.
    """

    def open_adapter_complete(self, status: Status) -> None:
        """ProtocolOpenAdapterComplete."""

    def close_adapter_complete(self, status: Status) -> None:
        """ProtocolCloseAdapterComplete."""

    def send_complete(self, packet: Packet, status: Status) -> None:
        """ProtocolSendComplete."""

    def send_net_buffer_lists_complete(self, nbls: Sequence[NetBufferList]) -> None:
        """ProtocolSendNetBufferListsComplete."""

    def transfer_data_complete(self, packet: Packet, status: Status, copied: int) -> None:
        """ProtocolTransferDataComplete."""

    def reset_complete(self, status: Status) -> None:
        """ProtocolResetComplete."""

    def request_complete(self, request: Request, status: Status) -> None:
        """ProtocolRequestComplete."""

    def receive(self, context: object, header: bytes, lookahead: bytes, packet_size: int) -> Status:  # noqa: ARG002 - the contract's arguments
        """ProtocolReceive.

        ``open.transfer_data(context, ...)`` inside gets the rest of the frame.
        """
        return Status.NOT_ACCEPTED

    def receive_complete(self) -> None:
        """ProtocolReceiveComplete: now there is time to work on what came."""

    def status(self, status: Status, data: object) -> None:
        """ProtocolStatus."""

    def status_complete(self) -> None:
        """ProtocolStatusComplete."""

    def pnp_event(self, event: PnPEvent) -> Status:  # noqa: ARG002 - the contract's argument
        """ProtocolPnPEvent."""
        return Status.SUCCESS


class ProtocolDriver(Protocol):
    """A transport: one object a system."""

    def bind_adapter(self, context: BindContext) -> Status:
        """ProtocolBindAdapter: open the adapter by ``context.open`` and keep the open; or refuse.

        PENDING: ``context.complete(status)`` is called later (NdisCompleteBindAdapter).
        """

    def unbind_adapter(self, open_: Open) -> Status:
        """ProtocolUnbindAdapter: stop sending, return what was received, close.

        PENDING: when closed.
        """


class OpenState(enum.Enum):
    """The life of an open."""

    OPENING = enum.auto()
    OPEN = enum.auto()
    CLOSING = enum.auto()
    CLOSED = enum.auto()


OPEN_TRANSITIONS: dict[tuple[OpenState, str], OpenState] = {
    (OpenState.OPENING, "opened"): OpenState.OPEN,
    (OpenState.OPENING, "failed"): OpenState.CLOSED,
    (OpenState.OPEN, "close"): OpenState.CLOSING,
    (OpenState.CLOSING, "closed"): OpenState.CLOSED,
}


class Open:
    """NDIS_OPEN_BLOCK: one protocol's binding to one adapter, and the functions it calls."""

    def __init__(self, adapter: MiniportAdapter, client: BindingClient, protocol: str) -> None:
        """Join client and adapter; ``protocol`` names it in reports."""
        self.adapter = adapter
        self.client = client
        self.protocol = protocol
        self.options = ProtocolOption(0)
        self.state = OpenState.OPENING
        self._receive_packet = getattr(client, "receive_packet", None)
        self.receives_lists = hasattr(client, "receive_net_buffer_lists")

    def __repr__(self) -> str:
        """Name the binding as reports do."""
        return f"<Open {self.protocol}->{self.adapter.name} {self.state.name}>"

    def callout(self, handler: str, *arguments: Any) -> Any:  # noqa: ANN401 - each handler has its own types
        """Call one of the client's handlers."""
        adapter = self.adapter
        call = getattr(self.client, handler)
        if adapter.observer is None:
            return call(*arguments)
        adapter.emit(Kind.CALLOUT, handler, None, open=self, arguments=arguments)
        try:
            return call(*arguments)
        finally:
            adapter.emit(Kind.CALLOUT_END, handler, None, open=self)

    # Calls of the protocol.

    def send(self, packet: Packet) -> Status:
        """NdisSend: always PENDING; ``send_complete`` tells the rest."""
        self.send_packets([packet])
        return Status.PENDING

    def send_packets(self, packets: list[Packet]) -> None:
        """NdisSendPackets."""
        if self.state is not OpenState.OPEN:
            self._require_open()
        self.adapter.send_packets(self, packets)

    def send_net_buffer_lists(self, nbls: Sequence[NetBufferList]) -> None:
        """NdisSendNetBufferLists."""
        self._require_open()
        self.adapter.lists.submit_lists(self, list(nbls))

    def cancel_sends(self, cancel_id: object) -> None:
        """NdisCancelSendPackets, NdisCancelSendNetBufferLists."""
        self.adapter.cancel_sends(cancel_id)

    def return_packets(self, packets: list[Packet]) -> None:
        """NdisReturnPackets."""
        self.adapter.receives.return_packets(packets, self)

    def return_net_buffer_lists(self, nbls: Sequence[NetBufferList]) -> None:
        """NdisReturnNetBufferLists."""
        self.adapter.lists.return_lists(list(nbls))

    def request(self, request: Request) -> Status:
        """NdisRequest: PENDING (then ``request_complete``) or the final status."""
        self._require_open()
        return self.adapter.requests.submit(request, self)

    def reset(self) -> Status:
        """NdisReset: PENDING (then ``reset_complete``) or RESET_IN_PROGRESS."""
        return self.adapter.resets.begin(f"{self.protocol} asked", self)

    def transfer_data(self, context: object, offset: int, length: int, packet: Packet) -> tuple[Status, int]:
        """NdisTransferData: copy payload bytes into ``packet``; only inside ``receive``.

        Returns the status and the bytes copied; PENDING: ``transfer_data_complete`` follows.
        """
        if isinstance(context, Packet):
            skip = context.header_size + offset
            return Status.SUCCESS, context.copy_to(packet, skip, length)
        adapter = self.adapter
        packet.transfer(Owner.PROTOCOL, Owner.MINIPORT)
        packet.ndis_reserved = self
        status, copied = adapter.enter(
            "transfer_data", adapter.handler("transfer_data"), packet, context, offset, length
        )
        if status is not Status.PENDING:
            packet.transfer(Owner.MINIPORT, Owner.PROTOCOL)
        return status, copied

    def close(self) -> Status:
        """NdisCloseAdapter: SUCCESS, or PENDING (then ``close_adapter_complete``)."""
        adapter = self.adapter
        if self.state is not OpenState.OPEN:
            raise NdisError(Status.ADAPTER_NOT_OPEN, repr(self))
        if adapter.observer is not None:
            adapter.emit(Kind.CLOSE, "close", self, **self._pending())
        self._move("close")
        adapter.ndis.withdraw_filters(self)
        if not self._busy():
            self._closed()
            return Status.SUCCESS
        return Status.PENDING

    # What NDIS calls.

    def opened(self) -> None:
        """Become usable."""
        self._move("opened")
        self.adapter.filter.add(self)
        self.adapter.opens = (*self.adapter.opens, self)

    def deliver(self, packet: Packet, *, resources: bool) -> int:
        """Give the client one received packet; return the references it takes."""
        if self.receives_lists:
            return self.adapter.lists.deliver_packet(self, packet, resources=resources)
        if self._receive_packet is not None:
            if self.adapter.observer is None:  # the hot path, as in ``send_completed``
                taken = int(self._receive_packet(packet))
                return 0 if resources else taken
            taken = int(self.callout("receive_packet", packet))
            if taken:
                self.adapter.emit(Kind.RETAINED, "retained", packet, open=self, resources=resources)
            return 0 if resources else taken
        raw = packet.snapshot()
        header, rest = raw[: packet.header_size], raw[packet.header_size :]
        lookahead = max(self.adapter.filter.of(self).lookahead, 64)
        self.callout("receive", packet, header, rest[:lookahead], len(rest))
        return 0

    def send_completed(self, packet: Packet, status: Status) -> None:
        """Give a sent packet back."""
        if self.adapter.observer is None:  # the hot path: no name to look up, nothing to tell
            self.client.send_complete(packet, status)
        else:
            self.callout("send_complete", packet, status)
        if self.state is OpenState.CLOSING:
            self.check_closed()

    def transfer_completed(self, packet: Packet, status: Status, copied: int) -> None:
        """Give back a packet that TransferData filled later."""
        packet.transfer(Owner.MINIPORT, Owner.PROTOCOL)
        self.callout("transfer_data_complete", packet, status, copied)

    def check_closed(self) -> None:
        """Finish a close that waits for the last send or request."""
        if self.state is OpenState.CLOSING and not self._busy():
            self._closed()
            self.callout("close_adapter_complete", Status.SUCCESS)

    def _closed(self) -> None:
        adapter = self.adapter
        self._move("closed")
        adapter.filter.remove(self)
        adapter.opens = tuple(o for o in adapter.opens if o is not self)

    def _busy(self) -> bool:
        return any(self._pending().values())

    def _pending(self) -> dict[str, list[Any]]:
        adapter = self.adapter
        sends = [*adapter.sends.queued, *adapter.sends.outstanding]
        requests = [*adapter.requests.waiting, adapter.requests.current]
        return {
            "sends": [p for p in sends if p.ndis_reserved is self],
            "lists": [n for n in adapter.lists.outstanding_lists if n.source is self],
            "requests": [r for r in requests if r is not None and r.open is self],
        }

    def _move(self, event: str) -> None:
        self.state = OPEN_TRANSITIONS[self.state, event]

    def _require_open(self) -> None:
        if self.state is not OpenState.OPEN:
            raise NdisError(Status.CLOSING, repr(self))
