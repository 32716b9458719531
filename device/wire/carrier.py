"""What the kernel says of an interface's carrier: the link monitor of TAP, packet and namespace wires.

A monitor listens to rtnetlink in the network namespace in which its socket was made, also when this process
is in another. It asks once, and then hears of changes; nothing is asked again but after a flood that the
kernel had to cut short.

Source: rtnetlink(7), netlink(7); Linux include/uapi/linux/{rtnetlink,if}.h.
"""

from __future__ import annotations

import errno
import socket
import struct
from typing import Final

_MESSAGE: Final = struct.Struct("=IHHII")
_LINK: Final = struct.Struct("=BxHiII")
_NLMSG_ERROR: Final = 2
_RTM_NEWLINK: Final = 16
_RTM_DELLINK: Final = 17
_RTM_GETLINK: Final = 18
_REQUEST: Final = 0x1
_GROUP_LINK: Final = 1
_IFF_UP: Final = 0x1
_IFF_LOWER_UP: Final = 0x1_0000
_KERNEL: Final = 0
_MOST_MESSAGES: Final = 64
"""Read at one look: who changes links without end does not keep the card's thread here."""
_MESSAGE_BYTES: Final = 65536


def open_link_socket() -> socket.socket:
    """Return a socket that hears of every link of the present namespace. Raises ``OSError``."""
    link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    try:
        link.settimeout(0)
        link.bind((0, _GROUP_LINK))
        link.connect((_KERNEL, 0))
    except OSError:
        link.close()
        raise
    return link


class LinkMonitor:
    """Whether one interface is up and has a carrier."""

    def __init__(self, link: socket.socket, index: int) -> None:
        """Own ``link``, a socket of ``open_link_socket``; watch the interface of that index."""
        self._socket = link
        self._index = index
        self._present = False
        self.gone = False
        """The interface was removed, or moved to another namespace."""
        self._ask()

    @property
    def present(self) -> bool:
        """Whether there is a carrier now: IFF_UP, and IFF_LOWER_UP, which says that the cable is in."""
        for _ in range(_MOST_MESSAGES):
            try:
                data, (sender, _) = self._socket.recvfrom(_MESSAGE_BYTES)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._ask()  # messages were lost
                continue
            if sender == _KERNEL:
                self._follow(data)
        return self._present

    def close(self) -> None:
        """Close the socket. Idempotent."""
        self._socket.close()

    def _ask(self) -> None:
        body = _LINK.pack(socket.AF_UNSPEC, 0, self._index, 0, 0)
        header = _MESSAGE.pack(_MESSAGE.size + len(body), _RTM_GETLINK, _REQUEST, 0, 0)
        self._socket.send(header + body)

    def _follow(self, data: bytes) -> None:
        """Take the messages of one datagram; what is of other links, or no link's, is passed over."""
        at = 0
        while at + _MESSAGE.size + _LINK.size <= len(data):
            length, kind, _, _, _ = _MESSAGE.unpack_from(data, at)
            if length < _MESSAGE.size:
                return
            if kind == _NLMSG_ERROR:
                self._present = False  # the answer to a question about a link that is not there
                self.gone = True
            elif kind in (_RTM_NEWLINK, _RTM_DELLINK):
                family, _, index, flags, _ = _LINK.unpack_from(data, at + _MESSAGE.size)
                if index == self._index and family == socket.AF_UNSPEC:  # a bridge tells of its ports beside
                    wanted = _IFF_UP | _IFF_LOWER_UP
                    self.gone = kind == _RTM_DELLINK
                    self._present = not self.gone and flags & wanted == wanted
            at += (length + 3) & ~3
