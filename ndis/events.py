"""What the wrapper tells an observer: every crossing of the driver's border, as a value.

With no observer nothing is made. The verifier, traces and interleaving schedulers are observers.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from ntos.executive.irql import Irql


class Kind(enum.Enum):
    """What happened."""

    # Members are singletons; Enum's own hash is Python code, and every event is looked up by kind.
    __hash__ = object.__hash__

    ENTER = enum.auto()  # NDIS calls a MiniportXxx handler
    EXIT = enum.auto()
    UPCALL = enum.auto()  # the driver calls NdisXxx
    UPCALL_END = enum.auto()
    CALLOUT = enum.auto()  # NDIS calls a ProtocolXxx handler
    CALLOUT_END = enum.auto()
    SUBMIT = enum.auto()  # a protocol hands NDIS a packet to send
    SEND = enum.auto()  # NDIS hands the driver a packet to send
    SEND_STATUS = enum.auto()  # what the driver said of it on return
    SEND_COMPLETE = enum.auto()  # the driver completes it
    REQUEUE = enum.auto()  # NDIS takes it back after RESOURCES
    COMPLETED = enum.auto()  # the protocol has it back
    INDICATE = enum.auto()  # the driver indicates a receive packet
    RETAINED = enum.auto()  # a protocol keeps references to it
    RETURN = enum.auto()  # a protocol returns it
    RETURNED = enum.auto()  # the driver has it back
    TOUCH = enum.auto()  # somebody looked into a packet
    REQUEST = enum.auto()  # NDIS hands the driver an OID request
    REQUEST_COMPLETE = enum.auto()
    RESET_BEGIN = enum.auto()
    RESET_COMPLETE = enum.auto()
    RESET_END = enum.auto()
    STATE = enum.auto()
    STATUS = enum.auto()  # the driver indicates a status
    LOCK = enum.auto()
    UNLOCK = enum.auto()
    ACQUIRE_RESOURCE = enum.auto()
    RELEASE_RESOURCE = enum.auto()
    MMIO = enum.auto()
    DMA = enum.auto()
    INTERRUPT = enum.auto()
    POWER = enum.auto()
    TIMER_TICK = enum.auto()  # the two-second tick of CheckForHang
    WIRE = enum.auto()  # a frame left for the wire (told by whoever has the wire)
    CANCEL = enum.auto()
    CLOSE = enum.auto()
    FILTER = enum.auto()  # the adapter's filter or multicast list changed
    POOL = enum.auto()
    VC = enum.auto()


class Event(NamedTuple):
    """One crossing: what, when (µs), on which CPU, at which level, of which adapter.

    A tuple and not a frozen dataclass, because it is made some hundred times a schedule.
    """

    kind: Kind
    at_ns: int
    context: int
    irql: Irql
    adapter: str
    name: str
    subject: object = None
    details: dict[str, Any] = {}  # noqa: RUF012 - a default that nobody changes


Observer = Callable[[Event], None]
