"""SeAccessCheck: owners, denials, restricted tokens, privileges, integrity labels, impersonation."""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntos.io.status import NtError, NtStatus
from ntos.object import sid as names
from ntos.object.access import FILE_MAPPING, Access, FileAccess
from ntos.object.access_check import LabelPolicy, access_check, is_granted
from ntos.object.acl import Ace, AceFlags, AceType, Acl, allow, deny
from ntos.object.descriptor import SecurityDescriptor
from ntos.object.sid import Sid
from ntos.object.token import (
    ImpersonationLevel,
    Privilege,
    Token,
    TokenKind,
    anonymous_token,
    client_token,
    system_token,
    user_token,
)

DOMAIN = Sid(5, (21, 1, 2, 3))
ANNA, BERT, STAFF = DOMAIN.child(1001), DOMAIN.child(1002), DOMAIN.child(1100)
READ, WRITE = int(FileAccess.READ_DATA), int(FileAccess.WRITE_DATA)


def descriptor(*aces: Ace, owner: Sid = names.ADMINISTRATORS, label: Ace | None = None) -> SecurityDescriptor:
    sacl = Acl((label,)) if label is not None else None
    return SecurityDescriptor(owner, names.USERS, Acl(aces), sacl)


def check(found: SecurityDescriptor, token: Token, desired: int) -> NtStatus:
    try:
        access_check(found, token, desired, FILE_MAPPING)
    except NtError as error:
        return error.status
    return NtStatus.SUCCESS


def maximum(found: SecurityDescriptor, token: Token) -> int:
    return access_check(found, token, Access.MAXIMUM_ALLOWED, FILE_MAPPING)


def test_no_dacl_grants_everything_and_an_empty_one_nothing() -> None:
    anna = user_token(ANNA)

    found = [check(one, anna, FileAccess.ALL) for one in (SecurityDescriptor(), descriptor())]

    assert found == [NtStatus.SUCCESS, NtStatus.ACCESS_DENIED]
    assert maximum(SecurityDescriptor(), anna) == FileAccess.ALL


def test_rights_may_come_from_several_entries() -> None:
    shared = descriptor(allow(ANNA, READ), allow(STAFF, WRITE))

    assert check(shared, user_token(ANNA, STAFF), READ | WRITE) is NtStatus.SUCCESS
    assert check(shared, user_token(ANNA), READ | WRITE) is NtStatus.ACCESS_DENIED


def test_the_entry_that_names_a_right_first_decides() -> None:
    first_denied = descriptor(deny(STAFF, WRITE), allow(ANNA, READ | WRITE))
    first_granted = descriptor(allow(ANNA, READ | WRITE), deny(STAFF, WRITE))
    anna = user_token(ANNA, STAFF)

    assert [check(one, anna, WRITE) for one in (first_denied, first_granted)] == [
        NtStatus.ACCESS_DENIED,
        NtStatus.SUCCESS,
    ]
    assert check(first_denied, anna, READ) is NtStatus.SUCCESS


def test_canonical_order_lets_a_denial_count() -> None:
    written = Acl((allow(ANNA, READ | WRITE), deny(STAFF, WRITE)))
    sorted_ = SecurityDescriptor(names.ADMINISTRATORS, None, written.canonical())

    assert check(sorted_, user_token(ANNA, STAFF), WRITE) is NtStatus.ACCESS_DENIED


def test_entries_that_are_only_inherited_count_for_nothing() -> None:
    only = descriptor(allow(ANNA, READ, AceFlags.INHERIT_ONLY | AceFlags.OBJECT_INHERIT))

    assert check(only, user_token(ANNA), READ) is NtStatus.ACCESS_DENIED


def test_generic_rights_are_mapped_in_the_request_and_in_the_entries() -> None:
    readable = descriptor(allow(ANNA, Access.GENERIC_READ))

    granted = access_check(readable, user_token(ANNA), Access.GENERIC_READ, FILE_MAPPING)

    assert granted == FileAccess.GENERIC_READ


def test_an_owner_reads_and_writes_the_dacl_without_being_named() -> None:
    hers = descriptor(owner=ANNA)

    assert maximum(hers, user_token(ANNA)) == Access.READ_CONTROL | Access.WRITE_DAC
    assert check(hers, user_token(BERT), Access.READ_CONTROL) is NtStatus.ACCESS_DENIED


