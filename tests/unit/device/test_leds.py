"""What the LEDs show, by LEDCTL and the link. Said of every engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from device.card import BAR0, Card
from device.leds import Light, Port, shown
from device.phy import AUTONEGOTIATION_NS
from device.regs.nic import NIC
from tests.bench import MAC

if TYPE_CHECKING:
    from tests.bench import Bench

OFF, ON, BLINKING = Light.OFF, Light.ON, Light.BLINKING
IVRT, BLINK = 0x40, 0x80


@pytest.mark.parametrize(
    ("control", "port", "light"),
    [
        (0x2, Port(link=True), ON),
        (0x2, Port(link=False), OFF),
        (0x7, Port(link=True, speed=2), ON),
        (0x7, Port(link=True, speed=1), OFF),
        (0x6, Port(link=True, speed=1), ON),
        (0x9, Port(link=True, full_duplex=False), OFF),
        (0xE, Port(link=False), ON),
        (0xF, Port(link=True), OFF),
        (0xE | BLINK, Port(link=False), BLINKING),
        (0xE | IVRT | BLINK, Port(link=True), OFF),
        (0xF | IVRT | BLINK, Port(link=False), BLINKING),
    ],
)
def test_a_mode_shows_what_it_is_named_for(control: int, port: Port, light: Light) -> None:
    """E1000_LEDCTL_MODE_*, IVRT and BLINK, in the third LED's byte."""
    assert shown(control << 16 | 0x0F0F, port) == (OFF, OFF, light)


def test_the_power_on_leds_tell_of_the_link(bench: Bench) -> None:
    """LED0 lights with the link; `ethtool -p` makes all of them blink and gives them back."""
    card = Card(bench.engine, MAC)
    dark = card.leds
    card.set_carrier(present=True)
    card.advance(AUTONEGOTIATION_NS)
    linked = card.leds

    where, before = NIC["LEDCTL"].offset, bench.peek("LEDCTL")
    card.write_region(BAR0, where, (0x8E8E8E).to_bytes(4, "little"))
    identifying = card.leds
    card.write_region(BAR0, where, before.to_bytes(4, "little"))

    assert (dark[0], linked[0]) == (OFF, ON)
    assert identifying == (BLINKING, BLINKING, BLINKING)
    assert card.leds == linked
