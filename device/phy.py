"""The copper PHY inside the 82574L ("BM"): registers by page, autonegotiation that takes time.

It knows no MAC: the card reads ``link``, ``speed`` and ``duplex`` after each access and each advance.
IEEE 802.3 clause 22 (registers 0 to 15); Linux's e1000e/phy.c (e1000e_read_phy_reg_bm2) and
e1000_integrated_phy_loopback in ethtool.c for the pages.

    POWERED_DOWN ◄─BMCR.11─► UNPLUGGED ◄─carrier─► NEGOTIATING ─time─► LINKED

A negotiation that the driver asks for (reset, restart, power-up, …) begins with silence, so that the partner
sees the link fail: break_link_timer, 1.2 to 1.5 s (IEEE 802.3 clause 28, Auto-Negotiation; the datasheet of
Microchip's LAN8742A tells what a PHY does then). So on the silicon no LSC falls into the 0.4 s of interrupt
test after the reset of `ethtool -t`; e1000_intr_test of Linux's ethtool.c takes one for a failure.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ADDRESS: Final = 1
AUTONEGOTIATION_NS: Final = 300_000_000
"""From the first link pulse to the link: pages, next pages, training."""
BREAK_LINK_NS: Final = 1_200_000_000
"""The silence before it, where this end begins anew. Not at power-on: then there was silence long enough."""

BMCR, BMSR, ID1, ID2, ANAR, LPAR, ANER = range(7)
NPTR, LPNPR, CTRL1000, STAT1000 = 7, 8, 9, 10
ESTATUS, SPECIFIC_STATUS, PAGE = 15, 17, 22

RESET, LOOPBACK, SPEED_LOW, AN_ENABLE = 1 << 15, 1 << 14, 1 << 13, 1 << 12
POWER_DOWN, RESTART_AN, FULL_DUPLEX, SPEED_HIGH = 1 << 11, 1 << 9, 1 << 8, 1 << 6
LINK, AN_COMPLETE = 1 << 2, 1 << 5

_PAGES: Final = frozenset({0, 1, 2, 3, 5, 6, 7, 8, 769, 776, 800, 801})
_DEFAULTS: Final = {
    (0, BMCR): 0x1140,
    (0, BMSR): 0x7949,  # 10, 100, both duplexes, extended status, can negotiate
    (0, ID1): 0x0141,
    (0, ID2): 0x0CB1,
    (0, ANAR): 0x0DE1,
    (0, ANER): 0x0004,
    (0, NPTR): 0x2001,
    (0, CTRL1000): 0x0300,
    (0, ESTATUS): 0x3000,  # 1000BASE-T, both duplexes
    (0, 16): 0x0360,  # copper specific control: automatic crossover
    (0, 20): 0x0CE0,
    (2, 16): 0x0088,
    (2, 21): 0x1046,  # MAC interface speed: 1000
    (3, 16): 0x1040,  # LEDs
    (3, 18): 0x4905,
}
_READ_ONLY: Final = frozenset({BMSR, ID1, ID2, LPAR, ANER, LPNPR, STAT1000, ESTATUS, SPECIFIC_STATUS})
_ACKNOWLEDGES: Final = 0x4001  # and speaks IEEE 802.3
_RECEIVERS_FINE: Final = 0x3000
PARTNER: Final[Mapping[str, int]] = {
    "10half": 1 << 5,
    "10full": 1 << 6,
    "100half": 1 << 7,
    "100full": 1 << 8,
    "pause": 1 << 10,
    "asymmetric": 1 << 11,
}
"""What a link partner may offer in its base page, which LPAR shows (IEEE 802.3 annex 28B)."""
PARTNER_1000: Final[Mapping[str, int]] = {"1000half": 1 << 10, "1000full": 1 << 11}
"""And in its next page, which STAT1000 shows (IEEE 802.3, 40.5.1.1)."""
EVERYTHING: Final = ("10half", "10full", "100half", "100full", "1000half", "1000full", "pause")
"""What the partner offers until it is told otherwise."""
_MODES: Final = ((8, (1, True)), (7, (1, False)), (6, (0, True)), (5, (0, False)))
"""The base page's bits with speed and duplex, the best first (IEEE 802.3 annex 28B.3)."""


class State(enum.Enum):
    """Where the link is."""

    POWERED_DOWN = enum.auto()
    UNPLUGGED = enum.auto()
    NEGOTIATING = enum.auto()
    LINKED = enum.auto()


