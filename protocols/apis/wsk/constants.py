"""Numbers of ``wsk.h``. Data only."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from protocols.interfaces.nmr.modules import NpiId

NPI_WSK_INTERFACE_ID: NpiId = UUID("2227e803-8d8b-11d4-abad-009027719e09")
WSK_VERSION = (1, 0)
LOWEST_VERSION = HIGHEST_VERSION = WSK_VERSION
WSK_NO_WAIT = 0
WSK_INFINITE_WAIT = 0xFFFF_FFFF


class Category(enum.IntEnum):
    """WSK_FLAG_*_SOCKET: the kind of socket that WskSocket is to make."""

    BASIC = 0x0
    LISTEN = 0x1
    CONNECTION = 0x2
    DATAGRAM = 0x4
    STREAM = 0x8


class Event(enum.IntFlag):
    """WSK_EVENT_*: which callbacks of a socket are enabled."""

    NONE = 0
    SEND_BACKLOG = 0x10
    RECEIVE = 0x40
    DISCONNECT = 0x80
    RECEIVE_FROM = 0x100
    ACCEPT = 0x200
    DISABLE = 0x8000_0000


CONNECTION_EVENTS = Event.RECEIVE | Event.DISCONNECT | Event.SEND_BACKLOG


class Flag(enum.IntFlag):
    """WSK_FLAG_* of events: what a callback is told."""

    NONE = 0
    ABORTIVE = 0x1
    RELEASE_ASAP = 0x2
    ENTIRE_MESSAGE = 0x4
    AT_DISPATCH_LEVEL = 0x8


class SendFlag(enum.IntFlag):
    """WskSend's flags."""

    NONE = 0
    NODELAY = 0x2


class ReceiveFlag(enum.IntFlag):
    """WskReceive's flags."""

    NONE = 0
    WAITALL = 0x2
    DRAIN = 0x4


class DisconnectFlag(enum.IntFlag):
    """WskDisconnect's flags."""

    NONE = 0
    ABORTIVE = 0x1


class MessageFlag(enum.IntFlag):
    """MSG_* of a datagram that came."""

    NONE = 0
    TRUNC = 0x100
    BCAST = 0x400
    MCAST = 0x800


class ClientControl(enum.IntEnum):
    """Control codes of WskControlClient."""

    TRANSPORT_LIST_QUERY = 2
    TRANSPORT_LIST_CHANGE = 3
    CACHE_SD = 4
    RELEASE_SD = 5
    TDI_DEVICENAME_MAPPING = 6
    SET_STATIC_EVENT_CALLBACKS = 7
    TDI_BEHAVIOR = 8


class ControlType(enum.IntEnum):
    """WSK_CONTROL_SOCKET_TYPE."""

    SET_OPTION = 0
    GET_OPTION = 1
    IOCTL = 2


class SoWsk(enum.IntEnum):
    """Options of SOL_SOCKET that only WSK has, and SO_CONDITIONAL_ACCEPT."""

    CONDITIONAL_ACCEPT = 0x3002
    SECURITY = 0x4001
    EVENT_CALLBACK = 0x4002


class SioWsk(enum.IntEnum):
    """I/O controls that only WSK has (IOC_WSK)."""

    SET_REMOTE_ADDRESS = 0x8F00_0001
    QUERY_IDEAL_SEND_BACKLOG = 0x4F00_0003
    QUERY_RECEIVE_BACKLOG = 0x4F00_0004
    QUERY_INSPECT_ID = 0x4F00_0005
    SET_SENDTO_ADDRESS = 0x8F00_0006


class Wsk(enum.Enum):
    """What an IRP at the subsystem's device asks for: the functions of the provider dispatch tables."""

    SOCKET = "WskSocket"
    SOCKET_CONNECT = "WskSocketConnect"
    CONTROL_CLIENT = "WskControlClient"
    GET_ADDRESS_INFO = "WskGetAddressInfo"
    GET_NAME_INFO = "WskGetNameInfo"
    CONTROL_SOCKET = "WskControlSocket"
    CLOSE_SOCKET = "WskCloseSocket"
    BIND = "WskBind"
    ACCEPT = "WskAccept"
    INSPECT_COMPLETE = "WskInspectComplete"
    LISTEN = "WskListen"
    CONNECT = "WskConnect"
    GET_LOCAL_ADDRESS = "WskGetLocalAddress"
    GET_REMOTE_ADDRESS = "WskGetRemoteAddress"
    SEND_TO = "WskSendTo"
    RECEIVE_FROM = "WskReceiveFrom"
    SEND = "WskSend"
    RECEIVE = "WskReceive"
    DISCONNECT = "WskDisconnect"
