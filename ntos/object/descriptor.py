"""Security descriptors: an object's owner, group, DACL and SACL ([MS-DTYP] 2.4.6).

The self-relative form is one block of bytes; each offset counts from its beginning, 0 is "absent"::

    0          1     2           4              8              12             16             20
    | revision | rm  | control   | owner offset | group offset | SACL offset  | DACL offset  | parts ...
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import ClassVar

from ntos.io.status import NtError, NtStatus
from ntos.object.acl import Acl
from ntos.object.sid import Sid

REVISION = 1


class Control(enum.IntFlag):
    """SECURITY_DESCRIPTOR_CONTROL. Presence and SELF_RELATIVE follow from what a descriptor has."""

    NONE = 0
    OWNER_DEFAULTED = 0x0001
    GROUP_DEFAULTED = 0x0002
    DACL_PRESENT = 0x0004
    DACL_DEFAULTED = 0x0008
    SACL_PRESENT = 0x0010
    SACL_DEFAULTED = 0x0020
    DACL_TRUSTED = 0x0040
    SERVER_SECURITY = 0x0080
    DACL_AUTO_INHERIT_REQ = 0x0100
    SACL_AUTO_INHERIT_REQ = 0x0200
    DACL_AUTO_INHERITED = 0x0400
    SACL_AUTO_INHERITED = 0x0800
    DACL_PROTECTED = 0x1000
    SACL_PROTECTED = 0x2000
    RM_CONTROL_VALID = 0x4000
    SELF_RELATIVE = 0x8000


DERIVED = Control.DACL_PRESENT | Control.SACL_PRESENT | Control.SELF_RELATIVE


@dataclass(frozen=True, slots=True)
class SecurityDescriptor:
    """A descriptor. ``dacl`` None: whoever asks is granted all. An empty one: nobody is granted anything.

    ``is_null_dacl`` tells a NULL DACL from an absent one; an access check treats both alike.
    """

    HEADER: ClassVar = struct.Struct("<BBHIIII")

    owner: Sid | None = None
    group: Sid | None = None
    dacl: Acl | None = None
    sacl: Acl | None = None
    control: Control = Control.NONE
    is_null_dacl: bool = False
    is_null_sacl: bool = False
    resource_manager: int = 0

    @classmethod
    def parse(cls, raw: bytes | memoryview) -> SecurityDescriptor:
        """Read the self-relative form. NtError(INVALID_SECURITY_DESCR, INVALID_SID, INVALID_ACL)."""
        if len(raw) < cls.HEADER.size:
            raise NtError(NtStatus.INVALID_SECURITY_DESCR, f"{len(raw)} bytes")
        revision, manager, bits, owner, group, sacl, dacl = cls.HEADER.unpack_from(raw)
        control = Control(bits)
        if revision != REVISION or not control & Control.SELF_RELATIVE:
            raise NtError(NtStatus.INVALID_SECURITY_DESCR, f"revision {revision}, control {bits:#06x}")
        for offset in (owner, group, sacl, dacl):
            if 0 < offset < cls.HEADER.size or offset >= max(len(raw), 1):
                raise NtError(NtStatus.INVALID_SECURITY_DESCR, f"offset {offset:#x} of {len(raw):#x} bytes")
        has_dacl, has_sacl = bool(control & Control.DACL_PRESENT), bool(control & Control.SACL_PRESENT)
        return cls(
            Sid.parse(raw, owner) if owner else None,
            Sid.parse(raw, group) if group else None,
            Acl.parse(raw, dacl) if has_dacl and dacl else None,
            Acl.parse(raw, sacl) if has_sacl and sacl else None,
            control & ~DERIVED,
            has_dacl and not dacl,
            has_sacl and not sacl,
            manager,
        )

    def emit(self) -> bytes:
        """Return the self-relative form: SACL, DACL, owner, group behind the header, as Windows writes it."""
        control = self.control & ~DERIVED | Control.SELF_RELATIVE
        if self.dacl is not None or self.is_null_dacl:
            control |= Control.DACL_PRESENT
        if self.sacl is not None or self.is_null_sacl:
            control |= Control.SACL_PRESENT
        body, offsets = b"", []
        for part in (self.sacl, self.dacl, self.owner, self.group):
            data = part.emit() if part is not None else b""
            offsets.append(self.HEADER.size + len(body) if data else 0)
            body += data
        sacl, dacl, owner, group = offsets
        head = self.HEADER.pack(REVISION, self.resource_manager, control, owner, group, sacl, dacl)
        return head + body
