"""What each major function is asked with: IO_STACK_LOCATION's Parameters, one class each. Data only.

Buffers are the IRP's. A driver may define parameters of its own for DEVICE_CONTROL and
INTERNAL_DEVICE_CONTROL, as TDI, AFD and WSK do; the others are these.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ntos.io.create import Create, CreateMailslot, CreateNamedPipe
from ntos.io.major import Major

if TYPE_CHECKING:
    from ntos.io.device import FileObject
    from ntos.object.descriptor import SecurityDescriptor
    from ntos.object.sid import Sid


@dataclass(frozen=True, slots=True)
class Close:
    """CLOSE, CLEANUP, FLUSH_BUFFERS, SHUTDOWN: there is nothing to say."""


NOTHING = Close()


@dataclass(frozen=True, slots=True)
class Read:
    """READ: from ``offset`` bytes on; None where a file has no place (a pipe, a socket) or at its own."""

    offset: int | None = None
    key: int = 0


@dataclass(frozen=True, slots=True)
class Write:
    """WRITE: as ``Read``; ``at_end`` appends."""

    offset: int | None = None
    key: int = 0
    at_end: bool = False


@dataclass(frozen=True, slots=True)
class QueryInformation:
    """QUERY_INFORMATION: a FILE_INFORMATION_CLASS ([MS-FSCC] 2.4) by number."""

    information_class: int


@dataclass(frozen=True, slots=True)
class SetInformation:
    """SET_INFORMATION: the class, its value; a rename or a link goes into ``directory``."""

    information_class: int
    value: object
    directory: FileObject | None = None
    replace_if_exists: bool = False


class ExtendedAttribute(NamedTuple):
    """FILE_FULL_EA_INFORMATION: one."""

    name: str
    value: bytes
    flags: int = 0


@dataclass(frozen=True, slots=True)
class QueryEa:
    """QUERY_EA: these names, or all from ``index`` on."""

    names: tuple[str, ...] = ()
    index: int | None = None
    restart: bool = False
    single: bool = False


@dataclass(frozen=True, slots=True)
class SetEa:
    """SET_EA: an attribute with no value is taken away."""

    attributes: tuple[ExtendedAttribute, ...]


@dataclass(frozen=True, slots=True)
class QueryVolumeInformation:
    """QUERY_VOLUME_INFORMATION: an FS_INFORMATION_CLASS ([MS-FSCC] 2.5) by number."""

    information_class: int


@dataclass(frozen=True, slots=True)
class SetVolumeInformation:
    """SET_VOLUME_INFORMATION."""

    information_class: int
    value: object


@dataclass(frozen=True, slots=True)
class QueryDirectory:
    """DIRECTORY_CONTROL, IRP_MN_QUERY_DIRECTORY."""

    information_class: int
    pattern: str | None = None
    """None: that of the call before, at first all."""
    restart: bool = False
    single: bool = False
    index: int | None = None


@dataclass(frozen=True, slots=True)
class NotifyDirectory:
    """DIRECTORY_CONTROL, IRP_MN_NOTIFY_CHANGE_DIRECTORY: FILE_NOTIFY_CHANGE_* bits."""

    filter: int
    watch_tree: bool = False


@dataclass(frozen=True, slots=True)
class FileSystemControl:
    """FILE_SYSTEM_CONTROL: an FSCTL_* code. The input is ``data``, the output the IRP's buffers."""

    code: int
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class DeviceControl:
    """DEVICE_CONTROL: an IOCTL_* code. The input is ``data``, the output the IRP's buffers."""

    code: int
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Lock:
    """LOCK_CONTROL: a range of bytes. UNLOCK_ALL looks at nothing, UNLOCK_ALL_BY_KEY at ``key`` alone."""

    offset: int = 0
    length: int = 0
    key: int = 0
    exclusive: bool = False
    fail_immediately: bool = False


class SecurityInformation(enum.IntFlag):
    """SECURITY_INFORMATION ([MS-DTYP] 2.4.7): which parts of a descriptor."""

    NONE = 0
    OWNER = 1
    GROUP = 2
    DACL = 4
    SACL = 8
    LABEL = 0x10


@dataclass(frozen=True, slots=True)
class QuerySecurity:
    """QUERY_SECURITY: the result is a ``SecurityDescriptor`` with the parts asked for."""

    information: SecurityInformation


@dataclass(frozen=True, slots=True)
class SetSecurity:
    """SET_SECURITY."""

    information: SecurityInformation
    descriptor: SecurityDescriptor


@dataclass(frozen=True, slots=True)
class Power:
    """POWER: a system or device state."""

    state: int
    is_system: bool = False


@dataclass(frozen=True, slots=True)
class SystemControl:
    """SYSTEM_CONTROL: a WMI data path and its bytes."""

    data_path: bytes
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class DeviceChange:
    """DEVICE_CHANGE: reserved, and sent by nobody."""


@dataclass(frozen=True, slots=True)
class QueryQuota:
    """QUERY_QUOTA: of these users, or of all from ``start`` on."""

    sids: tuple[Sid, ...] = ()
    start: Sid | None = None
    restart: bool = False
    single: bool = False


class Quota(NamedTuple):
    """FILE_QUOTA_INFORMATION ([MS-FSCC] 2.4.41)."""

    sid: Sid
    threshold_bytes: int
    limit_bytes: int
    used_bytes: int = 0


@dataclass(frozen=True, slots=True)
class SetQuota:
    """SET_QUOTA."""

    quotas: tuple[Quota, ...]


@dataclass(frozen=True, slots=True)
class Pnp:
    """PNP: what a minor function asks or tells."""

    value: object = None


PARAMETERS: dict[Major, tuple[type, ...]] = {
    Major.CREATE: (Create,),
    Major.CREATE_NAMED_PIPE: (CreateNamedPipe,),
    Major.CLOSE: (Close,),
    Major.READ: (Read,),
    Major.WRITE: (Write,),
    Major.QUERY_INFORMATION: (QueryInformation,),
    Major.SET_INFORMATION: (SetInformation,),
    Major.QUERY_EA: (QueryEa,),
    Major.SET_EA: (SetEa,),
    Major.FLUSH_BUFFERS: (Close,),
    Major.QUERY_VOLUME_INFORMATION: (QueryVolumeInformation,),
    Major.SET_VOLUME_INFORMATION: (SetVolumeInformation,),
    Major.DIRECTORY_CONTROL: (QueryDirectory, NotifyDirectory),
    Major.FILE_SYSTEM_CONTROL: (FileSystemControl,),
    Major.DEVICE_CONTROL: (DeviceControl,),
    Major.INTERNAL_DEVICE_CONTROL: (DeviceControl,),
    Major.SHUTDOWN: (Close,),
    Major.LOCK_CONTROL: (Lock,),
    Major.CLEANUP: (Close,),
    Major.CREATE_MAILSLOT: (CreateMailslot,),
    Major.QUERY_SECURITY: (QuerySecurity,),
    Major.SET_SECURITY: (SetSecurity,),
    Major.POWER: (Power,),
    Major.SYSTEM_CONTROL: (SystemControl,),
    Major.DEVICE_CHANGE: (DeviceChange,),
    Major.QUERY_QUOTA: (QueryQuota,),
    Major.SET_QUOTA: (SetQuota,),
    Major.PNP: (Pnp,),
}
"""The classes of each major function's parameters."""
