"""Who may do what with the objects of the base filtering engine: FWPM_ACTRL_*, and a descriptor a container.

Sources: "Access Control" and "Access Right Identifiers" (WFP). Administrators and the system may do all,
everybody may open the engine and enumerate.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from ntos.io.status import NtError
from ntos.object import sid
from ntos.object.access import Access, GenericMapping
from ntos.object.access_check import access_check
from ntos.object.acl import Acl, allow
from ntos.object.descriptor import SecurityDescriptor
from protocols.wfp.errors import FwpError, FwpFailure

if TYPE_CHECKING:
    from ntos.object.token import Token


class Right(enum.IntFlag):
    """FWPM_ACTRL_*."""

    ADD = 0x001
    ADD_LINK = 0x002
    BEGIN_READ_TXN = 0x004
    BEGIN_WRITE_TXN = 0x008
    CLASSIFY = 0x010
    ENUM = 0x020
    OPEN = 0x040
    READ = 0x080
    READ_STATS = 0x100
    SUBSCRIBE = 0x200
    WRITE = 0x400


READING = (
    Access.READ_CONTROL
    | Right.BEGIN_READ_TXN
    | Right.CLASSIFY
    | Right.OPEN
    | Right.READ
    | Right.READ_STATS
    | Right.ENUM
    | Right.SUBSCRIBE
)
WRITING = Access.STANDARD_REQUIRED | Right.ADD | Right.ADD_LINK | Right.BEGIN_WRITE_TXN | Right.WRITE
MAPPING = GenericMapping(int(READING), int(WRITING), int(Access.READ_CONTROL), int(READING | WRITING))
DEFAULT = SecurityDescriptor(
    owner=sid.LOCAL_SYSTEM,
    group=sid.LOCAL_SYSTEM,
    dacl=Acl(
        (
            allow(sid.LOCAL_SYSTEM, Access.GENERIC_ALL),
            allow(sid.ADMINISTRATORS, Access.GENERIC_ALL),
            allow(sid.NETWORK_SERVICE, Access.GENERIC_READ),
            allow(
                sid.EVERYONE,
                int(Right.OPEN | Right.ENUM | Right.READ | Right.BEGIN_READ_TXN | Right.CLASSIFY),
            ),
        )
    ),
)


def require(descriptor: SecurityDescriptor, token: Token, desired: int) -> None:
    """Check a token against an object's descriptor. FwpError(ACCESS_DENIED)."""
    try:
        access_check(descriptor, token, desired, MAPPING)
    except NtError as error:
        raise FwpError(FwpFailure.ACCESS_DENIED, str(error)) from error
