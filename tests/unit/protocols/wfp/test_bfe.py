"""The base filtering engine: sessions, transactions, weights, lifetimes, the registry, access, events."""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from ntos.netcfg.registry import Registry
from ntos.object.acl import Acl, deny
from ntos.object.descriptor import SecurityDescriptor
from ntos.object.sid import ADMINISTRATORS, LOCAL_SYSTEM, Sid
from ntos.object.token import system_token, user_token
from protocols.wfp import layers, storage
from protocols.wfp.bfe import Bfe, Change, Session
from protocols.wfp.conditions import AddressMask, Condition, MatchType, Span
from protocols.wfp.errors import FwpError, FwpFailure
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
    from collections.abc import Callable

LAYER = layers.layer("FWPM_LAYER_ALE_AUTH_CONNECT_V4")
BLOCK = ActionType.BLOCK
USER = user_token(Sid(5, (21, 1, 2, 3, 1001)))


def opened(bfe: Bfe | None = None, *, is_dynamic: bool = False) -> Session:
    return (bfe or Bfe()).engine_open(system_token(), is_dynamic=is_dynamic)


def failure(call: Callable[[], object]) -> FwpFailure:
    with pytest.raises(FwpError) as error:
        call()
    return error.value.failure


def test_a_filter_that_is_added_is_policy_and_one_that_is_deleted_is_not() -> None:
    bfe = Bfe()
    session = opened(bfe)

    number = session.filter_add(Filter(LAYER, BLOCK))
    during = list(bfe.layers)
    session.filter_delete_by_id(number)

    assert (during, bfe.layers, bfe.generation) == ([LAYER], {}, 2)


def test_a_transaction_is_whole_or_nothing() -> None:
    bfe = Bfe()
    session = opened(bfe)
    session.transaction_begin()
    session.filter_add(Filter(LAYER, BLOCK))
    session.filter_add(Filter(LAYER, BLOCK))
    inside, outside = len(session.enumerate(Filter)), bfe.generation

    session.transaction_abort()
    aborted = session.enumerate(Filter)
    session.transaction_begin()
    session.filter_add(Filter(LAYER, BLOCK))
    session.filter_add(Filter(LAYER, BLOCK))
    session.transaction_commit()

    assert (inside, outside, aborted, bfe.generation) == (2, 0, [], 1)
    assert len(session.enumerate(Filter)) == 2


def test_one_transaction_at_a_time_and_none_that_was_not_begun() -> None:
    bfe = Bfe()
    one, other = opened(bfe), opened(bfe)
    one.transaction_begin()

    told = [
        failure(one.transaction_begin),
        failure(other.transaction_begin),
        failure(lambda: other.filter_add(Filter(LAYER, BLOCK))),
    ]
    one.engine_close()
    other.filter_add(Filter(LAYER, BLOCK))

    assert told == [FwpFailure.TXN_IN_PROGRESS] * 3
    assert failure(other.transaction_commit) is FwpFailure.NO_TXN_IN_PROGRESS
    assert failure(one.transaction_begin) is FwpFailure.SESSION_ABORTED


def test_a_dynamic_sessions_objects_go_with_it() -> None:
    bfe = Bfe()
    session = opened(bfe, is_dynamic=True)
    sublayer = SubLayer(uuid.uuid4(), "mine", 5)
    session.sublayer_add(sublayer)
    key = Filter(LAYER, BLOCK, sublayer=sublayer.key)
    session.filter_add(key)
    other = failure(lambda: opened(bfe).delete_by_key(Filter, key.key))

    session.engine_close()

    assert other is FwpFailure.WRONG_SESSION
    assert bfe.layers == {}
    assert list(bfe.tables.objects) == [SUBLAYER_UNIVERSAL]


