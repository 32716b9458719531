"""One card as the driver holds it: memory, rings, filters, interrupts, counters; and its way up and down.

It is what both generations of NDIS entry points (``adapter``, ``adapter6``) and both modes stand on. It takes
resources from NDIS and knows no packets: frames pass as tokens and as ``Received``.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from miniport import interrupt, offload
from miniport import registers as r
from miniport.coalescingring import CoalescingRing
from miniport.filters import Filters
from miniport.hal.contract import Bus
from miniport.hardware import Hardware, HardwareError, ReceiveOptions
from miniport.rxring import BUFFER_BYTES, ReceiveRing, RxBuffer, RxRing
from miniport.scaling import Scaling
from miniport.settings import STANDARD_FRAME_BYTES, Settings
from miniport.statistics import Statistics
from miniport.txring import STAGE_BYTES, TxRing
from miniport.wake import Wake, find_power, power_word
from ndis.errors import NdisError
from ndis.filter8023 import PacketFilter
from ndis.offload import NOTHING, Offload
from ndis.oids import PowerState
from ndis.rsc import CoalescingStatistics
from ndis.status import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from ndis.hardware import Resource, SharedMemory
    from ndis.interrupts import Interrupt
    from ndis.rsc import Coalescing
    from ndis.upcalls import Upcalls

VENDOR_DEVICE = bytes.fromhex("8680d310")
COMMAND, COMMAND_MEMORY, COMMAND_MASTER = 0x04, 1 << 1, 1 << 2
BAR0 = 0
ALLOCATION_BYTES = 1 << 20
"""Receive buffers are allocated in pieces of this size: a bus may have no larger one (2 MiB hugepages)."""
SPEEDS_MBPS = (10, 100, 1000, 1000)


class Nic:
    """The card and what the driver holds for it.

    Invariant: between ``stop`` and ``start`` the card does no DMA and raises no interrupt.
    """

    def __init__(self, ndis: Upcalls) -> None:
        """Read the settings; touch no hardware."""
        self.ndis = ndis
        self.note_dma = ndis.resources.dma
        self.settings = Settings.read(ndis)
        self.statistics = Statistics()
        self.wake = Wake()
        self.scaling = Scaling()
        self.offload = NOTHING
        self.capabilities = NOTHING if self.settings.legacy_descriptors else offload.CAPABILITIES
        self.transmit: list[TxRing[Any]] = []
        self.receive: list[ReceiveRing] = []
        self._coalescing: list[CoalescingRing] = []
        self.permanent_address = bytes(6)
        self.link_up = False
        self.speed_mbps = 0
        self._coalesces = (False, False)
        self.moderation_us = self.settings.moderation_us
        self.interrupts: list[Interrupt] = []
        self._memory: list[SharedMemory] = []
        self._resources: list[Resource] = []
        self._watched = [(-1, -1)] * 2  # per transmit queue: head and frames at the last look

    # -- coming and going ------------------------------------------------------------------------------

    def acquire(self, *, split: bool) -> None:
        """Take what the card needs from NDIS, and bring it to life, masked.

        NdisError when something is not to be had, HardwareError when the card is not well. After either
        ``release`` gives back what was taken.
        """
        resources = self.ndis.resources
        if resources.read_config(0, 4) != VENDOR_DEVICE:
            raise NdisError(Status.ADAPTER_NOT_FOUND, "no 82574L at this place")
        command = int.from_bytes(resources.read_config(COMMAND, 2), "little")
        command |= COMMAND_MEMORY | COMMAND_MASTER
        resources.write_config(COMMAND, command.to_bytes(2, "little"))
        bus = resources.hardware
        if not isinstance(bus, Bus):
            raise NdisError(Status.RESOURCES, "the bus grants no interrupts")
        self.hardware = Hardware(self.ndis.map_io_space(BAR0), bus.stall)
        self._resources.append(resources.initialize_scatter_gather())
        self.hardware.reset()
        self.hardware.check_nvm()
        self.hardware.wake_phy()
        self.permanent_address = self.hardware.permanent_address()
        self.filters = Filters(self.hardware, self._receive_control())
        self.filters.address = self.settings.network_address or self.permanent_address
        queues = self.settings.transmit_queues, self.settings.receive_queues
        self._lay_rings(*queues)
        late = bool(self.settings.completion_ms) and not split
        self.plan = interrupt.plan(bus.messages, queues[1], queues[0], split=split, late=late)
        if queues[1] > 1:
            self.scaling = Scaling.over(queues[1])
        for message in range(len(self.plan.sources)):
            self.interrupts.append(self.ndis.register_interrupt(message, shared=self.plan.is_line))

    def release(self) -> None:
        """Give everything back; what was not taken does not matter."""
        for one in self.interrupts:
            self.ndis.deregister_interrupt(one)
        self.interrupts = []
        self.transmit, self.receive, self._coalescing = [], [], []
        for resource in self._resources:
            self.ndis.resources.give(resource)
        self._resources = []
        for memory in self._memory:
            self.ndis.free_shared_memory(memory)
        self._memory = []
        self.ndis.unmap_io_space()

    def start(self) -> None:
        """Program the card, from reset to running; interrupts come from here on."""
        settings, hardware = self.settings, self.hardware
        hardware.set_address(0, self.filters.address)
        hardware.clear_tables()
        hardware.start_link(vlan=settings.vlan)
        hardware.start_transmitter(self.transmit)
        options = ReceiveOptions(
            extended=not settings.legacy_descriptors,
            jumbo=settings.jumbo_bytes > STANDARD_FRAME_BYTES,
            checksums=True,
            scaling=bool(self.scaling.types),
        )
        hardware.start_receiver(self.receive, options)
        self.scaling.apply(hardware)
        self.filters.set_multicast(self.filters.multicast)
        self.filters.apply()
        for ring in self.receive:  # after RCTL: tails written to a receiver that is off get lost (82574 5.x)
            ring.fill()
        hardware.moderate(self.moderation_us, max(len(self.plan.sources), 1))
        interrupt.program(hardware, self.plan)
        self.look_at_link()
        interrupt.unmask_all(hardware, self.plan)

    def stop(self) -> list[Any]:
        """Reset the card and empty the rings; return the tokens of frames it had."""
        self.hardware.reset()
        lost = [token for ring in self.transmit for token in ring.reset()]
        for receive in self.receive:
            receive.reset()
        self._watched = [(-1, -1)] * 2
        return lost

    def restart(self) -> list[Any]:
        """Do ``stop`` and ``start``: the way out of a hang. HardwareError."""
        lost = self.stop()
        self.start()
        return lost

    def forget_filters(self) -> None:
        """Start with no filter, as NDIS expects of AddressingReset."""
        self.filters.forget()

    # -- looking ----------------------------------------------------------------------------------------

    def look_at_link(self) -> bool:
        """Read the link; True when it came or went."""
        status = self.hardware.read(r.STATUS)
        up = bool(status & r.STATUS_LU)
        changed = up != self.link_up
        self.link_up = up
        self.speed_mbps = SPEEDS_MBPS[r.STATUS_SPEED.get(status)] if up else 0
        return changed

    def is_hung(self) -> bool:
        """Tell whether the card is gone, or a ring has frames and did not move since the last look."""
        if self.wake.power is not PowerState.D0:
            return False
        if self.hardware.is_gone:
            return True
        hung = False
        for queue, ring in enumerate(self.transmit):
            seen = (self.hardware.read(r.offset(f"TDH{queue}")), ring.busy)
            stands = bool(ring.busy) and not ring.has_done and seen == self._watched[queue]
            hung = hung or (stands and self.link_up)
            self._watched[queue] = seen
        return hung

    # -- settings while it runs ---------------------------------------------------------------------------

    def set_packet_filter(self, wanted: int) -> None:
        """Take NDIS's packet filter."""
        self.filters.packet_filter = PacketFilter(wanted)
        self.filters.apply()

    def set_moderation(self, least_us: int) -> None:
        """Take a new least time between interrupts."""
        self.moderation_us = least_us
        self.hardware.moderate(least_us, max(len(self.plan.sources), 1))

    def set_scaling(self, scaling: Scaling) -> None:
        """Take new RSS parameters."""
        self.scaling = scaling
        checksum = r.RXCSUM_OFFLOAD | (r.RXCSUM_PCSD if scaling.types else 0)
        self.hardware.write(r.RXCSUM, checksum)
        scaling.apply(self.hardware)

    def set_offload(self, wanted: Offload) -> None:
        """Switch offloads on. Raises NdisError(NOT_SUPPORTED) for what the card cannot do."""
        if not wanted.within(self.capabilities):
            raise NdisError(Status.NOT_SUPPORTED, f"the card cannot do {wanted}")
        self.offload = wanted

    @property
    def may_coalesce(self) -> bool:
        """Whether the registry allows receive coalescing, and the descriptors have what it needs."""
        return any(self.settings.coalescing) and not self.settings.legacy_descriptors

    def set_coalescing(self, wanted: Coalescing) -> None:
        """Coalesce what a transport asks for and the registry allows."""
        allowed = self.settings.coalescing
        v4, v6 = (wanted.of(old, now) for old, now in zip(self._coalesces, wanted.states, strict=True))
        self._coalesces = (v4 and allowed[0], v6 and allowed[1])
        for ring in self._coalescing:
            ring.coalesce(v4=self._coalesces[0], v6=self._coalesces[1])

    def coalescing_statistics(self) -> CoalescingStatistics:
        """Return what was coalesced, on all rings."""
        counts = [ring.counts for ring in self._coalescing]
        return CoalescingStatistics(*map(sum, zip(*counts, strict=True)))

    def sleep(self, state: PowerState) -> list[Any]:
        """Go to a low-power state, wake-up armed; return the tokens of frames that the card had."""
        lost = self.stop()
        self.hardware.start_link(vlan=False)  # a sleeping card listens only with its link up
        self.hardware.set_address(0, self.filters.address)
        self.wake.arm(self.hardware)
        if self.wake.filters:
            self.hardware.write(r.RCTL, self._receive_control() | r.RCTL_BAM | r.RCTL_EN)
        self._set_power(state)
        self.wake.power = state
        return lost

    def awaken(self) -> int:
        """Come back to D0 with everything set as it was; return WUS: what woke the card. HardwareError."""
        self._set_power(PowerState.D0)
        self.wake.power = PowerState.D0
        cause = self.wake.disarm(self.hardware)
        self.hardware.reset()
        self.start()
        return cause

    def _set_power(self, state: PowerState) -> None:
        resources = self.ndis.resources
        at = find_power(resources.read_config)
        if at:
            resources.write_config(at + 4, power_word(state, armed=bool(self.wake.filters)))

    # -- memory -------------------------------------------------------------------------------------------

    def _allocate(self, length: int) -> SharedMemory:
        memory = self.ndis.allocate_shared_memory(length)
        self._memory.append(memory)
        return memory

    def _lay_rings(self, transmit: int, receive: int) -> None:
        settings = self.settings
        for queue in range(transmit):
            count = settings.transmit_descriptors
            stages = self._allocate(count * STAGE_BYTES)
            mapped = self.ndis.resources.map_dma(stages, stages.address, count * STAGE_BYTES)
            self._resources.append(mapped)
            self.transmit.append(
                TxRing(
                    self._allocate(count * 16),
                    stages,
                    count,
                    self._doorbell(f"TDT{queue}"),
                    legacy=settings.legacy_descriptors,
                )
            )
        for queue in range(receive):
            self.receive.append(self._lay_receive_ring(queue))

    def _lay_receive_ring(self, queue: int) -> ReceiveRing:
        settings = self.settings
        count, doorbell = settings.receive_descriptors, self._doorbell(f"RDT{queue}")
        descriptors = self._allocate(count * 16)
        if self.may_coalesce:
            ring = CoalescingRing(descriptors, self._buffers(count), count, doorbell)
            self._coalescing.append(ring)
            return ring
        buffers = self._buffers(count - 1 + settings.receive_spares)
        return RxRing(descriptors, buffers, count, doorbell, legacy=settings.legacy_descriptors)

    def _buffers(self, wanted: int) -> list[RxBuffer]:
        found: list[RxBuffer] = []
        each = ALLOCATION_BYTES // BUFFER_BYTES
        for first in range(0, wanted, each):
            number = min(each, wanted - first)
            memory = self._allocate(number * BUFFER_BYTES)
            found += [
                RxBuffer(memory.address + at, memory.view[at : at + BUFFER_BYTES])
                for at in range(0, number * BUFFER_BYTES, BUFFER_BYTES)
            ]
        return found

    def _doorbell(self, register: str) -> Callable[[int], None]:
        return partial(self.hardware.write, r.offset(register))

    def _receive_control(self) -> int:
        jumbo = self.settings.jumbo_bytes > STANDARD_FRAME_BYTES
        return r.RCTL_SECRC | (r.RCTL_LPE if jumbo else 0)


__all__ = ["BUFFER_BYTES", "HardwareError", "Nic"]
