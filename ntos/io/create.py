"""What a file is created or opened with: NtCreateFile's arguments, and what of them is refused at once.

Source: ZwCreateFile, NtCreateNamedPipeFile; the numbers are those of ``wdm.h`` and ``ntifs.h``.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ntos.io.status import NtError, NtStatus
from ntos.object.access import Access, FileAccess
from ntos.object.token import ImpersonationLevel

if TYPE_CHECKING:
    from ntos.object.descriptor import SecurityDescriptor
    from ntos.object.token import Token


class Disposition(enum.IntEnum):
    """CreateDisposition: what is to be done when the file is there, and when it is not."""

    SUPERSEDE = 0
    OPEN = 1
    CREATE = 2
    OPEN_IF = 3
    OVERWRITE = 4
    OVERWRITE_IF = 5


class Outcome(enum.IntEnum):
    """What a create says it has done: the I/O status block's Information."""

    SUPERSEDED = 0
    OPENED = 1
    CREATED = 2
    OVERWRITTEN = 3
    EXISTS = 4
    DOES_NOT_EXIST = 5


class Share(enum.IntFlag):
    """FILE_SHARE_*: what others may do with the file at the same time."""

    NONE = 0
    READ = 1
    WRITE = 2
    DELETE = 4
    ALL = 7


class Options(enum.IntFlag):
    """CreateOptions."""

    NONE = 0
    DIRECTORY_FILE = 0x0000_0001
    WRITE_THROUGH = 0x0000_0002
    SEQUENTIAL_ONLY = 0x0000_0004
    NO_INTERMEDIATE_BUFFERING = 0x0000_0008
    SYNCHRONOUS_IO_ALERT = 0x0000_0010
    SYNCHRONOUS_IO_NONALERT = 0x0000_0020
    NON_DIRECTORY_FILE = 0x0000_0040
    CREATE_TREE_CONNECTION = 0x0000_0080
    COMPLETE_IF_OPLOCKED = 0x0000_0100
    NO_EA_KNOWLEDGE = 0x0000_0200
    OPEN_REMOTE_INSTANCE = 0x0000_0400
    RANDOM_ACCESS = 0x0000_0800
    DELETE_ON_CLOSE = 0x0000_1000
    OPEN_BY_FILE_ID = 0x0000_2000
    OPEN_FOR_BACKUP_INTENT = 0x0000_4000
    NO_COMPRESSION = 0x0000_8000
    OPEN_REQUIRING_OPLOCK = 0x0001_0000
    RESERVE_OPFILTER = 0x0010_0000
    OPEN_REPARSE_POINT = 0x0020_0000
    OPEN_NO_RECALL = 0x0040_0000
    OPEN_FOR_FREE_SPACE_QUERY = 0x0080_0000


SYNCHRONOUS = Options.SYNCHRONOUS_IO_ALERT | Options.SYNCHRONOUS_IO_NONALERT
VALID_OPTIONS = 0x00FF_FFFF
WITH_A_DIRECTORY = (Disposition.CREATE, Disposition.OPEN, Disposition.OPEN_IF)


class Attributes(enum.IntFlag):
    """FILE_ATTRIBUTE_* ([MS-FSCC] 2.6)."""

    NONE = 0
    READONLY = 0x0001
    HIDDEN = 0x0002
    SYSTEM = 0x0004
    DIRECTORY = 0x0010
    ARCHIVE = 0x0020
    NORMAL = 0x0080
    TEMPORARY = 0x0100
    SPARSE_FILE = 0x0200
    REPARSE_POINT = 0x0400
    COMPRESSED = 0x0800
    OFFLINE = 0x1000
    NOT_CONTENT_INDEXED = 0x2000
    ENCRYPTED = 0x4000


@dataclass(frozen=True, slots=True)
class SecurityQos:
    """SECURITY_QUALITY_OF_SERVICE: how far the server at the other end may act for the caller."""

    level: ImpersonationLevel = ImpersonationLevel.IMPERSONATION
    is_tracked: bool = False
    """The server sees later changes of the caller's token."""
    is_effective_only: bool = False


DEFAULT_QOS = SecurityQos()


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """IRP_MJ_CREATE.

    ``token`` is the effective token of the caller (the access state); None: the kernel asks, and no access is
    checked. ``ea``: extended attributes, for transports and AFD a value of their own in place of bytes.
    """

    access: int = int(Access.GENERIC_ALL)
    disposition: Disposition = Disposition.OPEN
    options: Options = Options.NONE
    share: Share = Share.ALL
    attributes: Attributes = Attributes.NONE
    allocation_bytes: int = 0
    ea: object = None
    token: Token | None = None
    security: SecurityDescriptor | None = None
    """Of the file that is created."""
    qos: SecurityQos = DEFAULT_QOS

    def validate(self) -> None:
        """Refuse what NtCreateFile refuses before anybody is asked. NtError(INVALID_PARAMETER)."""
        options, access = self.options, self.access
        refused = {
            "no such option": options & ~VALID_OPTIONS,
            "no such share access": int(self.share) & ~int(Share.ALL),
            "an allocation of less than nothing": self.allocation_bytes < 0,
            "a directory and none": options & Options.DIRECTORY_FILE and options & Options.NON_DIRECTORY_FILE,
            "a directory is not overwritten": (
                options & Options.DIRECTORY_FILE and self.disposition not in WITH_A_DIRECTORY
            ),
            "synchronous in two ways": options & SYNCHRONOUS == SYNCHRONOUS,
            "synchronous without SYNCHRONIZE": (
                options & SYNCHRONOUS
                and not access
                & (Access.SYNCHRONIZE | Access.GENERIC_ALL | Access.GENERIC_READ | Access.GENERIC_WRITE)
            ),
            "deleted on close without DELETE": (
                options & Options.DELETE_ON_CLOSE
                and not access & (Access.DELETE | Access.GENERIC_ALL | Access.MAXIMUM_ALLOWED)
            ),
            "unbuffered appends": (
                options & Options.NO_INTERMEDIATE_BUFFERING and access & FileAccess.APPEND_DATA
            ),
        }
        for reason, holds in refused.items():
            if holds:
                raise NtError(NtStatus.INVALID_PARAMETER, reason)


class PipeType(enum.IntEnum):
    """FILE_PIPE_*_TYPE, FILE_PIPE_*_MODE."""

    BYTE_STREAM = 0
    MESSAGE = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateNamedPipe(Create):
    """IRP_MJ_CREATE_NAMED_PIPE: NAMED_PIPE_CREATE_PARAMETERS besides."""

    pipe_type: PipeType = PipeType.BYTE_STREAM
    read_mode: PipeType = PipeType.BYTE_STREAM
    is_non_blocking: bool = False
    maximum_instances: int = 0xFFFF_FFFF
    inbound_quota_bytes: int = 0
    outbound_quota_bytes: int = 0
    default_timeout_ns: int = 50_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateMailslot(Create):
    """IRP_MJ_CREATE_MAILSLOT: MAILSLOT_CREATE_PARAMETERS besides."""

    quota_bytes: int = 0
    maximum_message_bytes: int = 0
    """0: any length."""
    read_timeout_ns: int | None = None
    """None: a read waits for ever."""