@pytest.mark.parametrize(
    ("one", "told"),
    [
        (Filter(LAYER, BLOCK, weight=1 << 64), FwpFailure.INVALID_WEIGHT),
        (Filter(LAYER, BLOCK, weight_range=16), FwpFailure.INVALID_WEIGHT),
        (Filter(LAYER, BLOCK, sublayer=uuid.UUID(int=7)), FwpFailure.SUBLAYER_NOT_FOUND),
        (Filter(LAYER, BLOCK, provider=uuid.UUID(int=7)), FwpFailure.PROVIDER_NOT_FOUND),
        (Filter(LAYER, BLOCK, callout=uuid.UUID(int=7)), FwpFailure.INVALID_ACTION_TYPE),
        (Filter(LAYER, ActionType.CALLOUT_UNKNOWN), FwpFailure.INVALID_ACTION_TYPE),
        (Filter(LAYER, ActionType.CALLOUT_UNKNOWN, callout=uuid.UUID(int=7)), FwpFailure.CALLOUT_NOT_FOUND),
        (Filter(LAYER, ActionType.CONTINUE), FwpFailure.INVALID_ACTION_TYPE),
        (Filter(layers.layer("ALE_AUTH_CONNECT_V4_DISCARD"), BLOCK), FwpFailure.INVALID_ACTION_TYPE),
        (Filter(LAYER, BLOCK, (Condition(Field.ETHER_TYPE, 1),)), FwpFailure.CONDITION_NOT_FOUND),
        (Filter(LAYER, BLOCK, (Condition(Field.IP_REMOTE_PORT, 65536),)), FwpFailure.TYPE_MISMATCH),
        (Filter(LAYER, BLOCK, (Condition(Field.IP_REMOTE_PORT, b"\0\x50"),)), FwpFailure.TYPE_MISMATCH),
        (
            Filter(LAYER, BLOCK, (Condition(Field.IP_REMOTE_ADDRESS, AddressMask(bytes(4), 33)),)),
            FwpFailure.TYPE_MISMATCH,
        ),
        (
            Filter(LAYER, BLOCK, (Condition(Field.IP_REMOTE_PORT, Span(9, 1), MatchType.RANGE),)),
            FwpFailure.TYPE_MISMATCH,
        ),
        (
            Filter(LAYER, BLOCK, (Condition(Field.IP_REMOTE_PORT, 1, MatchType.PREFIX),)),
            FwpFailure.MATCH_TYPE_MISMATCH,
        ),
        (
            Filter(LAYER, BLOCK, (Condition(Field.IP_REMOTE_ADDRESS, bytes(4), MatchType.FLAGS_ANY_SET),)),
            FwpFailure.MATCH_TYPE_MISMATCH,
        ),
        (Filter(LAYER, BLOCK, lifetime=Lifetime.DYNAMIC), FwpFailure.LIFETIME_MISMATCH),
    ],
)
def test_what_does_not_fit_is_refused_where_it_enters(one: Filter, told: FwpFailure) -> None:
    session = opened()

    assert failure(lambda: session.filter_add(one)) is told
    assert session.enumerate(Filter) == []


def test_a_computed_weight_is_higher_the_more_is_compared_and_the_range_comes_first() -> None:
    port = Condition(Field.IP_REMOTE_PORT, 80)
    network = Condition(Field.IP_REMOTE_ADDRESS, AddressMask(bytes((10, 0, 0, 0)), 8))
    host = Condition(Field.IP_REMOTE_ADDRESS, bytes((10, 0, 0, 9)))

    weights = [
        Filter(LAYER, BLOCK, conditions, weight_range=where).weigh()
        for where, conditions in ((0, ()), (0, (network,)), (0, (host,)), (0, (port, network)), (1, ()))
    ]

    assert weights == sorted(set(weights))
    assert all(one < 1 << 60 for one in weights[:-1])
    assert weights[-1] >> 60 == 1


def test_what_others_name_is_in_use_and_the_universal_sublayer_always() -> None:
    session = opened()
    provider, sublayer = Provider(uuid.uuid4(), "who"), SubLayer(uuid.uuid4(), "mine", 5)
    session.provider_add(provider)
    session.sublayer_add(sublayer)
    one = Filter(LAYER, BLOCK, sublayer=sublayer.key, provider=provider.key)
    session.filter_add(one)

    told = [
        failure(lambda: session.delete_by_key(SubLayer, sublayer.key)),
        failure(lambda: session.delete_by_key(Provider, provider.key)),
        failure(lambda: session.delete_by_key(SubLayer, SUBLAYER_UNIVERSAL)),
    ]

    assert told == [FwpFailure.IN_USE] * 3
    assert failure(lambda: session.filter_add(one)) is FwpFailure.ALREADY_EXISTS
    assert failure(lambda: session.delete_by_key(Filter, sublayer.key)) is FwpFailure.FILTER_NOT_FOUND


