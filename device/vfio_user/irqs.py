"""Interrupts as the client set them up: which eventfd a vector has, what is masked, what INTx is at.

Knows no socket and no message. Methods may be called from any thread: a device triggers, the serving thread
sets up.

INTx, as VFIO defines it (Linux' drivers/vfio/pci/vfio_pci_intrs.c; QEMU's hw/vfio/pci.c relies on it):
asserting the level signals the eventfd once and masks the interrupt (AUTOMASKED); UNMASK while the level is
still asserted signals again. Unmasking or masking *by an eventfd* is refused (ENOTSUP): QEMU asks for it only
as a KVM shortcut and goes on without.

Invariants: a vector has at most one eventfd; an eventfd that was replaced is closed only after every listener
has returned, so that an engine that writes it directly can change over.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING

from .errors import RequestRefused
from .eventfds import Eventfds, EventSink
from .protocol import (
    IRQ_ACTION_MASK,
    IRQ_DATA_MASK,
    IrqInfoFlags,
    IrqSetFlags,
    PciIrq,
)

if TYPE_CHECKING:
    from .messages import DeviceSetIrqs

NO_EVENTFD = -1
"""Stands for the eventfd of a vector that is not armed."""

IRQ_FLAGS: dict[int, IrqInfoFlags] = {
    PciIrq.INTX: IrqInfoFlags.EVENTFD | IrqInfoFlags.MASKABLE | IrqInfoFlags.AUTOMASKED,
    PciIrq.MSI: IrqInfoFlags.EVENTFD | IrqInfoFlags.NORESIZE,
    PciIrq.MSIX: IrqInfoFlags.EVENTFD | IrqInfoFlags.NORESIZE,
    PciIrq.ERR: IrqInfoFlags.EVENTFD | IrqInfoFlags.NORESIZE,
    PciIrq.REQ: IrqInfoFlags.EVENTFD | IrqInfoFlags.NORESIZE,
}
"""What GET_IRQ_INFO says of each type, as Linux' vfio-pci does."""


@dataclass(frozen=True, slots=True)
class IrqChange:
    """What a listener is told after a SET_IRQS: the whole state of one type.

    A replaced eventfd is still open. ``unmasked`` are the vectors that this message unmasked: an
    engine that keeps INTx itself signals again if the level is still asserted.
    """

    index: int
    eventfds: tuple[int, ...]
    masked: tuple[bool, ...]
    unmasked: tuple[int, ...] = ()


Listener = Callable[[IrqChange], None]


@dataclass(slots=True)
class _Type:
    """One interrupt type: parallel lists, one item a vector."""

    eventfds: list[int]
    masked: list[bool]
    unmasked: list[int] = field(default_factory=list)  # by the message at hand
    replaced: list[int] = field(default_factory=list)  # to be closed when it is done


