"""The whole card: PCI function, register dispatch, link, NVM, around one engine of either kind.

Sans I/O: region accesses, frames, carrier and *now* come in; frames leave by the callable ``send``, and
interrupts by an ``InterruptSink``. It has the shape of ``device.vfio_user.device.Device`` where regions are
concerned; ``device.serving`` adds sockets, threads and the clock.

Invariant: after every public call the engine's effects were dispatched; none is left behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from device import card_state, leds
from device.control import Control
from device.effects import DmaFault, FrameSent, LineChanged, MessageSignalled, Offload, WakeRaised
from device.engine.contract import Engine, InterruptMode
from device.nvm import Nvm
from device.pci.function import (
    FLASH_SIZE,
    IO_SIZE,
    MSIX_SIZE,
    PMCSR,
    PME_STATUS,
    Function,
)
from device.pci.msix import MsixTable
from device.phy import Phy
from device.regs.nic import BAR0_SIZE, NIC

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

BAR0, BAR1, BAR2, BAR3, BAR4, BAR5, ROM, CONFIG, VGA = range(9)
REGION_SIZES: Final = (BAR0_SIZE, FLASH_SIZE, IO_SIZE, MSIX_SIZE, 0, 0, 0, 4096, 0)
"""Sizes of the regions by VFIO's index, in bytes; 0: there is none."""

_FLASH_WRITES_ALLOWED: Final = 2  # EECD.FWE
_IO_FLASH: Final = (
    0x8_0000  # IOADDR: registers below 128 KiB, the flash from here (datasheet, Address Decoding)
)
_D3HOT: Final = 3
_WUC, _WUFC = NIC["WUC"], NIC["WUFC"]
_LNKC: Final = _WUFC["LNKC"].mask


class InterruptSink(Protocol):
    """Where interrupts go. Both are told the state of things, never asked to decide."""

    def message(self, vector: int) -> bool:
        """Send MSI (vector 0) or MSI-X; False when it could not be sent and is to be kept as pending."""

    def level(self, *, asserted: bool) -> None:
        """Drive the INTx line."""


class NoInterrupts:
    """A sink for a card that nobody listens to: messages stay pending."""

    def message(self, vector: int) -> bool:  # noqa: ARG002 - the seam's shape
        """Keep it."""
        return False

    def level(self, *, asserted: bool) -> None:
        """Ignore it."""


@dataclass(slots=True)
class Account:
    """What the card did, for the story that ``boot`` tells."""

    frames_sent: int = 0
    """Of the cable: a large send is as many as it is cut into, whoever cuts it."""
    frames_received: int = 0
    descriptors: int = 0
    doorbells: int = 0
    interrupts: int = 0
    dma_faults: int = 0
    register_reads: int = 0
    register_writes: int = 0


_DOORBELLS = frozenset({NIC["TDT0"].offset, NIC["TDT1"].offset})
_WORK_MAKERS = _DOORBELLS | {NIC["TCTL"].offset, NIC["CTRL"].offset, NIC["RCTL"].offset}
_WORK_MAKERS |= {NIC[name].offset for name in ("TARC0", "TARC1", "TDH0", "TDH1", "TDLEN0", "TDLEN1")}


