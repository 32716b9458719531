"""Events, mutexes, semaphores and timers as objects: with a type, a name perhaps, and handles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ntos.object.access import Access
from ntos.object.types import KernelObject, ObjectType, mapping_of

if TYPE_CHECKING:
    from ntos.executive.contract import DispatcherObject

QUERY_STATE, MODIFY_STATE = 0x1, 0x2
"""EVENT_*, MUTANT_QUERY_STATE, SEMAPHORE_*, TIMER_*: the same two bits in all of them."""
_MAPPING = mapping_of(QUERY_STATE, MODIFY_STATE, int(Access.SYNCHRONIZE), QUERY_STATE | MODIFY_STATE)

EVENT = ObjectType("Event", _MAPPING)
MUTANT = ObjectType("Mutant", _MAPPING)
SEMAPHORE = ObjectType("Semaphore", _MAPPING)
TIMER = ObjectType("Timer", _MAPPING)


@dataclass(eq=False, slots=True, kw_only=True)
class Dispatched(KernelObject):
    """A dispatcher object of the executive with an object's header."""

    body: DispatcherObject

    @property
    def dispatcher(self) -> DispatcherObject:
        """What a wait waits for."""
        return self.body
