"""The child of ``namespace``: runs inside, answers one JSON request a packet. Standard library only."""

from __future__ import annotations

import array
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

TUNSETIFF = 0x400454CA
TUNSETOFFLOAD = 0x400454D0
IFF_TAP = 0x0002
IFF_NO_PI = 0x1000
IFF_VNET_HDR = 0x4000
TUN_F_CSUM = 0x01
TUN_F_TSO4 = 0x02
TUN_F_TSO6 = 0x04
MAX_REQUEST = 1 << 16


def tap(name: str, *, offload: bool) -> int:
    """Open a TAP device with virtio headers."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    request = struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)
    fcntl.ioctl(fd, TUNSETIFF, request)
    fcntl.ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 if offload else 0)
    return fd


def serve(request: dict[str, object]) -> tuple[dict[str, object], list[int]]:
    """Do one request; return the reply and descriptors to pass."""
    match request:
        case {"run": list(argv)}:
            done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=15)
            return {"status": done.returncode, "output": done.stdout + done.stderr}, []
        case {"set": str(name), "value": str(value)}:
            Path("/proc/sys", *name.split(".")).write_text(value, encoding="ascii")
            return {}, []
        case {"socket": [int(family), int(kind), int(protocol)]}:
            made = socket.socket(family, kind, protocol)
            return {}, [made.detach()]
        case {"tap": str(name), "offload": bool(offload)}:
            return {}, [tap(name, offload=offload)]
    return {"error": f"unknown request {request}"}, []


def main() -> None:
    """Answer until the other side hangs up."""
    control = socket.socket(fileno=int(sys.argv[1]))
    while raw := control.recv(MAX_REQUEST):
        fds: list[int] = []
        try:
            reply, fds = serve(json.loads(raw))
        except (OSError, subprocess.SubprocessError) as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        ancillary = []
        if fds:
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
        control.sendmsg([json.dumps(reply).encode()], ancillary)
        for fd in fds:
            os.close(fd)


if __name__ == "__main__":
    main()
