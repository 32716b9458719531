"""Replaces a phrase in TCP streams by another one, whose length may differ, in line.

The scenario of Microsoft's "stream edit" sample. A phrase that is cut in two by the end of what was sent so
far is waited for; the end of the stream lets go what was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocols.wfp.callout import Callout

if TYPE_CHECKING:
    from protocols.wfp.arbitration import ClassifyOut
    from protocols.wfp.callout import Incoming
    from protocols.wfp.kernel import CalloutDriver


class StreamEditor(Callout):
    """``find`` becomes ``replace`` at a STREAM layer, in both directions. ``find`` must not be empty."""

    def __init__(self, driver: CalloutDriver, find: bytes, replace: bytes) -> None:
        if not find:
            raise ValueError("nothing to find")
        self._driver = driver
        self._find = find
        self._replace = replace
        self.edits = 0

    def classify(self, incoming: Incoming, out: ClassifyOut) -> None:
        """Permit up to the phrase; block it and inject the other; wait where it may have begun."""
        stream = incoming.stream
        if stream is None:
            return
        at = stream.data.find(self._find)
        if at == 0:
            self._driver.stream_inject_async(incoming.flow, self._replace, is_inbound=stream.is_inbound)
            stream.enforced = len(self._find)
            self.edits += 1
            out.block()
            return
        begun = 0 if stream.is_last or at > 0 else self._begun(stream.data)
        passes = at if at > 0 else len(stream.data) - begun
        if passes:
            stream.enforced = passes
        else:
            stream.needs_more = bool(begun)
        out.permit()

    def _begun(self, data: bytes) -> int:
        """Return how many bytes at the end may be the phrase's beginning."""
        most = min(len(self._find) - 1, len(data))
        return next((size for size in range(most, 0, -1) if data.endswith(self._find[:size])), 0)
