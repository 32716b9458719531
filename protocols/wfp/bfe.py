"""The base filtering engine: keeps providers, sublayers, callouts and filters, for sessions that change them.

A change is made on a copy of the tables, which takes their place when its transaction commits: whoever is
classified meanwhile meets the old policy or the new one, never a part. Sources: "Object Management",
FwpmEngineOpen0, FwpmTransactionBegin0, FWPM_SESSION0, "Access Control".
"""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ntos.object.access import Access
from protocols.wfp import security, storage
from protocols.wfp.arbitration import CompiledLayer, compile_layers
from protocols.wfp.errors import FwpError, FwpFailure
from protocols.wfp.objects import (
    SUBLAYER_UNIVERSAL,
    CalloutEntry,
    Filter,
    Lifetime,
    Provider,
    SubLayer,
)
from protocols.wfp.security import Right

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

    from ntos.netcfg.registry import Registry
    from ntos.object.descriptor import SecurityDescriptor
    from ntos.object.token import Token
    from protocols.wfp.layers import Layer

MOST_FILTERS = 65_536
"""Ours: beyond it nothing is added."""
MOST_EVENTS = 1024
"""Net events that are kept, the newest."""
Object = Provider | SubLayer | CalloutEntry | Filter
NOT_FOUND: dict[type, FwpFailure] = {
    Provider: FwpFailure.PROVIDER_NOT_FOUND,
    SubLayer: FwpFailure.SUBLAYER_NOT_FOUND,
    CalloutEntry: FwpFailure.CALLOUT_NOT_FOUND,
    Filter: FwpFailure.FILTER_NOT_FOUND,
}


class Change(enum.Enum):
    """FWPM_CHANGE_TYPE."""

    ADD = enum.auto()
    DELETE = enum.auto()


@dataclass(slots=True)
class Tables:
    """All objects by key, and which session owns a dynamic one."""

    objects: dict[UUID, Object] = field(default_factory=dict)
    owners: dict[UUID, Session] = field(default_factory=dict)
    descriptors: dict[UUID, SecurityDescriptor] = field(default_factory=dict)

    def copy(self) -> Tables:
        """Return tables that can be changed apart."""
        return Tables(dict(self.objects), dict(self.owners), dict(self.descriptors))

    def of(self, kind: type[Object]) -> Iterator[Object]:
        """Walk the objects of one kind."""
        return (one for one in self.objects.values() if isinstance(one, kind))


class Bfe:
    """One host's engine. ``subscribers`` hear of each committed change; ``changed`` of a new policy."""

    def __init__(self, registry: Registry | None = None) -> None:
        self.tables = Tables()
        self.layers: dict[Layer, CompiledLayer] = {}
        self.generation = 0
        self.subscribers: list[Callable[[Change, Object], None]] = []
        self.changed: Callable[[], None] = lambda: None
        self.events: deque[object] = deque(maxlen=MOST_EVENTS)
        self.event_subscribers: list[Callable[[object], None]] = []
        self.writer: Session | None = None
        """Whose transaction is in progress: one at a time."""
        self._registry = registry
        self._numbers = 0
        universal = SubLayer(SUBLAYER_UNIVERSAL, "universal", 0x8000)
        self.tables.objects[universal.key] = universal
        if registry is not None:
            found = storage.load(registry)
            self.tables.objects.update({one.key: one for one in found})
            self._numbers = max((one.number for one in found if isinstance(one, Filter)), default=0)
            if found:
                self._compile()

    def engine_open(self, token: Token, *, is_dynamic: bool = False) -> Session:
        """FwpmEngineOpen: begin a session. FwpError(ACCESS_DENIED)."""
        security.require(security.DEFAULT, token, int(Right.OPEN))
        return Session(self, token, is_dynamic=is_dynamic)

    def report(self, event: object) -> None:
        """Keep a net event, and tell its subscribers."""
        self.events.append(event)
        for told in list(self.event_subscribers):
            told(event)

    def number(self) -> int:
        """Return a filterId that was never used."""
        self._numbers += 1
        return self._numbers

    def commit(self, after: Tables) -> None:
        """Make tables the policy."""
        before, self.tables = self.tables, after
        gone = [one for key, one in before.objects.items() if after.objects.get(key) is not one]
        new = [one for key, one in after.objects.items() if before.objects.get(key) is not one]
        if any(isinstance(one, Filter | SubLayer) for one in (*gone, *new)):
            self._compile()
        if self._registry is not None and any(one.lifetime is Lifetime.PERSISTENT for one in (*gone, *new)):
            storage.save(self._registry, after.objects.values())
        for change, objects in ((Change.DELETE, gone), (Change.ADD, new)):
            for one in objects:
                for told in list(self.subscribers):
                    told(change, one)

    def _compile(self) -> None:
        sublayers = {one.key: one for one in self.tables.of(SubLayer) if isinstance(one, SubLayer)}
        filters = (one for one in self.tables.of(Filter) if isinstance(one, Filter))
        self.layers = compile_layers(filters, sublayers)
        self.generation += 1
        self.changed()


