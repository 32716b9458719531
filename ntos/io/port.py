"""Completion ports: the ends of many files' requests in one queue, the oldest first.

Sources: NtCreateIoCompletion, NtSetIoCompletion, NtRemoveIoCompletionEx, FileCompletionInformation.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ntos.io.create import SYNCHRONOUS
from ntos.io.status import NtError, NtStatus
from ntos.object.types import KernelObject, ObjectType, mapping_of

if TYPE_CHECKING:
    from ntos.executive.contract import Thread
    from ntos.io.device import FileObject


@dataclass(frozen=True, slots=True)
class CompletionPacket:
    """What GetQueuedCompletionStatus returns."""

    key: object
    overlapped: object
    status: NtStatus
    information: int


def _closed(port: CompletionPort) -> None:
    port.is_closed = True
    port.packets.clear()


QUERY_STATE, MODIFY_STATE = 0x1, 0x2
IO_COMPLETION = ObjectType(
    "IoCompletion", mapping_of(QUERY_STATE, MODIFY_STATE, 0x10_0000, 0x3), last_closed=_closed
)


@dataclass(eq=False, slots=True, kw_only=True)
class CompletionPort(KernelObject):
    """A port. A file that is joined to it refers to it; with the last handle it takes no packet any more."""

    object_type: ObjectType = IO_COMPLETION
    concurrency: int = 0
    """How many threads are to run at once (0: as many as there are CPUs). Kept, and not enforced."""
    packets: deque[CompletionPacket] = field(default_factory=deque)
    is_closed: bool = False

    def post(self, packet: CompletionPacket) -> None:
        """NtSetIoCompletion."""
        if not self.is_closed:
            self.packets.append(packet)

    def take(self, most: int = 1) -> list[CompletionPacket]:
        """NtRemoveIoCompletionEx, when there is something: up to ``most`` packets."""
        return [self.packets.popleft() for _ in range(min(most, len(self.packets)))]

    def join(self, file: FileObject, key: object) -> None:
        """Have the requests of a file end here. NtError(INVALID_PARAMETER) for one that cannot."""
        if file.completion_port is not None or file.options & SYNCHRONOUS:
            raise NtError(NtStatus.INVALID_PARAMETER, "a port already, or synchronous")
        file.completion_port, file.completion_key = self, key

    @property
    def dispatcher(self) -> CompletionPort:
        """A port can be waited for."""
        return self

    def is_signalled_for(self, thread: Thread) -> bool:
        """Tell whether a packet waits."""
        del thread
        return bool(self.packets)

    def consume(self, thread: Thread) -> bool:
        """End a wait: the packet stays."""
        del thread
        return False
