"""A spin lock for executives that run one routine at a time."""

from __future__ import annotations

from ntos.errors import BugCheckError


class FlagLock:
    """A spin lock for one CPU: taking it twice is the deadlock that it would be there."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.held = False

    def acquire(self) -> None:
        """Take the lock; raises BugCheckError when the CPU would wait for itself."""
        if self.held:
            raise BugCheckError(f"spin lock {self.name} taken twice", self)
        self.held = True

    def release(self) -> None:
        """Give the lock back."""
        if not self.held:
            raise BugCheckError(f"spin lock {self.name} released while free", self)
        self.held = False
