"""The card from reset to running: the sequences of registers, and nothing of packets or NDIS.

Every wait is bounded. Sources: the datasheet, Initialization, and Linux's e1000e/82571.c,
e1000e/netdev.c (e1000_configure_tx, e1000_configure_rx, e1000_setup_rctl).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from device.regs.nic import NIC
from miniport import registers as r

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ndis.hardware import Registers

POLLS = 200
POLL_US = 100
_PHY_WRITE, _PHY_READ = 1, 2
_BMCR = 0  # the same on every page
_BMCR_AUTONEG, _BMCR_RESTART = 1 << 12, 1 << 9
_BMCR_ISOLATED = 1 << 11 | 1 << 10 | 1 << 14  # power down, isolate, loopback (IEEE 802.3 22.2.4.1)
NVM_WORDS, NVM_SUM = 0x40, 0xBABA
GONE = 0xFFFF_FFFF  # what a read returns when the card was pulled out


class HardwareError(Exception):
    """The card did not do what it must; ``step`` names it."""

    def __init__(self, step: str, value: int) -> None:
        """Keep what was read last."""
        super().__init__(f"{step}: the card answers {value:#010x}")
        self.step = step
        self.value = value


class Ring(Protocol):
    """A ring as the card needs to know it."""

    @property
    def address(self) -> int:
        """Bus address of descriptor 0."""

    @property
    def length_bytes(self) -> int:
        """Its length."""


@dataclass(frozen=True, slots=True)
class ReceiveOptions:
    """What the receiver is to do."""

    extended: bool
    jumbo: bool
    checksums: bool
    scaling: bool


class Hardware:
    """One 82574L behind its registers."""

    def __init__(self, registers: Registers, stall: Callable[[int], None]) -> None:
        """Use these registers; ``stall`` waits a number of microseconds."""
        self.read = registers.read32
        self.write = registers.write32
        self._stall = stall

    def reset(self) -> None:
        """Stop everything and reset the MAC. HardwareError when it does not come back."""
        self.write(r.IMC, r.ALL)
        self.write(r.RCTL, 0)
        self.write(r.TCTL, r.TCTL_PSP)
        self.write(r.CTRL, self.read(r.CTRL) | r.CTRL_GIO_MASTER_DISABLE)
        # Outstanding bus requests must have ended before RST, else the card may hang (datasheet, PCIe).
        # Linux goes on when they do not end in time, and so do we.
        self._poll(r.STATUS, r.STATUS_GIO_MASTER_ENABLE, 0)
        control = self.read(r.CTRL) & ~r.CTRL_GIO_MASTER_DISABLE
        self.write(r.CTRL, control | r.CTRL_RST)
        self._stall(POLL_US)
        if not self._poll(r.CTRL, r.CTRL_RST, 0):
            raise HardwareError("CTRL.RST", self.read(r.CTRL))
        if not self._poll(r.EECD, r.EECD_AUTO_RD, r.EECD_AUTO_RD):
            raise HardwareError("EECD.AUTO_RD", self.read(r.EECD))
        self.write(r.IMC, r.ALL)
        self.read(r.ICR)

    def check_nvm(self) -> None:
        """Add up the NVM's words. HardwareError when the sum is not the one it must be."""
        total = sum(self.nvm_word(at) for at in range(NVM_WORDS)) & 0xFFFF
        if total != NVM_SUM:
            raise HardwareError("NVM checksum", total)

    def nvm_word(self, at: int) -> int:
        """Read a word of the NVM. HardwareError."""
        self.write(r.EERD, NIC["EERD"]["ADDR"].put(at) | r.EERD_START)
        if not self._poll(r.EERD, r.EERD_DONE, r.EERD_DONE):
            raise HardwareError("EERD.DONE", self.read(r.EERD))
        return NIC["EERD"]["DATA"].get(self.read(r.EERD))

    def permanent_address(self) -> bytes:
        """Read the address that a reset loads from the NVM."""
        low, high = self.read(r.offset("RAL[0]")), self.read(r.offset("RAH[0]"))
        return low.to_bytes(4, "little") + (high & 0xFFFF).to_bytes(2, "little")

    def set_address(self, at: int, address: bytes | None) -> None:
        """Put an address into one of the 16 places of the exact filter, or take it out."""
        raw = address or bytes(6)
        self.write(r.offset(f"RAL[{at}]"), int.from_bytes(raw[:4], "little"))
        valid = r.RAH_AV if address is not None else 0
        self.write(r.offset(f"RAH[{at}]"), int.from_bytes(raw[4:], "little") | valid)

    def start_link(self, *, vlan: bool) -> None:
        """Let the PHY negotiate and the MAC follow it; no flow control frames of our own."""
        control = self.read(r.CTRL) & ~(r.CTRL_FORCED | r.CTRL_VME | r.CTRL_FLOW)
        control |= r.CTRL_SLU | r.CTRL_ASDE | (r.CTRL_VME if vlan else 0)
        self.write(r.CTRL, control)
        self.write(r.CTRL_EXT, self.read(r.CTRL_EXT) | r.CTRL_EXT_DRV_LOAD)

    def wake_phy(self) -> None:
        """Power the PHY up and let it negotiate, if whoever had the card left it otherwise. HardwareError.

        Linux's driver powers it down when its interface goes down (e1000_power_down_phy of e1000e/netdev.c).
        A PHY that negotiates already is left alone: starting again would drop the link.
        """
        control = self._phy(_PHY_READ, _BMCR)
        if control & _BMCR_ISOLATED or not control & _BMCR_AUTONEG:
            self._phy(_PHY_WRITE, _BMCR, _BMCR_AUTONEG | _BMCR_RESTART)

    def _phy(self, operation: int, register: int, data: int = 0) -> int:
        fields = NIC["MDIC"]
        command = fields["OP"].put(operation) | fields["PHYADD"].put(1) | fields["REGADD"].put(register)
        self.write(r.MDIC, command | fields["DATA"].put(data))
        if not self._poll(r.MDIC, fields["READY"].mask, fields["READY"].mask):
            raise HardwareError("MDIC.READY", self.read(r.MDIC))
        answer = self.read(r.MDIC)
        if answer & fields["ERROR"].mask:
            raise HardwareError("MDIC.ERROR", answer)
        return fields["DATA"].get(answer)

    def start_transmitter(self, rings: Sequence[Ring]) -> None:
        """Program the transmit rings, head and tail at 0, and switch the transmitter on."""
        for queue, ring in enumerate(rings):
            self._program("TD", queue, ring)
            self.write(r.offset(f"TXDCTL{queue}"), r.TXDCTL_NEEDED)
            tarc = self.read(r.offset(f"TARC{queue}"))
            self.write(r.offset(f"TARC{queue}"), tarc | NIC["TARC0"]["ENABLE"].mask)
        self.write(r.TIPG, 0x0060_2008)
        self.write(r.TCTL, r.TCTL_EN | r.TCTL_PSP | r.TCTL_RTLC | r.TCTL_COLLISIONS)

    def start_receiver(self, rings: Sequence[Ring], options: ReceiveOptions) -> None:
        """Program the receive rings; RCTL.EN is left to ``filters``, which knows who may be heard."""
        for queue, ring in enumerate(rings):
            self._program("RD", queue, ring)
        for delay in (r.RDTR, r.RADV):
            self.write(delay, 0)
        # Else a TCP segment with ACK is a cause more, which MSI-X announces by OTHER: a second interrupt.
        self.write(r.RFCTL, r.RFCTL_ACK_DIS | (r.RFCTL_EXTEN if options.extended else 0))
        checksum = r.RXCSUM_OFFLOAD if options.checksums else 0
        self.write(r.RXCSUM, checksum | (r.RXCSUM_PCSD if options.scaling else 0))

    def moderate(self, least_us: int, vectors: int) -> None:
        """Hold interrupts ``least_us`` apart, on the line and on every vector (ITR, EITR: 256 ns units)."""
        ticks = min(least_us * 1000 // 256, 0xFFFF)
        self.write(r.ITR, ticks)
        for vector in range(vectors):
            self.write(r.EITR0 + 4 * vector, ticks)

    def clear_tables(self) -> None:
        """Empty the exact filter but place 0, the multicast table and the VLAN table."""
        for at in range(1, 16):
            self.set_address(at, None)
        for at in range(128):
            self.write(r.MTA0 + 4 * at, 0)
            self.write(r.VFTA0 + 4 * at, 0)

    def flush(self) -> None:
        """Wait until the writes so far have reached the card: a read overtakes none (PCI ordering rules)."""
        self.read(r.STATUS)

    @property
    def is_gone(self) -> bool:
        """Whether nothing answers any more."""
        return self.read(r.STATUS) == GONE

    def _program(self, kind: str, queue: int, ring: Ring) -> None:
        self.write(r.offset(f"{kind}BAL{queue}"), ring.address & 0xFFFF_FFFF)
        self.write(r.offset(f"{kind}BAH{queue}"), ring.address >> 32)
        self.write(r.offset(f"{kind}LEN{queue}"), ring.length_bytes)
        self.write(r.offset(f"{kind}H{queue}"), 0)
        self.write(r.offset(f"{kind}T{queue}"), 0)

    def _poll(self, register: int, bits: int, wanted: int) -> bool:
        for _ in range(POLLS):
            if self.read(register) & bits == wanted:
                return True
            self._stall(POLL_US)
        return False
