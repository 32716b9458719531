"""NTSTATUS codes, with the numbers of ``ntstatus.h``. Data only."""

from __future__ import annotations

import enum


class NtStatus(enum.IntEnum):
    """How a request ended. Below 0x80000000 it did what was asked."""

    ok: bool
    """NT_SUCCESS."""

    def __init__(self, value: int) -> None:
        """Know it once for all: it is asked of every request."""
        self.ok = value < 0x8000_0000

    SUCCESS = 0x0000_0000
    PENDING = 0x0000_0103
    TIMEOUT = 0x0000_0102
    BUFFER_OVERFLOW = 0x8000_0005
    RECEIVE_PARTIAL = 0x4000_000F
    RECEIVE_PARTIAL_EXPEDITED = 0x4000_0010
    RECEIVE_EXPEDITED = 0x4000_000E
    UNSUCCESSFUL = 0xC000_0001
    INVALID_HANDLE = 0xC000_0008
    INVALID_PARAMETER = 0xC000_000D
    INVALID_DEVICE_REQUEST = 0xC000_0010
    END_OF_FILE = 0xC000_0011
    MORE_PROCESSING_REQUIRED = 0xC000_0016
    ACCESS_DENIED = 0xC000_0022
    BUFFER_TOO_SMALL = 0xC000_0023
    OBJECT_NAME_NOT_FOUND = 0xC000_0034
    OBJECT_NAME_COLLISION = 0xC000_0035
    SHARING_VIOLATION = 0xC000_0043
    INSUFFICIENT_RESOURCES = 0xC000_009A
    DEVICE_NOT_READY = 0xC000_00A3
    IO_TIMEOUT = 0xC000_00B5
    NOT_SUPPORTED = 0xC000_00BB
    CANCELLED = 0xC000_0120
    LOCAL_DISCONNECT = 0xC000_013B
    REMOTE_DISCONNECT = 0xC000_013C
    ADDRESS_CLOSED = 0xC000_020B
    CONNECTION_DISCONNECTED = 0xC000_020C
    CONNECTION_RESET = 0xC000_020D
    CONNECTION_REFUSED = 0xC000_0236
    GRACEFUL_DISCONNECT = 0xC000_0237
    ADDRESS_ALREADY_ASSOCIATED = 0xC000_0238
    ADDRESS_NOT_ASSOCIATED = 0xC000_0239
    CONNECTION_INVALID = 0xC000_023A
    CONNECTION_ACTIVE = 0xC000_023B
    NETWORK_UNREACHABLE = 0xC000_023C
    HOST_UNREACHABLE = 0xC000_023D
    PROTOCOL_UNREACHABLE = 0xC000_023E
    PORT_UNREACHABLE = 0xC000_023F
    CONNECTION_ABORTED = 0xC000_0241
    INVALID_ADDRESS_COMPONENT = 0xC000_0207
    TOO_MANY_ADDRESSES = 0xC000_0209
    ADDRESS_ALREADY_EXISTS = 0xC000_020A
    DATA_NOT_ACCEPTED = 0xC000_021B


class NtError(Exception):
    """A call that could not be done; ``status`` says why."""

    def __init__(self, status: NtStatus, detail: str = "") -> None:
        """Keep the status."""
        super().__init__(f"{status.name} ({status:#010x}){': ' + detail if detail else ''}")
        self.status = status
