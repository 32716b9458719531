"""Arbitration against a table from Microsoft's "Filter Arbitration": two sublayers, every combination."""

# ruff: noqa: D102, D103 - the names are sentences; doubles need no words

from __future__ import annotations

import itertools
import uuid
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.wfp import layers
from protocols.wfp.arbitration import ClassifyOut, Verdict, arbitrate, compile_layers
from protocols.wfp.conditions import AddressMask, Condition, MatchType, Span
from protocols.wfp.layers import Field
from protocols.wfp.objects import ActionType, Filter, FilterFlags, SubLayer

LAYER = layers.layer("FWPM_LAYER_ALE_AUTH_CONNECT_V4")
HIGH = SubLayer(uuid.UUID(int=1), "high", 200)
LOW = SubLayer(uuid.UUID(int=2), "low", 100)
SUBLAYERS = {one.key: one for one in (HIGH, LOW)}
KINDS = (
    "none",
    "permit",
    "permit!",
    "block",
    "callout permit",
    "callout permit!",
    "callout block",
    "callout block!",
)
"""A sublayer's decision; ``!``: the filter's flag CLEAR_ACTION_RIGHT, or the callout clears the right."""

TABLE = """
                 none    permit  permit! block   c.permit c.permit! c.block c.block!
none             none    permit  permit  block   permit   permit    block   block
permit           permit  permit  permit  block   permit   permit    block   block
permit!          permit  permit  permit  permit  permit   permit    veto    veto
block            block   block   block   block   block    block     block   block
c.permit         permit  permit  permit  block   permit   permit    block   block
c.permit!        permit  permit  permit  permit  permit   permit    veto    veto
c.block          block   permit  permit  block   permit   permit    block   block
c.block!         block   block   block   block   block    block     block   block
"""
"""Rows: the sublayer of the higher weight. From the tables "Allow override" and "Default Behavior"."""