class Card:
    """One 82574L."""

    def __init__(
        self,
        engine: Engine,
        mac: bytes,
        *,
        send: Callable[[FrameSent], None] = lambda _: None,
        sink: InterruptSink | None = None,
        nvm: Nvm | None = None,
    ) -> None:
        """Power on. ``send`` takes frames for the wire; ``nvm`` may be one that was kept."""
        self.engine = engine
        self.nvm = nvm or Nvm(mac)
        self.phy = Phy()
        self.function = Function(self.nvm.mac)
        self.msix = MsixTable()
        self.control = Control(engine, self.nvm, self.phy)
        self.account = Account()
        self.faults: list[DmaFault] = []
        self.sink: InterruptSink = sink or NoInterrupts()
        self._send = send
        self._io_address = 0
        self._stored = engine.stored  # of them all, those that the account has
        self._forced: InterruptMode | None = None
        self._dispatchers: dict[type, Callable[..., None]] = {
            FrameSent: self._frame_sent,
            MessageSignalled: self._message,
            LineChanged: self._line,
            DmaFault: self._fault,
            WakeRaised: self._wake,
        }
        self._readers = (self._read_bar0, self.nvm.read_flash, self._read_io, self.msix.read)
        self._writers = (self._write_bar0, self._write_flash, self._write_io, self._write_msix)
        self.reset()

    # -- resets and surroundings ----------------------------------------------------------------------

    def reset(self) -> None:
        """Go to the state after power-on; the cable stays plugged in, the account goes on."""
        self.function.config.reset()
        self.msix.reset()
        self._io_address = 0
        self.control.mastering_allowed = self.control.held = False
        self.control.power_on()
        self._follow_function()
        self._dispatch()

    def hold(self) -> None:
        """Do no DMA until ``release``; work waits."""
        self.control.held = True
        self.control.apply_mastering()

    def release(self) -> None:
        """Go on after ``hold``."""
        self.control.held = False
        self.control.apply_mastering()
        self._work()

    def save(self) -> bytes:
        """Return the whole state; in between no DMA is under way, so memory and state are of one instant."""
        held = self.control.held
        self.hold()
        state = card_state.save(self)
        if not held:
            self.release()
        return state

    def restore(self, state: bytes) -> None:
        """Take a saved state over and hold; ValueError, and the card is reset, when it is not one."""
        self.reset()
        try:
            card_state.restore(self, state)
        except ValueError:
            self.reset()
            raise
        self.hold()
        self._dispatch()

    @property
    def io_address(self) -> int:
        """IOADDR, the register that the I/O BAR's data goes to."""
        return self._io_address

    @io_address.setter
    def io_address(self, value: int) -> None:
        self._io_address = value & 0xFFFF_FFFF

    def set_carrier(self, *, present: bool) -> None:
        """Plug the cable in or out: what the wire says is at its other end."""
        self.phy.set_carrier(present=present)
        self._follow_link()
        self._dispatch()

    def set_partner(self, offers: Iterable[str]) -> None:
        """Have the link partner offer these (``device.phy.EVERYTHING``) and negotiate anew. ValueError."""
        self.phy.set_partner(offers)
        self._follow_link()
        self._dispatch()

    def set_interrupt_mode(self, mode: InterruptMode | None) -> None:
        """Take the mode from who arms the interrupts (a VMM); None: from configuration space."""
        self._forced = mode
        self._follow_function()
        self._dispatch()

    def rearm(self) -> None:
        """Offer pending messages again: vectors were armed or unmasked."""
        for vector in sorted(self.msix.pending):
            if not self.holds(vector) and self.sink.message(vector):
                self.msix.pending.discard(vector)
                self.account.interrupts += 1

    def advance(self, now_ns: int) -> None:
        """Let time pass: negotiation, timers."""
        self.engine.advance(now_ns)
        before = self.phy.state
        self.phy.advance(now_ns)
        if self.phy.state is not before:
            self._follow_link()
        self._work()

    def _follow_link(self) -> None:
        """Let STATUS follow; a change of the link wakes a sleeping card that WUFC asks to (LNKC)."""
        if self.control.update_link() and self.sleeps:
            peek = self.engine.peek
            if peek(_WUC.offset) & _WUC["PME_EN"].mask and peek(_WUFC.offset) & _LNKC:
                self._wake(WakeRaised(_LNKC))

    @property
    def leds(self) -> tuple[leds.Light, ...]:
        """What the LEDs beside the port show, LED0 first."""
        port = leds.Port(self.phy.link, self.phy.speed, self.phy.full_duplex)
        return leds.shown(self.engine.peek(NIC["LEDCTL"].offset), port)

    @property
    def sleeps(self) -> bool:
        """Whether the card may not do DMA (D3, bus mastering off): frames only meet the wake-up filters."""
        return not self.control.mastering

    def deadline(self) -> int | None:
        """Return when ``advance`` is next needed."""
        instants = [self.engine.deadline(), self.phy.deadline()]
        return min((instant for instant in instants if instant is not None), default=None)

    # -- frames ----------------------------------------------------------------------------------------

    def can_receive(self) -> bool:
        """Tell whether a frame offered now would be stored, or kept for later."""
        return self.engine.can_receive()

    def receive(self, frame: bytes, offload: Offload | None = None) -> bool:
        """Take a frame off the wire; False: not stored, or not yet."""
        stored = self.engine.receive(frame, offload)
        self._dispatch()
        return stored

    def _work(self) -> None:
        self.account.descriptors += self.engine.run()
        self._dispatch()

    # -- effects ---------------------------------------------------------------------------------------

    def _dispatch(self) -> None:
        for effect in self.engine.effects():
            self._dispatchers[type(effect)](effect)
        self.count_received()

    def count_received(self) -> None:
        """Let the account have what the engine stored: frames that waited are stored by a register write."""
        before, self._stored = self._stored, self.engine.stored
        self.account.frames_received += self._stored - before

    def _frame_sent(self, effect: FrameSent) -> None:
        self.account.frames_sent += effect.frames
        self._send(effect)

    def _message(self, effect: MessageSignalled) -> None:
        if self.holds(effect.vector) or not self.sink.message(effect.vector):
            self.msix.pending.add(effect.vector)
        else:
            self.account.interrupts += 1

    def holds(self, vector: int) -> bool:
        """Tell whether the MSI-X table or the function masks a vector."""
        return self.function.msix and (self.function.msix_masked or self.msix.masked(vector))

    def _line(self, effect: LineChanged) -> None:
        self.function.show_line(asserted=effect.asserted)
        self.account.interrupts += effect.asserted
        self.sink.level(asserted=effect.asserted)

    def _fault(self, effect: DmaFault) -> None:
        self.account.dma_faults += 1
        if len(self.faults) < 16:
            self.faults.append(effect)

    def _wake(self, effect: WakeRaised) -> None:
        where = NIC["WUS"].offset
        self.engine.poke(where, self.engine.peek(where) | effect.cause)
        self.engine.poke(_WUC.offset, self.engine.peek(_WUC.offset) | _WUC["PME_STATUS"].mask)
        self.function.config.put(PMCSR, 2, self.function.config.get(PMCSR, 2) | PME_STATUS)

    # -- regions ------------------------------------------------------------------------------------------

    def read_region(self, index: int, offset: int, count: int) -> bytes:
        """Return ``count`` bytes of a BAR or of configuration space; the range was checked."""
        if index == CONFIG:
            self._dispatch()  # a wake-up shows in PMCSR
            return self.function.config.read(offset, count)
        if index > BAR3:
            return bytes(count)
        data = self._readers[index](offset, count)
        self._dispatch()
        return data

    def write_region(self, index: int, offset: int, data: bytes) -> None:
        """Write to a BAR or to configuration space; the range was checked."""
        if index == CONFIG:
            self._write_config(offset, data)
        elif index <= BAR3:
            self._writers[index](offset, data)
        self._dispatch()

    # -- BAR0: registers -----------------------------------------------------------------------------------

    def _read_bar0(self, offset: int, count: int) -> bytes:
        """Read whole registers and cut out what was asked: the card decodes doublewords."""
        first = offset & ~3
        out = bytearray()
        for place in range(first, offset + count, 4):
            out += self.read_register(place).to_bytes(4, "little")
        return bytes(out[offset - first : offset - first + count])

    def _write_bar0(self, offset: int, data: bytes) -> None:
        """Write each doubleword that is touched; a narrow write keeps the register's other bytes."""
        stop = offset + len(data)
        for place in range(offset & ~3, stop, 4):
            start, end = max(offset, place), min(stop, place + 4)
            if end - start == 4:
                value = int.from_bytes(data[start - offset : end - offset], "little")
            else:
                word = bytearray(self.engine.peek(place).to_bytes(4, "little"))
                word[start - place : end - place] = data[start - offset : end - offset]
                value = int.from_bytes(word, "little")
            self.write_register(place, value)

    def read_register(self, offset: int) -> int:
        """Do a 32-bit read of a register, whoever answers for it."""
        self.account.register_reads += 1
        if self.control.owns(offset):
            return self.control.read(offset)
        return self.engine.read(offset)

    def write_register(self, offset: int, value: int) -> None:
        """Do a 32-bit write of a register, and the work that it makes."""
        self.account.register_writes += 1
        if self.control.owns(offset):
            self.control.write(offset, value)
        else:
            self.engine.write(offset, value)
        place = NIC.canonical(offset)
        if place in _DOORBELLS:
            self.account.doorbells += 1
        if place in _WORK_MAKERS:
            self._work()

    # -- BAR1: flash; BAR2: I/O; BAR3: MSI-X -----------------------------------------------------------------

    def _write_flash(self, offset: int, data: bytes) -> None:
        """Program the flash where EECD.FWE allows it."""
        if NIC["EECD"]["FWE"].get(self.engine.peek(NIC["EECD"].offset)) == _FLASH_WRITES_ALLOWED:
            self.nvm.program(offset, data)

    def _read_io(self, offset: int, count: int) -> bytes:
        """IOADDR at 0, IODATA at 4; nothing behind them (datasheet, Address Decoding)."""
        out = self._io_address.to_bytes(4, "little")
        if offset + count > 4:
            address = self._io_address & ~3
            if address < BAR0_SIZE:
                out += self.read_register(address).to_bytes(4, "little")
            elif _IO_FLASH <= address < _IO_FLASH + FLASH_SIZE:
                out += self.nvm.read_flash(address - _IO_FLASH, 4)
        return out.ljust(IO_SIZE, b"\0")[offset : offset + count]

    def _write_io(self, offset: int, data: bytes) -> None:
        """Only whole doublewords are decoded."""
        if len(data) != 4:
            return
        value = int.from_bytes(data, "little")
        if offset == 0:
            self._io_address = value
        elif offset == 4:
            address = self._io_address & ~3
            if address < BAR0_SIZE:
                self.write_register(address, value)
            elif _IO_FLASH <= address < _IO_FLASH + FLASH_SIZE:
                self._write_flash(address - _IO_FLASH, data)

    def _write_msix(self, offset: int, data: bytes) -> None:
        if self.msix.write(offset, data):
            self.rearm()

    # -- configuration space ---------------------------------------------------------------------------------

    def _write_config(self, offset: int, data: bytes) -> None:
        before = self.function.power_state
        self.function.config.write(offset, data)
        if before == _D3HOT and self.function.power_state == 0:
            self.control.software_reset()  # No_Soft_Reset is 0 (PCI PM 1.2, 3.2.4)
        self._follow_function()
        self.rearm()
        self._work()

    def _follow_function(self) -> None:
        """Let the engine follow what configuration space says."""
        self.control.mastering_allowed = self.function.mastering
        self.control.apply_mastering()
        self.engine.set_interrupt_mode(self._mode())

    def _mode(self) -> InterruptMode:
        """Return the way of signalling: the VMM's word first, then MSI-X, MSI, INTx."""
        if self._forced is not None and self._forced is not InterruptMode.INTX:
            return self._forced
        if self._forced is None and self.function.msix:
            return InterruptMode.MSIX
        if self._forced is None and self.function.msi:
            return InterruptMode.MSI
        return InterruptMode.INTX if self.function.intx_allowed else InterruptMode.NONE
