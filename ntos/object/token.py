"""Tokens: on whose behalf a process or a thread acts ([MS-DTYP] 2.5.2, "Access Tokens").

A process has a primary token. A thread of a server may wear a client's for a while, an impersonation token,
whose level says how far: below IMPERSONATION the server may look at it and open nothing with it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from ntos.io.status import NtError, NtStatus
from ntos.object import sid as names
from ntos.object.access import Access
from ntos.object.acl import Acl, allow
from ntos.object.descriptor import SecurityDescriptor

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ntos.object.sid import Sid


class TokenKind(enum.IntEnum):
    """TOKEN_TYPE."""

    PRIMARY = 1
    IMPERSONATION = 2


class ImpersonationLevel(enum.IntEnum):
    """SECURITY_IMPERSONATION_LEVEL."""

    ANONYMOUS = 0
    IDENTIFICATION = 1
    IMPERSONATION = 2
    DELEGATION = 3


class GroupAttributes(enum.IntFlag):
    """SE_GROUP_*."""

    NONE = 0
    MANDATORY = 0x01
    ENABLED_BY_DEFAULT = 0x02
    ENABLED = 0x04
    OWNER = 0x08
    USE_FOR_DENY_ONLY = 0x10
    INTEGRITY = 0x20
    INTEGRITY_ENABLED = 0x40
    RESOURCE = 0x2000_0000
    LOGON_ID = 0xC000_0000
    USUAL = MANDATORY | ENABLED_BY_DEFAULT | ENABLED


class Privilege(enum.IntEnum):
    """SE_*_PRIVILEGE: the low half of the LUID."""

    CREATE_TOKEN = 2
    ASSIGN_PRIMARY_TOKEN = 3
    TCB = 7
    SECURITY = 8
    TAKE_OWNERSHIP = 9
    LOAD_DRIVER = 10
    BACKUP = 17
    RESTORE = 18
    SHUTDOWN = 19
    DEBUG = 20
    AUDIT = 21
    CHANGE_NOTIFY = 23
    MANAGE_VOLUME = 28
    IMPERSONATE = 29
    CREATE_GLOBAL = 30
    RELABEL = 32


class Group(NamedTuple):
    """SID_AND_ATTRIBUTES."""

    sid: Sid
    attributes: GroupAttributes = GroupAttributes.USUAL


class Sids(NamedTuple):
    """What an access check looks SIDs up in: those that a grant reaches, and those that a denial does."""

    granted: frozenset[Sid]
    denied: frozenset[Sid]


@dataclass(eq=False, slots=True)
class Token:
    """A token. Who has it never changes; privileges can be enabled and disabled.

    ``restricted``: a second list that must be granted an access too. ``owner``, ``group``, ``default_dacl``
    are given to what is created with the token.
    """

    user: Sid
    groups: tuple[Group, ...] = ()
    privileges: dict[Privilege, bool] = field(default_factory=dict)
    """Those that it has, and which of them are enabled."""
    restricted: tuple[Sid, ...] = ()
    kind: TokenKind = TokenKind.PRIMARY
    level: ImpersonationLevel = ImpersonationLevel.IMPERSONATION
    """Of an impersonation token."""
    owner: Sid | None = None
    group: Sid | None = None
    default_dacl: Acl | None = None
    integrity: Sid = names.MEDIUM_LABEL
    is_user_deny_only: bool = False

    @property
    def sids(self) -> Sids:
        """What it stands for in an access check."""
        enabled = {one.sid for one in self.groups if one.attributes & GroupAttributes.ENABLED}
        only_denied = {one.sid for one in self.groups if one.attributes & GroupAttributes.USE_FOR_DENY_ONLY}
        granted = enabled - only_denied | (set() if self.is_user_deny_only else {self.user})
        return Sids(frozenset(granted), frozenset(granted | only_denied | {self.user}))

    @property
    def restricting_sids(self) -> Sids:
        """The second list. Its attributes are not looked at: all are enabled ("Restricted Tokens")."""
        found = frozenset(self.restricted)
        return Sids(found, found)

    @property
    def is_usable(self) -> bool:
        """Whether anything can be opened with it."""
        return self.kind is TokenKind.PRIMARY or self.level >= ImpersonationLevel.IMPERSONATION

    def default_descriptor(self) -> SecurityDescriptor:
        """Return what an object is created with when nothing else is asked for."""
        return SecurityDescriptor(self.owner or self.user, self.group, self.default_dacl)

    def holds(self, privilege: Privilege) -> bool:
        """SeSinglePrivilegeCheck: it has the privilege, and it is enabled."""
        return self.privileges.get(privilege, False)

    def adjust(self, privilege: Privilege, *, enabled: bool) -> bool:
        """AdjustTokenPrivileges of one; return what it was. NtError(NOT_ALL_ASSIGNED) when it has it not."""
        before = self.privileges.get(privilege)
        if before is None:
            raise NtError(NtStatus.NOT_ALL_ASSIGNED, privilege.name)
        self.privileges[privilege] = enabled
        return before

    def duplicate(
        self,
        kind: TokenKind = TokenKind.IMPERSONATION,
        level: ImpersonationLevel = ImpersonationLevel.IMPERSONATION,
    ) -> Token:
        """DuplicateTokenEx. NtError(BAD_IMPERSONATION_LEVEL): more than an impersonation token gives."""
        if self.kind is TokenKind.IMPERSONATION:
            wanted = ImpersonationLevel.IMPERSONATION if kind is TokenKind.PRIMARY else level
            if wanted > self.level:
                raise NtError(NtStatus.BAD_IMPERSONATION_LEVEL, f"{self.level.name} to {wanted.name}")
        return replace(self, kind=kind, level=level, privileges=dict(self.privileges))

    def filtered(
        self,
        *,
        deny_only: Iterable[Sid] = (),
        delete: Iterable[Privilege] = (),
        restrict: Iterable[Sid] = (),
    ) -> Token:
        """CreateRestrictedToken: groups for denials only, fewer privileges, a second list of SIDs.

        A token that is restricted already keeps those of its list that are in the new one too.
        """
        only, gone, second = frozenset(deny_only), frozenset(delete), tuple(restrict)
        if self.restricted and second:
            second = tuple(one for one in second if one in self.restricted)
            if not second:
                raise NtError(NtStatus.INVALID_PARAMETER, "no SID would be left that anything is granted to")
        return replace(
            self,
            groups=tuple(_deny_only(one) if one.sid in only else one for one in self.groups),
            restricted=second or self.restricted,
            privileges={one: on for one, on in self.privileges.items() if one not in gone},
            is_user_deny_only=self.is_user_deny_only or self.user in only,
        )


def _deny_only(group: Group) -> Group:
    kept = group.attributes & ~(GroupAttributes.ENABLED | GroupAttributes.ENABLED_BY_DEFAULT)
    return group._replace(attributes=kept | GroupAttributes.USE_FOR_DENY_ONLY)


_ALWAYS = (Group(names.EVERYONE), Group(names.AUTHENTICATED_USERS))
_ENABLED_FOR_ALL = {Privilege.CHANGE_NOTIFY: True, Privilege.SHUTDOWN: False}


def system_token() -> Token:
    """Return what services and drivers run with: LocalSystem, which is trusted with everything."""
    return Token(
        names.LOCAL_SYSTEM,
        (Group(names.ADMINISTRATORS, GroupAttributes.USUAL | GroupAttributes.OWNER), *_ALWAYS),
        dict.fromkeys(Privilege, True),
        owner=names.ADMINISTRATORS,
        group=names.LOCAL_SYSTEM,
        default_dacl=Acl(
            (
                allow(names.LOCAL_SYSTEM, Access.GENERIC_ALL),
                allow(
                    names.ADMINISTRATORS, Access.GENERIC_READ | Access.GENERIC_EXECUTE | Access.READ_CONTROL
                ),
            )
        ),
        integrity=names.SYSTEM_LABEL,
    )


def user_token(user: Sid, *groups: Sid, is_administrator: bool = False) -> Token:
    """Return a user's token, as an interactive logon makes it: Users, INTERACTIVE, and ``groups``."""
    usual = [*_ALWAYS, Group(names.USERS), Group(names.INTERACTIVE), *map(Group, groups)]
    privileges = dict(_ENABLED_FOR_ALL)
    if is_administrator:
        usual.append(Group(names.ADMINISTRATORS, GroupAttributes.USUAL | GroupAttributes.OWNER))
        admin = (Privilege.SECURITY, Privilege.TAKE_OWNERSHIP, Privilege.BACKUP, Privilege.RESTORE)
        privileges.update(dict.fromkeys((*admin, Privilege.DEBUG, Privilege.LOAD_DRIVER), False))
        privileges.update({Privilege.IMPERSONATE: True, Privilege.CREATE_GLOBAL: True})
    owner = names.ADMINISTRATORS if is_administrator else user
    return Token(
        user,
        tuple(usual),
        privileges,
        owner=owner,
        group=names.USERS,
        default_dacl=Acl((allow(owner, Access.GENERIC_ALL), allow(names.LOCAL_SYSTEM, Access.GENERIC_ALL))),
        integrity=names.HIGH_LABEL if is_administrator else names.MEDIUM_LABEL,
    )


def anonymous_token() -> Token:
    """Return what somebody without a logon is: a member of nothing, not of Everyone either (XP and later)."""
    return Token(
        names.ANONYMOUS,
        kind=TokenKind.IMPERSONATION,
        level=ImpersonationLevel.IMPERSONATION,
        integrity=names.UNTRUSTED_LABEL,
    )


def client_token(client: Token, offered: ImpersonationLevel, server: Token) -> Token:
    """Return what a server's thread gets when it impersonates ``client``, who offers a level.

    A server gets no more than IDENTIFICATION unless it has SeImpersonatePrivilege or is the client itself
    without being restricted otherwise. Source: ImpersonateNamedPipeClient, "Remarks".
    """
    level = offered
    if client.kind is TokenKind.IMPERSONATION:
        level = min(level, client.level)
    is_trusted = server.holds(Privilege.IMPERSONATE) or (
        server.user == client.user and server.restricted == client.restricted
    )
    if not is_trusted:
        level = min(level, ImpersonationLevel.IDENTIFICATION)
    if level is ImpersonationLevel.ANONYMOUS:
        nobody = anonymous_token()
        nobody.level = ImpersonationLevel.ANONYMOUS
        return nobody
    return client.duplicate(TokenKind.IMPERSONATION, level)
