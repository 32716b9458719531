"""TAP devices: the kernel's own end of a cable.

It knows /dev/net/tun and nothing of namespaces: the device is made in the network namespace of the
caller.

Source: Linux Documentation/networking/tuntap.rst, include/uapi/linux/if_tun.h.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import socket
import struct
from typing import Final

from device.wire.carrier import LinkMonitor, open_link_socket
from device.wire.contract import Framing, WireError
from device.wire.frame import VNET_HEADER
from device.wire.netlink import RouteSocket

_TUN: Final = "/dev/net/tun"
_TUNSETIFF: Final = 0x400454CA
_TUNSETOFFLOAD: Final = 0x400454D0
_TUNSETVNETHDRSZ: Final = 0x400454D8
_IFF_TAP: Final = 0x0002
_IFF_NO_PI: Final = 0x1000
_IFF_VNET_HDR: Final = 0x4000
_IFREQ: Final = struct.Struct("16sH22x")

OFFLOADS: Final = {"none": 0x0, "csum": 0x1, "tso": 0x1 | 0x2 | 0x4 | 0x8}
"""TUN_F_*: what the kernel may leave undone in the frames that are read from the device.

``none`` is the default: a card receives what a cable carries, so somebody must cut and sum, and
the kernel does both while it copies. docs/wires.md has the measurement.
"""

LONGEST_NAME: Final = 15


def open_tap(name: str, offload: str = "none") -> int:
    """Return the descriptor of TAP ``name``, made if it is not there. Raises ``OSError``."""
    fd = os.open(_TUN, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        flags = _IFF_TAP | _IFF_NO_PI | _IFF_VNET_HDR
        fcntl.ioctl(fd, _TUNSETIFF, _IFREQ.pack(name.encode(), flags))
        fcntl.ioctl(fd, _TUNSETVNETHDRSZ, struct.pack("=i", VNET_HEADER.size))
        fcntl.ioctl(fd, _TUNSETOFFLOAD, OFFLOADS[offload])
    except OSError:
        os.close(fd)
        raise
    return fd


def attached(fd: int) -> bool:
    """Tell whether there still is a device behind a TAP's descriptor."""
    poll = select.poll()
    poll.register(fd, 0)
    return not poll.poll(0)  # POLLERR: it was removed (tun_chr_poll in Linux's drivers/net/tun.c)


class TapWire:
    """A TAP device of this network namespace; one that it made goes away with it."""

    framing = Framing.VNET

    def __init__(self, spec: str, name: str, address: str = "", offload: str = "none") -> None:
        """Attach to ``name`` or make it; give it ``address`` (CIDR). Raises ``WireError``."""
        self.spec = spec
        if not 0 < len(name) <= LONGEST_NAME or "/" in name:
            raise WireError(f"tap:{name}: an interface name has 1 to {LONGEST_NAME} characters")
        existed = any(known == name for _, known in socket.if_nameindex())
        try:
            self._fd = open_tap(name, offload)
        except OSError as error:
            raise WireError(_remedy(name, error)) from error
        try:
            if address or not existed:  # a device nobody else set up is of no use while it is down
                with contextlib.closing(RouteSocket()) as route:
                    if address:
                        route.add_address(name, address)
                    route.set_up(name)
        except (OSError, ValueError) as error:
            os.close(self._fd)
            raise WireError(f"tap:{name}: cannot set it up: {error}; check address=") from error
        try:
            self._monitor = LinkMonitor(open_link_socket(), socket.if_nametoindex(name))
        except OSError as error:
            os.close(self._fd)
            raise WireError(f"tap:{name}: its carrier cannot be watched: {error}; see: ip link") from error

    @property
    def fd(self) -> int:
        """The device; -1 once closed."""
        return self._fd

    @property
    def link(self) -> bool:
        """Whether the device is up; what was moved to another namespace is out of sight, and taken for up."""
        return self._fd >= 0 and (self._monitor.present or (self._monitor.gone and attached(self._fd)))

    def close(self) -> None:
        """Detach; a device made here disappears. Idempotent."""
        if self._fd >= 0:
            self._monitor.close()
            os.close(self._fd)
            self._fd = -1


def _remedy(name: str, error: OSError) -> str:
    make = f"sudo ip tuntap add dev {name} mode tap user $USER vnet_hdr && sudo ip link set {name} up"
    told = {
        errno.ENOENT: f"there is no {_TUN}; run: sudo modprobe tun, or use netns",
        errno.ENODEV: "the kernel has no TAP; run: sudo modprobe tun, or use netns",
        errno.EACCES: f"{_TUN} is closed to this user; run as root, or use netns",
        errno.EPERM: f"this user may not make it; run: {make}",
        errno.EBUSY: "another process has it; close that one, or name another",
        errno.EINVAL: f"it is no TAP, or has other flags; run: sudo ip link del {name} && {make}",
    }
    return f"tap:{name}: " + told.get(error.errno or 0, f"{error.strerror}; name another")
