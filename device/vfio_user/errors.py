"""What can go wrong at this protocol, told apart by whose fault it is.

``GuestError``: the guest made the device do something impossible; the client gets an errno.
``RequestRefused``: a message that cannot be obeyed; the client gets an errno. ``TransportError``:
the byte stream can no longer be believed, or is gone; the client is closed. Anything else is a bug
of ours and crashes.
"""

from __future__ import annotations

import errno
import os


class GuestError(Exception):
    """The guest did wrong: ``errno`` is what the client is told."""

    errno: int = errno.EIO


class DmaError(GuestError):
    """The device touched an address that no DMA region covers, or covers without that right."""

    errno = errno.EFAULT

    def __init__(self, address: int, length: int, reason: str = "no DMA region") -> None:
        """Keep the range (bytes), so that a trace can name it."""
        super().__init__(f"DMA fault at {address:#x}+{length:#x}: {reason}")
        self.address = address
        self.length = length
        self.reason = reason


class RequestRefused(Exception):  # noqa: N818 - it is an answer, and reads as one where it is raised
    """A message that is answered with an errno and nothing else."""

    def __init__(self, number: int, reason: str) -> None:
        """Answer errno ``number``; ``reason`` is for a log, the protocol has no room for it."""
        super().__init__(f"{errno.errorcode.get(number, number)}: {reason}")
        self.errno = number
        self.reason = reason


class MalformedError(ValueError):
    """The bytes are not the message that they should be; nothing was done."""


class TransportError(Exception):
    """The stream is broken or not vfio-user: the connection has to be closed."""


class ReplyError(TransportError):
    """The other side answered a command with an error (client only)."""

    def __init__(self, command: int, number: int) -> None:
        """``command`` was refused with errno ``number`` (0 when the other side gave none)."""
        name = os.strerror(number) if number else "no errno given"
        super().__init__(f"command {command} was refused: errno {number:#x} ({name})")
        self.command = command
        self.errno = number
