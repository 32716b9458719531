"""The program that makes the private network namespace of ``device.wire.netns``.

It runs as a child because unshare(2) of a user namespace is refused to a process with threads. It
sends the descriptors (cable, link socket, user namespace, network namespace) back and ends: the descriptors
are all that keeps the namespace alive, so nothing outlives the process that holds them.

Source: user_namespaces(7), network_namespaces(7), veth(4).
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import socket
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from device.wire.carrier import open_link_socket
from device.wire.netlink import RouteSocket, leave_nothing_undone
from device.wire.packet import open_packet_socket
from device.wire.tap import open_tap

STACK_INTERFACE: Final = "wire0"
"""Linux's end of the cable."""

CARD_INTERFACE: Final = "card0"
"""The card's end, where the cable is a veth pair."""

CARRIERS: Final = {"tap": STACK_INTERFACE, "veth": CARD_INTERFACE}
"""By the cable's kind, the interface whose carrier the card sees: a TAP's own, or its end of the pair."""

_CLONE_NEWUSER: Final = 0x10000000
_CLONE_NEWNET: Final = 0x40000000
_VETH_MTU_BYTES: Final = 65535


@dataclass(frozen=True, slots=True)
class Plan:
    """What to make."""

    addresses: list[str]
    mtu_bytes: int
    cable: str
    """``tap``, ``veth``, or ``auto``: a TAP where the user may open /dev/net/tun."""
    own_user_namespace: bool
    """Make one though this is root, as an ordinary user must."""

    def emit(self) -> str:
        """Return the plan as the child's argument."""
        return json.dumps(asdict(self))


def _unshare(flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _become_root_of_namespace(uid: int, gid: int) -> None:
    Path("/proc/self/setgroups").write_text("deny")  # required before gid_map: user_namespaces(7)
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")


def enter_new_namespace(*, own_user_namespace: bool) -> None:
    """Move this process to a new network namespace, in a new user namespace where need be."""
    uid, gid = os.geteuid(), os.getegid()
    if not own_user_namespace and uid == 0:
        try:
            _unshare(_CLONE_NEWNET)
        except PermissionError:  # root of a container without CAP_SYS_ADMIN
            pass
        else:
            return
    _unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
    _become_root_of_namespace(uid, gid)


def _make_tap() -> int:
    return open_tap(STACK_INTERFACE)


def _make_veth(route: RouteSocket) -> int:
    route.add_veth(STACK_INTERFACE, CARD_INTERFACE)
    leave_nothing_undone(STACK_INTERFACE)
    _settle(CARD_INTERFACE)
    route.set_up(CARD_INTERFACE, _VETH_MTU_BYTES)
    return open_packet_socket(CARD_INTERFACE).detach()


def _settle(interface: str) -> None:
    """Keep Linux from talking on the card's end, where only the card may."""
    with contextlib.suppress(OSError):  # a container may mount /proc/sys read-only
        Path(f"/proc/sys/net/ipv6/conf/{interface}/disable_ipv6").write_text("1")


def build(plan: Plan) -> tuple[str, int]:
    """Make the cable in the current namespace; return its kind and the card's descriptor."""
    with contextlib.closing(RouteSocket()) as route:
        route.set_up("lo")
        kind, fd = "tap", -1
        if plan.cable != "veth":
            try:
                fd = _make_tap()
            except OSError:
                if plan.cable == "tap":
                    raise
        if fd < 0:
            kind, fd = "veth", _make_veth(route)
        with contextlib.suppress(OSError):
            Path(f"/proc/sys/net/ipv6/conf/{STACK_INTERFACE}/accept_dad").write_text("0")
            Path("/proc/sys/net/ipv4/ping_group_range").write_text("0 0")
        route.set_up(STACK_INTERFACE, plan.mtu_bytes)
        for address in plan.addresses:
            with contextlib.suppress(FileExistsError):
                _add(route, address)
        return kind, fd


def _add(route: RouteSocket, address: str) -> None:
    try:
        route.add_address(STACK_INTERFACE, address)
    except OSError:
        if ":" not in address:
            raise  # IPv6 may be off in this kernel; IPv4 may not


def main(argv: list[str]) -> int:
    """Make what plan ``argv[1]`` says, report to socket ``argv[2]``; return the status."""
    plan = Plan(**json.loads(argv[1]))
    with socket.socket(fileno=int(argv[2])) as report:
        try:
            enter_new_namespace(own_user_namespace=plan.own_user_namespace)
            kind, cable = build(plan)
        except (OSError, ValueError) as error:
            report.sendall(json.dumps({"error": str(error)}).encode())
            return 1
        names = ("user", "net")
        spaces = [os.open(f"/proc/self/ns/{name}", os.O_RDONLY) for name in names]
        said = {"cable": kind, "index": socket.if_nametoindex(CARRIERS[kind])}
        with open_link_socket() as links:
            socket.send_fds(report, [json.dumps(said).encode()], [cable, links.fileno(), *spaces])
        report.recv(1)  # until the parent has them: a TAP with no holder would be gone
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
