"""NDIS on real threads: nothing is lost, doubled or overtaken, in either mode."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest

from lab.host.threads import ThreadedExecutive
from ndis.executive import StuckError
from ndis.miniport import MiniportCharacteristics
from ndis.oids import Oid
from ndis.requests import Request
from ndis.samples.cable import Cable
from ndis.samples.loopback_adapter import LoopbackAdapter
from ndis.samples.scripted import ADDRESS
from ndis.status import Status
from ndis.suite.bench import Recorder, Transport, frame
from ndis.verifier.core import Verifier
from ndis.wrapper import Ndis

if TYPE_CHECKING:
    from ndis.packet import Packet

FRAMES = 200
PATIENCE_S = 30


@pytest.mark.parametrize("deserialized", [False, True], ids=["serialized", "deserialized"])
def test_two_threads_send_at_once(deserialized: bool) -> None:  # noqa: FBT001 - a mode
    """Every packet comes back once; the wire has each thread's frames in order."""
    executive = ThreadedExecutive(cpus=2)
    ndis = Ndis(executive)
    driver = ndis.register_miniport(MiniportCharacteristics.of(LoopbackAdapter))
    cable = Cable()
    settings = {"Cable": cable, "Deserialized": deserialized, "Slots": 8}
    adapter = ndis.add_adapter(driver, "card0", None, settings)
    client = Recorder()
    open_ = ndis.bind(ndis.register_protocol("test", Transport(client)), adapter)
    request = Request.set(Oid.GEN_CURRENT_PACKET_FILTER, b"\x01\0\0\0")
    open_.request(request)
    pool = ndis.packet_pool(2 * FRAMES)
    flows: list[list[Packet]] = [
        [pool.allocate(frame(1000 * flow + n, ADDRESS)) for n in range(FRAMES)] for flow in range(2)
    ]

    def send(packets: list[Packet]) -> None:
        for at in range(0, FRAMES, 4):
            open_.send_packets(packets[at : at + 4])

    threads = [threading.Thread(target=send, args=(flow,)) for flow in flows]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    executive.wait(lambda: len(client.sent) == 2 * FRAMES, "the sends")
    ndis.remove_adapter(adapter)
    executive.close()

    assert {p for p, _ in client.sent} == {p for flow in flows for p in flow}
    assert {s for _, s in client.sent} == {Status.SUCCESS}
    wire = [int.from_bytes(f[14:18], "big") for f in cable.log]
    for flow in range(2):
        mine = [n for n in wire if n // 1000 == flow]
        assert mine == [1000 * flow + n for n in range(FRAMES)]


def test_timers_fire_in_order_and_a_cancelled_one_does_not() -> None:
    """Whoever comes first, firing or cancelling, has it."""
    executive = ThreadedExecutive(cpus=1)
    fired: list[str] = []
    now_us = executive.now_us()
    executive.call_at(now_us + 20_000, "late", lambda: fired.append("late"))
    executive.call_at(now_us + 10_000, "early", lambda: fired.append("early"))
    never = executive.call_at(now_us + 3_600_000_000, "never", lambda: fired.append("never"))

    cancelled = never.cancel()
    executive.wait(lambda: len(fired) == 2, "the timers")
    executive.close()

    assert fired == ["early", "late"]
    assert (cancelled, never.cancel()) == (True, False)


def test_a_failing_routine_is_not_swallowed() -> None:
    """A wait ends with it, and close raises it."""
    executive = ThreadedExecutive(cpus=1)

    def fail() -> None:
        raise ValueError("driver")

    executive.queue_dpc("fail", fail)

    with pytest.raises(StuckError):
        executive.wait(lambda: False, "nothing")
    with pytest.raises(ValueError, match="driver"):
        executive.close()


def test_v06_reports_a_second_thread_that_enters_a_serialized_driver() -> None:
    """Two real threads: one past the gate while the other is inside; through the gate there is no report."""
    executive = ThreadedExecutive(cpus=1)
    verifier = Verifier()
    ndis = Ndis(executive, verifier)
    driver = ndis.register_miniport(MiniportCharacteristics.of(LoopbackAdapter))
    adapter = ndis.add_adapter(driver, "card0", None, {"Cable": Cable()})
    reports: list[set[str]] = []
    for past_the_gate in (False, True):
        inside, leave = threading.Event(), threading.Event()

        def stay(inside: threading.Event = inside, leave: threading.Event = leave) -> bool:
            inside.set()
            return leave.wait(PATIENCE_S)

        first = threading.Thread(
            target=adapter.gate.post, args=(lambda stay=stay: adapter.enter("check_for_hang", stay),)
        )
        first.start()
        assert inside.wait(PATIENCE_S)

        def enter() -> None:
            adapter.enter("check_for_hang", lambda: False)

        second = threading.Thread(target=enter if past_the_gate else partial(adapter.gate.post, enter))
        second.start()
        second.join()
        leave.set()
        first.join()
        reports.append(set(verifier.broken))
    ndis.remove_adapter(adapter)
    executive.close()

    assert reports == [set(), {"V06"}]