class Irqs:
    """The interrupts of one device, for one client at a time."""

    def __init__(self, counts: Sequence[int], sink: EventSink | None = None) -> None:
        """Arm nothing; ``counts`` is the number of vectors of each type, in the order of ``PciIrq``."""
        self.counts = tuple(counts)
        self._sink: EventSink = sink or Eventfds()
        self._lock = Lock()
        self._types = [_Type([NO_EVENTFD] * n, [False] * n) for n in self.counts]
        self._level = False
        self._listeners: list[Listener] = []
        self._actions = {
            IrqSetFlags.ACTION_MASK: self._mask,
            IrqSetFlags.ACTION_UNMASK: self._unmask,
            IrqSetFlags.ACTION_TRIGGER: self._fire,
        }

    # --- the device's side

    def trigger(self, index: int, vector: int = 0) -> bool:
        """Signal a vector; False when it is not armed, or masked (a device may keep that as pending)."""
        with self._lock:
            return self._signal(index, vector)

    def set_level(self, asserted: bool) -> None:  # noqa: FBT001 - a pin has a level, and nothing else
        """Drive the INTx pin."""
        with self._lock:
            self._level = asserted
            if asserted:  # for the second time, too: then it is masked since the first
                self._signal(PciIrq.INTX, 0)

    @property
    def level(self) -> bool:
        """What the INTx pin is at."""
        return self._level

    def eventfd(self, index: int, vector: int = 0) -> int:
        """Return the eventfd of a vector, or ``NO_EVENTFD``; valid until a listener is told otherwise."""
        with self._lock:
            return self._types[index].eventfds[vector]

    def armed(self, index: int) -> bool:
        """Whether any vector of a type has an eventfd."""
        with self._lock:
            return any(fd != NO_EVENTFD for fd in self._types[index].eventfds)

    def masked(self, index: int, vector: int = 0) -> bool:
        """Whether a vector is masked."""
        with self._lock:
            return self._types[index].masked[vector]

    def on_change(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` after every SET_IRQS, before the client is answered; return what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    # --- the client's side

    def set_irqs(self, request: DeviceSetIrqs, fds: Sequence[int]) -> None:
        """Obey a SET_IRQS.

        Takes the fds over when it returns; when it raises RequestRefused they are the caller's.
        """
        action = self._checked(request, fds)
        kind = self._types[request.index]
        with self._lock:
            data = request.flags & IRQ_DATA_MASK
            if data == IrqSetFlags.DATA_EVENTFD:
                self._arm(kind, request, fds)
            elif request.count == 0:
                self._disarm(kind)
            else:
                chosen = [
                    request.start + at
                    for at in range(request.count)
                    if data == IrqSetFlags.DATA_NONE or request.data[at]
                ]
                self._actions[action](request.index, chosen)
        self._announce(request.index)

    def clear(self) -> None:
        """Forget everything a client set up and close its eventfds; the INTx level stays the device's."""
        for index, kind in enumerate(self._types):
            with self._lock:
                self._disarm(kind)
            self._announce(index)

    def _checked(self, request: DeviceSetIrqs, fds: Sequence[int]) -> IrqSetFlags:
        """Return the action of a request that can be obeyed, or raise RequestRefused."""
        if request.index >= len(self.counts):
            raise RequestRefused(errno.EINVAL, f"interrupt type {request.index:#x}")
        if request.flags & ~(IRQ_DATA_MASK | IRQ_ACTION_MASK):
            raise RequestRefused(errno.EINVAL, f"SET_IRQS flags {request.flags:#x}")
        data = request.flags & IRQ_DATA_MASK
        action = request.flags & IRQ_ACTION_MASK
        if data.bit_count() != 1 or action.bit_count() != 1:
            raise RequestRefused(errno.EINVAL, f"SET_IRQS flags {request.flags:#x}")
        if request.start + request.count > self.counts[request.index]:
            raise RequestRefused(errno.EINVAL, f"vectors {request.start:#x}+{request.count:#x}")
        if request.count == 0 and (
            request.start or data != IrqSetFlags.DATA_NONE or action != IrqSetFlags.ACTION_TRIGGER
        ):
            raise RequestRefused(errno.EINVAL, "a count of 0 can only disable a whole type")
        if len(request.data) != (request.count if data == IrqSetFlags.DATA_BOOL else 0):
            # QEMU's data for DATA_BOOL is as long as argsz says; nothing else carries any.
            raise RequestRefused(errno.EINVAL, f"{len(request.data):#x} bytes of data")
        maskable = IRQ_FLAGS.get(request.index, 0) & IrqInfoFlags.MASKABLE
        if action != IrqSetFlags.ACTION_TRIGGER:
            if not maskable:
                raise RequestRefused(errno.EINVAL, f"type {request.index} cannot be masked")
            if data == IrqSetFlags.DATA_EVENTFD:
                raise RequestRefused(errno.ENOTSUP, "masking by an eventfd")
        self._check_fds(request, data, fds)
        return IrqSetFlags(action)

    def _check_fds(self, request: DeviceSetIrqs, data: int, fds: Sequence[int]) -> None:
        if data != IrqSetFlags.DATA_EVENTFD:
            if fds:
                raise RequestRefused(errno.EINVAL, "fds that nothing asks for")
        elif fds and len(fds) != request.count:
            raise RequestRefused(errno.EINVAL, f"{len(fds)} fds for {request.count} vectors")
        elif not all(self._sink.accepts(fd) for fd in fds):
            raise RequestRefused(errno.EINVAL, "an fd that is not an eventfd")

    def _arm(self, kind: _Type, request: DeviceSetIrqs, fds: Sequence[int]) -> None:
        """Give the vectors new eventfds; no fds at all takes theirs away."""
        for at in range(request.count):
            vector = request.start + at
            if kind.eventfds[vector] != NO_EVENTFD:
                kind.replaced.append(kind.eventfds[vector])
            kind.eventfds[vector] = fds[at] if fds else NO_EVENTFD
            kind.masked[vector] = False
        if request.index == PciIrq.INTX and self._level:
            self._signal(PciIrq.INTX, 0)

    def _disarm(self, kind: _Type) -> None:
        kind.replaced += [fd for fd in kind.eventfds if fd != NO_EVENTFD]
        kind.eventfds[:] = [NO_EVENTFD] * len(kind.eventfds)
        kind.masked[:] = [False] * len(kind.masked)

    def _mask(self, index: int, vectors: Sequence[int]) -> None:
        for vector in vectors:
            self._types[index].masked[vector] = True

    def _unmask(self, index: int, vectors: Sequence[int]) -> None:
        for vector in vectors:
            self._types[index].masked[vector] = False
            self._types[index].unmasked.append(vector)
            if index == PciIrq.INTX and self._level:
                self._signal(index, vector)

    def _fire(self, index: int, vectors: Sequence[int]) -> None:
        for vector in vectors:
            self._signal(index, vector)

    def _signal(self, index: int, vector: int) -> bool:
        """Write the eventfd, if the vector has one and is not masked. The lock is held."""
        kind = self._types[index]
        fd = kind.eventfds[vector]
        if fd == NO_EVENTFD or kind.masked[vector]:
            return False
        if index == PciIrq.INTX:
            kind.masked[vector] = True  # AUTOMASKED
        self._sink.signal(fd)
        return True

    def _announce(self, index: int) -> None:
        """Tell the listeners, then close what they may no longer use."""
        kind = self._types[index]
        with self._lock:
            change = IrqChange(index, tuple(kind.eventfds), tuple(kind.masked), tuple(kind.unmasked))
            replaced, kind.replaced = kind.replaced, []
            kind.unmasked = []
        for listener in tuple(self._listeners):
            listener(change)
        for fd in replaced:
            self._sink.close(fd)
