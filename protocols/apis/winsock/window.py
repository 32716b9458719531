"""A window without a screen: what WSAAsyncSelect posts its messages to, and the loop that takes them out.

The message's number is the program's own (WM_USER and above); wParam is the socket, lParam the event in its
low word and the error in its high one (WSAGETSELECTEVENT, WSAGETSELECTERROR).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from protocols.apis.winsock.constants import Fd

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntos.executive.contract import Executive

WM_USER = 0x0400


@dataclass(frozen=True, slots=True)
class WindowMessage:
    """MSG: what a window procedure is given."""

    message: int
    wparam: int
    lparam: int

    @property
    def event(self) -> Fd:
        """WSAGETSELECTEVENT."""
        return Fd(self.lparam & 0xFFFF)

    @property
    def error(self) -> int:
        """WSAGETSELECTERROR: a WSAE code, 0 for none."""
        return self.lparam >> 16


class Window:
    """A window and its thread's message queue."""

    def __init__(
        self, executive: Executive, procedure: Callable[[WindowMessage], None] | None = None
    ) -> None:
        """Create it; ``procedure`` is what ``dispatch`` calls."""
        self._executive = executive
        self._procedure = procedure
        self._queue: deque[WindowMessage] = deque()

    def __len__(self) -> int:
        """Return how many messages wait."""
        return len(self._queue)

    def post(self, message: WindowMessage) -> None:
        """PostMessage."""
        self._queue.append(message)

    def get_message(self, timeout_ns: int | None = None) -> WindowMessage | None:
        """GetMessage: the oldest, waited for; None when the time was over."""
        self._executive.wait(lambda: bool(self._queue), "a message", timeout_ns)
        return self._queue.popleft() if self._queue else None

    def dispatch(self, timeout_ns: int | None = None) -> bool:
        """Take one message and call the window procedure (GetMessage, DispatchMessage); False: none came."""
        message = self.get_message(timeout_ns)
        if message is not None and self._procedure is not None:
            self._procedure(message)
        return message is not None
