"""Persistent objects in the registry, below the BFE service's Parameters: one value an object, as JSON.

What does not read as an object of ours is left out when the engine starts: a registry that somebody has
edited must not keep a host from starting.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ntos.netcfg.registry import SERVICES
from protocols.wfp import layers
from protocols.wfp.conditions import AddressMask, Condition, MatchType, Span
from protocols.wfp.errors import FwpError
from protocols.wfp.layers import Field
from protocols.wfp.objects import (
    SUBLAYER_UNIVERSAL,
    ActionType,
    CalloutEntry,
    Filter,
    FilterFlags,
    Lifetime,
    Provider,
    SubLayer,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ntos.netcfg.registry import Registry
    from protocols.wfp.conditions import Value

    Object = Provider | SubLayer | CalloutEntry | Filter

KEY = rf"{SERVICES}\BFE\Parameters\Policy\Persistent"
KINDS = ("Provider", "SubLayer", "Callout", "Filter")
"""In the order in which they are read: what is named comes before what names it."""


def save(registry: Registry, objects: Iterable[Object]) -> None:
    """Write what is persistent, in place of what was there."""
    registry.delete(KEY)
    for one in objects:
        if one.lifetime is Lifetime.PERSISTENT:
            registry.set(rf"{KEY}\{_kind(one)}", f"{{{one.key}}}", json.dumps(_emit(one)))


def load(registry: Registry) -> list[Object]:
    """Return what is written and sound."""
    found: list[Object] = []
    keys: set[UUID | None] = {None, SUBLAYER_UNIVERSAL}
    for kind in KINDS:
        for name, text in registry.values(rf"{KEY}\{kind}").items():
            one = _sound(kind, name, text)
            parts = (one.sublayer, one.callout) if isinstance(one, Filter) else ()
            if one is not None and keys.issuperset(parts):
                found.append(one)
                keys.add(one.key)
    return found


def _sound(kind: str, name: str, text: object) -> Object | None:
    try:
        one = _parse(kind, UUID(name), json.loads(str(text)))
        if isinstance(one, Filter | SubLayer):
            one.require_sound()
    except (ValueError, KeyError, TypeError, FwpError):
        return None  # written by somebody else: advice, not a bug of ours
    return one


def _kind(one: Object) -> str:
    return {Provider: "Provider", SubLayer: "SubLayer", CalloutEntry: "Callout", Filter: "Filter"}[type(one)]


def _emit(one: Object) -> dict[str, Any]:
    told: dict[str, Any] = {"name": one.name}
    provider = getattr(one, "provider", None)
    told["provider"] = str(provider) if provider is not None else None
    if isinstance(one, SubLayer):
        told["weight"] = one.weight
    if isinstance(one, CalloutEntry | Filter):
        told["layer"] = one.layer.name
    if isinstance(one, Filter):
        told |= {
            "action": one.action.name,
            "conditions": [
                [condition.field.name, condition.match.name, _emit_value(condition.value)]
                for condition in one.conditions
            ],
            "sublayer": str(one.sublayer),
            "weight": one.weight,
            "range": one.weight_range,
            "callout": str(one.callout) if one.callout is not None else None,
            "context": one.context,
            "flags": int(one.flags),
            "number": one.number,
        }
    return told


def _parse(kind: str, key: UUID, told: dict[str, Any]) -> Object:
    name, persistent = str(told["name"]), Lifetime.PERSISTENT
    provider = UUID(told["provider"]) if told["provider"] is not None else None
    if kind == "Provider":
        return Provider(key, name, persistent)
    if kind == "SubLayer":
        return SubLayer(key, name, int(told["weight"]), provider, persistent)
    layer = layers.layer(told["layer"])
    if kind == "Callout":
        return CalloutEntry(key, name, layer, provider, persistent)
    one = Filter(
        layer,
        ActionType[told["action"]],
        tuple(
            Condition(Field[field], _parse_value(value), MatchType[match])
            for field, match, value in told["conditions"]
        ),
        name,
        key,
        UUID(told["sublayer"]),
        int(told["weight"]) if told["weight"] is not None else None,
        int(told["range"]),
        UUID(told["callout"]) if told["callout"] is not None else None,
        int(told["context"]),
        FilterFlags(told["flags"]),
        provider,
        persistent,
        number=int(told["number"]),
    )
    return _weighed(one)


def _weighed(one: Filter) -> Filter:

    return replace(one, effective_weight=one.weigh())


def _emit_value(value: Value) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, AddressMask):
        return {"address": value.address.hex(), "bits": value.bits}
    if isinstance(value, Span):
        return {"low": _emit_value(value.low), "high": _emit_value(value.high)}
    return value.hex() if isinstance(value, bytes) else value


def _parse_value(told: Any) -> Value:  # noqa: ANN401 - JSON
    if isinstance(told, dict) and "bits" in told:
        return AddressMask(bytes.fromhex(told["address"]), int(told["bits"]))
    if isinstance(told, dict):
        low, high = _parse_value(told["low"]), _parse_value(told["high"])
        if not isinstance(low, int | bytes) or not isinstance(high, int | bytes):
            raise TypeError("a range of ranges")
        return Span(low, high)
    return bytes.fromhex(told) if isinstance(told, str) else int(told)
