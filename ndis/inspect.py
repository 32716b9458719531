"""What a running stack looks like, as ``!ndiskd`` shows it.

Each view is rows of text, made from live objects.

It changes nothing. Printing, and the way into another process, are the caller's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ndis.oids import oid_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from ndis.adapter import MiniportAdapter
    from ndis.packet import Packet
    from ndis.verifier.core import Verifier
    from ndis.wrapper import Ndis

Rows = list[tuple[str, ...]]


def adapters(ndis: Ndis) -> Rows:
    """Return name, driver, version, mode, state, power, address and link of every adapter."""
    rows: Rows = [("adapter", "driver", "ndis", "mode", "state", "power", "address", "link")]
    for one in ndis.adapters:
        version = ".".join(map(str, one.characteristics.version))
        mode = "serialized" if one.serialized else "deserialized"
        link = "up" if one.media_connected else "down"
        address = one.filter.address.hex(":")
        row = (one.name, one.characteristics.name, version, mode, one.state.name, one.power.name)
        rows.append((*row, address, link))
    return rows


def opens(ndis: Ndis) -> Rows:
    """Return protocol, adapter, state, packet filter and multicast addresses of every open."""
    rows: Rows = [("protocol", "adapter", "state", "filter", "multicast")]
    for adapter in ndis.adapters:
        for open_ in adapter.opens:
            mine = adapter.filter.of(open_)
            groups = " ".join(a.hex(":") for a in mine.multicast)
            asked = f"{int(mine.packet_filter):#06x}"
            rows.append((open_.protocol, adapter.name, open_.state.name, asked, groups))
    return rows


def pending(ndis: Ndis) -> Rows:
    """Return what is under way.

    Sends queued and with drivers, receives with protocols, requests, resets.
    """
    rows: Rows = [("adapter", "what", "who", "age")]
    now_us = ndis.executive.now_us()
    for adapter in ndis.adapters:
        rows += _pending_of(adapter, now_us)
    return rows


def packet(ndis: Ndis, number: int, verifier: Verifier | None = None) -> Rows:
    """Return everything about the packets of this number that are out of their pools.

    With histories.
    """
    rows: Rows = [("packet", "owner", "status", "bytes", "references", "history")]
    for pool in ndis.pools:
        for one in pool.busy:
            if one.number == number:
                past = "; ".join(verifier.history(one)) if verifier is not None else ""
                rows.append(_packet_row(one, past))
    return rows


def oids(ndis: Ndis) -> Rows:
    """Return the requests that are with drivers, and those that wait, in order."""
    rows: Rows = [("adapter", "place", "kind", "oid", "status")]
    for adapter in ndis.adapters:
        current = [adapter.requests.current] if adapter.requests.current is not None else []
        listed = [("driver", r) for r in current]
        listed += [("waiting", r) for r in adapter.requests.waiting]
        rows += [(adapter.name, place, r.kind.value, oid_name(r.oid), r.status.name) for place, r in listed]
    return rows


def log(verifier: Verifier) -> Rows:
    """Return the verifier's reports."""
    rows: Rows = [("rule", "adapter", "time", "what")]
    rows += [(r.rule, r.adapter, f"{r.at_us / 1e6:.6f}", r.what) for r in verifier.reports]
    return rows


def table(rows: Rows) -> str:
    """Return rows as columns of text, the first row as the heading."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines) + "\n"


VIEWS: dict[str, Callable[[Ndis], Rows]] = {
    "adapters": adapters,
    "opens": opens,
    "pending": pending,
    "oids": oids,
}


def _pending_of(adapter: MiniportAdapter, now_us: int) -> Rows:
    rows: Rows = [(adapter.name, repr(p), "NDIS queue", "") for p in adapter.sends.queued]
    accounts = (
        ("driver", dict(adapter.sends.outstanding)),
        ("protocols", dict(adapter.receives.taken)),
    )
    for who, account in accounts:
        rows += [(adapter.name, repr(p), who, f"{(now_us - at) / 1e6:.3f} s") for p, at in account.items()]
    if adapter.resets.active:
        rows.append((adapter.name, "reset", adapter.resets.phase.name, ""))
    return rows


def _packet_row(one: Packet, past: str) -> tuple[str, ...]:
    size = str(len(one.snapshot()))
    return (str(one.number), one.owner.name, one.status.name, size, str(one.references), past)
