"""Command control blocks: commands, return codes, and the parameters of each command.

Source: IBM LAN Technical Reference (SC30-3383), "The CCB" and appendix B; the numbers are those
of mingw-w64's ``dlcapi.h`` (public domain; Debian's 10.0.0-3, compared one by one).
Station numbers: ``SAP << 8`` is a SAP, ``SAP << 8 | n`` a link station of it, 0 the direct station.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

DIRECT: Final = 0x0000
ANY_STATION: Final = 0xFFFF


class Command(enum.IntEnum):
    """CCB_COMMAND."""

    DIR_OPEN_ADAPTER = 0x03
    DIR_CLOSE_ADAPTER = 0x04
    DIR_SET_MULTICAST_ADDRESS = 0x05
    TRANSMIT_DIR_FRAME = 0x0A
    TRANSMIT_I_FRAME = 0x0B
    TRANSMIT_UI_FRAME = 0x0D
    TRANSMIT_XID_CMD = 0x0E
    TRANSMIT_XID_RESP_FINAL = 0x0F
    TRANSMIT_TEST_CMD = 0x11
    DLC_RESET = 0x14
    DLC_OPEN_SAP = 0x15
    DLC_CLOSE_SAP = 0x16
    DLC_OPEN_STATION = 0x19
    DLC_CLOSE_STATION = 0x1A
    DLC_CONNECT_STATION = 0x1B
    DLC_FLOW_CONTROL = 0x1D
    DLC_STATISTICS = 0x1E
    DIR_STATUS = 0x21
    DIR_TIMER_SET = 0x22
    DIR_TIMER_CANCEL = 0x23
    BUFFER_GET = 0x26
    BUFFER_FREE = 0x27
    RECEIVE = 0x28
    RECEIVE_CANCEL = 0x29
    DIR_TIMER_CANCEL_GROUP = 0x2C
    BUFFER_CREATE = 0x30
    READ = 0x31
    READ_CANCEL = 0x32
    DIR_CLOSE_DIRECT = 0x34
    DIR_OPEN_DIRECT = 0x35


class Code(enum.IntEnum):
    """CCB_RETCODE."""

    SUCCESS = 0x00
    INVALID_COMMAND = 0x01
    ADAPTER_OPEN = 0x03
    ADAPTER_CLOSED = 0x04
    INVALID_OPTION = 0x06
    CANCELLED_BY_USER = 0x0A
    CLOSE_IN_PROGRESS = 0x0B
    TIMER_ERROR = 0x11
    INVALID_BUFFER_LENGTH = 0x18
    INADEQUATE_BUFFERS = 0x19
    INVALID_PARAMETER_TABLE = 0x1B
    DUPLICATE_COMMAND = 0x02
    MAX_COMMANDS_EXCEEDED = 0x25
    LINK_NOT_TRANSMITTING = 0x27
    INVALID_FRAME_LENGTH = 0x28
    INVALID_NODE_ADDRESS = 0x32
    INVALID_STATION_ID = 0x40
    LINK_PROTOCOL_ERROR = 0x41
    PARAMETER_EXCEEDS_MAXIMUM = 0x42
    INVALID_SAP_VALUE = 0x43
    RESOURCES_NOT_AVAILABLE = 0x46
    LINK_STATIONS_OPEN = 0x47
    COMMAND_IN_PROGRESS = 0x4A
    CONNECT_FAILED = 0x4D
    INVALID_REMOTE_ADDRESS = 0x4F
    PENDING = 0xFF


class Event(enum.IntFlag):
    """What READ waits for."""

    TRANSMIT_COMPLETE = 0x02
    RECEIVE_DATA = 0x04
    STATUS_CHANGE = 0x08


ALL_EVENTS: Final = Event.TRANSMIT_COMPLETE | Event.RECEIVE_DATA | Event.STATUS_CHANGE


class LinkStatus(enum.IntFlag):
    """DLC status of a link station: why READ says STATUS_CHANGE."""

    LINK_LOST = 0x8000
    DISC_RECEIVED = 0x4000
    FRMR_RECEIVED = 0x2000
    FRMR_SENT = 0x1000
    SABME_RECEIVED_OPEN = 0x0800
    SABME_RECEIVED = 0x0400


class Frame(enum.Enum):
    """What a received frame is."""

    I = "I"  # noqa: E741 - the frame's name
    UI = "UI"
    XID_COMMAND = "XID command"
    XID_RESPONSE = "XID response"
    TEST_RESPONSE = "TEST response"
    DIX = "DIX"


@dataclass(frozen=True, slots=True)
class Received:
    """A frame that RECEIVE asked for. It holds ``len(data)`` bytes of the buffer pool until BUFFER.FREE."""

    station_id: int
    kind: Frame
    source: bytes
    sap: int
    data: bytes
    pf: bool = False


@dataclass(frozen=True, slots=True)
class Happened:
    """What READ returns: the event, and what belongs to it."""

    event: Event
    station_id: int
    status: LinkStatus | None = None
    frame: Received | None = None
    ccb: Ccb | None = None
    source: bytes = b""
    sap: int = 0


# Parameter tables. Their fields' limits are checked when the command is issued.


@dataclass(frozen=True, slots=True)
class NoParameters:
    """Of commands that need none."""


@dataclass(frozen=True, slots=True)
class OpenSap:
    """DLC.OPEN.SAP. Timers are 1 to 10, in IBM's ticks; 0 in any field is its default."""

    sap: int
    timer_t1: int = 0
    timer_t2: int = 0
    timer_ti: int = 0
    maximum_out: int = 0
    maximum_in: int = 0
    maximum_retry: int = 0
    maximum_information: int = 0
    stations: int = 1
    answers_xid: bool = False
    """XID commands come to RECEIVE, and TRANSMIT.XID.RESP.FINAL answers them."""


