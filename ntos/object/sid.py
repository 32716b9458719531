"""SIDs: the names of users, groups and computers. It knows no account and no access.

A SID is an authority and up to 15 relative identifiers ([MS-DTYP] 2.4.2)::

    0        1        2                              8
    +--------+--------+------------------------------+----------------+ ...
    | 1      | count  | authority, big-endian        | sub-authority  |
    +--------+--------+------------------------------+----------------+ ...
                                                       little-endian, 4 bytes each
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import ClassVar

from ntos.io.status import NtError, NtStatus

REVISION = 1
MOST_SUBAUTHORITIES = 15
"""SID_MAX_SUB_AUTHORITIES."""
_TEXT = re.compile(r"S-1-(0x[0-9a-f]{12}|\d{1,10})((?:-\d{1,10}){0,15})", re.ASCII | re.IGNORECASE)
_DECIMAL_LIMIT = 1 << 32
"""An authority from here on is written in hexadecimal ([MS-DTYP] 2.4.2.1)."""


@dataclass(frozen=True, slots=True, order=True)
class Sid:
    """A security identifier. ValueError for a number that its field does not hold."""

    HEADER: ClassVar = struct.Struct("<BB6s")

    authority: int
    subauthorities: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Refuse numbers that no field holds."""
        if not 0 <= self.authority < 1 << 48 or len(self.subauthorities) > MOST_SUBAUTHORITIES:
            raise ValueError(f"no SID: authority {self.authority:#x}, {len(self.subauthorities)} parts")
        if not all(0 <= part < 1 << 32 for part in self.subauthorities):
            raise ValueError("a sub-authority has 32 bits")

    def __str__(self) -> str:
        """Return ``S-1-5-18``."""
        authority = str(self.authority) if self.authority < _DECIMAL_LIMIT else f"0x{self.authority:012X}"
        return "-".join(("S-1", authority, *map(str, self.subauthorities)))

    @classmethod
    def from_text(cls, text: str) -> Sid:
        """Read ``S-1-5-18``. NtError(INVALID_SID) for anything else."""
        found = _TEXT.fullmatch(text)
        if found is None:
            raise NtError(NtStatus.INVALID_SID, text[:80])
        authority, parts = found.groups()
        base = 16 if authority[:2].lower() == "0x" else 10
        try:
            return cls(int(authority, base), tuple(int(part) for part in parts.split("-")[1:]))
        except ValueError as error:
            raise NtError(NtStatus.INVALID_SID, text[:80]) from error

    @classmethod
    def parse(cls, raw: bytes | memoryview, offset: int = 0) -> Sid:
        """Read the SID at ``offset``; what follows it is not looked at. NtError(INVALID_SID)."""
        if offset < 0 or len(raw) < offset + cls.HEADER.size:
            raise NtError(NtStatus.INVALID_SID, f"{len(raw)} bytes, a SID at {offset:#x}")
        revision, count, authority = cls.HEADER.unpack_from(raw, offset)
        start = offset + cls.HEADER.size
        if revision != REVISION or count > MOST_SUBAUTHORITIES or len(raw) < start + 4 * count:
            raise NtError(NtStatus.INVALID_SID, f"revision {revision}, {count} sub-authorities")
        return cls(int.from_bytes(authority, "big"), struct.unpack_from(f"<{count}I", raw, start))

    def emit(self) -> bytes:
        """Return its bytes."""
        count = len(self.subauthorities)
        head = self.HEADER.pack(REVISION, count, self.authority.to_bytes(6, "big"))
        return head + struct.pack(f"<{count}I", *self.subauthorities)

    @property
    def length_bytes(self) -> int:
        """RtlLengthSid."""
        return self.HEADER.size + 4 * len(self.subauthorities)

    def child(self, *parts: int) -> Sid:
        """Return the SID of an account of this domain: its relative identifiers appended."""
        return Sid(self.authority, self.subauthorities + parts)

    @property
    def rid(self) -> int:
        """The last sub-authority. ValueError when there is none."""
        if not self.subauthorities:
            raise ValueError(f"{self} has no relative identifier")
        return self.subauthorities[-1]


NULL = Sid(0, (0,))
EVERYONE = Sid(1, (0,))
LOCAL = Sid(2, (0,))
CREATOR_OWNER = Sid(3, (0,))
CREATOR_GROUP = Sid(3, (1,))
OWNER_RIGHTS = Sid(3, (4,))
NETWORK = Sid(5, (2,))
INTERACTIVE = Sid(5, (4,))
SERVICE = Sid(5, (6,))
ANONYMOUS = Sid(5, (7,))
PRINCIPAL_SELF = Sid(5, (10,))
AUTHENTICATED_USERS = Sid(5, (11,))
RESTRICTED_CODE = Sid(5, (12,))
LOCAL_SYSTEM = Sid(5, (18,))
LOCAL_SERVICE = Sid(5, (19,))
NETWORK_SERVICE = Sid(5, (20,))
BUILTIN = Sid(5, (32,))
ADMINISTRATORS = BUILTIN.child(544)
USERS = BUILTIN.child(545)
GUESTS = BUILTIN.child(546)
WRITE_RESTRICTED_CODE = Sid(5, (33,))

UNTRUSTED_LABEL = Sid(16, (0x0000,))
LOW_LABEL = Sid(16, (0x1000,))
MEDIUM_LABEL = Sid(16, (0x2000,))
HIGH_LABEL = Sid(16, (0x3000,))
SYSTEM_LABEL = Sid(16, (0x4000,))

WELL_KNOWN: dict[Sid, str] = {
    NULL: "NULL SID",
    EVERYONE: "Everyone",
    LOCAL: "LOCAL",
    CREATOR_OWNER: "CREATOR OWNER",
    CREATOR_GROUP: "CREATOR GROUP",
    OWNER_RIGHTS: "OWNER RIGHTS",
    NETWORK: r"NT AUTHORITY\NETWORK",
    INTERACTIVE: r"NT AUTHORITY\INTERACTIVE",
    SERVICE: r"NT AUTHORITY\SERVICE",
    ANONYMOUS: r"NT AUTHORITY\ANONYMOUS LOGON",
    PRINCIPAL_SELF: r"NT AUTHORITY\SELF",
    AUTHENTICATED_USERS: r"NT AUTHORITY\Authenticated Users",
    RESTRICTED_CODE: r"NT AUTHORITY\RESTRICTED",
    LOCAL_SYSTEM: r"NT AUTHORITY\SYSTEM",
    LOCAL_SERVICE: r"NT AUTHORITY\LOCAL SERVICE",
    NETWORK_SERVICE: r"NT AUTHORITY\NETWORK SERVICE",
    ADMINISTRATORS: r"BUILTIN\Administrators",
    USERS: r"BUILTIN\Users",
    GUESTS: r"BUILTIN\Guests",
    WRITE_RESTRICTED_CODE: r"NT AUTHORITY\WRITE RESTRICTED",
    UNTRUSTED_LABEL: r"Mandatory Label\Untrusted Mandatory Level",
    LOW_LABEL: r"Mandatory Label\Low Mandatory Level",
    MEDIUM_LABEL: r"Mandatory Label\Medium Mandatory Level",
    HIGH_LABEL: r"Mandatory Label\High Mandatory Level",
    SYSTEM_LABEL: r"Mandatory Label\System Mandatory Level",
}
"""Names of the SIDs that are the same on every computer ([MS-DTYP] 2.4.2.4)."""


def account_name(sid: Sid) -> str:
    """Return the name of a well-known SID, and the SID's own text for any other."""
    return WELL_KNOWN.get(sid, str(sid))
