"""The NdisM functions, as one adapter's driver sees them. Each is one line: the work is elsewhere.

Nothing here may be called with a driver's own spin lock held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ndis.events import Kind
from ndis.interrupts import Interrupt, InterruptHost
from ndis.packet import Owner, PacketPool
from ndis.status import Status
from ndis.timers import MiniportTimer, TimerHost
from ntos.executive.contract import expect

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ndis.attributes import Attribute
    from ndis.hardware import Registers, Resources, SharedMemory
    from ndis.nbl import NetBufferList
    from ndis.nblpath import ListSends
    from ndis.packet import Packet
    from ndis.ports import Border, Bound
    from ndis.receive import Receives
    from ndis.request_queue import RequestQueue
    from ndis.reset import HangCheck, Resets
    from ndis.sends import SendPath
    from ndis.timers import WorkItems

R = TypeVar("R")


class Pools(Protocol):
    """Who makes pools of packets: NDIS."""

    def packet_pool(self, size: int, holder: Owner) -> PacketPool:
        """NdisAllocatePacketPool."""


class UpcallHost(InterruptHost, TimerHost, Protocol):
    """What the functions reach: an adapter with all its parts."""

    configuration: Mapping[str, object]
    attributes: Attribute
    may_indicate: bool
    opens: tuple[Bound, ...]
    interrupts: list[Interrupt]
    work_items: WorkItems
    hang_check: HangCheck
    resets: Resets
    requests: RequestQueue
    receives: Receives
    sends: SendPath
    lists: ListSends

    @property
    def ndis(self) -> Pools:
        """NDIS."""

    def upcall(self, name: str, call: Callable[..., Any], *arguments: Any) -> Any:  # noqa: ANN401 - each function has its own types
        """Run one NDIS function that the driver called."""

    def move(self, event: str) -> None:
        """Change the adapter's state."""

    def pause_completed(self) -> None:
        """NdisMPauseComplete."""

    def indicate_status(self, status: Status, data: object = None) -> None:
        """NdisMIndicateStatus."""


class DriverLock:
    """NDIS_SPIN_LOCK: a driver's own lock, as a context manager."""

    def __init__(self, adapter: Border, name: str) -> None:
        self.name = name
        self._adapter = adapter
        self._below = adapter.executive.spin_lock(name)

    def __enter__(self) -> None:
        """NdisAcquireSpinLock."""
        self._below.acquire()
        if self._adapter.observer is not None:
            self._adapter.emit(Kind.LOCK, self.name, self)

    def __exit__(self, *_error: object) -> None:
        """NdisReleaseSpinLock."""
        if self._adapter.observer is not None:
            self._adapter.emit(Kind.UNLOCK, self.name, self)
        self._below.release()


