"""From TCP/IP's reasons, and from values that an option does not take, to NTSTATUS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ntos.io.status import NtError, NtStatus
from protocols.interfaces.options import OptionError, checked_all
from protocols.transports.tcpip.errors import Failure
from protocols.transports.tcpip.icmp import ErrorKind

if TYPE_CHECKING:
    from collections.abc import Mapping

STATUS: dict[Failure, NtStatus] = {
    Failure.TIMED_OUT: NtStatus.IO_TIMEOUT,
    Failure.REFUSED: NtStatus.CONNECTION_REFUSED,
    Failure.RESET: NtStatus.CONNECTION_RESET,
    Failure.ABORTED: NtStatus.CONNECTION_ABORTED,
    Failure.NET_UNREACHABLE: NtStatus.NETWORK_UNREACHABLE,
    Failure.HOST_UNREACHABLE: NtStatus.HOST_UNREACHABLE,
    Failure.PORT_UNREACHABLE: NtStatus.PORT_UNREACHABLE,
    Failure.PROTOCOL_UNREACHABLE: NtStatus.PROTOCOL_UNREACHABLE,
    Failure.ADDRESS_IN_USE: NtStatus.ADDRESS_ALREADY_EXISTS,
    Failure.ADDRESS_NOT_AVAILABLE: NtStatus.INVALID_ADDRESS_COMPONENT,
    Failure.ADDRESS_REMOVED: NtStatus.ADDRESS_CLOSED,
    Failure.MESSAGE_TOO_LONG: NtStatus.BUFFER_OVERFLOW,
    Failure.NO_PORTS: NtStatus.TOO_MANY_ADDRESSES,
    Failure.NO_RESOURCES: NtStatus.INSUFFICIENT_RESOURCES,
    Failure.NOT_CONNECTED: NtStatus.CONNECTION_INVALID,
    Failure.SHUT_DOWN: NtStatus.LOCAL_DISCONNECT,
    Failure.WOULD_BLOCK: NtStatus.DEVICE_NOT_READY,
    Failure.PROHIBITED: NtStatus.ACCESS_DENIED,
}

ICMP: dict[ErrorKind, NtStatus] = {
    ErrorKind.NET_UNREACHABLE: NtStatus.NETWORK_UNREACHABLE,
    ErrorKind.HOST_UNREACHABLE: NtStatus.HOST_UNREACHABLE,
    ErrorKind.PROTOCOL_UNREACHABLE: NtStatus.PROTOCOL_UNREACHABLE,
    ErrorKind.PORT_UNREACHABLE: NtStatus.PORT_UNREACHABLE,
    ErrorKind.PROHIBITED: NtStatus.HOST_UNREACHABLE,
    ErrorKind.HOPS_EXCEEDED: NtStatus.HOPLIMIT_EXCEEDED,
}
"""What of an ICMP error is told; others are the stack's own business."""


def options_of(values: Mapping[str, object]) -> dict[str, Any]:
    """Return option values as they are kept. NtError(INVALID_PARAMETER)."""
    try:
        return checked_all(values)
    except OptionError as error:
        raise NtError(NtStatus.INVALID_PARAMETER, str(error)) from error
