"""Numbers of ``winsock2.h``, ``ws2tcpip.h`` and ``mswsock.h``. Data only."""

from __future__ import annotations

import enum

VERSION = (2, 2)
SOMAXCONN = 0x7FFF_FFFF
INFINITE = None
FD_SETSIZE = 64


class Af(enum.IntEnum):
    """Address families."""

    UNSPEC = 0
    INET = 2
    IPX = 6
    APPLETALK = 16
    NETBIOS = 17
    INET6 = 23


class Sock(enum.IntEnum):
    """Socket types."""

    STREAM = 1
    DGRAM = 2
    RAW = 3
    RDM = 4
    SEQPACKET = 5


class Proto(enum.IntEnum):
    """IPPROTO_*."""

    IP = 0
    ICMP = 1
    TCP = 6
    UDP = 17
    IPV6 = 41
    ICMPV6 = 58


class Msg(enum.IntFlag):
    """Flags of send and receive calls."""

    NONE = 0
    OOB = 0x1
    PEEK = 0x2
    DONTROUTE = 0x4
    WAITALL = 0x8
    TRUNC = 0x0100  # in WSAMSG: the datagram was longer
    CTRUNC = 0x0200  # in WSAMSG: the control data was longer
    PARTIAL = 0x8000


class Fd(enum.IntFlag):
    """FD_* of WSAEventSelect."""

    NONE = 0
    READ = 0x01
    WRITE = 0x02
    OOB = 0x04
    ACCEPT = 0x08
    CONNECT = 0x10
    CLOSE = 0x20


class PollFlag(enum.IntFlag):
    """POLL* of WSAPoll."""

    NONE = 0
    RDNORM = 0x100
    RDBAND = 0x200
    IN = 0x300
    OUT = 0x10
    ERR = 0x1
    HUP = 0x2
    NVAL = 0x4


class Sol(enum.IntEnum):
    """Option levels."""

    IP = 0
    TCP = 6
    IPV6 = 41
    SOCKET = 0xFFFF


class So(enum.IntEnum):
    """SO_* of SOL_SOCKET."""

    REUSEADDR = 0x0004
    KEEPALIVE = 0x0008
    BROADCAST = 0x0020
    LINGER = 0x0080
    OOBINLINE = 0x0100
    DONTLINGER = 0xFF7F
    EXCLUSIVEADDRUSE = 0xFFFB
    SNDBUF = 0x1001
    RCVBUF = 0x1002
    SNDTIMEO = 0x1005
    RCVTIMEO = 0x1006
    ERROR = 0x1007
    TYPE = 0x1008
    PROTOCOL_INFO = 0x2005
    CONNECT_TIME = 0x700C
    UPDATE_ACCEPT_CONTEXT = 0x700B
    UPDATE_CONNECT_CONTEXT = 0x7010
    ACCEPTCONN = 0x0002
    DEBUG = 0x0001
    DONTROUTE = 0x0010
    MAX_MSG_SIZE = 0x2003


class IpOption(enum.IntEnum):
    """IP_* of IPPROTO_IP."""

    TOS = 3
    TTL = 4
    MULTICAST_IF = 9
    MULTICAST_TTL = 10
    MULTICAST_LOOP = 11
    ADD_MEMBERSHIP = 12
    DROP_MEMBERSHIP = 13
    DONTFRAGMENT = 14
    PKTINFO = 19
    V6ONLY = 27  # IPV6_V6ONLY


class TcpOption(enum.IntEnum):
    """TCP_* of IPPROTO_TCP."""

    NODELAY = 1
    KEEPALIVE = 3  # also TCP_KEEPIDLE
    KEEPCNT = 16
    KEEPINTVL = 17


class Io(enum.IntEnum):
    """Codes of ioctlsocket and WSAIoctl."""

    FIONREAD = 0x4004_667F
    FIONBIO = 0x8004_667E
    SIOCATMARK = 0x4004_7307
    GET_EXTENSION_FUNCTION_POINTER = 0xC800_0006
    KEEPALIVE_VALS = 0x9800_0004
    ADDRESS_LIST_QUERY = 0x4800_0016
    ROUTING_INTERFACE_QUERY = 0xC800_0014
    GET_BROADCAST_ADDRESS = 0x4800_0005
    ENABLE_CIRCULAR_QUEUEING = 0x2800_0002
    IDEAL_SEND_BACKLOG_QUERY = 0x4004_747B
    BASE_HANDLE = 0x4800_0022
    UDP_CONNRESET = 0x9800_000C
    UDP_NETRESET = 0x9800_000F
    GET_QOS = 0xC800_0007
    SET_QOS = 0x8800_000B


class Leaf(enum.IntFlag):
    """JL_* of WSAJoinLeaf."""

    SENDER_ONLY = 1
    RECEIVER_ONLY = 2
    BOTH = 4


class Shut(enum.IntEnum):
    """SD_*."""

    RECEIVE = 0
    SEND = 1
    BOTH = 2


class Ns(enum.IntEnum):
    """NS_* namespaces."""

    ALL = 0
    DNS = 12
    NETBT = 13
    LOCALNAME = 14
    LLMNR = 15