class Deciding:
    """Each callout does what its filter's name says."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def call(self, one: Filter, out: ClassifyOut) -> bool:
        self.asked.append(one.name)
        hard = one.name.endswith("!")
        if "permit" in one.name:
            out.permit(hard=hard)
        elif "block" in one.name:
            out.block(hard=hard)
        out.close()
        return "unregistered" not in one.name


def made(kind: str, sublayer: SubLayer) -> list[Filter]:
    if kind == "none":
        return []
    is_callout = kind.startswith("callout")
    flags = FilterFlags.CLEAR_ACTION_RIGHT if kind == "permit!" else FilterFlags.NONE
    action = ActionType.PERMIT if kind.startswith("permit") else ActionType.BLOCK
    return [
        Filter(
            LAYER,
            ActionType.CALLOUT_UNKNOWN if is_callout else action,
            name=kind,
            sublayer=sublayer.key,
            callout=uuid.UUID(int=9) if is_callout else None,
            flags=flags,
        )
    ]


def decided(*filters: Filter, values: dict[Field, object] | None = None) -> Verdict:
    compiled = compile_layers([replace(one, effective_weight=one.weigh()) for one in filters], SUBLAYERS)
    if LAYER not in compiled:
        return Verdict()
    return arbitrate(compiled[LAYER], values or {}, Deciding())  # type: ignore[arg-type]  # object: any value


def expected() -> dict[tuple[str, str], str]:
    _head, *rows = [line.split() for line in TABLE.strip().splitlines()]
    return {(KINDS[at], KINDS[to]): word for at, row in enumerate(rows) for to, word in enumerate(row[1:])}


@pytest.mark.parametrize(("high", "low"), list(itertools.product(KINDS, KINDS)))
def test_two_sublayers_decide_as_the_table_says(high: str, low: str) -> None:
    verdict = decided(*made(high, HIGH), *made(low, LOW))

    told = verdict.action.name.lower() if verdict.action is not None else "none"
    assert ("veto" if verdict.is_veto else told) == expected()[high, low]
    assert not verdict.is_veto or verdict.blocks


def test_the_first_filter_of_a_sublayer_that_decides_ends_it() -> None:
    filters = [
        Filter(LAYER, ActionType.PERMIT, sublayer=HIGH.key, weight=10),
        Filter(LAYER, ActionType.BLOCK, sublayer=HIGH.key, weight=9),
    ]

    assert decided(*filters).action is ActionType.PERMIT


def test_a_callout_that_continues_leaves_it_to_the_next_filter() -> None:
    looks = Filter(
        LAYER,
        ActionType.CALLOUT_UNKNOWN,
        name="looks",
        sublayer=HIGH.key,
        weight=10,
        callout=uuid.UUID(int=9),
    )

    assert decided(looks, Filter(LAYER, ActionType.BLOCK, sublayer=HIGH.key, weight=9)).blocks


def test_every_sublayer_is_asked_though_a_higher_one_has_blocked() -> None:
    callouts = Deciding()
    filters = [*made("block", HIGH), *made("callout permit", LOW)]

    arbitrate(compile_layers(filters, SUBLAYERS)[LAYER], {}, callouts)

    assert callouts.asked == ["callout permit"]


@pytest.mark.parametrize(
    ("action", "flags", "blocks"),
    [
        (ActionType.CALLOUT_TERMINATING, FilterFlags.NONE, True),
        (ActionType.CALLOUT_UNKNOWN, FilterFlags.NONE, True),
        (ActionType.CALLOUT_UNKNOWN, FilterFlags.PERMIT_IF_CALLOUT_UNREGISTERED, False),
        (ActionType.CALLOUT_INSPECTION, FilterFlags.NONE, False),
    ],
)
def test_a_callout_that_no_driver_has_registered_blocks_unless_it_inspects(
    action: ActionType, flags: FilterFlags, *, blocks: bool
) -> None:
    one = Filter(LAYER, action, name="unregistered", sublayer=HIGH.key, callout=uuid.UUID(int=9), flags=flags)

    assert decided(one).blocks is blocks


def test_what_is_written_after_the_return_is_told_and_changes_nothing() -> None:
    late: list[str] = []
    out = ClassifyOut(None, may_write=True)
    out.on_late = lambda: late.append("late")
    out.permit()
    out.close()

    out.block()

    assert (out.action, late) == (ActionType.PERMIT, ["late"])


CONDITIONS = st.sampled_from(
    [
        Condition(Field.IP_REMOTE_PORT, 80),
        Condition(Field.IP_REMOTE_PORT, Span(1, 1023), MatchType.RANGE),
        Condition(Field.IP_PROTOCOL, 6),
        Condition(Field.IP_PROTOCOL, 17, MatchType.NOT_EQUAL),
        Condition(Field.IP_REMOTE_ADDRESS, AddressMask(bytes((10, 0, 0, 0)), 8)),
        Condition(Field.IP_REMOTE_ADDRESS, bytes((10, 0, 0, 9))),
    ]
)
FILTERS = st.builds(
    lambda action, conditions, sublayer, weight, flags: Filter(
        LAYER, action, tuple(conditions), sublayer=sublayer.key, weight=weight, flags=flags
    ),
    st.sampled_from([ActionType.PERMIT, ActionType.BLOCK]),
    st.lists(CONDITIONS, max_size=3),
    st.sampled_from([HIGH, LOW]),
    st.sampled_from([None, None, 1, 2]),
    st.sampled_from([FilterFlags.NONE, FilterFlags.CLEAR_ACTION_RIGHT]),
)


@given(
    st.lists(FILTERS, max_size=8).flatmap(lambda found: st.tuples(st.just(found), st.permutations(found))),
    st.sampled_from([80, 443, 8080]),
    st.sampled_from([6, 17]),
)
def test_the_order_of_adding_never_changes_a_verdict(
    orders: tuple[list[Filter], list[Filter]], port: int, protocol: int
) -> None:
    values: dict[Field, object] = {
        Field.IP_REMOTE_PORT: port,
        Field.IP_PROTOCOL: protocol,
        Field.IP_REMOTE_ADDRESS: bytes((10, 0, 0, 9)),
    }

    first, second = (decided(*one, values=values) for one in orders)

    assert (first.action, first.is_hard) == (second.action, second.is_hard)


@pytest.mark.parametrize(
    ("condition", "value", "passes"),
    [
        (Condition(Field.IP_REMOTE_PORT, 80), 80, True),
        (Condition(Field.IP_REMOTE_PORT, 80, MatchType.NOT_EQUAL), 80, False),
        (Condition(Field.IP_REMOTE_PORT, 80, MatchType.GREATER), 81, True),
        (Condition(Field.IP_REMOTE_PORT, 80, MatchType.LESS), 80, False),
        (Condition(Field.IP_REMOTE_PORT, 80, MatchType.GREATER_OR_EQUAL), 80, True),
        (Condition(Field.IP_REMOTE_PORT, 80, MatchType.LESS_OR_EQUAL), 81, False),
        (Condition(Field.IP_REMOTE_PORT, Span(80, 90), MatchType.RANGE), 90, True),
        (Condition(Field.IP_REMOTE_PORT, Span(80, 90), MatchType.RANGE), 91, False),
        (Condition(Field.FLAGS, 3, MatchType.FLAGS_ALL_SET), 2, False),
        (Condition(Field.FLAGS, 3, MatchType.FLAGS_ANY_SET), 2, True),
        (Condition(Field.FLAGS, 3, MatchType.FLAGS_NONE_SET), 4, True),
        (Condition(Field.IP_REMOTE_ADDRESS, b"\x0a", MatchType.PREFIX), b"\x0a\x01\x02\x03", True),
        (Condition(Field.IP_REMOTE_ADDRESS, b"\x0a", MatchType.NOT_PREFIX), b"\x0a\x01\x02\x03", False),
        (Condition(Field.IP_REMOTE_ADDRESS, AddressMask(b"\x0a\0\0\0", 8)), b"\x0b\0\0\0", False),
        (Condition(Field.IP_REMOTE_ADDRESS, AddressMask(b"\x0a\0\0\0", 8)), bytes(16), False),
        (Condition(Field.IP_REMOTE_ADDRESS, AddressMask(bytes(4), 0)), b"\x0b\0\0\0", True),
        (
            Condition(Field.IP_REMOTE_ADDRESS, Span(b"\x0a\0\0\0", b"\x0a\0\0\xff"), MatchType.RANGE),
            b"\x0a\0\0\x07",
            True,
        ),
        (Condition(Field.IP_REMOTE_PORT, 80, MatchType.NOT_EQUAL), None, False),
    ],
)
def test_a_condition_compares_as_its_match_type_says(
    condition: Condition, value: int | bytes | None, *, passes: bool
) -> None:
    condition.require_sound()

    assert condition.holds(value) is passes


def test_conditions_on_one_field_are_alternatives_and_on_several_must_all_hold() -> None:
    ports = (Condition(Field.IP_REMOTE_PORT, 80), Condition(Field.IP_REMOTE_PORT, 443))
    one = Filter(LAYER, ActionType.BLOCK, (*ports, Condition(Field.IP_PROTOCOL, 6)), sublayer=HIGH.key)

    told = [
        decided(one, values={Field.IP_REMOTE_PORT: port, Field.IP_PROTOCOL: protocol}).blocks
        for port, protocol in ((80, 6), (443, 6), (22, 6), (80, 17))
    ]

    assert told == [True, True, False, False]
