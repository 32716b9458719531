"""What every sample does first: register a callout, name it in a session, add a filter that asks it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from protocols.wfp import layers
from protocols.wfp.objects import ActionType, CalloutEntry, Filter

if TYPE_CHECKING:
    from collections.abc import Iterable

    from protocols.wfp.bfe import Session
    from protocols.wfp.callout import Callout
    from protocols.wfp.conditions import Condition
    from protocols.wfp.kernel import CalloutDriver


@dataclass(slots=True)
class Installed:
    """A driver and a dynamic session: with them goes all that was installed."""

    driver: CalloutDriver
    session: Session

    def add(
        self,
        layer: str,
        callout: Callout,
        conditions: Iterable[Condition] = (),
        action: ActionType = ActionType.CALLOUT_UNKNOWN,
    ) -> int:
        """Have ``callout`` asked at a layer about what matches; return its calloutId."""
        key, at = uuid.uuid4(), layers.layer(layer)
        number = self.driver.callout_register(key, callout)
        self.session.callout_add(CalloutEntry(key, self.driver.name, at))
        self.session.filter_add(Filter(at, action, tuple(conditions), self.driver.name, callout=key))
        return number

    def remove(self) -> None:
        """End the session, then the driver: no filter asks a callout that is gone."""
        self.session.engine_close()
        self.driver.unload()
