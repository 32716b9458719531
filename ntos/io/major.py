"""The 28 major functions, and the minor ones that they have (``wdm.h``, ``ntifs.h``). Data only."""

from __future__ import annotations

import enum


class Major(enum.Enum):
    """IRP_MJ_*."""

    CREATE = 0x00
    CREATE_NAMED_PIPE = 0x01
    CLOSE = 0x02
    READ = 0x03
    WRITE = 0x04
    QUERY_INFORMATION = 0x05
    SET_INFORMATION = 0x06
    QUERY_EA = 0x07
    SET_EA = 0x08
    FLUSH_BUFFERS = 0x09
    QUERY_VOLUME_INFORMATION = 0x0A
    SET_VOLUME_INFORMATION = 0x0B
    DIRECTORY_CONTROL = 0x0C
    FILE_SYSTEM_CONTROL = 0x0D
    DEVICE_CONTROL = 0x0E
    INTERNAL_DEVICE_CONTROL = 0x0F
    SHUTDOWN = 0x10
    LOCK_CONTROL = 0x11
    CLEANUP = 0x12
    CREATE_MAILSLOT = 0x13
    QUERY_SECURITY = 0x14
    SET_SECURITY = 0x15
    POWER = 0x16
    SYSTEM_CONTROL = 0x17
    DEVICE_CHANGE = 0x18
    QUERY_QUOTA = 0x19
    SET_QUOTA = 0x1A
    PNP = 0x1B


CREATES = frozenset((Major.CREATE, Major.CREATE_NAMED_PIPE, Major.CREATE_MAILSLOT))
"""Those that open a file."""


class DirectoryMinor(enum.IntEnum):
    """IRP_MN_* of DIRECTORY_CONTROL."""

    QUERY_DIRECTORY = 0x01
    NOTIFY_CHANGE_DIRECTORY = 0x02


class FileSystemMinor(enum.IntEnum):
    """IRP_MN_* of FILE_SYSTEM_CONTROL."""

    USER_FS_REQUEST = 0x00
    MOUNT_VOLUME = 0x01
    VERIFY_VOLUME = 0x02
    LOAD_FILE_SYSTEM = 0x03
    KERNEL_CALL = 0x04


class LockMinor(enum.IntEnum):
    """IRP_MN_* of LOCK_CONTROL."""

    LOCK = 0x01
    UNLOCK_SINGLE = 0x02
    UNLOCK_ALL = 0x03
    UNLOCK_ALL_BY_KEY = 0x04


class PowerMinor(enum.IntEnum):
    """IRP_MN_* of POWER."""

    WAIT_WAKE = 0x00
    POWER_SEQUENCE = 0x01
    SET_POWER = 0x02
    QUERY_POWER = 0x03


class PnpMinor(enum.IntEnum):
    """IRP_MN_* of PNP."""

    START_DEVICE = 0x00
    QUERY_REMOVE_DEVICE = 0x01
    REMOVE_DEVICE = 0x02
    CANCEL_REMOVE_DEVICE = 0x03
    STOP_DEVICE = 0x04
    QUERY_STOP_DEVICE = 0x05
    CANCEL_STOP_DEVICE = 0x06
    QUERY_DEVICE_RELATIONS = 0x07
    QUERY_INTERFACE = 0x08
    QUERY_CAPABILITIES = 0x09
    QUERY_ID = 0x13
    QUERY_PNP_DEVICE_STATE = 0x14
    SURPRISE_REMOVAL = 0x17


class SystemMinor(enum.IntEnum):
    """IRP_MN_* of SYSTEM_CONTROL (WMI)."""

    QUERY_ALL_DATA = 0x00
    QUERY_SINGLE_INSTANCE = 0x01
    CHANGE_SINGLE_INSTANCE = 0x02
    CHANGE_SINGLE_ITEM = 0x03
    ENABLE_EVENTS = 0x04
    DISABLE_EVENTS = 0x05
    EXECUTE_METHOD = 0x09
