"""The access check of [MS-DTYP] 2.5.3: may this token do that with an object of this descriptor.

For each right the first entry decides that names it and reaches the token: so a denial counts only before a
grant, which is why editors write denials first. Entries for a typed part of a directory object
(ACCESS_ALLOWED_OBJECT with a GUID) are left out, as the algorithm does without an object tree; a conditional
entry's condition is not evaluated: it grants nothing, and denies ([MS-DTYP] 2.5.3.1.5, UNKNOWN).
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from ntos.io.status import NtError, NtStatus
from ntos.object import sid as names
from ntos.object.access import Access
from ntos.object.acl import DENIALS, Ace, AceFlags, AceType
from ntos.object.token import Privilege

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ntos.object.access import GenericMapping
    from ntos.object.acl import Acl
    from ntos.object.descriptor import SecurityDescriptor
    from ntos.object.sid import Sid
    from ntos.object.token import Sids, Token

GRANTS = frozenset((AceType.ACCESS_ALLOWED, AceType.ACCESS_ALLOWED_OBJECT))
OWNERS_OWN = Access.READ_CONTROL | Access.WRITE_DAC
"""What the owner may do without being named, so that nobody locks himself out."""


class LabelPolicy(enum.IntFlag):
    """SYSTEM_MANDATORY_LABEL_*: what a token of a lower level may not do."""

    NO_WRITE_UP = 1
    NO_READ_UP = 2
    NO_EXECUTE_UP = 4


def access_check(
    descriptor: SecurityDescriptor,
    token: Token,
    desired: int,
    mapping: GenericMapping,
    *,
    self_sid: Sid | None = None,
) -> int:
    """SeAccessCheck: return the rights granted, all of ``desired`` and for MAXIMUM_ALLOWED all there are.

    ``self_sid`` stands for PRINCIPAL_SELF in the DACL. NtError(ACCESS_DENIED), PRIVILEGE_NOT_HELD for
    ACCESS_SYSTEM_SECURITY without SeSecurityPrivilege, BAD_IMPERSONATION_LEVEL.
    """
    if not token.is_usable:
        raise NtError(NtStatus.BAD_IMPERSONATION_LEVEL, token.level.name)
    wanted = mapping.map(desired)
    maximum, wanted = bool(wanted & Access.MAXIMUM_ALLOWED), wanted & ~Access.MAXIMUM_ALLOWED
    by_privilege = 0
    if wanted & Access.SYSTEM_SECURITY:
        if not token.holds(Privilege.SECURITY):
            raise NtError(NtStatus.PRIVILEGE_NOT_HELD, Privilege.SECURITY.name)
        by_privilege |= Access.SYSTEM_SECURITY
    if (maximum or wanted & Access.WRITE_OWNER) and token.holds(Privilege.TAKE_OWNERSHIP):
        by_privilege |= Access.WRITE_OWNER
    granted = by_privilege | _discretionary(descriptor, token, wanted, mapping, self_sid)
    granted &= mandatory_rights(descriptor, token, mapping) | Access.SYSTEM_SECURITY
    if wanted & ~granted or (maximum and not granted):
        raise NtError(NtStatus.ACCESS_DENIED, f"{wanted & ~granted:#010x} of {desired:#010x}")
    return granted if maximum else wanted


def is_granted(descriptor: SecurityDescriptor, token: Token, desired: int, mapping: GenericMapping) -> bool:
    """Return whether the access check succeeds."""
    try:
        access_check(descriptor, token, desired, mapping)
    except NtError:
        return False
    return True


def mandatory_rights(descriptor: SecurityDescriptor, token: Token, mapping: GenericMapping) -> int:
    """Return the rights that the object's integrity label leaves to the token ([MS-DTYP] 2.5.3.3).

    An object without a label is of medium level, and not written to from below.
    """
    label, policy = names.MEDIUM_LABEL, int(LabelPolicy.NO_WRITE_UP)
    for ace in _effective(descriptor.sacl):
        if ace.kind is AceType.SYSTEM_MANDATORY_LABEL:
            label, policy = ace.sid, ace.mask
            break
    everything = 0xFFFF_FFFF
    if token.integrity.subauthorities >= label.subauthorities:
        return everything
    left = everything & ~mapping.map(Access.GENERIC_ALL)
    for bit, generic in (
        (LabelPolicy.NO_READ_UP, Access.GENERIC_READ),
        (LabelPolicy.NO_WRITE_UP, Access.GENERIC_WRITE),
        (LabelPolicy.NO_EXECUTE_UP, Access.GENERIC_EXECUTE),
    ):
        if not policy & bit:
            left |= mapping.map(generic)
    if not policy & LabelPolicy.NO_WRITE_UP:
        left |= mapping.map(Access.GENERIC_ALL) & ~mapping.map(Access.GENERIC_READ | Access.GENERIC_EXECUTE)
    if token.holds(Privilege.RELABEL):
        left |= Access.WRITE_OWNER
    return left


def _discretionary(
    descriptor: SecurityDescriptor, token: Token, wanted: int, mapping: GenericMapping, self_sid: Sid | None
) -> int:
    """Return what the DACL grants, to both lists of a restricted token."""
    if descriptor.dacl is None:
        return mapping.map(Access.GENERIC_ALL) | wanted
    granted = _evaluate(descriptor, token.sids, mapping, self_sid)
    if token.restricted:
        granted &= _evaluate(descriptor, token.restricting_sids, mapping, self_sid)
    return granted


def _evaluate(
    descriptor: SecurityDescriptor, sids: Sids, mapping: GenericMapping, self_sid: Sid | None
) -> int:
    granted = denied = 0
    entries = list(_effective(descriptor.dacl))
    is_owner = descriptor.owner is not None and descriptor.owner in sids.granted
    if is_owner and not any(ace.sid == names.OWNER_RIGHTS for ace in entries):
        granted = int(OWNERS_OWN)
    for ace in entries:
        is_denial = ace.kind in DENIALS
        if ace.object_type is not None or not (is_denial or ace.kind in GRANTS):
            continue
        if not _reaches(ace.sid, sids.denied if is_denial else sids.granted, self_sid, is_owner=is_owner):
            continue
        mask = mapping.map(ace.mask)
        if is_denial:
            denied |= mask & ~granted
        else:
            granted |= mask & ~denied
    return granted


def _reaches(sid: Sid, held: frozenset[Sid], self_sid: Sid | None, *, is_owner: bool) -> bool:
    if sid == names.OWNER_RIGHTS:
        return is_owner
    if sid == names.PRINCIPAL_SELF and self_sid is not None:
        return self_sid in held
    return sid in held


def _effective(acl: Acl | None) -> Iterator[Ace]:
    """Yield the entries that apply to the object itself."""
    for ace in acl.aces if acl is not None else ():
        if isinstance(ace, Ace) and not ace.flags & AceFlags.INHERIT_ONLY:
            yield ace
