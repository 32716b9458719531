"""What all kernel objects have: a type, a name perhaps, and two counts.

``handles`` are those that processes and drivers have open; ``references`` include them and pointers besides.
The last handle closes an object (a file is cleaned up, a temporary name goes), the last reference deletes it.
Source: "Life Cycle of an Object" (Windows driver documentation).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ntos.object.access import Access, GenericMapping

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntos.executive.contract import DispatcherObject
    from ntos.object.descriptor import SecurityDescriptor
    from ntos.object.namespace import Directory


def mapping_of(read: int, write: int, execute: int, own: int) -> GenericMapping:
    """Return a type's generic mapping: its own rights with the standard ones that go along."""
    standard = int(Access.READ_CONTROL)
    everything = Access.STANDARD_REQUIRED | Access.SYNCHRONIZE | own
    return GenericMapping(standard | read, standard | write, standard | execute, int(everything))


def _count_handle(target: KernelObject) -> None:
    target.handles += 1
    target.references += 1


def _close_handle(target: KernelObject) -> None:
    target.handles -= 1
    if not target.handles:
        if not target.is_permanent and target.parent is not None:
            target.parent.remove(target)
        target.object_type.last_closed(target)
    dereference(target)


def _nothing(_target: Any) -> None:  # noqa: ANN401 - any type's object
    pass


@dataclass(frozen=True, slots=True)
class ObjectType:
    """OBJECT_TYPE and its procedures. ``parses``: the object reads what follows its name."""

    name: str
    mapping: GenericMapping
    parses: bool = False
    opened: Callable[[Any], None] = _count_handle
    """There is one handle more."""
    closed: Callable[[Any], None] = _close_handle
    """A handle is gone."""
    last_closed: Callable[[Any], None] = _nothing
    """The last handle is gone."""
    deleted: Callable[[Any], None] = _nothing
    """The last reference is gone."""


@dataclass(eq=False, slots=True, kw_only=True)
class KernelObject:
    """The header of an object. ``descriptor`` None: nobody is kept from it."""

    object_type: ObjectType
    object_name: str = ""
    """Its own part of its path; empty: it has no name."""
    parent: Directory | None = None
    descriptor: SecurityDescriptor | None = None
    is_permanent: bool = False
    references: int = 0
    handles: int = 0

    @property
    def dispatcher(self) -> DispatcherObject | None:
        """What a wait for the object waits for; None: it cannot be waited for."""
        return None


def reference(target: KernelObject) -> None:
    """ObReferenceObject."""
    target.references += 1


def dereference(target: KernelObject) -> None:
    """ObDereferenceObject: delete the object with its last reference."""
    target.references -= 1
    if not target.references:
        target.object_type.deleted(target)
