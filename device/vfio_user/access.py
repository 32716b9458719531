"""The register access that a server works on, so that it can be answered before the work is done.

A debugger that stands in the middle of an access lets the client's vCPU finish its instruction by this: QEMU
holds its big lock until the answer comes, and can be asked nothing meanwhile.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from .messages import RegionAccess, reply
from .protocol import Command

if TYPE_CHECKING:
    from collections.abc import Callable

    from .messages import Header

_FIXED = RegionAccess.FORMAT.size


class AccessInProgress:
    """At most one message, which one thread handles: only that thread may answer it."""

    def __init__(self, send: Callable[[bytes], object]) -> None:
        self._send = send
        self._thread = 0
        self._header: Header | None = None
        self._payload = b""

    def begin(self, header: Header, payload: bytes) -> None:
        """Take note of a message that is about to be handled."""
        self._thread = threading.get_ident()
        self._header, self._payload = header, payload

    def end(self) -> bool:
        """Forget the message; tell whether it still wants its answer."""
        unanswered = self._header is not None
        self._header = None
        return unanswered

    def answer(self, value: bytes | None = None) -> bool:
        """Answer the access; tell whether there is nothing left that the client's vCPU waits for.

        A write is answered as done. A read needs ``value``, what it will return; False without one of the
        right length. False too from another thread, and for messages that are no access.
        """
        header = self._header
        if header is None or threading.get_ident() != self._thread:
            return False
        if header.command == Command.REGION_WRITE:
            payload = self._payload[:_FIXED]
        elif header.command == Command.REGION_READ and value is not None:
            _, _, count = RegionAccess.FORMAT.unpack(self._payload)
            if len(value) != count:
                return False
            payload = self._payload + value
        else:
            return False
        if header.wants_reply:
            self._send(reply(header, payload))
        self._header = None
        return True
