"""The flood's sender, as a program: it runs in the wire's namespace, with Python alone.

::

    flood.py ADDRESS PORT SECONDS

It sends UDP datagrams of 18 bytes (frames of 60) as fast as one core makes them; what the cable cannot take
is lost. It prints how many it sent.
"""

from __future__ import annotations

import socket
import sys
import time

PAYLOAD = bytes(18)
BURST = 256
"""Datagrams between two looks at the clock."""


def flood(address: str, port: int, seconds: float) -> int:
    """Send until the time is over; return the datagrams sent."""
    sent = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect((address, port))
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for _ in range(BURST):
                try:
                    sender.send(PAYLOAD)
                except OSError:  # the queue is full, or an ICMP error of an earlier one is told
                    continue
                sent += 1
    return sent


if __name__ == "__main__":
    print(flood(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
