"""Plug and Play of one device: the NDIS 5 states, orderly removal and surprise removal.

Source: "Plug and Play Device States" (NDIS 5.1), MiniportPnPEventNotify, NetEventQueryRemoveDevice.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from ndis.errors import NdisError
from ndis.lifecycle import AdapterState
from ndis.protocol import NetEvent, PnPEvent
from ndis.status import Status

if TYPE_CHECKING:
    from ndis.adapter import MiniportAdapter


class DeviceState(enum.Enum):
    """The PnP states of a device object."""

    ADDED = enum.auto()
    STARTED = enum.auto()
    QUERY_STOPPED = enum.auto()
    STOPPED = enum.auto()
    SURPRISE_REMOVED = enum.auto()
    REMOVED = enum.auto()


TRANSITIONS: dict[tuple[DeviceState, str], DeviceState] = {
    (DeviceState.ADDED, "start"): DeviceState.STARTED,
    (DeviceState.STARTED, "query stop"): DeviceState.QUERY_STOPPED,
    (DeviceState.QUERY_STOPPED, "cancel stop"): DeviceState.STARTED,
    (DeviceState.QUERY_STOPPED, "stop"): DeviceState.STOPPED,
    (DeviceState.STOPPED, "start"): DeviceState.STARTED,
    (DeviceState.STARTED, "surprise remove"): DeviceState.SURPRISE_REMOVED,
    (DeviceState.STARTED, "remove"): DeviceState.REMOVED,
    (DeviceState.STOPPED, "remove"): DeviceState.REMOVED,
    (DeviceState.SURPRISE_REMOVED, "remove"): DeviceState.REMOVED,
}


class Device:
    """The device under an adapter: who may stop it, and in which order it goes."""

    def __init__(self, adapter: MiniportAdapter) -> None:
        """Stand for an adapter that runs."""
        self.adapter = adapter
        self.state = DeviceState.STARTED

    def query_stop(self) -> bool:
        """Ask every protocol; False when one objects, and all are told that it is off."""
        self._move("query stop")
        answers = self._tell(NetEvent.QUERY_REMOVE_DEVICE)
        if all(status in {Status.SUCCESS, Status.NOT_SUPPORTED} for status in answers):
            return True
        self._tell(NetEvent.CANCEL_REMOVE_DEVICE)
        self._move("cancel stop")
        return False

    def stop(self) -> None:
        """Halt the driver to move its resources; the bindings stay."""
        self._move("stop")
        self.adapter.halt()

    def start(self) -> None:
        """Initialize the driver again and give the card its filters back. Raises NdisError."""
        self._move("start")
        if self.adapter.state is AdapterState.HALTED:
            self.adapter.initialize()
            self.adapter.resets.restore_filters()

    def surprise_remove(self) -> None:
        """Take the card away: tell the driver, abort what it had, unbind, halt."""
        adapter = self.adapter
        self._move("surprise remove")
        adapter.is_gone = True
        adapter.update_refusal()
        notify = adapter.handlers.get("device_pnp_event_notify" if adapter.ndis6 else "pnp_event_notify")
        if notify is not None:
            adapter.enter("pnp_event_notify", notify, "surprise removed")
        adapter.sends.abort_queued(Status.ADAPTER_REMOVED)
        if adapter.serialized:
            adapter.sends.after_reset()
        adapter.requests.abort(Status.ADAPTER_REMOVED)
        self.remove()

    def remove(self) -> None:
        """Unbind every protocol and halt the driver."""
        self._move("remove")
        self.adapter.ndis.remove_adapter(self.adapter)

    def _tell(self, code: NetEvent) -> list[Status]:
        events = self.adapter.ndis.pnp_event(self.adapter, PnPEvent(code))
        return [status for _, status in events]

    def _move(self, event: str) -> None:
        try:
            self.state = TRANSITIONS[self.state, event]
        except KeyError:
            raise NdisError(Status.INVALID_DEVICE_REQUEST, f"{event} while {self.state.name}") from None
