"""Interrupts that the miniport saves: of completed sends (``TransmitCompletionMs``), and a second a frame."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from device.engine.native import NativeEngine
from device.engine.reference import ReferenceEngine
from lab.host.inprocess_stack import LocalStack
from lab.host.ndis_rigs import ISR_REGISTERS
from miniport.hal.pci import Signalling
from ndis.status import Status
from ndis.verifier.core import Verifier
from tests.support.miniport_frames import OURS, ipv4_tcp, plain, to_us

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from miniport.hal.inprocess import EngineFactory

LATE_MS = 10
RING = 64
ENGINES: dict[str, EngineFactory] = {"reference": ReferenceEngine, "native": NativeEngine}


@pytest.fixture(params=list(itertools.product(ENGINES, (False, True))), ids=lambda p: f"{p[0]}-{p[1]}")
def late(request: pytest.FixtureRequest) -> Iterator[Callable[[Signalling], LocalStack]]:
    """Make stacks whose sends are given back late, serialized or not; the verifier watches them."""
    engine, deserialized = request.param
    verifiers: list[Verifier] = []

    def make(mode: Signalling) -> LocalStack:
        verifiers.append(Verifier(isr_registers=ISR_REGISTERS))
        settings = {"Deserialized": deserialized, "*TransmitBuffers": RING, "TransmitCompletionMs": LATE_MS}
        return LocalStack(engine=ENGINES[engine], mode=mode, configuration=settings, observer=verifiers[-1])

    yield make
    assert [report for verifier in verifiers for report in verifier.reports] == []


@pytest.mark.parametrize("mode", list(Signalling), ids=lambda m: m.value)
def test_a_lone_send_raises_no_interrupt_and_comes_back_by_the_timer(
    late: Callable[[Signalling], LocalStack], mode: Signalling
) -> None:
    """It is on the wire at once; its packet is given back when the time is over, and not before."""
    stack = late(mode)
    before = stack.bus.card.account.interrupts

    packets = stack.send(plain(1))
    wire = stack.settle()
    back_at_once = list(stack.recorder.sent)
    stack.clock.advance(LATE_MS * 1_000_000)

    assert wire == [plain(1)]
    assert back_at_once == []
    assert stack.recorder.sent == [(packet, Status.SUCCESS) for packet in packets]
    assert stack.bus.card.account.interrupts == before


@pytest.mark.parametrize("mode", list(Signalling), ids=lambda m: m.value)
def test_an_answer_brings_the_question_back_by_its_one_interrupt(
    late: Callable[[Signalling], LocalStack], mode: Signalling
) -> None:
    """Of a question and its answer, a TCP segment with ACK, only the answer interrupts, and once."""
    stack = late(mode)
    before = stack.bus.card.account.interrupts
    answer = ipv4_tcp(b"answer", to=OURS)

    packets = stack.send(plain(1))
    stack.settle()
    stack.bus.receive(answer)
    stack.settle()

    assert stack.recorder.received == [answer]
    assert stack.recorder.sent == [(packet, Status.SUCCESS) for packet in packets]
    assert stack.bus.card.account.interrupts == before + 1


@pytest.mark.parametrize("mode", list(Signalling), ids=lambda m: m.value)
def test_when_half_of_the_ring_is_taken_sends_interrupt(
    late: Callable[[Signalling], LocalStack], mode: Signalling
) -> None:
    """Three rings' worth of frames leaves in order and comes back without any time going by."""
    stack = late(mode)
    frames = [plain(n) for n in range(3 * RING)]

    packets = [stack.send(one)[0] for one in frames]
    wire = stack.settle()
    back_at_once = [packet for packet, _ in stack.recorder.sent]
    stack.clock.advance(LATE_MS * 1_000_000)

    assert wire == frames
    assert len(back_at_once) > 2 * RING
    assert stack.recorder.sent == [(packet, Status.SUCCESS) for packet in packets]


@pytest.mark.parametrize("mode", list(Signalling), ids=lambda m: m.value)
def test_when_the_ring_is_empty_again_a_send_raises_no_interrupt(
    late: Callable[[Signalling], LocalStack], mode: Signalling
) -> None:
    """What half a ring has switched on is switched off again."""
    stack = late(mode)
    for n in range(3 * RING):
        stack.send(plain(n))
    stack.settle()
    stack.clock.advance(LATE_MS * 1_000_000)
    before = stack.bus.card.account.interrupts

    stack.send(plain(1))
    stack.settle()

    assert stack.bus.card.account.interrupts == before


def test_a_halt_takes_the_timer_along(late: Callable[[Signalling], LocalStack]) -> None:
    """An answer brought the packet back, the timer runs still: NDIS stops a halt that leaves it."""
    stack = late(Signalling.MSIX)
    packets = stack.send(plain(1))
    stack.settle()
    stack.bus.receive(to_us(1))
    stack.settle()

    stack.halt()

    assert stack.recorder.sent == [(packet, Status.SUCCESS) for packet in packets]
    assert not stack.adapter.resources.held


@pytest.mark.parametrize("mode", list(Signalling), ids=lambda m: m.value)
def test_the_link_is_noticed_in_the_middle_of_traffic(
    late: Callable[[Signalling], LocalStack], mode: Signalling
) -> None:
    """A message that clears itself reads no cause when it has frames: CheckForHang looks, then."""
    stack = late(mode)

    stack.bus.receive(to_us(1))
    stack.bus.card.set_carrier(present=False)
    stack.settle()
    stack.clock.advance(2_000_000_000)

    assert stack.recorder.received == [to_us(1)]
    assert stack.recorder.statuses == [Status.MEDIA_DISCONNECT]
