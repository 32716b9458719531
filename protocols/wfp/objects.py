"""Providers, sublayers, callouts and filters as the base filtering engine keeps them. Values only.

Sources: FWPM_PROVIDER0, FWPM_SUBLAYER0, FWPM_CALLOUT0, FWPM_FILTER0, "Filter Weight Assignment".
"""

from __future__ import annotations

import enum
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from protocols.wfp.errors import FwpError, FwpFailure

if TYPE_CHECKING:
    from protocols.wfp.conditions import Condition
    from protocols.wfp.layers import Layer

AUTO_WEIGHT_BITS = 60
"""FWPM_AUTO_WEIGHT_BITS."""
WEIGHT_RANGE_MAX = 15
MOST_WEIGHT = (1 << 64) - 1
MOST_SUBLAYER_WEIGHT = 0xFFFF
MOST_CONDITIONS = 1024
"""Of one filter. Ours: it bounds the loop over them."""
SUBLAYER_UNIVERSAL = uuid.uuid5(uuid.NAMESPACE_OID, "ringwalk FWPM_SUBLAYER_UNIVERSAL")
"""FWPM_SUBLAYER_UNIVERSAL: where filters are that name no sublayer."""


class ActionType(enum.Enum):
    """FWP_ACTION_*."""

    PERMIT = enum.auto()
    BLOCK = enum.auto()
    CALLOUT_TERMINATING = enum.auto()
    CALLOUT_INSPECTION = enum.auto()
    CALLOUT_UNKNOWN = enum.auto()
    CONTINUE = enum.auto()
    """What a callout answers that leaves the decision to the next filter; no filter's action."""

    @property
    def is_callout(self) -> bool:
        """Whether a callout is asked."""
        return self.name.startswith("CALLOUT")


class Lifetime(enum.Enum):
    """How long an object stays. Source: "Object Management"."""

    DYNAMIC = "dynamic"
    """Until its session ends."""
    STATIC = "static"
    """Until the base filtering engine stops."""
    PERSISTENT = "persistent"
    """In the registry: it is there again when the engine starts."""


class FilterFlags(enum.IntFlag):
    """FWPM_FILTER_FLAG_*."""

    NONE = 0
    CLEAR_ACTION_RIGHT = 0x08
    """A permit is hard; a callout is told that its answer is to be."""
    PERMIT_IF_CALLOUT_UNREGISTERED = 0x10
    DISABLED = 0x20


@dataclass(frozen=True, slots=True)
class Provider:
    """FWPM_PROVIDER0: who manages other objects."""

    key: uuid.UUID
    name: str
    lifetime: Lifetime = Lifetime.STATIC


@dataclass(frozen=True, slots=True)
class SubLayer:
    """FWPM_SUBLAYER0. The one with the highest weight (16 bits) is asked first."""

    key: uuid.UUID
    name: str
    weight: int
    provider: uuid.UUID | None = None
    lifetime: Lifetime = Lifetime.STATIC

    def require_sound(self) -> None:
        """FwpError(INVALID_WEIGHT)."""
        if not 0 <= self.weight <= MOST_SUBLAYER_WEIGHT:
            raise FwpError(FwpFailure.INVALID_WEIGHT, f"{self.weight}")


@dataclass(frozen=True, slots=True)
class CalloutEntry:
    """FWPM_CALLOUT0: a callout's name at a layer, whether or not a driver has registered it."""

    key: uuid.UUID
    name: str
    layer: Layer
    provider: uuid.UUID | None = None
    lifetime: Lifetime = Lifetime.STATIC


@dataclass(frozen=True, slots=True)
class Filter:
    """FWPM_FILTER0.

    ``weight`` is 64 bits; ``weight_range`` (0 to 15) or neither has the engine compute the low 60 bits.
    ``effective_weight`` and ``number`` (filterId) are the engine's.
    """

    layer: Layer
    action: ActionType
    conditions: tuple[Condition, ...] = ()
    name: str = ""
    key: uuid.UUID = field(default_factory=uuid.uuid4)
    sublayer: uuid.UUID = SUBLAYER_UNIVERSAL
    weight: int | None = None
    weight_range: int = 0
    callout: uuid.UUID | None = None
    context: int = 0
    """rawContext: 64 bits for the callout."""
    flags: FilterFlags = FilterFlags.NONE
    provider: uuid.UUID | None = None
    lifetime: Lifetime = Lifetime.STATIC
    effective_weight: int = 0
    number: int = 0

    def require_sound(self) -> None:
        """FwpError: an action, a weight, or a condition that the layer has no value for."""
        if self.action is ActionType.CONTINUE or self.action.is_callout != (self.callout is not None):
            raise FwpError(FwpFailure.INVALID_ACTION_TYPE, self.action.name)
        if self.layer.is_discard and self.action is not ActionType.CALLOUT_INSPECTION:
            raise FwpError(FwpFailure.INVALID_ACTION_TYPE, f"{self.action.name} at {self.layer.name}")
        if self.weight is not None and not 0 <= self.weight <= MOST_WEIGHT:
            raise FwpError(FwpFailure.INVALID_WEIGHT, f"{self.weight}")
        if not 0 <= self.weight_range <= WEIGHT_RANGE_MAX:
            raise FwpError(FwpFailure.INVALID_WEIGHT, f"range {self.weight_range}")
        if not 0 <= self.context <= MOST_WEIGHT:
            raise FwpError(FwpFailure.OUT_OF_BOUNDS, f"context {self.context}")
        if len(self.conditions) > MOST_CONDITIONS:
            raise FwpError(FwpFailure.OUT_OF_BOUNDS, f"{len(self.conditions)} conditions")
        for one in self.conditions:
            if one.field not in self.layer.fields:
                raise FwpError(FwpFailure.CONDITION_NOT_FOUND, f"{one.field.name} at {self.layer.name}")
            one.require_sound()

    def weigh(self) -> int:
        """Return the effective weight: given, or computed from how exact the conditions are.

        A filter with more fields, and among those one whose fields are more exact, is heavier.
        """
        if self.weight is not None:
            return self.weight
        best: dict[str, int] = {}
        for one in self.conditions:
            best[one.field.name] = max(best.get(one.field.name, 0), one.precision)
        low = min(len(best), 31) << 32 | min(sum(best.values()), (1 << 32) - 1)
        return self.weight_range << AUTO_WEIGHT_BITS | low

    @property
    def order(self) -> tuple[int, int, str]:
        """Sort key, first asked first. Equal weights: blocks before all else, then by what they compare.

        So two filters that differ in nothing but the time they were added are in one order.
        """
        told = sorted(f"{one.field.name} {one.match.name} {one.value!r}" for one in self.conditions)
        what = f"{told} {self.action.name} {self.callout} {self.context:x} {self.flags:x}"
        return -self.effective_weight, self.action is not ActionType.BLOCK, what