@dataclass(frozen=True, slots=True)
class Station:
    """A station number: of CLOSE, CONNECT, STATISTICS, RESET, READ.CANCEL and others."""

    station_id: int


@dataclass(frozen=True, slots=True)
class OpenStation:
    """DLC.OPEN.STATION: a link station of a SAP to a peer's SAP. Nothing is sent."""

    station_id: int
    remote_sap: int
    remote_node: bytes


@dataclass(frozen=True, slots=True)
class FlowControl:
    """DLC.FLOW.CONTROL: begin or end the local busy state, of a link station or all of a SAP."""

    station_id: int
    is_busy: bool


@dataclass(frozen=True, slots=True)
class Transmit:
    """TRANSMIT.*: ``remote_node`` and ``remote_sap`` are for UI, XID, TEST; ``ethertype`` is for DIX."""

    station_id: int
    data: bytes
    remote_node: bytes = b""
    remote_sap: int = 0
    ethertype: int = 0
    pf: bool = True


@dataclass(frozen=True, slots=True)
class Receive:
    """RECEIVE. ``is_standing``: frames go to READ until it is cancelled; else the first completes it."""

    station_id: int
    is_standing: bool = False


@dataclass(frozen=True, slots=True)
class Read:
    """READ: the next event of a station, a SAP and its stations, or any."""

    station_id: int = ANY_STATION
    events: Event = ALL_EVENTS


@dataclass(frozen=True, slots=True)
class Timer:
    """DIR.TIMER.SET: in half seconds, 1 to 13107."""

    half_seconds: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """RECEIVE.CANCEL, READ.CANCEL, DIR.TIMER.CANCEL: the command to cancel."""

    ccb: Ccb


@dataclass(frozen=True, slots=True)
class Pool:
    """BUFFER.CREATE: the size of the pool. BUFFER.GET, BUFFER.FREE: bytes of it."""

    length: int


@dataclass(frozen=True, slots=True)
class OpenDirect:
    """DIR.OPEN.DIRECT: the EtherTypes (DIX) to receive."""

    ethertypes: frozenset[int]


@dataclass(frozen=True, slots=True)
class Multicast:
    """DIR.SET.MULTICAST.ADDRESS: the group addresses to receive, all of them."""

    addresses: frozenset[bytes]


PARAMETERS: Final[dict[Command, type[Any]]] = {
    Command.DIR_OPEN_ADAPTER: NoParameters,
    Command.DIR_CLOSE_ADAPTER: NoParameters,
    Command.DIR_SET_MULTICAST_ADDRESS: Multicast,
    Command.TRANSMIT_DIR_FRAME: Transmit,
    Command.TRANSMIT_I_FRAME: Transmit,
    Command.TRANSMIT_UI_FRAME: Transmit,
    Command.TRANSMIT_XID_CMD: Transmit,
    Command.TRANSMIT_XID_RESP_FINAL: Transmit,
    Command.TRANSMIT_TEST_CMD: Transmit,
    Command.DLC_RESET: Station,
    Command.DLC_OPEN_SAP: OpenSap,
    Command.DLC_CLOSE_SAP: Station,
    Command.DLC_OPEN_STATION: OpenStation,
    Command.DLC_CLOSE_STATION: Station,
    Command.DLC_CONNECT_STATION: Station,
    Command.DLC_FLOW_CONTROL: FlowControl,
    Command.DLC_STATISTICS: Station,
    Command.DIR_STATUS: NoParameters,
    Command.DIR_TIMER_SET: Timer,
    Command.DIR_TIMER_CANCEL: Cancel,
    Command.DIR_TIMER_CANCEL_GROUP: NoParameters,
    Command.BUFFER_CREATE: Pool,
    Command.BUFFER_GET: Pool,
    Command.BUFFER_FREE: Pool,
    Command.RECEIVE: Receive,
    Command.RECEIVE_CANCEL: Cancel,
    Command.READ: Read,
    Command.READ_CANCEL: Cancel,
    Command.DIR_CLOSE_DIRECT: NoParameters,
    Command.DIR_OPEN_DIRECT: OpenDirect,
}
"""The parameter table that each command takes."""


@dataclass(eq=False, slots=True)
class Ccb:
    """A command. ``code`` is PENDING until ``done`` is called; ``result`` is the command's own."""

    command: Command
    parameters: Any = field(default_factory=NoParameters)
    done: Callable[[Ccb], None] | None = None
    code: Code = Code.PENDING
    result: Any = None

    def complete(self, code: Code, result: object = None) -> None:
        """Say how it ended: once."""
        if self.code is Code.PENDING:
            self.code, self.result = code, result
            if self.done is not None:
                self.done(self)
