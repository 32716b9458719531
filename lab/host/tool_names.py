"""The tools of ``ringwalk net`` that ask a running stack: their names alone, so that asking starts quickly.

What each does is in ``lab.host.reports``, which the process of the stack loads.
"""

from __future__ import annotations

NET_TOOLS = (
    "ipconfig",
    "netstat",
    "route",
    "arp",
    "ping",
    "tracert",
    "nslookup",
    "resolve",
    "catalog",
    "nbtstat",
)
