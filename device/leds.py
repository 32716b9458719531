"""The LEDs beside the port: what LEDCTL makes each of them show (datasheet, LEDCTL). It knows no registers.

Modes and bits are E1000_LEDCTL_* of Linux's e1000e/hw.h and defines.h; e1000e_blink_led_generic and
e1000_led_on_82574 (mac.c, 82571.c) are what `ethtool -p` does with them.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

LEDS: Final = 3
_BITS: Final = 8  # of LEDCTL, an LED
_MODE, _INVERT, _BLINK = 0xF, 1 << 6, 1 << 7


class Light(enum.Enum):
    """What one sees."""

    OFF = "off"
    ON = "on"
    BLINKING = "blinking"


@dataclass(frozen=True, slots=True)
class Port:
    """What LEDs can tell of: the link, its duplex, and its speed as STATUS.SPEED has it."""

    link: bool
    speed: int = 2
    full_duplex: bool = True


def _at(*speeds: int) -> Callable[[Port], bool]:
    return lambda port: port.link and port.speed in speeds


_SOURCES: Final[dict[int, Callable[[Port], bool]]] = {
    0x0: _at(0, 2),  # LINK_10/1000
    0x1: _at(1, 2),  # LINK_100/1000
    0x2: lambda port: port.link,  # LINK_UP
    0x4: lambda port: port.link,  # LINK/ACTIVITY; the activity is too short to be seen here
    0x5: _at(0),  # LINK_10
    0x6: _at(1),  # LINK_100
    0x7: _at(2),  # LINK_1000
    0x9: lambda port: port.link and port.full_duplex,  # FULL_DUPLEX
    0xE: lambda _: True,  # LED_ON
}
"""Modes of what lasts. In the others (activity, collision, pause) it is dark: too short for one who looks."""


def shown(ledctl: int, port: Port) -> tuple[Light, ...]:
    """Return what the LEDs show, LED0 first. BLINK makes a lit LED blink; IVRT inverts, before that."""
    return tuple(_light(ledctl >> _BITS * number & 0xFF, port) for number in range(LEDS))


def _light(control: int, port: Port) -> Light:
    source = _SOURCES.get(control & _MODE)
    lit = source is not None and source(port)
    if control & _INVERT:
        lit = not lit
    if not lit:
        return Light.OFF
    return Light.BLINKING if control & _BLINK else Light.ON
