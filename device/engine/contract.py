"""The contract that both engines keep: ``reference`` (Python) and ``native`` (C).

An engine is the card's data path: the register file, both directions' rings, offloads, filters, RSS,
statistics, interrupt causes and moderation, IEEE 1588 time. It is sans I/O: register accesses, frames
and *now* come in as arguments; effects go out as values. What is policy and shared by both engines
(reset, link, PHY, NVM, power: registers with ``Owner.CARD``) is ``device.card``'s, which reads and
writes the same register file by ``peek`` and ``poke``.

Rules that no register states, so that two engines agree:

* Power-on: no link, no DMA, ``InterruptMode.NONE``, no loopback; ``reset`` leaves these four as told.
* ``run`` raises transmit causes once, at its end, ``step`` after its descriptor: what is due now first,
  what IDE delays after it. Frames of a loop are received, and announced, as they leave.
* A cause is announced once while it stays pending; with MSI-X each time it is raised.
* A transmit frame gathers at most 256 KiB and becomes at most 4096 segments; one that wants more is
  dropped (TSCTFC counts a segmentation). A descriptor or data that no memory backs is a ``DmaFault``; the
  descriptor counts as NULL, the data costs its frame, a write that is lost costs nothing.
* A receive frame is planned before a byte is stored: without descriptors, or without DMA, nothing is
  touched. The frame waits in the packet buffer and RNBC counts it; where that has no room it is lost, and
  MPC and RXO tell. What waits is stored, in its order, by the access that makes it possible: a write of a
  receive ring's registers or of RCTL, or DMA that is allowed again. RCTL.EN = 0 and the loss of the link
  leave it there.
* What the MAC does is done when a frame arrives (filters, statistics, the time stamp), what the DMA engine
  does when it is stored (VLAN tag, checksums, RSS, descriptors).
* XOFF leaves when the buffer's fullness reaches FCRTH, once more at the first frame that is lost after it,
  XON when the fullness is down to FCRTL.
* Without DMA, and with WUC.PME_EN, a frame that passed the filters is compared with WUFC: ``WakeRaised``.

Whatever a test says of one engine it says of the other; `tests/property` compares them on random
rings: registers, guest memory and effects after ``run()``.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from device.effects import Effect, GuestMemory, Offload

TICK_NS = 256  # unit of ITR and EITR
DELAY_TICK_NS = 1024  # unit of RDTR, RADV, TIDV, TADV

WORK_BUDGET = 65536
"""What one ``run`` may cost, in units of a plain descriptor: more than any driver's ring holds.

