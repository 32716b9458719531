"""An adapter as NDIS sees it: the states of 7.9, for both generations of drivers.

An NDIS 5 miniport is never paused: NDIS takes it through PAUSED and RESTARTING by itself.
"""

from __future__ import annotations

import enum


class AdapterState(enum.Enum):
    """Where an adapter stands."""

    HALTED = enum.auto()
    INITIALIZING = enum.auto()
    PAUSED = enum.auto()
    RESTARTING = enum.auto()
    RUNNING = enum.auto()
    PAUSING = enum.auto()


TRANSITIONS: dict[tuple[AdapterState, str], AdapterState] = {
    (AdapterState.HALTED, "initialize"): AdapterState.INITIALIZING,
    (AdapterState.INITIALIZING, "failed"): AdapterState.HALTED,
    (AdapterState.INITIALIZING, "initialized"): AdapterState.PAUSED,
    (AdapterState.PAUSED, "restart"): AdapterState.RESTARTING,
    (AdapterState.RESTARTING, "failed"): AdapterState.PAUSED,
    (AdapterState.RESTARTING, "restarted"): AdapterState.RUNNING,
    (AdapterState.RUNNING, "pause"): AdapterState.PAUSING,
    (AdapterState.PAUSING, "drained"): AdapterState.PAUSED,
    (AdapterState.PAUSED, "halt"): AdapterState.HALTED,
}

INITIALIZED = frozenset(AdapterState) - {AdapterState.HALTED, AdapterState.INITIALIZING}
MAY_INDICATE = frozenset({AdapterState.RUNNING, AdapterState.PAUSING})
