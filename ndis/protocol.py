"""The contract of a protocol: what a transport implements for each of its bindings.

``BindingClient`` has every ProtocolXxx handler with a default; a transport overrides what it cares
for. It sends and asks through an ``ndis.open.Open``. Source: "ProtocolXxx Functions", NDIS 5.1.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ndis.status import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ndis.nbl import NetBufferList
    from ndis.packet import Packet
    from ndis.requests import Request


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
