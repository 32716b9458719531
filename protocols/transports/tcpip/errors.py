"""Why a call failed, in the words of the protocols; AFD turns these into NTSTATUS and WSAE codes."""

from __future__ import annotations

import enum


class Failure(enum.Enum):
    """Reasons that end a connection or refuse a call."""

    TIMED_OUT = "the peer did not answer in time"
    REFUSED = "the peer refused the connection"
    RESET = "the peer reset the connection"
    ABORTED = "this side aborted the connection"
    NET_UNREACHABLE = "there is no route to the network"
    HOST_UNREACHABLE = "the host cannot be reached"
    PORT_UNREACHABLE = "nobody listens at the port"
    PROTOCOL_UNREACHABLE = "the host does not speak the protocol"
    ADDRESS_IN_USE = "the local address is in use"
    ADDRESS_NOT_AVAILABLE = "the local address does not belong to this host"
    ADDRESS_REMOVED = "the local address was taken away"
    MESSAGE_TOO_LONG = "the message does not fit in a packet"
    NO_PORTS = "all ephemeral ports are in use"
    NO_RESOURCES = "a limit of the stack is reached"
    NOT_CONNECTED = "the connection is not established"
    SHUT_DOWN = "sending was shut down"
    WOULD_BLOCK = "a buffer is full"
    PROHIBITED = "a filter forbids it"


class NetworkError(Exception):
    """A call that cannot be done; ``failure`` says why."""

    def __init__(self, failure: Failure, detail: str = "") -> None:
        super().__init__(f"{failure.value}{': ' + detail if detail else ''}")
        self.failure = failure
