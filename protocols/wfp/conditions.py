"""Filter conditions: one field of what is classified, compared in one way. Pure functions and values.

Conditions on different fields must all hold; of several on one field, one must (FWPM_FILTER0, "Remarks").
Sources: FWP_MATCH_TYPE, FWPM_FILTER_CONDITION0, FWP_CONDITION_VALUE0.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from protocols.wfp.errors import FwpError, FwpFailure
from protocols.wfp.layers import Field

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ADDRESSES = frozenset(
    (
        Field.IP_LOCAL_ADDRESS,
        Field.IP_REMOTE_ADDRESS,
        Field.EMBEDDED_REMOTE_ADDRESS,
        Field.MAC_SOURCE_ADDRESS,
        Field.MAC_DESTINATION_ADDRESS,
    )
)
"""Fields whose values are bytes."""
BITS: dict[Field, int] = {
    Field.FLAGS: 32,
    Field.DIRECTION: 32,
    Field.INTERFACE_INDEX: 32,
    Field.IP_LOCAL_ADDRESS_TYPE: 8,
    Field.IP_LOCAL_PORT: 16,
    Field.IP_REMOTE_PORT: 16,
    Field.IP_PROTOCOL: 8,
    Field.ICMP_TYPE: 16,
    Field.ICMP_CODE: 16,
    Field.EMBEDDED_PROTOCOL: 8,
    Field.EMBEDDED_LOCAL_PORT: 16,
    Field.EMBEDDED_REMOTE_PORT: 16,
    Field.ETHER_TYPE: 16,
}
"""The width of each number."""


class AddressMask(NamedTuple):
    """FWP_V4_ADDR_AND_MASK, FWP_V6_ADDR_AND_MASK: the addresses whose first ``bits`` are those."""

    address: bytes
    bits: int

    def holds(self, address: bytes) -> bool:
        """Whether ``address`` is of the network; one of the other IP version is not."""
        if len(address) != len(self.address):
            return False
        shift = len(address) * 8 - self.bits
        return int.from_bytes(address) >> shift == int.from_bytes(self.address) >> shift


class Span(NamedTuple):
    """FWP_RANGE0: ``low`` and ``high`` are within."""

    low: int | bytes
    high: int | bytes


Value = int | bytes | AddressMask | Span


class MatchType(enum.Enum):
    """FWP_MATCH_*."""

    EQUAL = enum.auto()
    GREATER = enum.auto()
    LESS = enum.auto()
    GREATER_OR_EQUAL = enum.auto()
    LESS_OR_EQUAL = enum.auto()
    RANGE = enum.auto()
    FLAGS_ALL_SET = enum.auto()
    FLAGS_ANY_SET = enum.auto()
    FLAGS_NONE_SET = enum.auto()
    NOT_EQUAL = enum.auto()
    PREFIX = enum.auto()
    NOT_PREFIX = enum.auto()


def _equal(value: Value, told: Value) -> bool:
    if isinstance(told, AddressMask):
        return isinstance(value, bytes) and told.holds(value)
    return value == told


def _number(value: Value) -> int:
    return int.from_bytes(value) if isinstance(value, bytes) else int(value)  # type: ignore[arg-type]  # checked when added


def _within(value: Value, told: Value) -> bool:
    return isinstance(told, Span) and _number(told.low) <= _number(value) <= _number(told.high)


def _begins(value: Value, told: Value) -> bool:
    return isinstance(value, bytes) and isinstance(told, bytes) and value.startswith(told)


TESTS: dict[MatchType, Callable[[Value, Value], bool]] = {
    MatchType.EQUAL: _equal,
    MatchType.NOT_EQUAL: lambda value, told: not _equal(value, told),
    MatchType.GREATER: lambda value, told: _number(value) > _number(told),
    MatchType.LESS: lambda value, told: _number(value) < _number(told),
    MatchType.GREATER_OR_EQUAL: lambda value, told: _number(value) >= _number(told),
    MatchType.LESS_OR_EQUAL: lambda value, told: _number(value) <= _number(told),
    MatchType.RANGE: _within,
    MatchType.FLAGS_ALL_SET: lambda value, told: _number(value) & _number(told) == _number(told),
    MatchType.FLAGS_ANY_SET: lambda value, told: bool(_number(value) & _number(told)),
    MatchType.FLAGS_NONE_SET: lambda value, told: not _number(value) & _number(told),
    MatchType.PREFIX: _begins,
    MatchType.NOT_PREFIX: lambda value, told: not _begins(value, told),
}
_FLAG_TESTS = frozenset((MatchType.FLAGS_ALL_SET, MatchType.FLAGS_ANY_SET, MatchType.FLAGS_NONE_SET))
_PREFIX_TESTS = frozenset((MatchType.PREFIX, MatchType.NOT_PREFIX))
_EXACT = frozenset((MatchType.EQUAL, MatchType.NOT_EQUAL))


@dataclass(frozen=True, slots=True)
class Condition:
    """FWPM_FILTER_CONDITION0."""

    field: Field
    value: Value
    match: MatchType = MatchType.EQUAL

    def require_sound(self) -> None:
        """Check the types and widths against each other. FwpError(TYPE_MISMATCH, MATCH_TYPE_MISMATCH)."""
        is_address = self.field in ADDRESSES
        if isinstance(self.value, AddressMask):
            sound = is_address and len(self.value.address) in {4, 16}
            sound = sound and 0 <= self.value.bits <= 8 * len(self.value.address)
            allowed = _EXACT
        elif isinstance(self.value, Span):
            sound = all(self._is_plain(one) for one in self.value)
            sound = sound and type(self.value.low) is type(self.value.high)
            sound = sound and (isinstance(self.value.low, int) or len(self.value.low) == len(self._high))
            sound = sound and _number(self.value.low) <= _number(self.value.high)
            allowed = frozenset((MatchType.RANGE,))
        else:
            partial = self.match in _PREFIX_TESTS and isinstance(self.value, bytes)
            sound = (is_address and partial and len(self.value) <= 16) or self._is_plain(self.value)  # type: ignore[arg-type]  # bytes
            allowed = frozenset(MatchType) - {MatchType.RANGE}
            allowed -= _FLAG_TESTS if is_address else _PREFIX_TESTS
        if not sound:
            raise FwpError(FwpFailure.TYPE_MISMATCH, f"{self.field.name}: {self.value!r}")
        if self.match not in allowed:
            raise FwpError(FwpFailure.MATCH_TYPE_MISMATCH, f"{self.field.name}: {self.match.name}")

    @property
    def _high(self) -> bytes:
        high = self.value.high if isinstance(self.value, Span) else b""
        return high if isinstance(high, bytes) else b""

    def _is_plain(self, value: int | bytes) -> bool:
        if self.field in ADDRESSES:
            return isinstance(value, bytes) and len(value) in {4, 6, 16}
        return isinstance(value, int) and 0 <= value < 1 << BITS[self.field]

    def holds(self, value: Value | None) -> bool:
        """Whether a value passes; one that is not known passes nothing, not NOT_EQUAL either."""
        return value is not None and TESTS[self.match](value, self.value)

    @property
    def precision(self) -> int:
        """How exact it is, 0 to 128, for weights: an equality's bits, a network's, the rest of a range's."""
        if isinstance(self.value, AddressMask):
            exact = self.value.bits
        elif isinstance(self.value, Span):
            spread = _number(self.value.high) - _number(self.value.low)
            exact = self._width - spread.bit_length()
        else:
            exact = self._width
        return max(exact, 0) if self.match in {MatchType.EQUAL, MatchType.RANGE} else 1

    @property
    def _width(self) -> int:
        value = self.value.low if isinstance(self.value, Span) else self.value
        return len(value) * 8 if isinstance(value, bytes) else BITS[self.field]


def all_hold(conditions: Sequence[Condition], values: Mapping[Field, Value]) -> bool:
    """Whether a filter with these conditions matches."""
    passed: dict[Field, bool] = {}
    for one in conditions:
        passed[one.field] = passed.get(one.field, False) or one.holds(values.get(one.field))
    return all(passed.values())
