"""A layered provider: it writes down every call, and may rewrite what is sent.

It knows the interface and nothing of AFD: what a third party would install (the DDK's LSP sample).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from protocols.apis.winsock.spi import ENTRIES, Provider

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ntos.io.irp import Memory


class LoggingLayer(Provider):
    """Logs calls by name; ``rewrite`` sees every byte that is sent and returns what goes instead."""

    def __init__(self, rewrite: Callable[[bytes], bytes] = lambda data: data) -> None:
        """Start with an empty log."""
        self.log: list[str] = []
        self._rewrite = rewrite

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the table's functions
        """Log a call and hand it down."""
        below = super().__getattr__(name)
        if name not in ENTRIES:
            return below

        def logged(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - the table's functions
            self.log.append(name)
            return below(*arguments, **named)

        return logged

    def send(self, handle: Any, buffers: Sequence[Memory], *rest: Any) -> int:  # noqa: ANN401 - the provider's own handle
        """WSPSend: rewrite; the caller is told that all its bytes went."""
        self.log.append("send")
        data = b"".join(buffers)
        below: Any = self.lower
        below.send(handle, [self._rewrite(data)], *rest)
        return len(data)
