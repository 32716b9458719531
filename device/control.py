"""The registers with ``Owner.CARD``: reset, link, PHY, NVM, semaphores, power (datasheet, General Registers).

Each is a pair of small functions in a table; the values live in the engine's register file. It knows no
PCI and no wire; ``device.card`` joins it to both. Sources: the datasheet, and Linux's e1000e/82571.c
(e1000_reset_hw_82571, e1000_get_hw_semaphore_82574), mac.c, nvm.c, phy.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from device import phy as mii
from device.regs.bank import Access, Owner
from device.regs.nic import NIC

if TYPE_CHECKING:
    from collections.abc import Callable

    from device.engine.contract import Engine
    from device.nvm import Nvm

CTRL, STATUS, EECD, EERD = (NIC[name] for name in ("CTRL", "STATUS", "EECD", "EERD"))
CTRL_EXT, MDIC, FLA, EEWR = (NIC[name] for name in ("CTRL_EXT", "MDIC", "FLA", "EEWR"))
_RST, _PHY_RST, _SLU = CTRL["RST"].mask, CTRL["PHY_RST"].mask, CTRL["SLU"].mask
_GIO_DISABLE, _FRCSPD, _FRCDPLX = (CTRL[name].mask for name in ("GIO_MASTER_DISABLE", "FRCSPD", "FRCDPLX"))
_LU, _PHYRA, _GIO = STATUS["LU"].mask, STATUS["PHYRA"].mask, STATUS["GIO_MASTER_ENABLE"].mask
_EE_RST = CTRL_EXT["EE_RST"].mask
_LSC, _MDAC = NIC["ICS"]["LSC"].mask, NIC["ICS"]["MDAC"].mask
_EECD_FIXED: Final = sum(
    EECD[name].mask for name in ("PRES", "AUTO_RD", "SIZE", "NVADDS", "SEC1VAL", "NVMTYPE")
)
_EECD_PULSES: Final = sum(EECD[name].mask for name in ("DO", "GNT", "FLUPD"))  # the card's, or over at once
_SWSM, _WUC, _WUS = NIC["SWSM"], NIC["WUC"], NIC["WUS"]
_START, _DONE = EERD["START"].mask, EERD["DONE"].mask
_OP_WRITE, _OP_READ = 1, 2
_FLASH_READ, _FLASH_WRITE, _FLASH_ERASE = 0, 1, 2
_FLASH_VALID, _FLASH_DONE = 1 << 28, 3 << 30
_FLA_REQUEST, _FLA_GRANT = 1 << 4, 1 << 5
_WORD: Final = 0xFFFF_FFFF

# What CTRL.RST leaves alone: the packet buffer's split (only power-on resets it: datasheet, General
# Registers), what a wake-up is to find, and the flash.
KEPT_BY_RST: Final = frozenset(
    {
        NIC[name].offset
        for name in ("PBA", "WUC", "WUFC", "WUS", "WUPL", "FLA", "FLSWCTL", "FLSWDATA", "FLSWCNT")
    }
    | {NIC["WUPM"].at(index) for index in range(NIC["WUPM"].count)}
)


class Control:
    """What is policy in the card, on an engine's register file."""

    def __init__(self, engine: Engine, nvm: Nvm, phy: mii.Phy) -> None:
        self._engine = engine
        self.nvm = nvm
        self.phy = phy
        self.mastering_allowed = False  # by the PCI function
        self.held = False  # restored, and whoever is to go on has not given its memory yet
        self._readers: dict[int, Callable[[], int]] = {
            _SWSM.offset: self._read_swsm,
        }
        self._writers: dict[int, Callable[[int], None]] = {
            CTRL.offset: self._write_ctrl,
            STATUS.offset: self._write_status,
            EECD.offset: self._write_eecd,
            EERD.offset: self._write_eerd,
            EEWR.offset: self._write_eewr,
            CTRL_EXT.offset: self._write_ctrl_ext,
            MDIC.offset: self._write_mdic,
            FLA.offset: self._write_fla,
            NIC["FLSWCTL"].offset: self._write_flswctl,
            _WUC.offset: self._write_wuc,
            _WUS.offset: self._write_wus,
        }

    # -- accesses -----------------------------------------------------------------------------------

    @staticmethod
    def owns(offset: int) -> bool:
        """Tell whether the card answers for the register at an offset (aliases included)."""
        found = NIC.find(offset)
        return found is not None and found[0].owner is Owner.CARD

    def read(self, offset: int) -> int:
        """Do what a 32-bit read does."""
        place = NIC.canonical(offset)
        if place is None:
            return 0
        action = self._readers.get(place)
        return self._engine.peek(place) if action is None else action()

    def write(self, offset: int, value: int) -> None:
        """Do what a 32-bit write does."""
        found = NIC.find(offset)
        if found is None:
            return
        register, index = found
        place = register.at(index)
        action = self._writers.get(place)
        if action is not None:
            action(value & _WORD)
        elif register.access is Access.RW:
            self._engine.poke(place, value & register.mask)

    # -- resets ---------------------------------------------------------------------------------------

    def power_on(self) -> None:
        """Reset everything: registers, PHY."""
        self._engine.reset()
        self.phy.power_on()
        self._after_reset()

    def software_reset(self) -> None:
        """Do what CTRL.RST does: the MAC's registers but ``KEPT_BY_RST``; the PHY keeps its link."""
        self._engine.reset(keep=KEPT_BY_RST)
        self._after_reset()

    def _after_reset(self) -> None:
        self.nvm.eeprom.release()
        self.load_address()
        self._engine.poke(EECD.offset, self._engine.peek(EECD.offset) | EECD["AUTO_RD"].mask)
        self.apply_mastering()
        self._engine.poke(STATUS.offset, self._status())
        self._engine.set_link(up=self._link_up())
        self._engine.set_loopback(enabled=self.phy.loopback)

    def load_address(self) -> None:
        """Load receive address 0 from the NVM, as the auto-read after a reset does."""
        mac = self.nvm.mac
        self._engine.poke(NIC["RAL"].at(0), int.from_bytes(mac[:4], "little"))
        valid = NIC["RAH"]["AV"].mask
        self._engine.poke(NIC["RAH"].at(0), int.from_bytes(mac[4:], "little") | valid)

    # -- link -------------------------------------------------------------------------------------------

    def _link_up(self) -> bool:
        return self.phy.link and bool(self._engine.peek(CTRL.offset) & _SLU)

    def _status(self) -> int:
        """Return STATUS as link, CTRL and mastering make it."""
        ctrl = self._engine.peek(CTRL.offset)
        value = self._engine.peek(STATUS.offset) & ~(
            _LU | _GIO | STATUS["FD"].mask | STATUS["SPEED"].mask | STATUS["ASDV"].mask
        )
        if self._link_up():
            value |= _LU
        if not ctrl & _GIO_DISABLE:
            value |= _GIO
        speed = CTRL["SPEED"].get(ctrl) if ctrl & _FRCSPD else self.phy.speed
        full = bool(ctrl & CTRL["FD"].mask) if ctrl & _FRCDPLX else self.phy.full_duplex
        value |= STATUS["SPEED"].put(min(speed, 2)) | STATUS["ASDV"].put(min(speed, 2))
        return value | (STATUS["FD"].mask if full else 0)

    @property
    def mastering(self) -> bool:
        """Whether the card may do DMA: the PCI function's word, and CTRL.GIO_MASTER_DISABLE."""
        allowed = self.mastering_allowed and not self.held
        return allowed and not self._engine.peek(CTRL.offset) & _GIO_DISABLE

    def update_link(self) -> bool:
        """Let STATUS and the engine follow the PHY and CTRL; LSC and True when the link came or went."""
        before, after = self._engine.peek(STATUS.offset), self._status()
        self._engine.poke(STATUS.offset, after)
        self._engine.set_loopback(enabled=self.phy.loopback)
        self._engine.set_link(up=bool(after & _LU))
        changed = bool((before ^ after) & _LU)
        if changed:
            self._engine.raise_causes(_LSC)
        return changed

    def apply_mastering(self) -> None:
        """Tell the engine whether it may do DMA."""
        self._engine.set_mastering(enabled=self.mastering)

    # -- CTRL, STATUS, CTRL_EXT -----------------------------------------------------------------------------

    def _write_ctrl(self, value: int) -> None:
        before = self._engine.peek(CTRL.offset)
        if value & _RST:
            self.software_reset()
            if value & _PHY_RST:
                self._reset_phy()
            return
        self._engine.poke(CTRL.offset, value & CTRL.mask & ~_RST)
        if value & _PHY_RST and not before & _PHY_RST:
            self._reset_phy()
        self.apply_mastering()
        self.update_link()

    def _reset_phy(self) -> None:
        self.phy.reset()
        self._engine.poke(STATUS.offset, self._engine.peek(STATUS.offset) | _PHYRA)
        self.update_link()

    def _write_status(self, value: int) -> None:
        """Clear PHYRA by writing it as 0; the rest is read-only (datasheet, General Registers)."""
        if not value & _PHYRA:
            self._engine.poke(STATUS.offset, self._engine.peek(STATUS.offset) & ~_PHYRA)

    def _write_ctrl_ext(self, value: int) -> None:
        self._engine.poke(CTRL_EXT.offset, value & CTRL_EXT.mask & ~_EE_RST)
        if value & _EE_RST:
            self.load_address()

    # -- PHY --------------------------------------------------------------------------------------------

    def _write_mdic(self, value: int) -> None:
        """Do an MDIO access at once: READY is set when the driver first looks."""
        operation, register = MDIC["OP"].get(value), MDIC["REGADD"].get(value)
        result = value & ~MDIC["ERROR"].mask | MDIC["READY"].mask
        if MDIC["PHYADD"].get(value) != mii.ADDRESS or operation not in (_OP_WRITE, _OP_READ):
            result |= MDIC["ERROR"].mask
        elif operation == _OP_READ:
            result = result & ~0xFFFF | self.phy.read(register)
        else:
            self.phy.write(register, value & 0xFFFF)
        self._engine.poke(MDIC.offset, result)
        self.update_link()
        if value & MDIC["INT_EN"].mask:
            self._engine.raise_causes(_MDAC)

    # -- NVM and flash ------------------------------------------------------------------------------------

    def _write_eecd(self, value: int) -> None:
        """Grant direct access at once, and drive the EEPROM's pins; FLUPD writes the flash and clears itself.

        CS is the pin's level: low selects (e1000_ready_nvm_eeprom in Linux's nvm.c). The pins are the
        driver's also without a grant (docs/decisions/0021). One that is given back ends what goes on.
        """
        before = self._engine.peek(EECD.offset)
        stored = before & _EECD_FIXED | value & ~_EECD_FIXED & ~_EECD_PULSES
        eeprom = self.nvm.eeprom
        if value & EECD["REQ"].mask:
            stored |= EECD["GNT"].mask
        elif before & EECD["REQ"].mask:
            eeprom.release()
        eeprom.drive(
            select=not value & EECD["CS"].mask,
            clock=bool(value & EECD["SK"].mask),
            data=bool(value & EECD["DI"].mask),
        )
        stored |= EECD["DO"].put(eeprom.output)
        if value & EECD["FLUPD"].mask:
            self.nvm.commit()
        self._engine.poke(EECD.offset, stored)

    def _write_eerd(self, value: int) -> None:
        address = EERD["ADDR"].get(value)
        result = EERD["ADDR"].put(address) | _DONE
        if value & _START:
            result |= EERD["DATA"].put(self.nvm.read(address))
        self._engine.poke(EERD.offset, result)

    def _write_eewr(self, value: int) -> None:
        if value & _START:
            self.nvm.write(EERD["ADDR"].get(value), EERD["DATA"].get(value))
        self._engine.poke(EEWR.offset, value & ~_START | _DONE)

    def _write_fla(self, value: int) -> None:
        grant = _FLA_GRANT if value & _FLA_REQUEST else 0
        self._engine.poke(FLA.offset, value & ~_FLA_GRANT | grant)

    def _write_flswctl(self, value: int) -> None:
        """Run a software flash command: FLSWDATA is read, programmed, or a sector erased."""
        data = NIC["FLSWDATA"].offset
        address, command = value & 0xFF_FFFF, value >> 24 & 0xF
        if value & _FLASH_VALID:
            if command == _FLASH_READ:
                self._engine.poke(data, int.from_bytes(self.nvm.read_flash(address, 4), "little"))
            elif command == _FLASH_WRITE:
                self.nvm.program(address, self._engine.peek(data).to_bytes(4, "little"))
            elif command == _FLASH_ERASE:
                self.nvm.erase(address)
        self._engine.poke(NIC["FLSWCTL"].offset, value & ~_FLASH_VALID & 0x3FFF_FFFF | _FLASH_DONE)

    # -- semaphores and power -------------------------------------------------------------------------------

    def _read_swsm(self) -> int:
        """Return SWSM; reading takes SMBI (datasheet, Wake-up Registers)."""
        value = self._engine.peek(_SWSM.offset)
        self._engine.poke(_SWSM.offset, value | _SWSM["SMBI"].mask)
        return value

    def _write_wuc(self, value: int) -> None:
        status = _WUC["PME_STATUS"].mask
        kept = self._engine.peek(_WUC.offset) & status & ~value
        self._engine.poke(_WUC.offset, value & ~status & 0xF | kept)

    def _write_wus(self, value: int) -> None:
        self._engine.poke(_WUS.offset, self._engine.peek(_WUS.offset) & ~value)
