"""IEEE 802.2 logical link control, classes I and II, sans I/O: a station with its SAPs and their links."""

from protocols.interfaces.llc.events import (
    DataAcknowledged,
    DataReceived,
    Event,
    LinkDown,
    LinkUp,
    PduReceived,
)
from protocols.interfaces.llc.link import Link
from protocols.interfaces.llc.parameters import (
    BusyReason,
    DownReason,
    LinkParameters,
    LlcError,
    LlcProblem,
)
from protocols.interfaces.llc.pdu import Kind, Pdu
from protocols.interfaces.llc.sap import Sap
from protocols.interfaces.llc.states import LinkState
from protocols.interfaces.llc.station import Station

__all__ = [
    "BusyReason",
    "DataAcknowledged",
    "DataReceived",
    "DownReason",
    "Event",
    "Kind",
    "Link",
    "LinkDown",
    "LinkParameters",
    "LinkState",
    "LinkUp",
    "LlcError",
    "LlcProblem",
    "Pdu",
    "PduReceived",
    "Sap",
    "Station",
]
