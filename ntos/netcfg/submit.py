"""One request to all transports at once, answered by priority (the redirector's rule).

"When the response comes, RDR waits until it has also received responses from any higher-priority
protocol drivers." Source: "Inside NT Networking", Binding (Windows NT Magazine, 1999).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What a transport said."""

    transport: str
    success: bool
    result: T


class ParallelSubmit(Generic[T]):
    """A request that has left by every transport.

    ``transports`` in binding order, the first the highest.

    Invariant: ``delivered`` is set once, to the success of the highest priority such that
    everything above it has failed; or, when all have failed, to the failure of the highest.
    """

    def __init__(self, transports: list[str]) -> None:
        """Submit to all; a request that can go nowhere is a bug of the caller's."""
        if not transports:
            raise ValueError("no transport is bound")
        self._order = list(transports)
        self._answers: dict[str, Answer[T]] = {}
        self.delivered: Answer[T] | None = None

    @property
    def waiting(self) -> list[str]:
        """Transports that have not answered."""
        return [name for name in self._order if name not in self._answers]

    def answer(self, transport: str, result: T, *, success: bool) -> Answer[T] | None:
        """Take one transport's answer; return what goes to the caller now, once."""
        if transport not in self._order or transport in self._answers:
            raise ValueError(f"{transport} does not owe an answer")
        self._answers[transport] = Answer(transport, success, result)
        if self.delivered is None:
            self.delivered = self._decide()
            return self.delivered
        return None

    def _decide(self) -> Answer[T] | None:
        for name in self._order:
            found = self._answers.get(name)
            if found is None:
                return None
            if found.success:
                return found
        return self._answers[self._order[0]]
