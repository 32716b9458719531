"""``net dlc``: DLC's adapters, with their SAPs and link stations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

    from lab.host.control_socket import Answer
    from lab.host.host import Upper
    from protocols.transports.dlc.adapter import DlcAdapter

HELP = "DLC's adapters, with their SAPs and link stations"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare nothing."""
    del parser


def answer(host: Upper, _args: argparse.Namespace) -> Answer:
    """Print them. QuestionError: DLC is not loaded."""
    from lab.host.control_socket import Answer, QuestionError
    from protocols.transports.dlc.edge import DlcEdge

    loaded = host.loader.objects.of.get("DLC")
    edge = getattr(loaded, "edge", None)
    if not isinstance(edge, DlcEdge):
        raise QuestionError("DLC is not loaded")
    told = {card: _told(adapter) for card, adapter in sorted(edge.adapters.items())}
    return Answer("\n".join(_lines(told)), told)


def _told(adapter: DlcAdapter) -> dict[str, Any]:
    links = {
        f"{number:04X}": {
            "node": one.remote_node.hex(":"),
            "sap": f"{one.remote_sap:02X}",
            "state": one.link.state.name if one.link is not None else "CLOSED",
        }
        for sap in adapter.saps.values()
        for number, one in sap.links.items()
    }
    return {
        "node": adapter.llc.mac.hex(":"),
        "open": adapter.is_open,
        "saps": [f"{number >> 8:02X}" for number in sorted(adapter.saps)],
        "links": links,
        "pool_bytes": adapter.pool,
        "pool_free_bytes": adapter.pool_free,
        "counters": adapter.counters,
    }


def _lines(told: dict[str, Any]) -> list[str]:
    lines = []
    for card, one in told.items():
        state = "open" if one["open"] else "closed"
        saps = " ".join(one["saps"]) or "none"
        pool = f"{one['pool_free_bytes']} of {one['pool_bytes']} bytes free"
        lines.append(f"{card}  {one['node']}  {state}  SAPs {saps}  buffer pool {pool}")
        lines += [
            f"  {number}  {link['node']} SAP {link['sap']}  {link['state']}"
            for number, link in one["links"].items()
        ]
    return lines or ["no network card is bound to DLC"]
