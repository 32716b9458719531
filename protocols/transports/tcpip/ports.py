"""Which local ports are taken, and ephemeral ones (RFC 6056, RFC 6335)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocols.transports.tcpip.addresses import is_unspecified
from protocols.transports.tcpip.errors import Failure, NetworkError

if TYPE_CHECKING:
    from protocols.transports.tcpip.context import Context

FIRST_EPHEMERAL = 49152
LAST_EPHEMERAL = 65535


class PortTable:
    """Claims on ports. A claim is for one local address, or for any (None)."""

    def __init__(self, context: Context, protocol: int) -> None:
        """Start with all ports of ``protocol`` free."""
        self._context = context
        self._protocol = protocol
        self._claims: dict[int, list[tuple[bytes | None, bool]]] = {}

    def claim(self, local: bytes | None, port: int, *, share: bool = False) -> int:
        """Take a port (0: any ephemeral one); NetworkError when it is taken, or a filter forbids it."""
        if local is not None and is_unspecified(local) and len(local) == 4:
            local = None
        if not port:
            port = self._ephemeral(local)
        elif not self._free(local, port, share=share):
            raise NetworkError(Failure.ADDRESS_IN_USE, f"port {port}")
        if self._context.classification is not None:
            self._context.classification.bind(self._protocol, local, port)
        self._claims.setdefault(port, []).append((local, share))
        return port

    def release(self, local: bytes | None, port: int) -> None:
        """Give a port back."""
        if local is not None and is_unspecified(local) and len(local) == 4:
            local = None
        if self._context.classification is not None:
            self._context.classification.released(self._protocol, local, port)
        claims = self._claims.get(port, [])
        for claim in claims:
            if claim[0] == local:
                claims.remove(claim)
                break
        if not claims:
            self._claims.pop(port, None)

    def _free(self, local: bytes | None, port: int, *, share: bool) -> bool:
        return all(
            (share and other_share) or (other is not None and local is not None and other != local)
            for other, other_share in self._claims.get(port, ())
        )

    def _ephemeral(self, local: bytes | None) -> int:
        # RFC 6056 3.3.1: a random start, then upwards.
        span = LAST_EPHEMERAL - FIRST_EPHEMERAL + 1
        start = self._context.random(16) % span
        for step in range(span):
            port = FIRST_EPHEMERAL + (start + step) % span
            if self._free(local, port, share=False):
                return port
        raise NetworkError(Failure.NO_PORTS)
