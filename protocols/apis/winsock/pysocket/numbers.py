"""Which of this machine's numbers is which of Winsock's. Data, and the packing of option values.

A program sees the numbers of the machine's own ``socket`` module, because programs and the standard library
pack structures by them. What is not in these tables is refused: no number is passed through.
"""

from __future__ import annotations

import enum
import errno
import socket as standard
import struct
from typing import NamedTuple

from protocols.apis.winsock.constants import Af, IpOption, Msg, So, Sol, TcpOption
from protocols.apis.winsock.errors import WinsockError, Wsae

FAMILIES: dict[int, Af] = {
    int(standard.AF_INET): Af.INET,
    int(standard.AF_INET6): Af.INET6,
    int(standard.AF_UNSPEC): Af.UNSPEC,
}
HOST_FAMILIES = {value: key for key, value in FAMILIES.items()}
KINDS = frozenset({int(standard.SOCK_STREAM), int(standard.SOCK_DGRAM)})
KIND_FLAGS = int(getattr(standard, "SOCK_NONBLOCK", 0)) | int(getattr(standard, "SOCK_CLOEXEC", 0))


class Form(enum.Enum):
    """How an option's value is laid out in memory."""

    INT = "i"
    LINGER = "ii"
    TIMEVAL = "ll"
    GROUP4 = "4s4s"
    GROUP6 = "16sI"
    INTERFACE4 = "4s"


class Option(NamedTuple):
    """An option at Winsock, and its layout at this machine."""

    level: int
    number: int
    form: Form = Form.INT


OPTION_NAMES: dict[tuple[str, str], Option] = {
    **{
        ("SOL_SOCKET", f"SO_{one.name}"): Option(Sol.SOCKET, one)
        for one in (
            *(So.REUSEADDR, So.KEEPALIVE, So.BROADCAST, So.OOBINLINE, So.SNDBUF, So.RCVBUF),
            *(So.ERROR, So.TYPE, So.ACCEPTCONN, So.DEBUG, So.DONTROUTE),
        )
    },
    ("SOL_SOCKET", "SO_LINGER"): Option(Sol.SOCKET, So.LINGER, Form.LINGER),
    ("SOL_SOCKET", "SO_SNDTIMEO"): Option(Sol.SOCKET, So.SNDTIMEO, Form.TIMEVAL),
    ("SOL_SOCKET", "SO_RCVTIMEO"): Option(Sol.SOCKET, So.RCVTIMEO, Form.TIMEVAL),
    ("IPPROTO_IP", "IP_TOS"): Option(Sol.IP, IpOption.TOS),
    ("IPPROTO_IP", "IP_TTL"): Option(Sol.IP, IpOption.TTL),
    ("IPPROTO_IP", "IP_MULTICAST_TTL"): Option(Sol.IP, IpOption.MULTICAST_TTL),
    ("IPPROTO_IP", "IP_MULTICAST_LOOP"): Option(Sol.IP, IpOption.MULTICAST_LOOP),
    ("IPPROTO_IP", "IP_MULTICAST_IF"): Option(Sol.IP, IpOption.MULTICAST_IF, Form.INTERFACE4),
    ("IPPROTO_IP", "IP_ADD_MEMBERSHIP"): Option(Sol.IP, IpOption.ADD_MEMBERSHIP, Form.GROUP4),
    ("IPPROTO_IP", "IP_DROP_MEMBERSHIP"): Option(Sol.IP, IpOption.DROP_MEMBERSHIP, Form.GROUP4),
    ("IPPROTO_IPV6", "IPV6_V6ONLY"): Option(Sol.IPV6, IpOption.V6ONLY),
    ("IPPROTO_IPV6", "IPV6_UNICAST_HOPS"): Option(Sol.IPV6, IpOption.TTL),
    ("IPPROTO_IPV6", "IPV6_MULTICAST_HOPS"): Option(Sol.IPV6, IpOption.MULTICAST_TTL),
    ("IPPROTO_IPV6", "IPV6_MULTICAST_LOOP"): Option(Sol.IPV6, IpOption.MULTICAST_LOOP),
    ("IPPROTO_IPV6", "IPV6_MULTICAST_IF"): Option(Sol.IPV6, IpOption.MULTICAST_IF),
    ("IPPROTO_IPV6", "IPV6_JOIN_GROUP"): Option(Sol.IPV6, IpOption.ADD_MEMBERSHIP, Form.GROUP6),
    ("IPPROTO_IPV6", "IPV6_LEAVE_GROUP"): Option(Sol.IPV6, IpOption.DROP_MEMBERSHIP, Form.GROUP6),
    ("IPPROTO_TCP", "TCP_NODELAY"): Option(Sol.TCP, TcpOption.NODELAY),
    ("IPPROTO_TCP", "TCP_KEEPIDLE"): Option(Sol.TCP, TcpOption.KEEPALIVE),
    ("IPPROTO_TCP", "TCP_KEEPINTVL"): Option(Sol.TCP, TcpOption.KEEPINTVL),
    ("IPPROTO_TCP", "TCP_KEEPCNT"): Option(Sol.TCP, TcpOption.KEEPCNT),
}
OPTIONS: dict[tuple[int, int], Option] = {
    (int(getattr(standard, level)), int(getattr(standard, name))): option
    for (level, name), option in OPTION_NAMES.items()
    if hasattr(standard, level) and hasattr(standard, name)
}

