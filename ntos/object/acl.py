"""ACLs and their entries, as values and as bytes ([MS-DTYP] 2.4.4, 2.4.5). It judges nothing.

::

    ACL:  | revision | 0 | size, 2 bytes | ACE count, 2 bytes | 0, 2 bytes | ACEs ...
    ACE:  | type | flags | size, 2 bytes | mask, 4 bytes | [object flags, GUIDs] | SID | [application data]
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from ntos.io.status import NtError, NtStatus
from ntos.object.sid import Sid

ACL_REVISION = 2
ACL_REVISION_DS = 4
MOST_BYTES = 0xFFFF
"""What an ACL's and an ACE's size field hold."""


class AceType(enum.IntEnum):
    """*_ACE_TYPE."""

    ACCESS_ALLOWED = 0x00
    ACCESS_DENIED = 0x01
    SYSTEM_AUDIT = 0x02
    SYSTEM_ALARM = 0x03
    ACCESS_ALLOWED_COMPOUND = 0x04
    ACCESS_ALLOWED_OBJECT = 0x05
    ACCESS_DENIED_OBJECT = 0x06
    SYSTEM_AUDIT_OBJECT = 0x07
    SYSTEM_ALARM_OBJECT = 0x08
    ACCESS_ALLOWED_CALLBACK = 0x09
    ACCESS_DENIED_CALLBACK = 0x0A
    ACCESS_ALLOWED_CALLBACK_OBJECT = 0x0B
    ACCESS_DENIED_CALLBACK_OBJECT = 0x0C
    SYSTEM_AUDIT_CALLBACK = 0x0D
    SYSTEM_ALARM_CALLBACK = 0x0E
    SYSTEM_AUDIT_CALLBACK_OBJECT = 0x0F
    SYSTEM_ALARM_CALLBACK_OBJECT = 0x10
    SYSTEM_MANDATORY_LABEL = 0x11
    SYSTEM_RESOURCE_ATTRIBUTE = 0x12
    SYSTEM_SCOPED_POLICY_ID = 0x13


OBJECT_TYPES = frozenset(kind for kind in AceType if kind.name.endswith("OBJECT"))
"""Those with GUIDs between the mask and the SID."""
MASK_AND_SID = frozenset(AceType) - {AceType.ACCESS_ALLOWED_COMPOUND}


class AceFlags(enum.IntFlag):
    """AceFlags."""

    NONE = 0
    OBJECT_INHERIT = 0x01
    CONTAINER_INHERIT = 0x02
    NO_PROPAGATE_INHERIT = 0x04
    INHERIT_ONLY = 0x08
    INHERITED = 0x10
    SUCCESSFUL_ACCESS = 0x40
    FAILED_ACCESS = 0x80


class _ObjectFlags(enum.IntFlag):
    TYPE = 1
    INHERITED_TYPE = 2


@dataclass(frozen=True, slots=True)
class Ace:
    """One entry. ``application`` is what stands behind the SID: a condition, an attribute."""

    HEADER: ClassVar = struct.Struct("<BBHI")  # with the mask
    OBJECT: ClassVar = struct.Struct("<I")

    kind: AceType
    sid: Sid
    mask: int
    flags: AceFlags = AceFlags.NONE
    object_type: UUID | None = None
    inherited_object_type: UUID | None = None
    application: bytes = b""

    def emit(self) -> bytes:
        """Return its bytes. NtError(INVALID_ACL) when they are too many."""
        body = b""
        if self.kind in OBJECT_TYPES:
            pairs = (
                (_ObjectFlags.TYPE, self.object_type),
                (_ObjectFlags.INHERITED_TYPE, self.inherited_object_type),
            )
            present = [(bit, guid) for bit, guid in pairs if guid is not None]
            body = self.OBJECT.pack(sum(bit for bit, _guid in present))
            body += b"".join(guid.bytes_le for _bit, guid in present)
        body += self.sid.emit() + self.application
        body += bytes(-len(body) % 4)
        return _with_size(self.HEADER, (self.kind, self.flags), self.mask, body)


@dataclass(frozen=True, slots=True)
class OpaqueAce:
    """An entry of a type that is not known here: kept, and never a reason to grant anything."""

    HEADER: ClassVar = struct.Struct("<BBH")

    kind: int
    flags: AceFlags
    body: bytes

    def emit(self) -> bytes:
        """Return its bytes."""
        size = self.HEADER.size + len(self.body)
        if size > MOST_BYTES or size % 4:
            raise NtError(NtStatus.INVALID_ACL, f"an ACE of {size} bytes")
        return self.HEADER.pack(self.kind, self.flags, size) + self.body


def _with_size(header: struct.Struct, front: tuple[int, int], mask: int, body: bytes) -> bytes:
    size = header.size + len(body)
    if size > MOST_BYTES:
        raise NtError(NtStatus.INVALID_ACL, f"an ACE of {size} bytes")
    return header.pack(*front, size, mask) + body


def _parse_ace(raw: memoryview) -> Ace | OpaqueAce:
    """Read an ACE that fills ``raw``, which has a whole header. NtError."""
    kind, flags = raw[0], AceFlags(raw[1])
    if kind not in MASK_AND_SID:
        return OpaqueAce(kind, flags, bytes(raw[OpaqueAce.HEADER.size :]))
    if len(raw) < Ace.HEADER.size:
        raise NtError(NtStatus.INVALID_ACL, f"an ACE of {len(raw)} bytes")
    mask, at = Ace.HEADER.unpack_from(raw)[3], Ace.HEADER.size
    guids: list[UUID | None] = [None, None]
    if kind in OBJECT_TYPES:
        if len(raw) < at + Ace.OBJECT.size:
            raise NtError(NtStatus.INVALID_ACL, "an object ACE without its flags")
        (present,) = Ace.OBJECT.unpack_from(raw, at)
        at += Ace.OBJECT.size
        for place, bit in enumerate(_ObjectFlags):
            if present & bit:
                if len(raw) < at + 16:
                    raise NtError(NtStatus.INVALID_ACL, "an object ACE without its GUIDs")
                guids[place] = UUID(bytes_le=bytes(raw[at : at + 16]))
                at += 16
    sid = Sid.parse(raw, at)
    rest = bytes(raw[at + sid.length_bytes :])
    return Ace(AceType(kind), sid, mask, flags, guids[0], guids[1], rest)


@dataclass(frozen=True, slots=True)
class Acl:
    """An ordered list of entries. An ACL without any grants nobody anything."""

    HEADER: ClassVar = struct.Struct("<BBHHH")

    aces: tuple[Ace | OpaqueAce, ...] = ()

    @classmethod
    def parse(cls, raw: bytes | memoryview, offset: int = 0) -> Acl:
        """Read the ACL at ``offset``, as far as its own size goes. NtError(INVALID_ACL, INVALID_SID).

        The loop ends with the ACL's bytes, whatever the count says: each ACE has four at least.
        """
        if offset < 0 or len(raw) < offset + cls.HEADER.size:
            raise NtError(NtStatus.INVALID_ACL, f"{len(raw)} bytes, an ACL at {offset:#x}")
        revision, _zero, size, count, _pad = cls.HEADER.unpack_from(raw, offset)
        if (
            not ACL_REVISION <= revision <= ACL_REVISION_DS
            or not cls.HEADER.size <= size <= len(raw) - offset
        ):
            raise NtError(NtStatus.INVALID_ACL, f"revision {revision}, {size} bytes")
        view, at, found = memoryview(raw)[offset : offset + size], cls.HEADER.size, []
        for _ in range(count):
            if size - at < OpaqueAce.HEADER.size:
                raise NtError(NtStatus.INVALID_ACL, f"{count} ACEs in {size} bytes")
            length = OpaqueAce.HEADER.unpack_from(view, at)[2]
            if length < OpaqueAce.HEADER.size or length % 4 or length > size - at:
                raise NtError(NtStatus.INVALID_ACL, f"an ACE of {length} bytes at {at:#x}")
            found.append(_parse_ace(view[at : at + length]))
            at += length
        return cls(tuple(found))

    def emit(self) -> bytes:
        """Return its bytes. NtError(INVALID_ACL) when they are too many."""
        body = b"".join(ace.emit() for ace in self.aces)
        size = self.HEADER.size + len(body)
        if size > MOST_BYTES:
            raise NtError(NtStatus.INVALID_ACL, f"an ACL of {size} bytes")
        has_objects = any(ace.kind in OBJECT_TYPES for ace in self.aces)
        return (
            self.HEADER.pack(ACL_REVISION_DS if has_objects else ACL_REVISION, 0, size, len(self.aces), 0)
            + body
        )

    def canonical(self) -> Acl:
        """Return it in the order that editors write: explicit before inherited, denials before grants.

        Source: "Order of ACEs in a DACL". Inherited entries keep their order: a parent's before a
        grandparent's.
        """
        return Acl(tuple(sorted(self.aces, key=_rank)))


DENIALS = frozenset(kind for kind in AceType if kind.name.startswith("ACCESS_DENIED"))


def _rank(ace: Ace | OpaqueAce) -> tuple[bool, bool]:
    inherited = bool(ace.flags & AceFlags.INHERITED)
    return inherited, not inherited and ace.kind not in DENIALS


def allow(sid: Sid, mask: int, flags: AceFlags = AceFlags.NONE) -> Ace:
    """Return an entry that grants."""
    return Ace(AceType.ACCESS_ALLOWED, sid, mask, flags)


def deny(sid: Sid, mask: int, flags: AceFlags = AceFlags.NONE) -> Ace:
    """Return an entry that denies."""
    return Ace(AceType.ACCESS_DENIED, sid, mask, flags)
