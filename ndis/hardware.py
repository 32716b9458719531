"""What NDIS asks of the bus below it, and the resources a driver holds on it.

The bus is injected (``miniport.hal`` has four). NDIS keeps the account of what a driver has taken,
so that Halt can be checked, and faults can be injected (``inject``; values of NDISTest's
1c_FaultHandling).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ndis.errors import NdisError
from ndis.events import Kind
from ndis.status import Status
from ntos.errors import BugCheckError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ndis.ports import Border


class Registers(Protocol):
    """A mapped range of device registers, by byte offset."""

    def read32(self, offset: int) -> int:
        """Read 32 bits."""

    def write32(self, offset: int, value: int) -> None:
        """Write 32 bits."""


class SharedMemory(Protocol):
    """Memory that driver and device both see."""

    @property
    def address(self) -> int:
        """The bus address of the first byte."""

    @property
    def view(self) -> memoryview:
        """The bytes, writable."""


class Hardware(Protocol):
    """One device on its bus."""

    def map_io_space(self, bar: int) -> tuple[Registers, int]:
        """Map a BAR; return its registers and length in bytes."""

    def allocate_shared_memory(self, length: int) -> SharedMemory:
        """Allocate contiguous memory for the device. Raises MemoryError when there is none."""

    def free_shared_memory(self, memory: SharedMemory) -> None:
        """Give it back."""

    def connect_interrupt(self, message: int, service: Callable[[], bool]) -> object:
        """Call ``service`` at every interrupt; it returns whether it was ours."""

    def disconnect_interrupt(self, connection: object) -> None:
        """Call it no more."""

    def read_config(self, offset: int, length: int) -> bytes:
        """Read PCI configuration space."""

    def write_config(self, offset: int, data: bytes) -> None:
        """Write PCI configuration space."""


class Fault(enum.IntFlag):
    """What fault injection makes fail, by NDISTest's numbers."""

    NONE = 0
    ALLOCATE_MAP_REGISTERS = 0x001
    REGISTER_INTERRUPT = 0x002
    ALLOCATE_SHARED_MEMORY = 0x004
    MAP_IO_SPACE = 0x010
    REGISTER_IO_PORT_RANGE = 0x020
    READ_BUS_CONFIG = 0x040
    WRITE_BUS_CONFIG = 0x080
    INITIALIZE_SCATTER_GATHER = 0x100


@dataclass(frozen=True, slots=True, eq=False)
class Resource:
    """One thing a driver holds: its kind, and the bus's own object."""

    kind: str
    what: Any
    length: int = 0
    address: int = 0


@dataclass(slots=True, eq=False)
class RegisterAccess:
    """A register access of the driver's; ``value`` of a read is known when the bus has answered."""

    offset: int
    value: int | None = None

    def __repr__(self) -> str:
        """Name the place and the value."""
        return f"{self.offset:#07x}" + ("" if self.value is None else f"={self.value:08x}")


class MappedRegisters:
    """Registers with the bounds of their BAR; every access can be observed."""

    def __init__(self, adapter: Border, below: Registers, length: int) -> None:
        self._adapter = adapter
        self._below = below
        self.length = length

    def read32(self, offset: int) -> int:
        """NdisReadRegisterUlong."""
        access = self._note("read", RegisterAccess(offset))
        access.value = self._below.read32(offset)
        return access.value

    def write32(self, offset: int, value: int) -> None:
        """NdisWriteRegisterUlong."""
        self._note("write", RegisterAccess(offset, value))
        self._below.write32(offset, value)

    def _note(self, how: str, access: RegisterAccess) -> RegisterAccess:
        offset = access.offset
        if self._adapter.observer is not None:
            self._adapter.emit(Kind.MMIO, how, access, offset=offset, length=self.length)
        if not 0 <= offset <= self.length - 4:
            raise BugCheckError(f"register {how} at {offset:#x}, outside {self.length:#x} bytes")
        return access