FLAGS: dict[int, Msg] = {
    int(standard.MSG_OOB): Msg.OOB,
    int(standard.MSG_PEEK): Msg.PEEK,
    int(standard.MSG_DONTROUTE): Msg.DONTROUTE,
}
"""What Winsock is told."""
OWN_FLAGS = ("MSG_WAITALL", "MSG_DONTWAIT", "MSG_TRUNC", "MSG_CTRUNC", "MSG_NOSIGNAL", "MSG_CMSG_CLOEXEC")
"""What is done here, or has no meaning here and is true all the same."""
WAITALL, DONTWAIT, TRUNC = (int(getattr(standard, name)) for name in OWN_FLAGS[:3])
KNOWN_FLAGS = sum(FLAGS) | sum(int(getattr(standard, name, 0)) for name in OWN_FLAGS)

ERRNO: dict[Wsae, int] = {
    **{code: getattr(errno, name) for code in Wsae if hasattr(errno, name := code.name.removeprefix("WSA"))},
    Wsae.WSAENOTSOCK: errno.EBADF,
    Wsae.WSAESHUTDOWN: errno.EPIPE,
    Wsae.WSAEDISCON: errno.ECONNRESET,
    Wsae.WSA_OPERATION_ABORTED: errno.ECANCELED,
    Wsae.WSANOTINITIALISED: errno.ENETDOWN,
}
"""The machine's number for each code: what unchanged programs compare with."""

GAI: dict[Wsae, int] = {
    Wsae.WSAHOST_NOT_FOUND: standard.EAI_NONAME,
    Wsae.WSANO_DATA: standard.EAI_ADDRFAMILY if hasattr(standard, "EAI_ADDRFAMILY") else standard.EAI_NONAME,
    Wsae.WSATRY_AGAIN: standard.EAI_AGAIN,
    Wsae.WSATYPE_NOT_FOUND: standard.EAI_SERVICE,
}

CONSTANTS = (
    *("AF_UNSPEC", "AF_INET", "AF_INET6", "SOCK_STREAM", "SOCK_DGRAM", "SOCK_NONBLOCK", "SOCK_CLOEXEC"),
    *("SOL_SOCKET", "SOL_IP", "SOL_TCP", "SOL_UDP", "SO_DOMAIN", "SO_PROTOCOL", "SOMAXCONN"),
    *("IPPROTO_IP", "IPPROTO_ICMP", "IPPROTO_TCP", "IPPROTO_UDP", "IPPROTO_IPV6", "IPPROTO_ICMPV6"),
    *("MSG_OOB", "MSG_PEEK", "MSG_DONTROUTE", *OWN_FLAGS),
    *("SHUT_RD", "SHUT_WR", "SHUT_RDWR"),
    *(name for _level, name in OPTION_NAMES),
)
FAMILIES_OF_NAMES = ("AI_", "EAI_", "NI_", "INADDR_", "IPPORT_")
"""Constants of name resolution and of addresses: they go to no option, so all of them are there."""