class Phy:
    """Registers, and a link that comes and goes."""

    def __init__(self) -> None:
        """Power on with nothing plugged in."""
        self._now = 0
        self._carrier = False
        self._partner_base = self._partner_next = 0
        self._offer(EVERYTHING)
        self.power_on()

    def power_on(self) -> None:
        """Return every register to its default and negotiate, where there is a carrier."""
        self._registers = dict(_DEFAULTS)
        self._fell = True  # BMSR's link bit latches low
        self.state = State.UNPLUGGED
        self._done_at = 0
        self._settle(silence_ns=0)

    def reset(self) -> None:
        """Do what CTRL.PHY_RST does: as ``power_on``, and the partner sees the link fail."""
        self.power_on()
        self._settle(silence_ns=BREAK_LINK_NS)

    # -- state ------------------------------------------------------------------------------------

    def save(self) -> dict[str, object]:
        """Return the whole state; the negotiation's end is relative to now, in ns."""
        return {
            "registers": [[page, number, value] for (page, number), value in self._registers.items()],
            "fell": self._fell,
            "state": self.state.name,
            "carrier": self._carrier,
            "partner": [self._partner_base, self._partner_next],
            "left": max(0, self._done_at - self._now),
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Take a saved state over; KeyError, TypeError or ValueError when it is not one."""
        registers = {
            (int(page), int(number)): int(value) & 0xFFFF for page, number, value in saved["registers"]
        }
        if not registers.keys() >= _DEFAULTS.keys():
            raise ValueError("PHY registers are missing")
        state, left = State[saved["state"]], int(saved["left"])
        base, following = saved.get("partner", (self._partner_base, self._partner_next))
        self._registers, self.state = registers, state
        self._fell, self._carrier = bool(saved["fell"]), bool(saved["carrier"])
        self._partner_base, self._partner_next = int(base) & 0xFFFF, int(following) & 0xFFFF
        self._done_at = self._now + left

    # -- what the card asks ----------------------------------------------------------------------

    @property
    def loopback(self) -> bool:
        """Whether what is sent comes back (BMCR.14)."""
        control = self._registers[0, BMCR]
        return bool(control & LOOPBACK) and not control & POWER_DOWN

    @property
    def link(self) -> bool:
        """Whether the MAC sees a link: negotiated, forced, or looped back inside."""
        return self.state is State.LINKED or self.loopback

    @property
    def offers(self) -> bool:
        """Whether the partner gets link pulses: the PHY has power and does not hear itself."""
        return not self._registers[0, BMCR] & (POWER_DOWN | LOOPBACK)

    @property
    def speed(self) -> int:
        """0, 1, 2 for 10, 100, 1000 Mb/s, as STATUS.SPEED has it."""
        control = self._registers[0, BMCR]
        if control & AN_ENABLE and not self.loopback:
            return (self._negotiated() or (0, False))[0]
        if control & SPEED_HIGH:
            return 2
        return 1 if control & SPEED_LOW else 0

    @property
    def full_duplex(self) -> bool:
        """Whether the link is full duplex."""
        control = self._registers[0, BMCR]
        if control & AN_ENABLE and not self.loopback:
            return (self._negotiated() or (0, False))[1]
        return bool(control & FULL_DUPLEX)

    def _negotiated(self) -> tuple[int, bool] | None:
        """Return the best speed and duplex that both ends offer (IEEE 802.3 annex 28B.3), if any."""
        gigabit = self._registers[0, CTRL1000] & self._partner_next >> 2
        if gigabit & 0x0300:
            return 2, bool(gigabit & 0x0200)
        offered = self._registers[0, ANAR] & self._partner_base
        return next((mode for bit, mode in _MODES if offered >> bit & 1), None)

    @property
    def _agreed(self) -> bool:
        """Whether the partner has what this end asks for, by negotiation or by force."""
        if self._registers[0, BMCR] & AN_ENABLE:
            return self._negotiated() is not None
        speed, full = self.speed, self.full_duplex
        if speed == 2:
            return bool(self._partner_next & PARTNER_1000["1000full" if full else "1000half"])
        return any(self._partner_base >> bit & 1 for bit, mode in _MODES if mode == (speed, full))

    # -- MDIO -------------------------------------------------------------------------------------

    def _key(self, register: int) -> tuple[int, int] | None:
        """Return the page and number an access reaches: the IEEE registers and the page are on every page."""
        if register <= ESTATUS or register == PAGE:
            return 0, register
        page = self._registers.get((0, PAGE), 0)
        return (page, register) if page in _PAGES else None

    def read(self, register: int) -> int:
        """Return a register of the present page; 0 on a page there is not."""
        key = self._key(register)
        if key is None:
            return 0
        if key[0] == 0 and register in _LIVE:
            return _LIVE[register](self)
        return self._registers.get(key, 0)

    def write(self, register: int, value: int) -> None:
        """Write a register of the present page; read-only ones are left."""
        key = self._key(register)
        if key is None or (key[0] == 0 and register in _READ_ONLY):
            return
        if key == (0, BMCR):
            self._control(value)
        else:
            self._registers[key] = value & 0xFFFF

    def _control(self, value: int) -> None:
        before = self._registers[0, BMCR]
        self._registers[0, BMCR] = value & ~(RESET | RESTART_AN) & 0xFFFF
        changed = (before ^ value) & (POWER_DOWN | AN_ENABLE | LOOPBACK)
        # A software reset keeps what was programmed and starts the link anew (e1000e_phy_sw_reset).
        if value & RESET or changed or (value & RESTART_AN and value & AN_ENABLE):
            self._restart(silence_ns=BREAK_LINK_NS)

    def _status(self) -> int:
        value = self._registers[0, BMSR]
        if self.link and not self._fell:
            value |= LINK
        self._fell = not self.link
        if self.state is State.LINKED and self._registers[0, BMCR] & AN_ENABLE:
            value |= AN_COMPLETE
        return value

    def _partner(self) -> int:
        return self._partner_base if self.state is State.LINKED else 0

    def _partner_1000(self) -> int:
        return self._partner_next if self.state is State.LINKED else 0

    def _specific(self) -> int:
        """Copper specific status: speed, duplex, page received, resolved, link."""
        if not self.link:
            return 0
        return self.speed << 14 | self.full_duplex << 13 | 0x1C00

    # -- the link ------------------------------------------------------------------------------------

    def set_carrier(self, *, present: bool) -> None:
        """Plug the cable in or out."""
        if present != self._carrier:
            self._carrier = present
            self._restart(silence_ns=0)

    def set_partner(self, offers: Iterable[str]) -> None:
        """Have the link partner offer these: it starts the negotiation anew. ValueError: no such thing."""
        self._offer(offers)
        self._restart(silence_ns=BREAK_LINK_NS)

    def _offer(self, offers: Iterable[str]) -> None:
        named = set(offers)
        if unknown := named - PARTNER.keys() - PARTNER_1000.keys():
            raise ValueError(f"no link partner offers {', '.join(sorted(unknown))}")
        self._partner_base = _ACKNOWLEDGES | sum(PARTNER[one] for one in named & PARTNER.keys())
        self._partner_next = _RECEIVERS_FINE | sum(PARTNER_1000[one] for one in named & PARTNER_1000.keys())

    def _restart(self, *, silence_ns: int) -> None:
        if self.state is State.LINKED:
            self._fell = True
        self.state = State.UNPLUGGED
        self._settle(silence_ns=silence_ns)

    def _settle(self, *, silence_ns: int) -> None:
        """Take the state that registers and carrier ask for, from the beginning."""
        control = self._registers[0, BMCR]
        if control & POWER_DOWN:
            self.state = State.POWERED_DOWN
        elif not self._carrier or control & LOOPBACK:
            self.state = State.UNPLUGGED
        elif control & AN_ENABLE:
            self.state = State.NEGOTIATING
            self._done_at = self._now + silence_ns + AUTONEGOTIATION_NS
        elif self._agreed:
            self.state = State.LINKED
        else:
            self.state = State.UNPLUGGED

    def advance(self, now_ns: int) -> None:
        """Finish a negotiation that is due."""
        self._now = max(self._now, now_ns)
        if self.state is State.NEGOTIATING and self._now >= self._done_at:
            if self._agreed:
                self.state = State.LINKED
            else:  # both go on trying
                self._done_at = self._now + BREAK_LINK_NS + AUTONEGOTIATION_NS

    def deadline(self) -> int | None:
        """Return when the negotiation ends, if one runs."""
        return self._done_at if self.state is State.NEGOTIATING else None


_LIVE: Final = {
    BMSR: Phy._status,  # noqa: SLF001 - a table of the class above, by register
    LPAR: Phy._partner,  # noqa: SLF001 - the same
    STAT1000: Phy._partner_1000,  # noqa: SLF001 - the same
    SPECIFIC_STATUS: Phy._specific,  # noqa: SLF001 - the same
}
