"""The callbacks of listening and stream sockets. Values; the other tables are in ``npi``.

They are given accepted sockets, which ``npi`` does not know. Source: ``wsk.h``: WSK_CLIENT_LISTEN_DISPATCH,
WSK_CLIENT_STREAM_DISPATCH.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ntos.io.status import NtStatus
from protocols.apis.wsk.constants import Flag
from protocols.apis.wsk.npi import AcceptOut, ConnectionDispatch, Inspect, InspectId

if TYPE_CHECKING:
    from protocols.apis.wsk.connection import ConnectionSocket
    from protocols.interfaces.tdi.address import InternetAddress

AcceptEvent = Callable[
    [Any, Flag, "InternetAddress", "InternetAddress", "ConnectionSocket | None", AcceptOut],
    NtStatus,
]
InspectEvent = Callable[[Any, "InternetAddress", "InternetAddress", InspectId | None], Inspect]
AbortEvent = Callable[[Any, InspectId], NtStatus]


@dataclass(frozen=True, slots=True)
class ListenDispatch:
    """WSK_CLIENT_LISTEN_DISPATCH; the last two are for SO_CONDITIONAL_ACCEPT."""

    accept_event: AcceptEvent | None = None
    inspect_event: InspectEvent | None = None
    abort_event: AbortEvent | None = None


@dataclass(frozen=True, slots=True)
class StreamDispatch:
    """WSK_CLIENT_STREAM_DISPATCH: one table for each use of the socket."""

    listen: ListenDispatch = field(default_factory=ListenDispatch)
    connect: ConnectionDispatch = field(default_factory=ConnectionDispatch)


NO_LISTEN_EVENTS = ListenDispatch()