class Upcalls:
    """What a miniport calls. One object an adapter, given to the driver when it is made."""

    def __init__(self, adapter: UpcallHost) -> None:
        self._adapter = adapter

    # Set-up, at PASSIVE_LEVEL in Initialize.

    @property
    def name(self) -> str:
        """The adapter's name."""
        return self._adapter.name

    @property
    def is_started(self) -> bool:
        """Whether frames may be indicated now."""
        return self._adapter.may_indicate

    @property
    def resources(self) -> Resources:
        """Registers, shared memory, configuration space: see ``ndis.hardware``."""
        return self._adapter.resources

    def read_configuration(self, keyword: str, default: R) -> R:
        """NdisReadConfiguration: the registry's value if it has the type of ``default``."""
        value = self._adapter.configuration.get(keyword, default)
        return value if isinstance(value, type(default)) else default

    def set_attributes(self, attributes: Attribute, hang_s: int = 0) -> None:
        """NdisMSetAttributesEx. ``hang_s`` 0 means two seconds between CheckForHang calls."""
        self._adapter.attributes = attributes
        if hang_s:
            self._adapter.hang_check.period_s = hang_s

    def map_io_space(self, bar: int) -> Registers:
        """NdisMMapIoSpace."""
        return self._adapter.resources.map_io_space(bar)

    def unmap_io_space(self) -> None:
        """NdisMUnmapIoSpace, of every BAR that is mapped."""
        self._adapter.resources.unmap_io_space()

    def allocate_shared_memory(self, length: int) -> SharedMemory:
        """NdisMAllocateSharedMemory. Raises NdisError(RESOURCES)."""
        return self._adapter.resources.allocate_shared_memory(length)

    def free_shared_memory(self, memory: SharedMemory) -> None:
        """NdisMFreeSharedMemory."""
        self._adapter.resources.free_shared_memory(memory)

    def register_interrupt(
        self, message: int = 0, *, shared: bool = True, request_isr: bool = True
    ) -> Interrupt:
        """NdisMRegisterInterrupt. Raises NdisError."""
        interrupt = Interrupt(self._adapter, message, shared=shared, request_isr=request_isr)
        self._adapter.interrupts.append(interrupt)
        return interrupt

    def deregister_interrupt(self, interrupt: Interrupt) -> None:
        """NdisMDeregisterInterrupt."""
        self._adapter.interrupts.remove(interrupt)
        interrupt.deregister()

    def synchronize_with_interrupt(self, interrupt: Interrupt, routine: Callable[[], R]) -> R:
        """NdisMSynchronizeWithInterrupt."""
        return interrupt.synchronize(routine)

    def timer(self, routine: Callable[[], None]) -> MiniportTimer:
        """NdisMInitializeTimer."""
        return MiniportTimer(self._adapter, routine)

    def spin_lock(self, name: str) -> DriverLock:
        """NdisAllocateSpinLock."""
        return DriverLock(self._adapter, name)

    def packet_pool(self, size: int) -> PacketPool:
        """NdisAllocatePacketPool, for receive packets: the driver owns what comes out."""
        return self._adapter.ndis.packet_pool(size, Owner.MINIPORT)

    def schedule_work_item(self, routine: Callable[[], None]) -> None:
        """NdisScheduleWorkItem."""
        self._adapter.work_items.schedule(routine)

    def wait(self, until: Callable[[], bool], what: str) -> None:
        """NdisWaitEvent: return when ``until()``. Only at PASSIVE_LEVEL, as in Halt."""
        expect(self._adapter.executive, until, what)

    def now_ns(self) -> int:
        """NdisGetCurrentSystemTime, as monotonic nanoseconds."""
        return self._adapter.executive.now_ns()

    # Data.

    def send_complete(self, packet: Packet, status: Status) -> None:
        """NdisMSendComplete."""
        adapter = self._adapter
        if adapter.observer is None:  # the hot path
            adapter.sends.complete(packet, status)
        else:
            adapter.upcall("send_complete", adapter.sends.complete, packet, status)

    def send_resources_available(self) -> None:
        """NdisMSendResourcesAvailable."""
        adapter = self._adapter
        adapter.upcall("send_resources_available", adapter.sends.resources_available)

    def indicate_receive_packets(self, packets: list[Packet]) -> None:
        """NdisMIndicateReceivePacket."""
        adapter = self._adapter
        if adapter.observer is None:
            adapter.receives.indicate_packets(packets)
        else:
            adapter.upcall("indicate_receive_packets", adapter.receives.indicate_packets, packets)

    def eth_indicate_receive(
        self, context: object, header: bytes, lookahead: bytes, packet_size: int
    ) -> None:
        """NdisMEthIndicateReceive. ``packet_size`` is the payload's, without the header."""
        adapter = self._adapter
        call = adapter.receives.eth_indicate
        adapter.upcall("eth_indicate_receive", call, context, header, lookahead, packet_size)

    def eth_indicate_receive_complete(self) -> None:
        """NdisMEthIndicateReceiveComplete."""
        adapter = self._adapter
        adapter.upcall("eth_indicate_receive_complete", adapter.receives.eth_indicate_complete)

    def transfer_data_complete(self, packet: Packet, status: Status, copied: int) -> None:
        """NdisMTransferDataComplete."""
        adapter = self._adapter
        open_ = packet.ndis_reserved
        adapter.upcall("transfer_data_complete", open_.transfer_completed, packet, status, copied)

    # NDIS 6 data.

    def send_net_buffer_lists_complete(self, nbls: Sequence[NetBufferList]) -> None:
        """NdisMSendNetBufferListsComplete; each list's ``status`` is set."""
        adapter = self._adapter
        adapter.upcall("send_net_buffer_lists_complete", adapter.lists.complete_lists, nbls)

    def indicate_receive_net_buffer_lists(
        self, nbls: Sequence[NetBufferList], *, resources: bool = False
    ) -> None:
        """NdisMIndicateReceiveNetBufferLists; ``resources`` is NDIS_RECEIVE_FLAGS_RESOURCES."""
        adapter = self._adapter
        adapter.upcall("indicate_receive_net_buffer_lists", adapter.lists.indicate_lists, nbls, resources)

    def pause_complete(self) -> None:
        """NdisMPauseComplete."""
        self._adapter.upcall("pause_complete", self._adapter.pause_completed)

    def restart_complete(self, status: Status) -> None:
        """NdisMRestartComplete."""
        event = "restarted" if status is Status.SUCCESS else "failed"
        self._adapter.upcall("restart_complete", self._adapter.move, event)

    # Control.

    def query_information_complete(self, status: Status) -> None:
        """NdisMQueryInformationComplete."""
        self._adapter.upcall("request_complete", self._adapter.requests.complete, status)

    def set_information_complete(self, status: Status) -> None:
        """NdisMSetInformationComplete."""
        self._adapter.upcall("request_complete", self._adapter.requests.complete, status)

    def oid_request_complete(self, status: Status) -> None:
        """NdisMOidRequestComplete."""
        self._adapter.upcall("request_complete", self._adapter.requests.complete, status)

    def reset_complete(self, status: Status, *, addressing_reset: bool) -> None:
        """NdisMResetComplete."""
        adapter = self._adapter
        adapter.upcall(
            "reset_complete",
            lambda: adapter.resets.complete(status, addressing=addressing_reset),
        )

    def indicate_status(self, status: Status, data: object = None) -> None:
        """NdisMIndicateStatus."""
        self._adapter.upcall("indicate_status", self._adapter.indicate_status, status, data)

    def indicate_status_complete(self) -> None:
        """NdisMIndicateStatusComplete."""
        for open_ in self._adapter.opens:
            open_.callout("status_complete")
