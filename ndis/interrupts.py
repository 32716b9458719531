"""Interrupts: the ISR at device level, the DPC at DISPATCH_LEVEL through the gate.

Source: NdisMRegisterInterrupt, MiniportISR, MiniportHandleInterrupt, NdisMSynchronizeWithInterrupt
(NDIS 5.1); NdisMRegisterInterruptEx (NDIS 6).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from ndis.events import Kind
from ndis.hardware import Fault, Resource
from ndis.ports import Border
from ntos.executive.irql import Irql

if TYPE_CHECKING:
    from collections.abc import Callable

    from ndis.hardware import Resources

R = TypeVar("R")


class InterruptHost(Border, Protocol):
    """What an interrupt needs of its adapter."""

    resources: Resources
    is_initialized: bool


class Interrupt:
    """One registered interrupt: a line or a message.

    Invariants: one ISR at a time; at most one DPC is queued, or waits for the miniport lock, and an
    interrupt while it runs queues it again.
    """

    def __init__(self, adapter: InterruptHost, message: int, *, shared: bool, request_isr: bool) -> None:
        """Connect to the bus.

        ``request_isr``: call the driver's ISR even if the line is not shared.
        """
        adapter.resources.may_fail(Fault.REGISTER_INTERRUPT)
        self.message = message
        self._adapter = adapter
        self._lock = adapter.executive.spin_lock("interrupt")
        self._dpc_queued = False
        handlers = adapter.handlers
        self._isr = handlers.get("interrupt" if adapter.ndis6 else "isr") if shared or request_isr else None
        self._dpc_name = "interrupt_dpc" if adapter.ndis6 else "handle_interrupt"
        self._dpc_handler = handlers.get(self._dpc_name)
        self._arguments = (message,) if adapter.ndis6 else ()
        self._enable = handlers.get("enable_interrupt")
        self._disable = handlers.get("disable_interrupt")
        self._connection = adapter.resources.hardware.connect_interrupt(message, self.service)
        self._resource = Resource("interrupt", self)
        adapter.resources.take(self._resource)

    def deregister(self) -> None:
        """NdisMDeregisterInterrupt."""
        self._adapter.resources.hardware.disconnect_interrupt(self._connection)
        self._adapter.resources.give(self._resource)

    def service(self) -> bool:
        """Take an interrupt from the bus, at device level; return whether it was this driver's."""
        adapter = self._adapter
        recognized: bool
        before = adapter.irql.raise_to(Irql.DEVICE)
        try:
            self._lock.acquire()
            try:
                if adapter.observer is None and self._isr is not None:  # the hot path
                    recognized, queue = self._isr(*self._arguments)
                else:
                    recognized, queue = self._call_isr()
            finally:
                self._lock.release()
            if queue and not self._dpc_queued:
                self._dpc_queued = True
                adapter.executive.queue_dpc(self._dpc_name, partial(adapter.gate.post, self._handle))
        finally:
            adapter.irql.lower_to(before)
        return recognized

    def synchronize(self, routine: Callable[[], R]) -> R:
        """NdisMSynchronizeWithInterrupt: run ``routine`` at device level, never beside the ISR."""
        irql = self._adapter.irql
        before = irql.raise_to(Irql.DEVICE)
        try:
            self._lock.acquire()
            try:
                return routine()
            finally:
                self._lock.release()
        finally:
            irql.lower_to(before)

    def _call_isr(self) -> tuple[bool, bool]:
        adapter = self._adapter
        if self._isr is not None:
            recognized, queue = adapter.enter("isr", self._isr, *self._arguments)
        else:
            if self._disable is not None:
                adapter.enter("disable_interrupt", self._disable)
            recognized = queue = True
        if adapter.observer is not None:
            adapter.emit(Kind.INTERRUPT, "isr", self, recognized=recognized, queue=queue)
        return recognized, queue

    def _handle(self) -> None:
        self._dpc_queued = False
        adapter = self._adapter
        handle = self._dpc_handler
        if handle is None or not adapter.is_initialized:
            return
        if adapter.observer is None:
            handle(*self._arguments)
        else:
            adapter.enter(self._dpc_name, handle, *self._arguments)
        enable = self._enable
        if enable is not None and adapter.is_initialized:
            self.synchronize(lambda: adapter.enter("enable_interrupt", enable))