def test_an_owner_rights_entry_replaces_what_owners_have() -> None:
    hers = descriptor(allow(names.OWNER_RIGHTS, READ), owner=ANNA)

    assert maximum(hers, user_token(ANNA)) == READ
    assert check(hers, user_token(BERT), READ) is NtStatus.ACCESS_DENIED


def test_self_stands_for_the_principal_that_the_object_is() -> None:
    own = descriptor(allow(names.PRINCIPAL_SELF, READ))

    assert access_check(own, user_token(ANNA), READ, FILE_MAPPING, self_sid=ANNA) == READ
    assert check(own, user_token(ANNA), READ) is NtStatus.ACCESS_DENIED


def test_a_group_for_denials_only_grants_nothing_and_denies_still() -> None:
    anna = user_token(ANNA, STAFF).filtered(deny_only=[STAFF])
    by_group = descriptor(allow(STAFF, READ))
    denied = descriptor(deny(STAFF, READ), allow(ANNA, READ))

    assert [check(one, anna, READ) for one in (by_group, denied)] == [NtStatus.ACCESS_DENIED] * 2


def test_a_user_for_denials_only_owns_nothing() -> None:
    nobody = user_token(ANNA).filtered(deny_only=[ANNA])

    assert check(descriptor(allow(ANNA, READ), owner=ANNA), nobody, READ) is NtStatus.ACCESS_DENIED
    assert check(descriptor(owner=ANNA), nobody, Access.READ_CONTROL) is NtStatus.ACCESS_DENIED


def test_a_restricted_token_is_checked_twice() -> None:
    narrow = user_token(ANNA, STAFF).filtered(restrict=[STAFF])
    both = descriptor(allow(ANNA, READ | WRITE), allow(STAFF, READ))

    assert [check(both, narrow, right) for right in (READ, WRITE)] == [
        NtStatus.SUCCESS,
        NtStatus.ACCESS_DENIED,
    ]


def test_a_restricted_token_can_only_be_narrowed() -> None:
    narrow = user_token(ANNA).filtered(restrict=[STAFF])

    assert narrow.filtered(restrict=[STAFF, BERT]).restricted == (STAFF,)
    with pytest.raises(NtError, match="INVALID_PARAMETER"):
        narrow.filtered(restrict=[BERT])


def test_the_sacl_is_for_whoever_has_the_security_privilege() -> None:
    admin = user_token(ANNA, is_administrator=True)
    anything = SecurityDescriptor()
    before = check(anything, admin, Access.SYSTEM_SECURITY)

    admin.adjust(Privilege.SECURITY, enabled=True)

    assert (before, check(anything, admin, Access.SYSTEM_SECURITY)) == (
        NtStatus.PRIVILEGE_NOT_HELD,
        NtStatus.SUCCESS,
    )


def test_take_ownership_opens_for_a_new_owner_and_for_nothing_else() -> None:
    admin = user_token(ANNA, is_administrator=True)
    admin.adjust(Privilege.TAKE_OWNERSHIP, enabled=True)
    theirs = descriptor(owner=BERT)

    assert [check(theirs, admin, right) for right in (Access.WRITE_OWNER, Access.WRITE_DAC)] == [
        NtStatus.SUCCESS,
        NtStatus.ACCESS_DENIED,
    ]


def test_a_privilege_that_a_token_lacks_cannot_be_enabled() -> None:
    with pytest.raises(NtError, match="NOT_ALL_ASSIGNED"):
        user_token(ANNA).adjust(Privilege.TCB, enabled=True)


@pytest.mark.parametrize(
    ("policy", "granted"),
    [
        (LabelPolicy.NO_WRITE_UP, {READ}),
        (LabelPolicy.NO_READ_UP, {WRITE}),
        (LabelPolicy.NO_READ_UP | LabelPolicy.NO_WRITE_UP, set()),
    ],
)
def test_a_label_keeps_lower_tokens_out(policy: LabelPolicy, granted: set[int]) -> None:
    label = Ace(AceType.SYSTEM_MANDATORY_LABEL, names.HIGH_LABEL, policy)
    high = descriptor(allow(names.EVERYONE, FileAccess.ALL), label=label)

    found = {right for right in (READ, WRITE) if is_granted(high, user_token(ANNA), right, FILE_MAPPING)}

    assert found == granted
    assert check(high, user_token(ANNA, is_administrator=True), READ | WRITE) is NtStatus.SUCCESS


