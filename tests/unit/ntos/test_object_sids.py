"""SIDs, ACLs and security descriptors: what is written is read back, and hostile bytes are refused."""

# ruff: noqa: D103 - the names are sentences

from __future__ import annotations

import struct
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntos.io.status import NtError, NtStatus
from ntos.object import sid as names
from ntos.object.acl import OBJECT_TYPES, Ace, AceFlags, AceType, Acl, OpaqueAce, allow, deny
from ntos.object.descriptor import DERIVED, Control, SecurityDescriptor
from ntos.object.sid import Sid, account_name

U32 = st.integers(0, 0xFFFF_FFFF)
SIDS = st.builds(Sid, st.integers(0, (1 << 48) - 1), st.lists(U32, max_size=15).map(tuple))
GUIDS = st.none() | st.uuids()
PLAIN = [kind for kind in AceType if kind not in OBJECT_TYPES and kind is not AceType.ACCESS_ALLOWED_COMPOUND]
FLAGS = st.integers(0, 255).map(AceFlags)
WORDS = st.binary(max_size=8).map(lambda data: data + bytes(-len(data) % 4))
ACES = st.one_of(
    st.builds(Ace, st.sampled_from(PLAIN), SIDS, U32, FLAGS, application=WORDS),
    st.builds(Ace, st.sampled_from(sorted(OBJECT_TYPES)), SIDS, U32, FLAGS, GUIDS, GUIDS, WORDS),
    st.builds(OpaqueAce, st.integers(0x14, 0xFF), FLAGS, WORDS),
)
ACLS = st.lists(ACES, max_size=5).map(lambda aces: Acl(tuple(aces)))
DESCRIPTORS = st.builds(
    SecurityDescriptor,
    st.none() | SIDS,
    st.none() | SIDS,
    st.none() | ACLS,
    st.none() | ACLS,
    st.integers(0, 0xFFFF).map(lambda bits: Control(bits) & ~DERIVED),
    resource_manager=st.integers(0, 255),
)
FORMAT_ERRORS = {NtStatus.INVALID_SID, NtStatus.INVALID_ACL, NtStatus.INVALID_SECURITY_DESCR}


def test_a_sid_of_the_documents_is_these_bytes() -> None:
    """[MS-DTYP] 2.4.2.2; the SID of the Administrators."""
    raw = bytes.fromhex("01 02 000000000005 20000000 20020000")

    found = Sid.parse(raw)

    assert (found, str(found), found.emit()) == (names.ADMINISTRATORS, "S-1-5-32-544", raw)
    assert (found.rid, found.length_bytes, account_name(found)) == (544, 16, r"BUILTIN\Administrators")


@given(SIDS)
def test_a_sid_is_read_back_from_its_bytes_and_from_its_text(sid: Sid) -> None:
    assert Sid.parse(b"before" + sid.emit() + b"behind", 6) == sid
    assert Sid.from_text(str(sid)) == sid


def test_a_great_authority_is_written_in_hexadecimal() -> None:
    assert str(Sid(0x0102_0304_0506, (7,))) == "S-1-0x010203040506-7"


@pytest.mark.parametrize(
    "text",
    [
        *("", "S-1", "S-2-5-18", "S-1-5-", "S-1-5--18", "S-1-5-4294967296", " S-1-5", "S-1-5-18\n"),
        *("S-1-5-" + "-".join("1" * 16), "S-1-5-١٨", "S-1-99999999999-1", "S-1-0x5-18"),
    ],
)
def test_what_is_no_sid_is_refused(text: str) -> None:
    with pytest.raises(NtError, match="INVALID_SID"):
        Sid.from_text(text)


@pytest.mark.parametrize(("authority", "parts"), [(-1, ()), (1 << 48, ()), (5, (1 << 32,)), (5, (1,) * 16)])
def test_a_sid_that_its_fields_do_not_hold_is_a_bug(authority: int, parts: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"SID|32 bits"):
        Sid(authority, parts)


@given(ACLS)
def test_an_acl_is_read_back_from_its_bytes(acl: Acl) -> None:
    assert Acl.parse(b"\1\2\3" + acl.emit() + b"behind", 3) == acl


def test_an_acl_with_an_object_entry_has_the_directory_services_revision() -> None:
    guid = UUID("bf967aba-0de6-11d0-a285-00aa003049e2")
    plain, typed = (
        allow(names.EVERYONE, 1),
        Ace(AceType.ACCESS_DENIED_OBJECT, names.EVERYONE, 1, object_type=guid),
    )

    revisions = [Acl(aces).emit()[0] for aces in ((plain,), (plain, typed))]

    assert revisions == [2, 4]
    assert Acl.parse(Acl((typed,)).emit()).aces == (typed,)


def test_an_acl_is_put_in_canonical_order() -> None:
    own = [allow(names.USERS, 1), deny(names.GUESTS, 1)]
    inherited = [allow(names.USERS, 2, AceFlags.INHERITED), deny(names.GUESTS, 2, AceFlags.INHERITED)]

    found = Acl((*inherited, *own)).canonical()

    assert found.aces == (own[1], own[0], *inherited)


@given(DESCRIPTORS)
def test_a_descriptor_is_read_back_from_its_bytes(descriptor: SecurityDescriptor) -> None:
    assert SecurityDescriptor.parse(descriptor.emit()) == descriptor


def test_a_null_dacl_is_told_from_none_and_from_an_empty_one() -> None:
    forms = [SecurityDescriptor(), SecurityDescriptor(is_null_dacl=True), SecurityDescriptor(dacl=Acl())]

    assert [SecurityDescriptor.parse(form.emit()) for form in forms] == forms


@given(DESCRIPTORS, st.data())
def test_bytes_that_were_tampered_with_are_read_or_refused_and_nothing_else(
    descriptor: SecurityDescriptor, data: st.DataObject
) -> None:
    raw = bytearray(descriptor.emit())
    for at in data.draw(st.lists(st.integers(0, len(raw) - 1), min_size=1, max_size=6)):
        raw[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))

    for hostile in (bytes(raw), bytes(raw[:cut])):
        try:
            found = SecurityDescriptor.parse(hostile)
        except NtError as error:
            assert error.status in FORMAT_ERRORS  # noqa: PT017 - either is right
        else:
            assert SecurityDescriptor.parse(found.emit()) == found


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_read_or_refused_and_nothing_else(raw: bytes) -> None:
    for parse in (Sid.parse, Acl.parse, SecurityDescriptor.parse):
        try:
            parse(raw)
        except NtError as error:
            assert error.status in FORMAT_ERRORS  # noqa: PT017 - either is right


def test_a_count_of_65535_entries_costs_no_more_than_the_bytes_there_are() -> None:
    raw = struct.pack("<BBHHH", 2, 0, 16, 0xFFFF, 0) + bytes.fromhex("00000400 00000400")

    with pytest.raises(NtError, match="INVALID_ACL"):
        Acl.parse(raw)


@pytest.mark.parametrize("offset", [1, 19, 0xFFFF_FFFF, 0x8000_0000])
def test_an_offset_into_the_header_or_behind_the_end_is_refused(offset: int) -> None:
    raw = bytearray(SecurityDescriptor(owner=names.USERS).emit())
    raw[4:8] = offset.to_bytes(4, "little")

    with pytest.raises(NtError, match="INVALID_SECURITY_DESCR"):
        SecurityDescriptor.parse(bytes(raw))


def test_an_acl_that_is_too_long_for_its_size_field_is_refused() -> None:
    with pytest.raises(NtError, match="INVALID_ACL"):
        Acl((allow(names.USERS, 1),) * 4000).emit()