A guest can make one descriptor cost thousands (segmentation with an MSS of 1), so a run that has spent this
ends behind the descriptor at hand; ``deadline`` then is now, and the next ``run`` goes on. No lock is held in
between, and the socket is served. A descriptor costs 1, and what follows on top. A card that runs by itself,
and is not recorded, ends a run by the clock, too: ``SLICE_NS``.
"""
WORK_SEGMENT = 4  # a segment that is cut
WORK_LOOPED = 8  # a frame that goes round the loop
WORK_GATHER_BITS = 9  # 512 bytes that are gathered cost 1
WORK_SUM_BITS = 6  # 64 bytes of a frame into which a checksum is put, or of a segment
WORK_FCS_BITS = 4  # 16 bytes of a frame whose FCS is computed, or may be: round the loop
SLICE_NS = 8_000_000
"""How long a run may hold the locks of a card that runs by itself."""
GATHER_BYTES = 256 * 1024
"""The most that one frame may gather. PAYLEN could ask for four times as many, no driver does."""
BUFFER_KIB = 40
"""The packet buffer, which PBA divides (datasheet, Packet Buffer Allocation)."""
BUFFER_LINE_BYTES = 8
"""A frame takes whole lines: RDFH and RDFT count eight bytes."""
MOST_SLOTS = 256
"""Descriptors that one frame may take: twice what the longest takes with the smallest buffers. A row of more
NULL buffers than that has no room for a frame, so that each frame costs a bounded time."""


class InterruptMode(enum.Enum):
    """How the function may signal, from its configuration space."""

    NONE = 0  # interrupts disabled (command register) or nothing enabled
    INTX = 1
    MSI = 2
    MSIX = 3


class Engine(Protocol):
    """The data path of one card. One caller at a time; the native engine's own threads are inside."""

    name: str

    def __init__(self, memory: GuestMemory, *, offload: bool) -> None:
        """Start in the state after power-on. ``offload``: the wire takes frames with an ``Offload``.

        Without it TSO frames leave as segments and checksums are complete.
        """

    # -- the register file: raw, no side effects -------------------------------------------------

    def peek(self, offset: int) -> int:
        """Return the stored value of the register at an offset (aliases resolved); 0 for none."""

    def poke(self, offset: int, value: int) -> None:
        """Store a value as it is: no mask, no side effect."""

    # -- the guest's accesses to registers that the engine owns ----------------------------------

    def read(self, offset: int) -> int:
        """Do what a 32-bit read does and return its value; nothing is declared there: 0."""

    def write(self, offset: int, value: int) -> None:
        """Do what a 32-bit write does. A doorbell makes work; ``step`` or ``run`` does it."""

    # -- work -----------------------------------------------------------------------------------

    def step(self) -> bool:
        """Consume one transmit descriptor; False when no queue has any."""

    def run(self) -> int:
        """Step until there is nothing to do, or ``WORK_BUDGET`` is spent; return the steps done."""

    def can_receive(self) -> bool:
        """Tell whether the receiver is on, with DMA, and has room for the longest frame that passes.

        False while the packet buffer is too full for it: who can keep the frame where it is does so.
        """

    def receive(self, frame: bytes, offload: Offload | None = None) -> bool:
        """Take a frame off the wire (no FCS), through filters into a ring; False: not stored, or not yet.

        ``offload.needs_csum``: the checksum is not complete but known good; the engine completes it
        before the frame is stored. A frame with ``gso`` set is segmented by the caller before.
        """

    @property
    def stored(self) -> int:
        """Frames stored in a ring since the engine was made, those that had waited included."""

    # -- time -----------------------------------------------------------------------------------

    def advance(self, now_ns: int) -> None:
        """Set the clock (monotonic, ns) and fire every timer that is due."""

    def deadline(self) -> int | None:
        """Return when ``advance`` is next needed, in ns, or None."""

    # -- the environment, told by the card ---------------------------------------------------------

    def raise_causes(self, causes: int) -> None:
        """Set bits of ICR as the hardware does, for causes that arise in the card (LSC, MDAC)."""

    def set_interrupt_mode(self, mode: InterruptMode) -> None:
        """Switch between INTx, MSI and MSI-X; a cause pending under the old mode is signalled anew."""

    def set_mastering(self, *, enabled: bool) -> None:
        """Allow or forbid DMA (PCI bus master enable, D0, CTRL.GIO_MASTER_DISABLE); work waits."""

    def set_loopback(self, *, enabled: bool) -> None:
        """Return transmitted frames to the receiver (PHY loopback; RCTL.LBM is the engine's own)."""

    def set_link(self, *, up: bool) -> None:
        """Tell whether there is a link: without it nothing leaves and nothing arrives."""

    def reset(self, *, keep: frozenset[int] = frozenset()) -> None:
        """Return every register to its reset value but those at offsets ``keep``.

        Frames that wait, work and timers are dropped.
        The INTx line falls. What is in guest memory stays.
        """

    def effects(self) -> list[Effect]:
        """Return and forget the effects since the last call, in order."""

    # -- state ----------------------------------------------------------------------------------

    def save(self) -> bytes:
        """Return the whole state, timers relative to now; both engines read both engines' states."""

    def restore(self, state: bytes) -> None:
        """Take a saved state over; ValueError when it is not one."""