REFUSED: dict[str, str] = {
    "AF_": "Winsock here has IPv4 and IPv6; other families are the machine's own",
    "PF_": "packet sockets are the machine's own",
    "SOCK_": "Winsock's catalog here has streams and datagrams",
    "SO_": "Windows has no such option, or AFD does not here",
    "SOL_": "a level of a family or of a machine's own facility that is not there",
    "IP_": "TCP/IP's helper has no such option",
    "IPV6_": "TCP/IP's helper has no such option",
    "TCP_": "TCP/IP's helper has no such option",
    "IPPROTO_": "the catalog has no such protocol",
    "MSG_": "Winsock has no such flag",
    "IPX_": "Winsock here has IPv4 and IPv6",
    "SCM_": "no descriptor and no credential passes over the network",
    "CMSG_": "there is no ancillary data",
    "CAN_": "a bus of the machine's own",
    "CANFD_": "a bus of the machine's own",
    "J1939_": "a bus of the machine's own",
    "ALG_": "the machine's own cryptography",
    "BT": "Bluetooth is the machine's own",
    "BD": "Bluetooth is the machine's own",
    "HCI_": "Bluetooth is the machine's own",
    "NETLINK_": "the machine's own kernel",
    "PACKET_": "packet sockets are the machine's own",
    "RDS_": "the catalog has no such protocol",
    "TIPC_": "the machine's own family",
    "UDPLITE_": "the catalog has no such protocol",
    "VM": "virtual machines' own sockets",
    "VSOCK": "virtual machines' own sockets",
    "CAPI": "C's door to the machine's sockets",
    "if_": "the machine's own interfaces",
    "sethostname": "the machine's own name",
    "send_fds": "no descriptor passes over the network",
    "recv_fds": "no descriptor passes over the network",
    "IOCTL_": "virtual machines' own sockets",
    "ETH": "packet sockets are the machine's own",
    "UNIX_": "the machine's own family",
    "LOCAL_": "the machine's own family",
    "HV": "virtual machines' own sockets",
}
"""Why what begins so is not in the module."""


def translated(error: WinsockError) -> OSError:
    """Return Python's own exception, by the machine's number."""
    return OSError(ERRNO.get(error.code, errno.EIO), str(error.strerror))


def winsock_flags(flags: int) -> Msg:
    """Return Winsock's flags. OSError(EOPNOTSUPP) for one it does not have."""
    if flags & ~KNOWN_FLAGS:
        raise OSError(errno.EOPNOTSUPP, f"the stack has no such message flag: {flags & ~KNOWN_FLAGS:#x}")
    found = Msg.NONE
    if flags:
        for host, ours in FLAGS.items():
            if flags & host:
                found |= ours
    return found


def unpacked(option: Option, value: object) -> object:
    """Return what Winsock takes for an option. OSError(EINVAL): the wrong size; TypeError: the wrong kind."""
    if isinstance(value, int):
        if option.form is Form.INT or (option.form is Form.INTERFACE4 and value == 0):
            return int(value)
        raise OSError(errno.EINVAL, "this option takes a structure")
    raw = bytes(memoryview(value))  # type: ignore[arg-type]  # TypeError is Python's own answer
    size = struct.calcsize(option.form.value)
    if len(raw) < size:
        raise OSError(errno.EINVAL, f"this option takes {size} bytes")
    fields = struct.unpack_from(option.form.value, raw)
    match option.form:
        case Form.LINGER:
            return fields[1] if fields[0] else None
        case Form.TIMEVAL:
            return fields[0] * 1000 + fields[1] // 1000
        case Form.GROUP4 | Form.GROUP6:
            return fields
        case _:
            return fields[0]


def packed(option: Option, value: object) -> bytes:
    """Return an option's value as this machine lays it out."""
    match option.form:
        case Form.LINGER:
            return struct.pack("ii", value is not None, value or 0)
        case Form.TIMEVAL:
            seconds, milliseconds = divmod(int(str(value)), 1000)
            return struct.pack("ll", seconds, milliseconds * 1000)
        case Form.INTERFACE4 if isinstance(value, bytes):
            return value
        case _:
            return struct.pack("i", int(value or 0))  # type: ignore[call-overload]  # a number, as the form says