class Session:
    """An engine handle. Its calls outside a transaction are transactions of their own."""

    def __init__(self, bfe: Bfe, token: Token, *, is_dynamic: bool) -> None:
        self._bfe = bfe
        self._token = token
        self._is_dynamic = is_dynamic
        self._pending: Tables | None = None
        self._is_open = True

    # Transactions

    def transaction_begin(self) -> None:
        """FwpmTransactionBegin. FwpError(TXN_IN_PROGRESS): this session or another one has begun."""
        self._require_open()
        security.require(security.DEFAULT, self._token, int(Right.BEGIN_WRITE_TXN))
        if self._bfe.writer is not None:
            raise FwpError(FwpFailure.TXN_IN_PROGRESS)
        self._bfe.writer = self
        self._pending = self._bfe.tables.copy()

    def transaction_commit(self) -> None:
        """FwpmTransactionCommit: all of it at once. FwpError(NO_TXN_IN_PROGRESS)."""
        self._bfe.commit(self._end())

    def transaction_abort(self) -> None:
        """FwpmTransactionAbort: nothing of it. FwpError(NO_TXN_IN_PROGRESS)."""
        self._end()

    def engine_close(self) -> None:
        """FwpmEngineClose: abort a transaction; a dynamic session's objects go with it."""
        if not self._is_open:
            return
        if self._pending is not None:
            self.transaction_abort()
        self._is_open = False
        if self in self._bfe.tables.owners.values():
            after = self._bfe.tables.copy()
            for key in [key for key, owner in after.owners.items() if owner is self]:
                del after.objects[key], after.owners[key]
                after.descriptors.pop(key, None)
            self._bfe.commit(after)

    # Objects

    def provider_add(self, one: Provider) -> None:
        """FwpmProviderAdd. FwpError(ALREADY_EXISTS, ACCESS_DENIED)."""
        self._add(one)

    def sublayer_add(self, one: SubLayer) -> None:
        """FwpmSubLayerAdd. FwpError(INVALID_WEIGHT, ALREADY_EXISTS, ACCESS_DENIED, PROVIDER_NOT_FOUND)."""
        one.require_sound()
        self._add(one)

    def callout_add(self, one: CalloutEntry) -> None:
        """FwpmCalloutAdd. FwpError(ALREADY_EXISTS, ACCESS_DENIED, PROVIDER_NOT_FOUND)."""
        self._add(one)

    def filter_add(self, one: Filter) -> int:
        """FwpmFilterAdd: return the filterId. FwpError: its parts do not exist or do not fit."""
        one.require_sound()
        tables = self._tables
        if not isinstance(tables.objects.get(one.sublayer), SubLayer):
            raise FwpError(FwpFailure.SUBLAYER_NOT_FOUND, str(one.sublayer))
        if one.callout is not None:
            entry = tables.objects.get(one.callout)
            if not isinstance(entry, CalloutEntry):
                raise FwpError(FwpFailure.CALLOUT_NOT_FOUND, str(one.callout))
            if entry.layer != one.layer:
                raise FwpError(FwpFailure.LAYER_NOT_FOUND, f"the callout is of {entry.layer.name}")
        if sum(1 for _one in tables.of(Filter)) >= MOST_FILTERS:
            raise FwpError(FwpFailure.OUT_OF_BOUNDS, f"{MOST_FILTERS} filters")
        numbered = replace(one, number=self._bfe.number(), effective_weight=one.weigh())
        self._add(numbered, parts=(one.sublayer, one.callout))
        return numbered.number

    def delete_by_key(self, kind: type[Object], key: UUID) -> None:
        """Fwpm…DeleteByKey. FwpError(…_NOT_FOUND, IN_USE: others name it, ACCESS_DENIED, WRONG_SESSION)."""
        tables = self._tables
        found = tables.objects.get(key)
        if not isinstance(found, kind):
            raise FwpError(NOT_FOUND[kind], str(key))
        if key in tables.owners and tables.owners[key] is not self:
            raise FwpError(FwpFailure.WRONG_SESSION, str(key))
        if key == SUBLAYER_UNIVERSAL or any(key in _names(one) for one in tables.objects.values()):
            raise FwpError(FwpFailure.IN_USE, str(key))
        self._require(key, int(Access.DELETE))
        self._change(lambda after: _drop(after, key))

    def filter_delete_by_id(self, number: int) -> None:
        """FwpmFilterDeleteById. FwpError as ``delete_by_key``."""
        for one in self._tables.of(Filter):
            if isinstance(one, Filter) and one.number == number:
                self.delete_by_key(Filter, one.key)
                return
        raise FwpError(FwpFailure.FILTER_NOT_FOUND, str(number))

    def get_by_key(self, kind: type[Object], key: UUID) -> Object:
        """Fwpm…GetByKey. FwpError(…_NOT_FOUND, ACCESS_DENIED)."""
        found = self._tables.objects.get(key)
        if not isinstance(found, kind):
            raise FwpError(NOT_FOUND[kind], str(key))
        self._require(key, int(Right.READ))
        return found

    def enumerate(self, kind: type[Object], layer: Layer | None = None) -> list[Object]:
        """Fwpm…Enum: what there is, at one layer when that is given; filters by weight."""
        self._require_open()
        security.require(security.DEFAULT, self._token, int(Right.ENUM))
        found = [
            one for one in self._tables.of(kind) if layer is None or getattr(one, "layer", None) == layer
        ]
        return sorted(found, key=lambda one: one.order if isinstance(one, Filter) else (0, False, one.name))

    def set_security_info_by_key(self, key: UUID, descriptor: SecurityDescriptor) -> None:
        """Fwpm…SetSecurityInfoByKey. FwpError(NOT_FOUND, ACCESS_DENIED)."""
        if key not in self._tables.objects:
            raise FwpError(FwpFailure.NOT_FOUND, str(key))
        self._require(key, int(Access.WRITE_DAC))
        self._change(lambda after: after.descriptors.__setitem__(key, descriptor))

    # Inside

    @property
    def _tables(self) -> Tables:
        return self._pending or self._bfe.tables

    def _require_open(self) -> None:
        if not self._is_open:
            raise FwpError(FwpFailure.SESSION_ABORTED)

    def _require(self, key: UUID, desired: int) -> None:
        self._require_open()
        descriptor = self._tables.descriptors.get(key, security.DEFAULT)
        security.require(descriptor, self._token, desired)

    def _add(self, one: Object, parts: tuple[UUID | None, ...] = ()) -> None:
        self._require_open()
        security.require(security.DEFAULT, self._token, int(Right.ADD))
        tables = self._tables
        if one.key in tables.objects:
            raise FwpError(FwpFailure.ALREADY_EXISTS, str(one.key))
        lifetime = Lifetime.DYNAMIC if self._is_dynamic else one.lifetime
        if self._is_dynamic and one.lifetime is Lifetime.PERSISTENT:
            raise FwpError(FwpFailure.LIFETIME_MISMATCH, "a dynamic session adds nothing persistent")
        if lifetime is Lifetime.DYNAMIC and not self._is_dynamic:
            raise FwpError(FwpFailure.LIFETIME_MISMATCH, "the session is not dynamic")
        for part in (*parts, getattr(one, "provider", None)):
            self._require_part(part, lifetime)
        kept = replace(one, lifetime=lifetime)

        def put(after: Tables) -> None:
            after.objects[kept.key] = kept
            if lifetime is Lifetime.DYNAMIC:
                after.owners[kept.key] = self

        self._change(put)

    def _require_part(self, part: UUID | None, lifetime: Lifetime) -> None:
        """Check what an object names: it is there, and lives at least as long."""
        if part is None:
            return
        found = self._tables.objects.get(part)
        if found is None:
            raise FwpError(FwpFailure.PROVIDER_NOT_FOUND, str(part))
        ranks = list(Lifetime)
        if part != SUBLAYER_UNIVERSAL and ranks.index(found.lifetime) < ranks.index(lifetime):
            raise FwpError(FwpFailure.LIFETIME_MISMATCH, f"{found.name} is {found.lifetime.value}")

    def _change(self, change: Callable[[Tables], None]) -> None:
        if self._pending is not None:
            change(self._pending)
            return
        if self._bfe.writer is not None:
            raise FwpError(FwpFailure.TXN_IN_PROGRESS)
        after = self._bfe.tables.copy()
        change(after)
        self._bfe.commit(after)

    def _end(self) -> Tables:
        if self._pending is None:
            raise FwpError(FwpFailure.NO_TXN_IN_PROGRESS)
        pending, self._pending = self._pending, None
        self._bfe.writer = None
        return pending


def _names(one: Object) -> tuple[UUID | None, ...]:
    """Return the keys that an object names."""
    return tuple(getattr(one, name, None) for name in ("provider", "sublayer", "callout"))


def _drop(after: Tables, key: UUID) -> None:
    del after.objects[key]
    after.owners.pop(key, None)
    after.descriptors.pop(key, None)
