"""``why``: what a queue waits for; and rings that show which of their slots are done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from device.engine.contract import InterruptMode
from device.pci.function import COMMAND
from device.regs.nic import NIC
from lab.stepper.last_state import LastState
from lab.stepper.session import Session
from lab.stepper.small_driver import frame_number
from lab.stepper.views import Look
from lab.stepper.why import why
from lab.stepper.workbench import Workbench, build

if TYPE_CHECKING:
    from collections.abc import Callable


class Passing:
    """A front end that lets everything pass."""

    def stopped(self, session: object, stop: object) -> None:
        """Go on."""


def watched(fault: str = "") -> tuple[Workbench, Session]:
    """Return a bench with a driver that has started, and a session on it."""
    bench = build(fault)
    session = Session(Look(bench.engine, bench.ram), Passing())
    session.run()
    bench.engine.observer = session.observe
    bench.card.watch(session.observe)
    bench.driver.start()
    return bench, session


def _no_link(bench: Workbench) -> None:
    bench.card.set_carrier(present=False)
    bench.driver.write("TDT0", 3)


def _no_bus(bench: Workbench) -> None:
    bench.card.write_region(7, COMMAND, bytes(2))
    bench.driver.write("TDT0", 3)


def _off(bench: Workbench) -> None:
    bench.driver.write("TCTL", 0)
    bench.driver.write("TDT0", 3)


def _beyond(bench: Workbench) -> None:
    bench.driver.write("TDT0", 99)


def _fault(bench: Workbench) -> None:
    bench.driver.write("TDBAL0", 0xFFFF_0000)
    bench.driver.write("TDT0", 1)


def _masked(bench: Workbench) -> None:
    bench.driver.write("IMC", 0xFFFF_FFFF)
    bench.driver.send(frame_number(1))


def _paused(bench: Workbench) -> None:
    bench.driver.write("CTRL", bench.driver.read("CTRL") | NIC["CTRL"]["RFCE"].mask)
    for name, value in (("FCAL", 0x00C28001), ("FCAH", 0x0100), ("FCT", 0x8808)):
        bench.driver.write(name, value)
    pause = bytes.fromhex("0180c2000001 020000000001 8808 0001 ffff").ljust(60, b"\0")
    bench.card.receive(pause)
    bench.driver.send(frame_number(1))


def _unrouted(bench: Workbench) -> None:
    bench.driver.write("IVAR", 8)
    bench.driver.send(frame_number(1))


def _throttled(bench: Workbench) -> None:
    bench.card.set_interrupt_mode(InterruptMode.MSIX)
    bench.driver.write("EITR", 0xFFFF, 1)
    bench.driver.send(frame_number(1))
    bench.driver.interrupt(1)
    bench.driver.send(frame_number(2))


@pytest.mark.parametrize(
    ("happens", "reason"),
    [
        (
            lambda _: None,
            "head meets tail: the card has sent all that it was given, and waits for a doorbell",
        ),
        (_no_link, "the link is down (STATUS.LU is 0)"),
        (_no_link, "the card owns 3 slots, [0] is next"),
        (_no_bus, "the card is no bus master"),
        (_off, "TCTL.EN is 0"),
        (_beyond, "the tail is 99, beyond the ring of 8"),
        (_fault, "nothing is mapped at 0xffff0000"),
        (_masked, "raised, but masked in IMS"),
        (_paused, "PAUSE: the link's partner has asked for quiet"),
        (_unrouted, "IVAR has no valid vector for TXQ0"),
        (_throttled, "moderation: EITR[1] holds an interrupt back"),
    ],
)
def test_why_names_what_a_transmit_ring_waits_for(
    happens: Callable[[Workbench], object], reason: str
) -> None:
    """Whatever stops it: the link, the bus, the driver, the partner, a mask, a throttle."""
    bench, session = watched()

    happens(bench)

    assert any(reason in line for line in why(session, "tx0")), "\n".join(why(session, "tx0"))


def test_why_tells_slots_that_are_done_from_those_that_never_will_be() -> None:
    """The bug of a driver that asks for a report of every fourth frame and waits for each."""
    bench, session = watched("rs-every-fourth")
    for number in range(7):
        bench.driver.send(frame_number(number))

    lines = why(session, "tx0")

    assert any(line.startswith("  DD is set in [3]:") for line in lines), lines
    assert any(line.startswith("  no RS in [0..2], [4..6]:") for line in lines), lines


def test_why_says_that_a_receive_ring_has_no_descriptors_or_refuses_frames() -> None:
    """And what refused them."""
    bench, session = watched()
    bench.card.receive(frame_number(1, to=b"\x02\x00\x00\x00\x00\x99"))
    refused = why(session, "rx0")
    for number in range(7):
        bench.card.receive(frame_number(number, to=b"\xff" * 6))

    empty = why(session, "rx0")

    assert any("the card has 7 slots to store frames in" in line for line in refused), refused
    assert any("of the last frames 1 went no farther" in line for line in refused), refused
    assert any("the card has no descriptor to store a frame in" in line for line in empty), empty
    assert any("DD is set in [0..6]" in line for line in empty), empty


def test_a_ring_that_nobody_has_laid_out_says_so() -> None:
    """Before anything else."""
    _, session = watched()

    assert why(session, "tx1")[1:] == ["  the driver has not set the ring up: its length is 0"]
    with pytest.raises(KeyError):
        why(session, "zx0")


def test_a_healthy_ring_shows_dd_and_a_sick_one_says_that_it_never_comes() -> None:
    """Side by side they are not the same."""
    rings = []
    for fault in ("", "rs-forgotten"):
        bench, session = watched(fault)
        for number in range(3):
            bench.driver.send(frame_number(number))
        rings.append(session.look.ring("tx0").lines()[2:5])

    healthy, sick = rings
    assert [line.endswith("EOP|IFCS|RS  DD") for line in healthy] == [True] * 3
    assert [line.endswith("EOP|IFCS  no RS, so no DD") for line in sick] == [True] * 3


def test_a_descriptor_s_status_is_told_by_name() -> None:
    """DD, and that none will come where RS is missing."""
    bench, session = watched()
    bench.driver.send(frame_number(1))

    done = session.look.tx[0].desc[0]

    assert "  status     0x1 (1) DD" in done.fields()
    assert "DD" in done.flags
    assert "  RS is not set: the card writes no DD here" not in done.fields()


def test_the_kept_state_of_a_client_that_left_answers_why() -> None:
    """The card itself has been reset meanwhile."""
    bench, _ = watched("rs-every-fourth")
    for number in range(7):
        bench.driver.send(frame_number(number))
    last = LastState(bench.engine, bench.ram)
    session = Session(Look(last, last), Passing())

    last.keep()
    bench.card.reset()

    assert any(line.startswith("  no RS in [0..2]") for line in why(session, "tx0"))
    last.forget()
    assert why(session, "tx0")[1:] == ["  the driver has not set the ring up: its length is 0"]