class Resources:
    """The account of what one adapter's driver has taken from the bus."""

    def __init__(self, adapter: Border, hardware: Hardware | None) -> None:
        self._adapter = adapter
        self._hardware = hardware
        self.inject = Fault.NONE
        self.held: list[Resource] = []

    @property
    def bus(self) -> Hardware | None:
        """The bus; None for a software miniport."""
        return self._hardware

    @property
    def hardware(self) -> Hardware:
        """The bus; a software miniport has none and gets NdisError."""
        if self._hardware is None:
            raise NdisError(Status.RESOURCES, "the adapter has no hardware")
        return self._hardware

    def map_io_space(self, bar: int) -> Registers:
        """NdisMMapIoSpace.

        The bare registers when nobody observes; bounds are checked then by the bus.
        """
        self.may_fail(Fault.MAP_IO_SPACE)
        below, length = self.hardware.map_io_space(bar)
        mapped = MappedRegisters(self._adapter, below, length)
        self.take(Resource("io space", mapped, length))
        return mapped if self._adapter.observer is not None else below

    def unmap_io_space(self) -> None:
        """NdisMUnmapIoSpace: of everything mapped."""
        for one in [r for r in self.held if r.kind == "io space"]:
            self.give(one)

    def allocate_shared_memory(self, length: int) -> SharedMemory:
        """NdisMAllocateSharedMemory. Raises NdisError(RESOURCES)."""
        self.may_fail(Fault.ALLOCATE_SHARED_MEMORY)
        try:
            memory = self.hardware.allocate_shared_memory(length)
        except MemoryError as error:
            raise NdisError(Status.RESOURCES, f"{length:#x} bytes of shared memory") from error
        self.take(Resource("shared memory", memory, length, memory.address))
        return memory

    def free_shared_memory(self, memory: SharedMemory) -> None:
        """NdisMFreeSharedMemory."""
        self.give(self.find("shared memory", memory))
        self.hardware.free_shared_memory(memory)

    def initialize_scatter_gather(self) -> Resource:
        """NdisMInitializeScatterGatherDma."""
        self.may_fail(Fault.INITIALIZE_SCATTER_GATHER)
        resource = Resource("scatter-gather", object())
        self.take(resource)
        return resource

    def map_dma(self, memory: Any, address: int, length: int) -> Resource:  # noqa: ANN401 - whatever the bus maps
        """Note that the device may read or write [address, address + length).

        A scatter-gather element.
        """
        self.may_fail(Fault.ALLOCATE_MAP_REGISTERS)
        resource = Resource("dma map", memory, length, address)
        self.take(resource)
        return resource

    def read_config(self, offset: int, length: int) -> bytes:
        """NdisReadPciSlotInformation."""
        self.may_fail(Fault.READ_BUS_CONFIG)
        return self.hardware.read_config(offset, length)

    def write_config(self, offset: int, data: bytes) -> None:
        """NdisWritePciSlotInformation."""
        self.may_fail(Fault.WRITE_BUS_CONFIG)
        self.hardware.write_config(offset, data)

    def dma(self, address: int, length: int) -> None:
        """Note that the driver is about to give this range to the device."""
        if self._adapter.observer is not None:
            mapped = [(r.address, r.length) for r in self.held if r.address]
            self._adapter.emit(Kind.DMA, "dma", None, address=address, length=length, mapped=mapped)

    def may_fail(self, fault: Fault) -> None:
        """Raise NdisError(RESOURCES) when this fault is injected."""
        if self.inject & fault:
            raise NdisError(Status.RESOURCES, f"injected fault {fault.value:#05x} ({fault.name})")

    def take(self, resource: Resource) -> None:
        """Enter it into the account."""
        self.held.append(resource)
        if self._adapter.observer is not None:
            self._adapter.emit(Kind.ACQUIRE_RESOURCE, resource.kind, resource)

    def give(self, resource: Resource) -> None:
        """Strike it from the account; giving back twice is a bug."""
        if resource not in self.held:
            raise BugCheckError(f"{resource.kind} released that is not held", resource)
        self.held.remove(resource)
        if self._adapter.observer is not None:
            self._adapter.emit(Kind.RELEASE_RESOURCE, resource.kind, resource)

    def find(self, kind: str, what: object) -> Resource:
        """Return the entry for ``what``; a bug when there is none."""
        for one in self.held:
            if one.kind == kind and one.what is what:
                return one
        raise BugCheckError(f"{kind} released that is not held", what)
