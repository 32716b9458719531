"""The contract of a miniport driver: its handlers, what each version requires, its states.

Data and types only; ``ndis.wrapper`` checks and calls. Handlers keep NDIS's words:
``MiniportSendPackets`` is ``send_packets``. Source: "MiniportXxx Functions", NDIS 5.1;
"NDIS_MINIPORT_DRIVER_CHARACTERISTICS", NDIS 6.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ndis.errors import NdisError
from ndis.status import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ndis.nbl import NetBufferList
    from ndis.requests import InformationBuffer
    from ndis.upcalls import Upcalls

Version = tuple[int, int]


class State(enum.Enum):
    """The states of a miniport adapter."""

    HALTED = enum.auto()
    PAUSED = enum.auto()
    RUNNING = enum.auto()
    PAUSING = enum.auto()


TRANSITIONS: dict[tuple[State, str], State] = {
    (State.HALTED, "initialize"): State.PAUSED,
    (State.PAUSED, "restart"): State.RUNNING,
    (State.RUNNING, "pause"): State.PAUSING,
    (State.PAUSING, "drained"): State.PAUSED,
    (State.PAUSED, "halt"): State.HALTED,
}


def advance(state: State, event: str) -> State:
    """Return the state after ``event``; ValueError when the table has no such move."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise ValueError(f"{event} in {state.name}") from None


class Medium(enum.IntEnum):
    """NDIS_MEDIUM."""

    M802_3 = 0
    M802_5 = 1
    FDDI = 2
    WAN = 3
    LOCAL_TALK = 4
    DIX = 5
    ATM = 8
    CO_WAN = 11


@dataclass(frozen=True, slots=True)
class Handler:
    """One member of the characteristics structure."""

    name: str
    original: str
    since: Version


def _row(name: str, original: str, major: int, minor: int) -> Handler:
    return Handler(name, original, (major, minor))


# The order is that of the structure: a version's minimum size is the offset after its last member.
HANDLERS = (
    _row("check_for_hang", "MiniportCheckForHang", 3, 0),
    _row("disable_interrupt", "MiniportDisableInterrupt", 3, 0),
    _row("enable_interrupt", "MiniportEnableInterrupt", 3, 0),
    _row("halt", "MiniportHalt", 3, 0),
    _row("handle_interrupt", "MiniportHandleInterrupt", 3, 0),
    _row("initialize", "MiniportInitialize", 3, 0),
    _row("isr", "MiniportISR", 3, 0),
    _row("query_information", "MiniportQueryInformation", 3, 0),
    _row("reconfigure", "MiniportReconfigure", 3, 0),
    _row("reset", "MiniportReset", 3, 0),
    _row("send", "MiniportSend", 3, 0),
    _row("set_information", "MiniportSetInformation", 3, 0),
    _row("transfer_data", "MiniportTransferData", 3, 0),
    _row("return_packet", "MiniportReturnPacket", 4, 0),
    _row("send_packets", "MiniportSendPackets", 4, 0),
    _row("allocate_complete", "MiniportAllocateComplete", 4, 0),
    _row("co_create_vc", "MiniportCoCreateVc", 5, 0),
    _row("co_delete_vc", "MiniportCoDeleteVc", 5, 0),
    _row("co_activate_vc", "MiniportCoActivateVc", 5, 0),
    _row("co_deactivate_vc", "MiniportCoDeactivateVc", 5, 0),
    _row("co_send_packets", "MiniportCoSendPackets", 5, 0),
    _row("co_request", "MiniportCoRequest", 5, 0),
    _row("cancel_send_packets", "MiniportCancelSendPackets", 5, 1),
    _row("pnp_event_notify", "MiniportPnPEventNotify", 5, 1),
    _row("shutdown", "MiniportShutdown", 5, 1),
)

HANDLERS_6 = (
    _row("initialize_ex", "MiniportInitializeEx", 6, 0),
    _row("halt_ex", "MiniportHaltEx", 6, 0),
    _row("pause", "MiniportPause", 6, 0),
    _row("restart", "MiniportRestart", 6, 0),
    _row("oid_request", "MiniportOidRequest", 6, 0),
    _row("send_net_buffer_lists", "MiniportSendNetBufferLists", 6, 0),
    _row("return_net_buffer_lists", "MiniportReturnNetBufferLists", 6, 0),
    _row("cancel_send", "MiniportCancelSend", 6, 0),
    _row("check_for_hang_ex", "MiniportCheckForHangEx", 6, 0),
    _row("reset_ex", "MiniportResetEx", 6, 0),
    _row("device_pnp_event_notify", "MiniportDevicePnPEventNotify", 6, 0),
    _row("shutdown_ex", "MiniportShutdownEx", 6, 0),
    _row("cancel_oid_request", "MiniportCancelOidRequest", 6, 0),
    _row("interrupt", "MiniportInterrupt", 6, 0),
    _row("interrupt_dpc", "MiniportInterruptDPC", 6, 0),
)

