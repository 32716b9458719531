"""Arbitration: from the filters of one layer to one verdict. Sans I/O; knows no stack.

Every sublayer is asked, the heaviest first; in each, matching filters in order of weight until one permits or
blocks. The decision so far has a right, FWPS_RIGHT_ACTION_WRITE: with it the next sublayer's decision takes
its place (soft), without it only a veto does, a callout's block of what was permitted.

::

    so far          a filter's permit   its block    a callout's permit   a callout's block
    soft (either)   permit              block        permit               block
    hard permit     permit              permit       permit               block: a veto
    hard block      block               block        block                block

Sources: "Filter Arbitration" and its two tables, FWPS_CLASSIFY_OUT0, FWPS_FILTER0.flags.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Protocol

from protocols.wfp.conditions import all_hold
from protocols.wfp.layers import Field
from protocols.wfp.objects import ActionType, FilterFlags

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from uuid import UUID

    from protocols.wfp.conditions import Value
    from protocols.wfp.layers import Layer
    from protocols.wfp.objects import Filter, SubLayer

PACKETS_OWN = frozenset((Field.FLAGS, Field.ICMP_TYPE, Field.ICMP_CODE))
"""Fields that may differ between the packets of one flow."""


class ClassifyOut:
    """FWPS_CLASSIFY_OUT0: the decision so far, for a callout to change while its classifyFn runs.

    ``action`` None: nobody has decided. ``may_write`` is FWPS_RIGHT_ACTION_WRITE. What is written after the
    callout has returned changes nothing; ``is_late`` tells of it.
    """

    def __init__(self, action: ActionType | None, *, may_write: bool) -> None:
        self._action = action
        self._may_write = may_write
        self._is_open = True
        self.is_written = False
        self.is_late = False
        self.on_late: Callable[[], None] = lambda: None
        self.is_absorbed = False
        """FWPS_CLASSIFY_OUT_FLAG_ABSORB: what is blocked is the callout's now, and no discard."""

    @property
    def action(self) -> ActionType | None:
        """Return what is decided (actionType)."""
        return self._action

    @action.setter
    def action(self, value: ActionType) -> None:
        if self._is_open:
            self._action = value
            self.is_written = True
        else:
            self._tell_late()

    @property
    def may_write(self) -> bool:
        """Whether FWPS_RIGHT_ACTION_WRITE is set."""
        return self._may_write

    @may_write.setter
    def may_write(self, value: bool) -> None:
        if self._is_open:
            self._may_write = value
        else:
            self._tell_late()

    def permit(self, *, hard: bool = False) -> None:
        """Decide; ``hard`` clears the right."""
        self.action = ActionType.PERMIT
        self.may_write = not hard

    def block(self, *, hard: bool = False, absorb: bool = False) -> None:
        """Decide; ``hard`` clears the right."""
        self.action = ActionType.BLOCK
        self.may_write = not hard
        self.is_absorbed = absorb

    def leave(self) -> None:
        """FWP_ACTION_CONTINUE: let the next filter decide."""
        self.action = ActionType.CONTINUE

    def _tell_late(self) -> None:
        if not self.is_late:
            self.is_late = True
            self.on_late()

    def close(self) -> None:
        """End the callout's time to write."""
        self._is_open = False


class Callouts(Protocol):
    """Who runs the callouts of filters."""

    def call(self, one: Filter, out: ClassifyOut) -> bool:
        """Call classifyFn with ``out`` and close it; False: no driver has registered the callout."""


@dataclass(slots=True)
class Verdict:
    """What came of it. ``action`` None: no filter has decided, which permits."""

    action: ActionType | None = None
    is_hard: bool = False
    filter: Filter | None = None
    """The one that decided."""
    is_veto: bool = False
    is_absorbed: bool = False
    asked_callouts: bool = False
    """A callout was asked, so the next packet of the flow may have another verdict."""

    @property
    def blocks(self) -> bool:
        """Whether it is blocked."""
        return self.action is ActionType.BLOCK


@dataclass(slots=True)
class CompiledLayer:
    """The filters of one layer as they are asked: sublayers, the heaviest first, each with its filters."""

    sublayers: list[list[Filter]] = field(default_factory=list)
    is_of_flows: bool = True
    """No filter looks at what differs between packets of one flow."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to ask."""
        return not self.sublayers


def compile_layers(
    filters: Iterable[Filter], sublayers: Mapping[UUID, SubLayer]
) -> dict[Layer, CompiledLayer]:
    """Sort filters for classification; the order in which they come does not matter."""

    def place(one: Filter) -> tuple[str, int, str]:
        found = sublayers[one.sublayer]
        return one.layer.name, -found.weight, str(found.key)

    enabled = [one for one in filters if FilterFlags.DISABLED not in one.flags]
    compiled: dict[Layer, CompiledLayer] = {}
    for _place, group in groupby(sorted(enabled, key=place), place):
        ordered = sorted(group, key=lambda one: one.order)
        layer = compiled.setdefault(ordered[0].layer, CompiledLayer())
        layer.sublayers.append(ordered)
        fields = {condition.field for one in ordered for condition in one.conditions}
        layer.is_of_flows &= not fields & PACKETS_OWN
    return compiled


def arbitrate(layer: CompiledLayer, values: Mapping[Field, Value], callouts: Callouts) -> Verdict:
    """Ask every sublayer; return the verdict."""
    verdict = Verdict()
    for filters in layer.sublayers:
        for one in filters:
            if all_hold(one.conditions, values) and _decides(one, verdict, callouts):
                break
    return verdict


def _decides(one: Filter, verdict: Verdict, callouts: Callouts) -> bool:
    """Have a matching filter speak; return whether its sublayer is done."""
    if one.action.is_callout:
        return _callout_decides(one, verdict, callouts)
    is_hard = one.action is ActionType.BLOCK or FilterFlags.CLEAR_ACTION_RIGHT in one.flags
    if not verdict.is_hard:
        verdict.action, verdict.is_hard, verdict.filter = one.action, is_hard, one
    return True


def _callout_decides(one: Filter, verdict: Verdict, callouts: Callouts) -> bool:
    out = ClassifyOut(verdict.action, may_write=not verdict.is_hard)
    verdict.asked_callouts = True
    if not callouts.call(one, out):
        return _without_callout(one, verdict)
    decides = out.is_written and out.action in {ActionType.PERMIT, ActionType.BLOCK}
    if not decides or one.action is ActionType.CALLOUT_INSPECTION:
        return False
    is_block = out.action is ActionType.BLOCK
    is_veto = verdict.is_hard and verdict.action is ActionType.PERMIT and is_block
    if not verdict.is_hard or is_veto:
        verdict.action, verdict.filter = out.action, one
        verdict.is_hard = is_veto or not out.may_write
        verdict.is_veto |= is_veto
        verdict.is_absorbed = is_block and out.is_absorbed
    return True


def _without_callout(one: Filter, verdict: Verdict) -> bool:
    """Blocked, unless it only inspects or its flag says otherwise (FWPM_FILTER0, "Remarks")."""
    if one.action is ActionType.CALLOUT_INSPECTION:
        return False
    is_permitted = FilterFlags.PERMIT_IF_CALLOUT_UNREGISTERED in one.flags
    if not verdict.is_hard:
        verdict.action = ActionType.PERMIT if is_permitted else ActionType.BLOCK
        verdict.is_hard, verdict.filter = not is_permitted, one
    return True