def test_what_has_no_label_is_of_medium_level() -> None:
    everyones = descriptor(allow(names.EVERYONE, FileAccess.ALL))
    low = user_token(ANNA)
    low.integrity = names.LOW_LABEL

    assert [check(everyones, low, right) for right in (READ, WRITE)] == [
        NtStatus.SUCCESS,
        NtStatus.ACCESS_DENIED,
    ]


def test_a_conditional_entry_grants_nothing_and_denies() -> None:
    granting = descriptor(Ace(AceType.ACCESS_ALLOWED_CALLBACK, ANNA, READ, application=b"artx"))
    denying = descriptor(
        Ace(AceType.ACCESS_DENIED_CALLBACK, ANNA, READ, application=b"artx"), allow(ANNA, READ)
    )

    assert [check(one, user_token(ANNA), READ) for one in (granting, denying)] == [NtStatus.ACCESS_DENIED] * 2


def test_the_anonymous_logon_is_not_everyone() -> None:
    everyones = descriptor(allow(names.EVERYONE, READ))
    also_theirs = descriptor(allow(names.ANONYMOUS, READ))

    assert [check(one, anonymous_token(), READ) for one in (everyones, also_theirs)] == [
        NtStatus.ACCESS_DENIED,
        NtStatus.SUCCESS,
    ]


def test_nothing_is_opened_with_a_token_to_look_at() -> None:
    seen = user_token(ANNA).duplicate(level=ImpersonationLevel.IDENTIFICATION)

    assert check(SecurityDescriptor(), seen, READ) is NtStatus.BAD_IMPERSONATION_LEVEL


def test_a_token_is_not_duplicated_to_a_higher_level() -> None:
    seen = user_token(ANNA).duplicate(level=ImpersonationLevel.IDENTIFICATION)

    for kind, level in ((TokenKind.IMPERSONATION, ImpersonationLevel.DELEGATION), (TokenKind.PRIMARY, 2)):
        with pytest.raises(NtError, match="BAD_IMPERSONATION_LEVEL"):
            seen.duplicate(kind, ImpersonationLevel(level))


@pytest.mark.parametrize(
    ("server", "offered", "level"),
    [
        (system_token(), ImpersonationLevel.IMPERSONATION, ImpersonationLevel.IMPERSONATION),
        (system_token(), ImpersonationLevel.IDENTIFICATION, ImpersonationLevel.IDENTIFICATION),
        (user_token(BERT), ImpersonationLevel.IMPERSONATION, ImpersonationLevel.IDENTIFICATION),
        (user_token(ANNA), ImpersonationLevel.IMPERSONATION, ImpersonationLevel.IMPERSONATION),
        (system_token(), ImpersonationLevel.ANONYMOUS, ImpersonationLevel.ANONYMOUS),
    ],
)
def test_how_far_a_server_goes_depends_on_the_client_and_on_a_privilege(
    server: Token, offered: ImpersonationLevel, level: ImpersonationLevel
) -> None:
    worn = client_token(user_token(ANNA), offered, server)

    assert (worn.kind, worn.level) == (TokenKind.IMPERSONATION, level)
    assert worn.user == (names.ANONYMOUS if level is ImpersonationLevel.ANONYMOUS else ANNA)


RIGHTS = st.integers(0, 15)
ENTRIES = st.lists(
    st.tuples(st.booleans(), st.sampled_from([ANNA, BERT, STAFF, names.EVERYONE]), RIGHTS), max_size=8
)


@given(ENTRIES, RIGHTS.filter(bool))
def test_each_right_is_decided_by_the_first_entry_that_names_it(
    entries: list[tuple[bool, Sid, int]], desired: int
) -> None:
    """The algorithm's own words, bit by bit, as an independent judge."""
    anna, held = user_token(ANNA, STAFF), {ANNA, STAFF, names.EVERYONE}
    found = descriptor(*((allow if grants else deny)(sid, mask) for grants, sid, mask in entries))

    def decided(bit: int) -> bool:
        return next((grants for grants, sid, mask in entries if sid in held and mask & bit), False)

    bits = [1 << at for at in range(4)]
    expected = all(decided(bit) for bit in bits if desired & bit)
    assert (check(found, anna, desired) is NtStatus.SUCCESS) == expected
    most = sum(bit for bit in bits if decided(bit))
    if most:
        assert maximum(found, anna) == most
