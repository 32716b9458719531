"""One client and one provider: offered to each other once, attached or not, detached once on either side.

The states are a table; ``Nmr`` decides when a binding moves. Source: "Network Module Attachment" and
"Network Module Detachment" (WDK).
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

from ntos.errors import BugCheckError

if TYPE_CHECKING:
    from protocols.interfaces.nmr.modules import ClientModule, ProviderModule


class BindingState(enum.Enum):
    """The life of a binding."""

    OFFERED = enum.auto()
    ATTACHED = enum.auto()
    REFUSED = enum.auto()
    DETACHING = enum.auto()
    GONE = enum.auto()


TRANSITIONS: dict[tuple[BindingState, str], BindingState] = {
    (BindingState.OFFERED, "attach"): BindingState.ATTACHED,
    (BindingState.OFFERED, "refuse"): BindingState.REFUSED,
    (BindingState.ATTACHED, "detach"): BindingState.DETACHING,
    (BindingState.DETACHING, "clean up"): BindingState.GONE,
}


class Side(enum.Enum):
    """Whose detach is meant."""

    CLIENT = "client"
    PROVIDER = "provider"


class Binding:
    """NmrBindingHandle. The contexts are the modules' own; ``_pending`` are the sides still detaching."""

    def __init__(self, client: Registered, provider: Registered) -> None:
        self.client = client
        self.provider = provider
        self.state = BindingState.OFFERED
        self.client_context: Any = None
        self.provider_context: Any = None
        self.is_offering = True  # ClientAttachProvider has not returned: nothing is detached yet
        self._pending: set[Side] = set()

    def __repr__(self) -> str:
        """Name it as reports do."""
        return f"<binding of {self.client.name} to {self.provider.name}, {self.state.name}>"

    def move(self, event: str) -> None:
        """Do ``event``; stops the machine when the state does not allow it."""
        try:
            self.state = TRANSITIONS[self.state, event]
        except KeyError:
            raise BugCheckError(f"{event}: {self!r}", self) from None

    def begin(self) -> None:
        """Start detaching both sides."""
        self.move("detach")
        self._pending = {Side.CLIENT, Side.PROVIDER}

    def finish(self, side: Side) -> bool:
        """Have one side detached; return whether both are. A side that is not detaching stops the machine."""
        if self.state is not BindingState.DETACHING or side not in self._pending:
            raise BugCheckError(f"the {side.value} has nothing to detach: {self!r}", self)
        self._pending.discard(side)
        return not self._pending


class Registered:
    """NmrClientHandle or NmrProviderHandle: one registration, and its bindings."""

    def __init__(self, module: ClientModule | ProviderModule) -> None:
        self.module: Any = module
        self.name = module.instance.module.name
        self.leaving = False
        self.bindings: list[Binding] = []

    @property
    def is_gone(self) -> bool:
        """Whether the deregistration is complete."""
        return self.leaving and not self.bindings
