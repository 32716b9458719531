"""Recordings are played: equal on both engines, every change is noticed, and the way back is exact."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from device.effects import FrameSent, GsoType, Offload
from device.engine.contract import InterruptMode
from device.engine.native import NativeEngine
from device.regs.nic import NIC
from device.trace import checkpoint
from device.trace.card import Journal
from device.trace.compare import compare, unknown
from device.trace.facts import say
from device.trace.player import REFERENCE, EngineFactory, Player
from device.trace.recording import About, Recording, Writer
from device.trace.records import Kind, Record
from lab.stepper.planted import FAULTS
from lab.stepper.workbench import build

if TYPE_CHECKING:
    from collections.abc import Callable

    from device.trace.events import Event

NATIVE = EngineFactory("native", lambda memory, offload: NativeEngine(memory, offload=offload))


def recorded(fault: str = "", frames: int = 20) -> bytes:
    """Return the recording of a small driver's life."""
    out = io.BytesIO()
    build(fault, write=out.write).work(frames)
    return out.getvalue()


def changed(data: bytes, change: Callable[[list[Record]], None]) -> Recording:
    """Return a recording with its records changed."""
    recording = Recording(data)
    records = [record for _, record in recording.records()]
    change(records)
    out = io.BytesIO()
    writer = Writer(out.write, recording.about)
    for record in records[:-1]:
        writer.add(*record)
    writer.close()
    return Recording(out.getvalue())


def find(records: list[Record], kind: Kind, number: int = 0) -> int:
    """Return the place of the n-th record of a kind."""
    return [at for at, record in enumerate(records) if record.kind == kind][number]


@pytest.mark.parametrize("factory", [REFERENCE, NATIVE], ids=lambda factory: factory.name)
@pytest.mark.parametrize("fault", ["", *FAULTS])
def test_a_recording_plays_without_a_difference(factory: EngineFactory, fault: str) -> None:
    """On the engine that was recorded, and on the other."""
    player = Player(Recording(recorded(fault)), factory)

    turns = player.run()

    assert player.differences == []
    assert turns > 100
    assert player.card.account.frames_received >= 7


def _change_answer(records: list[Record]) -> None:
    at = find(records, Kind.ANSWER, -1)
    records[at] = records[at]._replace(data=b"\x55\x55\x55\x55")


def _change_frame(records: list[Record]) -> None:
    at = find(records, Kind.FRAME, 3)
    records[at] = records[at]._replace(data=records[at].data[:-1] + b"\xaa")


def _lose_frame(records: list[Record]) -> None:
    del records[find(records, Kind.FRAME, 5)]


def _lose_interrupt(records: list[Record]) -> None:
    del records[find(records, Kind.MESSAGE, 2)]


def _change_writeback(records: list[Record]) -> None:
    at = find(records, Kind.DMA_WRITE, 4)
    records[at] = records[at]._replace(data=bytes(len(records[at].data)))


def _change_stored(records: list[Record]) -> None:
    at = find(records, Kind.STORED)
    records[at] = records[at]._replace(which=0)


def _forget_memory(records: list[Record]) -> None:
    del records[find(records, Kind.DMA_READ)]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (_change_answer, "the answer: recorded 0x55555555"),
        (_change_frame, "frame 0 to the wire"),
        (_lose_frame, "recorded none"),
        (_lose_interrupt, "interrupts: recorded none, played vector"),
        (_change_writeback, "guest memory at"),
        (_change_stored, "whether the frame was stored: recorded not stored, played stored"),
        (_forget_memory, "guest memory that the recording never saw"),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else "",
)
@pytest.mark.parametrize("factory", [REFERENCE, NATIVE], ids=lambda factory: factory.name)
def test_an_engine_that_does_otherwise_is_told(
    factory: EngineFactory, change: Callable[[list[Record]], None], what: str
) -> None:
    """The recording is changed, which looks the same as a changed engine."""
    player = Player(changed(recorded(), change), factory)

    player.run()

    assert what in str(player.differences[0])


def test_going_back_plays_the_same_again() -> None:
    """From points in between, any number of times, even out of the middle of an input."""
    seen: list[str] = []

    def watch(event: Event) -> None:
        seen.append(say(event))

    player = Player(Recording(recorded()), REFERENCE, watch)
    points = []
    while player.step():
        if player.turn % 25 == 0:
            points.append((player.point(), len(seen)))
    whole = list(seen)

    for point, at in [*points, *reversed(points)]:
        player.go_back(point)
        del seen[:]
        player.run()

        assert seen == whole[at:]
        assert player.differences == []


def test_the_state_to_go_back_to_is_whole() -> None:
    """Every attribute of a stateful part is in the table, or is known to hold no state of its own.

    A new attribute of the engine that is not in the table fails here, and not in somebody's replay.
    """
    player = Player(Recording(recorded()))
    player.run()
    assert player.reference is not None
    wired = {
        "Core": {"memory", "offload", "observer", "interrupts", "time"},
        "Interrupts": {"_core"},
        "FlowControl": {"_core"},
        "Receiver": {"_core", "_flow", "buffer", "rings"},
        "PacketBuffer": {"_words"},
        "Transmitter": {"_core", "_loop", "queues"},
        "Queue": {"number", "low", "high", "length", "tdh", "tdt", "txdctl", "tarc"},
        "ConfigSpace": {"_writable", "_clearable", "_initial"},
        "Control": {"_engine", "nvm", "phy", "_readers", "_writers"},
        "Nvm": {"eeprom"},
        "SpiEeprom": {"_cells", "_command"},
        "TracedCard": {
            *("engine", "nvm", "phy", "function", "msix", "control", "account", "sink"),
            *("_send", "_dispatchers", "_readers", "_writers"),
            *("_observer", "_journal", "_carrier", "_powered", "signals"),
        },
    }

    for thing, names in checkpoint.parts(player.card, player.reference):
        slots = getattr(type(thing), "__slots__", ())
        there = set(vars(thing)) if hasattr(thing, "__dict__") else set(slots)

        assert there - set(names) == wired.get(type(thing).__name__, set()), type(thing).__name__


