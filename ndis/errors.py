"""How an NDIS call fails: with a status. A broken contract is ``ntos.errors.BugCheckError``."""

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
