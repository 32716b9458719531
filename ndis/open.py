"""NDIS_OPEN_BLOCK: a protocol's binding to one adapter, and all that the protocol calls through it.

It stands above the adapter and knows all of it; the adapter knows an open as a ``ndis.ports.Bound``.
Source: NdisOpenAdapter, NdisSendPackets, NdisRequest, NdisCloseAdapter (NDIS 5.1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ndis.errors import NdisError
from ndis.events import Kind
from ndis.oids import Oid, ProtocolOption
from ndis.packet import Owner, Packet
from ndis.protocol import OPEN_TRANSITIONS, OpenState
from ndis.requests import InformationBuffer, Request, RequestKind
from ndis.status import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ndis.adapter import MiniportAdapter
    from ndis.nbl import NetBufferList
    from ndis.protocol import BindingClient


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
        self._withdraw_filters()
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

    def _withdraw_filters(self) -> None:
        """Take the filter and the multicast list out of the union, and tell the card."""
        library, requests = self.adapter.filter, self.adapter.requests
        before = (library.packet_filter, library.multicast)
        library.set_packet_filter(self, 0)
        library.set_multicast(self, ())
        if library.packet_filter != before[0]:
            self._set_later(Oid.GEN_CURRENT_PACKET_FILTER, requests.filter_bytes())
        if library.multicast != before[1]:
            self._set_later(Oid.O802_3_MULTICAST_LIST, b"".join(library.multicast))

    def _set_later(self, oid: Oid, data: bytes) -> None:
        request = Request(RequestKind.SET, oid, InformationBuffer(data=data), lambda _r, _s: None)
        self.adapter.requests.submit(request)

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