def test_what_is_persistent_is_there_again_with_the_same_registry() -> None:
    registry = Registry()
    session = opened(Bfe(registry))
    provider = Provider(uuid.uuid4(), "who", Lifetime.PERSISTENT)
    sublayer = SubLayer(uuid.uuid4(), "mine", 5, provider.key, Lifetime.PERSISTENT)
    callout = CalloutEntry(uuid.uuid4(), "sees", LAYER, lifetime=Lifetime.PERSISTENT)
    conditions = (
        Condition(Field.IP_REMOTE_ADDRESS, AddressMask(bytes((10, 0, 0, 0)), 8)),
        Condition(Field.IP_REMOTE_PORT, Span(1, 9), MatchType.RANGE),
        Condition(Field.IP_LOCAL_ADDRESS, bytes(4), MatchType.NOT_EQUAL),
    )
    session.provider_add(provider)
    session.sublayer_add(sublayer)
    session.callout_add(callout)
    session.filter_add(
        Filter(LAYER, BLOCK, conditions, "kept", sublayer=sublayer.key, lifetime=Lifetime.PERSISTENT)
    )
    session.filter_add(
        Filter(
            LAYER,
            ActionType.CALLOUT_UNKNOWN,
            callout=callout.key,
            weight=7,
            context=9,
            lifetime=Lifetime.PERSISTENT,
        )
    )
    session.filter_add(Filter(LAYER, BLOCK, name="static"))
    before = [one for one in session.enumerate(Filter) if one.lifetime is Lifetime.PERSISTENT]

    again = opened(Bfe(registry))

    assert again.enumerate(Filter) == before
    assert [one.name for one in again.enumerate(SubLayer)] == ["mine", "universal"]
    assert again.filter_add(Filter(LAYER, BLOCK)) > max(
        one.number for one in before if isinstance(one, Filter)
    )


def test_a_registry_that_somebody_has_edited_does_not_keep_the_engine_from_starting() -> None:
    registry = Registry()
    for name, text in (("{x}", "{}"), (f"{{{uuid.uuid4()}}}", "[1"), (f"{{{uuid.uuid4()}}}", '{"name": 1}')):
        registry.set(rf"{storage.KEY}\Filter", name, text)

    assert opened(Bfe(registry)).enumerate(Filter) == []


def test_a_user_may_look_and_not_change() -> None:
    bfe = Bfe()
    opened(bfe).filter_add(Filter(LAYER, BLOCK))
    session = bfe.engine_open(USER)

    seen = session.enumerate(Filter)

    assert len(seen) == 1
    for call in (
        lambda: session.filter_add(Filter(LAYER, BLOCK)),
        lambda: session.delete_by_key(Filter, seen[0].key),
        session.transaction_begin,
    ):
        assert failure(call) is FwpFailure.ACCESS_DENIED


def test_an_objects_own_descriptor_decides_who_deletes_it() -> None:
    bfe = Bfe()
    session = opened(bfe)
    one = Filter(LAYER, BLOCK)
    session.filter_add(one)
    nobody = Acl((deny(LOCAL_SYSTEM, 0x1000_0000), deny(ADMINISTRATORS, 0x1000_0000)))

    session.set_security_info_by_key(one.key, SecurityDescriptor(owner=USER.user, dacl=nobody))

    assert failure(lambda: session.delete_by_key(Filter, one.key)) is FwpFailure.ACCESS_DENIED


def test_subscribers_hear_of_what_was_committed() -> None:
    bfe = Bfe()
    heard: list[tuple[Change, str]] = []
    bfe.subscribers.append(lambda change, one: heard.append((change, one.name)))
    session = opened(bfe)
    session.transaction_begin()
    number = session.filter_add(Filter(LAYER, BLOCK, name="f"))
    during = list(heard)
    session.transaction_commit()

    session.filter_delete_by_id(number)

    assert (during, heard) == ([], [(Change.ADD, "f"), (Change.DELETE, "f")])


def test_a_disabled_filter_is_kept_and_not_asked() -> None:
    bfe = Bfe()
    opened(bfe).filter_add(Filter(LAYER, BLOCK, flags=FilterFlags.DISABLED))

    assert bfe.layers == {}
