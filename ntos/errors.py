"""Bug checks: what would stop Windows. It knows no driver."""

from __future__ import annotations


class BugCheckError(Exception):
    """A driver broke the contract in a way after which nothing can be trusted.

    Windows stops with bug check 0x7C (BUGCODE_NDIS_DRIVER). A bug: nobody catches it.
    """

    def __init__(self, what: str, *parameters: object) -> None:
        """Keep the objects concerned, for whoever looks at the wreck."""
        super().__init__(what)
        self.parameters = parameters
