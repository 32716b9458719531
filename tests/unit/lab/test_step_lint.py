"""The lint: each rule finds the driver that breaks it, and none finds one that does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from device.engine.contract import InterruptMode
from device.trace.lint import Finding, Lint
from device.trace.rules import RULES
from lab.stepper.small_driver import SLOTS, frame_number
from lab.stepper.workbench import Workbench, build

if TYPE_CHECKING:
    from collections.abc import Callable

    from device.trace.events import Event

SECOND = 1_000_000_000


class Watched:
    """A small driver's bench with a lint on its card."""

    def __init__(self, fault: str = "") -> None:
        self.bench: Workbench = build(fault)
        self.lint = Lint(self.bench.engine.peek)
        self._position = 0
        self.bench.engine.observer = self._observe
        self.bench.card.watch(self._observe)

    def _observe(self, event: Event) -> None:
        self._position += 1
        self.lint.observe(self._position, self.bench.driver.now_ns, event)

    def found(self) -> dict[str, Finding]:
        """Return the findings by rule."""
        return {finding.rule.name: finding for finding in self.lint.findings()}


def started() -> Watched:
    """Return a bench whose driver has started."""
    watched = Watched()
    watched.bench.driver.start()
    return watched


def test_a_driver_that_does_right_breaks_no_rule() -> None:
    """A hundred frames each way."""
    watched = Watched()

    watched.bench.work(100)

    assert watched.found() == {}


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("rs-forgotten", "missing-rs"),
        ("wrong-ivar", "interrupt-goes-nowhere"),
        ("stale-receive", "stale-descriptor"),
        ("unaligned-ring", "unaligned-ring"),
        ("tail-off-by-one", "tail-not-moved"),
        ("rs-every-fourth", "waits-without-rs"),
    ],
)
def test_a_planted_fault_is_named(fault: str, rule: str) -> None:
    """With evidence that points to an event."""
    watched = Watched(fault)

    watched.bench.work()

    found = watched.found()
    assert rule in found
    assert found[rule].evidence[0].startswith("#")


def _tail_beyond(watched: Watched) -> None:
    watched.bench.driver.write("TDT0", SLOTS)


def _odd_length(watched: Watched) -> None:
    watched.bench.driver.write("RDLEN0", 100)


def _touched(watched: Watched) -> None:
    watched.bench.driver.write("RDBAL0", 0x4000)


def _unmapped(watched: Watched) -> None:
    watched.bench.driver.write("TDBAL0", 0xFFFF_0000)
    watched.bench.driver.write("TDT0", 1)


def _unacknowledged(watched: Watched) -> None:
    driver = watched.bench.driver
    driver.write("EIAC", 0)
    driver.card.receive(frame_number(1, to=b"\xff" * 6))
    driver.wait(2 * SECOND)
    driver.read("STATUS")


def _line_unacknowledged(watched: Watched) -> None:
    driver = watched.bench.driver
    driver.card.set_interrupt_mode(InterruptMode.INTX)
    driver.write("IMS", 0x80)
    driver.card.receive(frame_number(1, to=b"\xff" * 6))
    driver.wait(2 * SECOND)
    driver.read("STATUS")


def _read_only(watched: Watched) -> None:
    watched.bench.driver.write("GPRC", 1)


def _reserved(watched: Watched) -> None:
    watched.bench.card.write_region(0, 0x1_FFFC, bytes(4))


def _unfinished(watched: Watched) -> None:
    bench = watched.bench
    bench.ram.write(0x1000, bytes.fromhex("00000100000000004000000200000000"))
    bench.driver.write("TDT0", 1)
    bench.driver.wait(2 * SECOND)
    bench.driver.read("STATUS")


def _stalled(watched: Watched) -> None:
    driver = watched.bench.driver
    driver.card.set_carrier(present=False)
    driver.write("TDT0", 3)
    driver.wait(SECOND // 2)
    driver.read("STATUS")
    driver.wait(2 * SECOND)
    driver.read("STATUS")


@pytest.mark.parametrize(
    ("act", "rule"),
    [
        (_tail_beyond, "tail-beyond-ring"),
        (_odd_length, "unaligned-ring"),
        (_touched, "touched-while-enabled"),
        (_unmapped, "unmapped-dma"),
        (_unacknowledged, "unacknowledged-interrupt"),
        (_line_unacknowledged, "unacknowledged-interrupt"),
        (_read_only, "write-to-read-only"),
        (_reserved, "reserved-register"),
        (_unfinished, "unfinished-frame"),
        (_stalled, "head-of-line-stall"),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else value,
)
def test_what_a_rule_forbids_is_found(act: Callable[[Watched], None], rule: str) -> None:
    """On a driver that did right until now."""
    watched = started()
    before = watched.found()

    act(watched)

    assert before == {}
    assert rule in watched.found()


def test_every_rule_is_tried_by_these_tests() -> None:
    """A new rule needs a driver that breaks it."""
    marks = [
        *test_a_planted_fault_is_named.pytestmark[0].args[1],  # type: ignore[attr-defined]  # pytest's own attribute
        *test_what_a_rule_forbids_is_found.pytestmark[0].args[1],  # type: ignore[attr-defined]  # the same
    ]

    assert {rule for _, rule in marks} == set(RULES)


def test_a_finding_counts_and_keeps_the_first_places() -> None:
    """Three of them; the rest is a number."""
    watched = started()

    for _ in range(10):
        watched.bench.driver.write("GPRC", 1)

    finding = watched.found()["write-to-read-only"]
    assert (finding.count, len(finding.evidence)) == (10, 3)
    assert "10 times" in str(finding)
    assert "datasheet" in str(finding)


def test_a_driver_that_waits_for_a_slot_without_rs_is_found() -> None:
    """Its ring is used up, and the card has nothing left to do: nothing ever happens again."""
    watched = Watched("rs-every-fourth")

    watched.bench.work(20)

    finding = watched.found()["waits-without-rs"]
    assert finding.evidence[0].endswith("tx[0] head 7, tail 7: slot 0 was sent without RS")
    assert set(watched.found()) == {"waits-without-rs"}


def test_a_stall_says_that_the_link_is_down() -> None:
    """The one fact that explains it."""
    watched = started()
    driver = watched.bench.driver
    driver.card.set_carrier(present=False)
    driver.write("TDT0", 3)
    driver.wait(SECOND // 2)
    driver.read("STATUS")
    driver.wait(2 * SECOND)
    driver.read("STATUS")

    assert "the link is down (STATUS.LU is 0)" in watched.found()["head-of-line-stall"].evidence[0]


def test_a_ring_that_is_laid_out_while_its_direction_is_on_is_no_doorbell() -> None:
    """Linux's e1000e writes 0 to RDT0 three times at its start."""
    watched = started()
    driver = watched.bench.driver
    for _ in range(3):
        driver.write("RDH0", 0)
        driver.write("RDT0", 0)

    assert "tail-not-moved" not in watched.found()
