"""Options of a connection by the names of ``protocols.interfaces.options``, for every edge above TCP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from protocols.transports.tcpip.timers import MILLISECOND

if TYPE_CHECKING:
    from collections.abc import Mapping

    from protocols.transports.tcpip.tcp.connection import Connection


def apply(connection: Connection, values: Mapping[str, Any]) -> None:
    """Set what is given; 0 ms of keepalive is the stack's own setting."""
    config = connection.tcp.context.config
    if "keepalive_ms" in values:
        connection.keepalive_idle = values["keepalive_ms"] * MILLISECOND or config.keepalive_idle
    if "keepalive_interval_ms" in values:
        connection.keepalive_interval = (
            values["keepalive_interval_ms"] * MILLISECOND or config.keepalive_interval
        )
    connection.keepalive_probes = values.get("keepalive_probes", connection.keepalive_probes)
    if "keepalive" in values:
        connection.set_keepalive(enabled=bool(values["keepalive"]))
    if "no_delay" in values:
        connection.set_no_delay(enabled=bool(values["no_delay"]))
    connection.ttl = values.get("ttl", connection.ttl)
    connection.tos = values.get("tos", connection.tos)
