"""OID requests, and the buffers they carry. Values: ``ndis.request_queue`` gives them to drivers.

Source: NDIS_REQUEST (NDIS 5.1).
"""

from __future__ import annotations

import enum
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, Protocol

from ndis.oids import ProtocolOption, oid_name
from ndis.status import Status

if TYPE_CHECKING:
    from collections.abc import Callable


GUARD = b"\xfd\xfd\xfd\xfd"


class InformationBuffer:
    """InformationBuffer with its length, BytesWritten/BytesRead and BytesNeeded.

    Four guard bytes lie behind the buffer: a driver that writes through ``raw`` past the end is
    found.
    """

    __slots__ = ("bytes_needed", "bytes_read", "bytes_written", "length", "raw")

    def __init__(self, length: int = 0, data: bytes = b"") -> None:
        """Make room for ``length`` bytes, or hold ``data``."""
        self.length = max(length, len(data))
        self.raw = bytearray(data.ljust(self.length, b"\0") + GUARD)
        self.bytes_written = 0
        self.bytes_read = 0
        self.bytes_needed = 0

    @property
    def data(self) -> bytes:
        """The bytes a set request carries."""
        return bytes(self.raw[: self.length])

    @property
    def answer(self) -> bytes:
        """The bytes that a query has written."""
        return bytes(self.raw[: self.bytes_written])

    @property
    def intact(self) -> bool:
        """Whether nobody wrote past the end."""
        return self.raw[self.length :] == GUARD

    def write(self, answer: bytes) -> Status:
        """Answer a query: SUCCESS, or INVALID_LENGTH with BytesNeeded when it does not fit."""
        if len(answer) > self.length:
            self.bytes_needed = len(answer)
            return Status.INVALID_LENGTH
        self.raw[: len(answer)] = answer
        self.bytes_written = len(answer)
        return Status.SUCCESS

    def write_number(self, value: int, size: int = 4) -> Status:
        """Answer a query with a little-endian number of ``size`` bytes."""
        return self.write((value & ((1 << (8 * size)) - 1)).to_bytes(size, "little"))

    def read(self, size: int) -> bytes | None:
        """Take ``size`` bytes of a set; None, and BytesNeeded is set, when there are fewer."""
        if self.length < size:
            self.bytes_needed = size
            return None
        self.bytes_read = size
        return bytes(self.raw[:size])

    def read_number(self, size: int = 4) -> int | None:
        """Take a little-endian number; None, and BytesNeeded is set, when there are fewer bytes."""
        raw = self.read(size)
        return None if raw is None else int.from_bytes(raw, "little")


class RequestKind(enum.Enum):
    """NDIS_REQUEST_TYPE."""

    QUERY = "query"
    SET = "set"


class Requester(Hashable, Protocol):
    """Who asked: an open, as a request and its queue see it."""

    options: ProtocolOption

    def callout(self, handler: str, *arguments: Any) -> Any:  # noqa: ANN401 - each handler has its own types
        """Call one of the protocol's handlers."""

    def check_closed(self) -> None:
        """Finish a close that waits for the last request."""


class Request:
    """NDIS_REQUEST. ``status`` is PENDING until it is completed."""

    __slots__ = (
        "at_ns",
        "buffer",
        "done",
        "driver_buffer",
        "kind",
        "oid",
        "open",
        "status",
        "undo",
    )

    def __init__(
        self,
        kind: RequestKind,
        oid: int,
        buffer: InformationBuffer,
        done: Callable[[Request, Status], None] | None = None,
    ) -> None:
        """Ask for ``oid``.

        ``done`` is called instead of the protocol's RequestComplete when given.
        """
        self.kind = kind
        self.oid = oid
        self.buffer = buffer
        self.done = done
        self.status = Status.PENDING
        self.open: Requester | None = None
        self.undo: Callable[[], object] | None = None
        self.driver_buffer = buffer
        self.at_ns = 0

    @classmethod
    def query(cls, oid: int, length: int = 256) -> Request:
        """Make a query with room for ``length`` bytes."""
        return cls(RequestKind.QUERY, oid, InformationBuffer(length))

    @classmethod
    def set(cls, oid: int, data: bytes) -> Request:
        """Make a set request."""
        return cls(RequestKind.SET, oid, InformationBuffer(data=data))

    def __repr__(self) -> str:
        """Name the request as reports do."""
        return f"<Request {self.kind.value} {oid_name(self.oid)} {self.status.name}>"
