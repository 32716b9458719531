"""The two ways an NDIS call fails: a status for the caller, or a bug that would stop Windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ndis.status import Status


class NdisError(Exception):
    """A call was refused; the caller may go on. ``status`` says why."""

    def __init__(self, status: Status, what: str) -> None:
        """Keep the status, so that a caller can decide by it."""
        super().__init__(f"{status.name} ({status:#010x}): {what}")
        self.status = status


class BugCheckError(Exception):
    """A driver broke the contract in a way after which nothing can be trusted.

    Windows stops with bug check 0x7C (BUGCODE_NDIS_DRIVER). A bug: nobody catches it.
    """

    def __init__(self, what: str, *parameters: object) -> None:
        """Keep the objects concerned, for whoever looks at the wreck."""
        super().__init__(what)
        self.parameters = parameters
