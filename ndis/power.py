"""Suspend and resume of one adapter, with or without a driver that knows power states.

Source: "Power Management (NDIS 5.1)": OID_PNP_QUERY_POWER, OID_PNP_SET_POWER, NetEventSetPower; a
driver without OID_PNP_CAPABILITIES is halted and initialized again, unless it has
NO_HALT_ON_SUSPEND.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ndis.attributes import Attribute
from ndis.errors import NdisError
from ndis.events import Kind
from ndis.oids import Oid, PowerState
from ndis.protocol import NetEvent, PnPEvent
from ndis.status import Status
from ntos.executive.contract import expect

if TYPE_CHECKING:
    from ndis.adapter import MiniportAdapter

_WILLING = frozenset({Status.SUCCESS, Status.NOT_SUPPORTED})


def suspend(adapter: MiniportAdapter, state: PowerState = PowerState.D3) -> None:
    """Put the adapter to sleep. Raises NdisError when a protocol or the driver refuses.

    Sends that are under way are completed first; later ones get LOW_POWER_STATE.
    """
    if adapter.is_asleep or state in {PowerState.D0, PowerState.UNSPECIFIED}:
        raise NdisError(Status.INVALID_PARAMETER, f"{adapter.power.name} to {state.name}")
    ndis = adapter.ndis
    for open_, status in ndis.pnp_event(adapter, PnPEvent(NetEvent.QUERY_POWER, state)):
        if status not in _WILLING:
            raise NdisError(status, f"{open_!r} refuses {state.name}")
    managed = knows_power(adapter)
    if managed:
        answer = adapter.ask(Oid.PNP_QUERY_POWER, 4)
        if answer is None:
            raise NdisError(Status.NOT_ACCEPTED, f"the driver refuses {state.name}")
    ndis.pnp_event(adapter, PnPEvent(NetEvent.SET_POWER, state))
    expect(
        adapter.executive,
        lambda: not (adapter.sends.outstanding or adapter.sends.queued),
        "sends before suspending",
    )
    _enter(adapter, state)
    if managed:
        status = adapter.tell(Oid.PNP_SET_POWER, int(state).to_bytes(4, "little"))
        if status is not Status.SUCCESS:
            _enter(adapter, PowerState.D0)
            raise NdisError(status, f"the driver could not enter {state.name}")
    elif not adapter.attributes & Attribute.NO_HALT_ON_SUSPEND:
        adapter.halt()


def resume(adapter: MiniportAdapter) -> None:
    """Wake the adapter; filter, multicast list and lookahead are as before. Raises NdisError."""
    if not adapter.is_asleep:
        raise NdisError(Status.INVALID_PARAMETER, f"{adapter.name} is awake")
    if not adapter.is_initialized:
        _enter(adapter, PowerState.D0)
        adapter.initialize()
    elif knows_power(adapter):
        status = adapter.tell(Oid.PNP_SET_POWER, int(PowerState.D0).to_bytes(4, "little"))
        if status is not Status.SUCCESS:
            raise NdisError(status, f"the driver could not enter {PowerState.D0.name}")
    _enter(adapter, PowerState.D0)
    adapter.resets.restore_filters()
    adapter.ndis.pnp_event(adapter, PnPEvent(NetEvent.SET_POWER, PowerState.D0))
    adapter.sends.resume()


def knows_power(adapter: MiniportAdapter) -> bool:
    """Whether the driver answers OID_PNP_CAPABILITIES."""
    return adapter.ask(Oid.PNP_CAPABILITIES, 16) is not None


def _enter(adapter: MiniportAdapter, state: PowerState) -> None:
    adapter.power = state
    adapter.update_refusal()
    if adapter.observer is not None:
        adapter.emit(Kind.POWER, state.name, state)
