"""What the user of a served card asked for: to step through it, to record it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asked for."""

    step: bool = False
    record: Path | None = None
    commands: Path | None = None
    hook: Path | None = None
    page: Path | None = None
    screen: bool = False
    """Whether the front end is a full screen, which the caller brings."""

    @property
    def anything(self) -> bool:
        """Whether the card has to be one of these."""
        return self.step or any((self.record, self.commands, self.hook, self.page))

    @property
    def watched(self) -> bool:
        """Whether anybody looks at the events; a plain recording needs none of them."""
        return self.step or any((self.commands, self.hook, self.page))