_HEADER_BYTES = 8  # MajorNdisVersion, MinorNdisVersion, filler, Reserved
_POINTER_BYTES = 8

VERSIONS: tuple[Version, ...] = ((3, 0), (4, 0), (5, 0), (5, 1), (6, 0))
MANDATORY_6 = (
    "initialize_ex",
    "halt_ex",
    "pause",
    "restart",
    "oid_request",
    "send_net_buffer_lists",
    "return_net_buffer_lists",
    "cancel_send",
)


def minimum_length(version: Version) -> int:
    """Return the bytes of the characteristics structure that ``version`` requires."""
    table = HANDLERS_6 if version >= (6, 0) else HANDLERS
    return _HEADER_BYTES + _POINTER_BYTES * sum(1 for row in table if row.since <= version)


@dataclass(frozen=True, slots=True)
class MiniportCharacteristics:
    """NDIS_MINIPORT_CHARACTERISTICS: the version and the handlers that a driver registers.

    ``create`` makes the driver's adapter object, whose methods are the handlers named in
    ``handlers``. ``length`` is the size in bytes of the structure the driver was compiled with.
    """

    name: str
    version: Version
    create: Callable[[Upcalls], object]
    handlers: frozenset[str]
    length: int

    @classmethod
    def of(
        cls,
        adapter: type,
        version: Version = (5, 1),
        create: Callable[[Upcalls], object] | None = None,
        name: str | None = None,
    ) -> MiniportCharacteristics:
        """Read the handlers off a class. ``create`` defaults to calling it with the upcalls."""
        table = HANDLERS_6 if version >= (6, 0) else HANDLERS
        found = frozenset(row.name for row in table if hasattr(adapter, row.name))
        return cls(name or adapter.__name__, version, create or adapter, found, minimum_length(version))

    def check(self) -> None:
        """Raise NdisError: BAD_VERSION, or BAD_CHARACTERISTICS with what is missing."""
        if self.version not in VERSIONS:
            raise NdisError(Status.BAD_VERSION, f"NDIS {self.version[0]}.{self.version[1]}")
        if self.length < minimum_length(self.version):
            raise NdisError(
                Status.BAD_CHARACTERISTICS,
                f"{self.length} bytes, NDIS {self.version[0]}.{self.version[1]} has "
                f"{minimum_length(self.version)}",
            )
        missing = self._missing()
        if missing:
            raise NdisError(Status.BAD_CHARACTERISTICS, f"no handler for {', '.join(missing)}")

    def _missing(self) -> list[str]:
        have = self.handlers
        if self.version >= (6, 0):
            return [name for name in MANDATORY_6 if name not in have]
        missing = [name for name in ("halt", "initialize", "reset") if name not in have]
        if not {"query_information", "set_information"} <= have and "co_request" not in have:
            missing.append("query_information and set_information, or co_request")
        usable = {row.name for row in HANDLERS if row.since <= self.version}
        if not have & usable & {"send", "send_packets", "co_send_packets"}:
            missing.append("send, send_packets or co_send_packets")
        return missing


class Miniport(Protocol):
    """What every NDIS 3 to 5.1 miniport has. Optional handlers are looked up by name."""

    def initialize(self, media: Sequence[Medium]) -> tuple[Status, Medium]:
        """MiniportInitialize: find the card, take resources; choose one of ``media``.

        PASSIVE_LEVEL.
        """

    def halt(self) -> None:
        """MiniportHalt: stop the card and give everything back. PASSIVE_LEVEL."""

    def reset(self) -> tuple[Status, bool]:
        """MiniportReset: status, and AddressingReset: whether NDIS must set filters again."""

    def query_information(self, oid: int, buffer: InformationBuffer) -> Status:
        """MiniportQueryInformation: write the answer into ``buffer``."""

    def set_information(self, oid: int, buffer: InformationBuffer) -> Status:
        """MiniportSetInformation: take the value from ``buffer``."""


class Miniport6(Protocol):
    """What every NDIS 6 miniport has."""

    def initialize_ex(self) -> Status:
        """MiniportInitializeEx. PASSIVE_LEVEL."""

    def halt_ex(self) -> None:
        """MiniportHaltEx. PASSIVE_LEVEL."""

    def pause(self) -> Status:
        """MiniportPause: no more indications.

        SUCCESS, or PENDING and ``pause_complete`` when drained.
        """

    def restart(self) -> Status:
        """MiniportRestart."""

    def oid_request(self, kind: str, oid: int, buffer: InformationBuffer) -> Status:
        """MiniportOidRequest: ``kind`` is "query" or "set"."""

    def send_net_buffer_lists(self, nbls: list[NetBufferList]) -> None:
        """MiniportSendNetBufferLists.

        Each is completed exactly once by ``send_net_buffer_lists_complete``.
        """

    def return_net_buffer_lists(self, nbls: list[NetBufferList]) -> None:
        """MiniportReturnNetBufferLists: indicated lists come home."""

    def cancel_send(self, cancel_id: object) -> None:
        """MiniportCancelSend: complete waiting lists of this id with REQUEST_ABORTED."""