def test_two_recordings_of_one_driver_do_not_part() -> None:
    """Whatever the times are."""
    assert compare(Recording(recorded()), Recording(recorded())) is None


def test_two_drivers_part_where_one_does_wrong() -> None:
    """Here: at the first doorbell, which says one too few."""
    parting = compare(Recording(recorded()), Recording(recorded("tail-off-by-one")))

    assert parting is not None
    assert parting.left == Record(Kind.WRITE, 0, 0, 0x3818, (1).to_bytes(4, "little"))
    assert parting.right == Record(Kind.WRITE, 0, 0, 0x3818, (0).to_bytes(4, "little"))


def test_an_advance_that_did_nothing_is_not_recorded() -> None:
    """So that an idle card costs nothing."""
    out = io.BytesIO()
    bench = build(write=out.write)
    bench.driver.start()
    assert bench.journal is not None

    for _ in range(1000):
        bench.driver.wait(1000)
    bench.driver.read("STATUS")
    bench.journal.close()

    kinds = [record.kind for _, record in Recording(out.getvalue()).records()]
    assert kinds[-4:] == [Kind.ADVANCE, Kind.READ, Kind.ANSWER, Kind.END]
    assert kinds.count(Kind.ADVANCE) == 1


def test_the_interrupt_mode_and_faults_are_part_of_a_recording() -> None:
    """A DMA that found nothing mapped finds nothing again."""
    out = io.BytesIO()
    bench = build(write=out.write)
    bench.driver.start()
    bench.driver.write("TDBAL0", 0xFFF0_0000)
    bench.driver.write("TDT0", 3)
    bench.card.set_interrupt_mode(InterruptMode.INTX)
    assert bench.journal is not None
    bench.journal.close()

    for factory in (REFERENCE, NATIVE):
        player = Player(Recording(out.getvalue()), factory)
        player.run()

        assert player.differences == []
        assert player.card.account.dma_faults == bench.card.account.dma_faults > 0


def test_a_recording_names_its_card() -> None:
    """The address is needed to build it again."""
    assert Recording(recorded()).about == About("52:54:00:82:57:01", comment="small driver")


def test_a_recording_that_reached_its_limit_ends_between_two_inputs_and_plays() -> None:
    """And keeps nothing of what comes later."""
    whole = recorded(frames=400)
    limited = io.BytesIO()
    writer = Writer(limited.write, About("52:54:00:82:57:01"), limit=60_000)
    journal = Journal(writer)
    for _, record in Recording(whole).records():
        if record.kind < 16:
            journal.input(*record)
        elif record.kind != Kind.END:
            journal.outcome(*record)

    recording = Recording(limited.getvalue())
    player = Player(recording)
    turns = player.run()

    assert player.differences == []
    assert 100 < turns < Player(Recording(whole)).run()
    assert [record.data for _, record in recording.records()][-1] == b"the limit was reached"
    assert writer._records == []


def test_what_is_ignored_is_passed_over_with_its_answers() -> None:
    """Two runs that differ in a register's reads are the same but for those."""

    def other(records: list[Record]) -> None:
        at = find(records, Kind.READ)
        records[at + 1] = records[at + 1]._replace(data=b"\x55\xaa\x55\xaa")

    data = recorded()
    records = [record for _, record in Recording(data).records()]
    name = NIC.name_of(records[find(records, Kind.READ)].value)

    assert compare(Recording(data), changed(data, other)) is not None
    assert compare(Recording(data), changed(data, other), [name]) is None
    assert compare(Recording(data), changed(data, other), [f"read {name}"]) is None
    assert compare(Recording(data), changed(data, other), [f"write {name}"]) is not None


def test_a_poll_that_one_run_makes_more_often_can_be_ignored() -> None:
    """Reads that the other has not are passed over, too; what follows is compared."""

    def polled(records: list[Record]) -> None:
        at = find(records, Kind.READ)
        records[at:at] = records[at : at + 2]

    data = recorded()
    records = [record for _, record in Recording(data).records()]
    name = NIC.name_of(records[find(records, Kind.READ)].value)

    assert compare(Recording(data), changed(data, polled), [name]) is None
    assert compare(Recording(data), Recording(recorded("tail-off-by-one")), [name]) is not None


def test_what_no_register_counter_or_record_is_called_is_named() -> None:
    """So that a slip of the pen does not ignore nothing in silence."""
    assert unknown(["SYSTIML", "G*", "read ICR", "frame", "RETA[[]3]", "SYSTIMEL"]) == ["SYSTIMEL"]


def test_a_large_send_is_as_many_frames_on_either_engine() -> None:
    """As many as the cable carries, though the wire cuts it."""
    offload = Offload(
        needs_csum=True, csum_start=34, csum_offset=16, gso=GsoType.TCPV4, hdr_len=54, gso_size=1460
    )

    assert FrameSent(bytes(54 + 4 * 1460), offload).frames == 4
    assert FrameSent(bytes(54 + 4 * 1460 + 1), offload).frames == 5
    assert FrameSent(bytes(9000)).frames == FrameSent(bytes(60), Offload(needs_csum=True)).frames == 1
