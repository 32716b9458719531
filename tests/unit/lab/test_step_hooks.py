"""Hooks observe, and inject faults: into registers, write-backs, frames and interrupts."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from device.trace.player import Player
from device.trace.recording import Recording
from lab.stepper.hooks import Hooks
from lab.stepper.session import Session
from lab.stepper.tools import Tools
from lab.stepper.views import Look
from lab.stepper.workbench import Workbench, build

if TYPE_CHECKING:
    from pathlib import Path

    from lab.stepper.session import Stop
    from lab.stepper.small_driver import Symptom

HEAD = "from lab.stepper.hooks import DROP, Delay\nclass Tracer:\n"


def hooked(tmp_path: Path, body: str, frames: int = 10) -> tuple[Symptom, Workbench, bytes]:
    """Work with a hook; return what was noticed, and the recording."""
    path = tmp_path / "hook.py"
    path.write_text(HEAD + "".join(f"    {line}\n" for line in body.splitlines()))
    hooks = Hooks()
    hooks.load(path)
    out = io.BytesIO()
    bench = build(hooks=hooks, write=out.write)
    return bench.work(frames), bench, out.getvalue()


def test_a_lost_doorbell_hangs_the_ring(tmp_path: Path) -> None:
    """Nothing leaves, the ring fills up."""
    symptom, _, _ = hooked(tmp_path, "def w_TDT0(self, value): return DROP")

    assert (symptom.on_the_wire, symptom.refused) == (0, 3)


def test_a_lost_interrupt_is_believed_sent(tmp_path: Path) -> None:
    """The card did its part; the driver never hears."""
    symptom, bench, _ = hooked(
        tmp_path, "def on_interrupt(self, vector): return DROP if vector == 1 else None"
    )

    assert (symptom.completed, symptom.on_the_wire, symptom.received) == (0, 7, 10)
    assert bench.card.account.interrupts == 17


def test_a_delayed_interrupt_comes_later(tmp_path: Path) -> None:
    """By the card's time: one frame late."""
    symptom, _, _ = hooked(
        tmp_path, "def on_interrupt(self, vector): return Delay(us=90) if vector == 1 else None"
    )

    assert symptom.completed == 10


def test_a_corrupted_write_back_reaches_memory_so(tmp_path: Path) -> None:
    """DD is lost."""
    body = (
        "def on_write_back(self, ring, index, raw):\n"
        "    return b'\\0' if ring == 'tx0' and index == 2 else None"
    )
    symptom, bench, _ = hooked(tmp_path, body)

    assert symptom.completed == 2
    assert bench.ram.data[0x1000 + 12] & 1 == 1
    assert bench.ram.data[0x1020 + 12] == 0


def test_frames_are_dropped_and_corrupted_in_both_directions(tmp_path: Path) -> None:
    """On the wire's side of the card."""
    body = (
        "def on_frame_sent(self, data): return DROP if data[17] == 3 else data[:-1] + b'X'\n"
        "def on_frame_received(self, data): return DROP if data[17] % 2 else None"
    )
    symptom, bench, _ = hooked(tmp_path, body)

    assert (symptom.on_the_wire, symptom.received) == (9, 5)
    assert all(frame.endswith(b"X") for frame in bench.wire)


def test_a_delayed_write_back_doorbell_and_frame_come_by_the_card_s_time(tmp_path: Path) -> None:
    """Each late, none lost."""
    body = (
        "def on_write_back(self, ring, index, raw): return Delay(us=60) if ring == 'tx0' else None\n"
        "def w_TDT0(self, value): return Delay(us=20)\n"
        "def on_frame_received(self, data): return Delay(us=30)"
    )
    symptom, bench, recording = hooked(tmp_path, body)

    player = Player(Recording(recording))
    player.run()

    assert (symptom.on_the_wire, symptom.received) == (10, 10)
    assert bench.ram.data[0x1000 + 12] & 1 == 1
    assert player.differences == []


def test_a_hook_that_raises_is_told_of_and_the_card_goes_on(tmp_path: Path) -> None:
    """Its tracer is unloaded; the session stops and says why."""
    path = tmp_path / "hook.py"
    path.write_text(HEAD + "    def on_frame_sent(self, data): return data[999]\n")
    hooks = Hooks()
    hooks.load(path)
    bench = build(hooks=hooks)
    reasons: list[str] = []

    class Front:
        def stopped(self, session: Session, stop: Stop) -> None:
            reasons.append(stop.reason)
            session.run()

    session = Session(Look(bench.engine, bench.ram), Front())
    Tools(session, hooks=hooks)
    bench.engine.observer = session.observe

    symptom = bench.work(5)

    assert (symptom.completed, symptom.on_the_wire) == (5, 5)
    assert [reason for reason in reasons if "on_frame_sent raised IndexError" in reason]


def test_what_a_hook_did_can_be_asked(tmp_path: Path) -> None:
    """By kind and count; ``hook`` at the prompt prints it."""
    path = tmp_path / "hook.py"
    path.write_text(
        HEAD
        + "    def w_TDT0(self, value): return DROP if value == 3 else None\n"
        + "    def on_frame_received(self, data): return Delay(us=1)\n"
    )
    hooks = Hooks()
    hooks.load(path)

    build(hooks=hooks).work(4)

    assert hooks.told() == [
        f"{path}, loaded 1 times",
        "  on_frame_received: delayed 4 times",
        "  w_TDT0: dropped 1 times",
    ]


def test_a_read_shows_what_the_hook_says(tmp_path: Path) -> None:
    """To the driver alone."""
    _, bench, _ = hooked(tmp_path, "def r_STATUS(self, value): return value ^ 2")

    assert bench.driver.read("STATUS") ^ 2 == bench.card.read_register(8)


def test_a_run_with_faults_is_played_without_the_hook(tmp_path: Path) -> None:
    """The recording holds what the card saw: the hook stands outside."""
    body = (
        "def w_TDT0(self, value): return DROP if value == 4 else None\n"
        "def on_frame_sent(self, data): return DROP\n"
        "def on_interrupt(self, vector): return DROP if vector == 1 else None"
    )
    _, _, recording = hooked(tmp_path, body)

    player = Player(Recording(recording))
    player.run()

    assert player.differences == []


def test_a_tracer_is_told_of_registers_descriptors_and_everything(tmp_path: Path) -> None:
    """By the methods that it has; and may be changed while everything runs."""
    path = tmp_path / "hook.py"
    path.write_text(
        HEAD
        + "    def __init__(self): self.seen = []\n"
        + "    def on_tx_descriptor(self, ring, index, desc): self.seen.append((ring, index, desc.length))\n"
        + "    def on_event(self, event): self.seen.append(type(event).__name__)\n"
    )
    bench = build()

    class Front:
        def stopped(self, session: Session, stop: Stop) -> None:  # noqa: ARG002 - the seam's shape
            session.run()

    session = Session(Look(bench.engine, bench.ram), Front())
    tools = Tools(session)
    bench.engine.observer = session.observe
    tools.hook(path)
    bench.work(2)
    seen = tools.hooks._tracer.seen  # type: ignore[attr-defined]  # the test's own class

    path.write_text(HEAD + "    def on_rx_descriptor(self, ring, index, desc): pass\n")
    told = tools.hook(None)

    assert (0, 0, 64) in seen
    assert (0, 1, 64) in seen
    assert "DescriptorWrittenBack" in seen
    assert "on_rx_descriptor" in told


def test_a_file_without_a_tracer_is_refused_and_the_old_one_stays(tmp_path: Path) -> None:
    """A typing error in a reload must not lose the hook."""
    good, bad = tmp_path / "good.py", tmp_path / "bad.py"
    good.write_text(HEAD + "    def w_TDT0(self, value): return 7\n")
    bad.write_text("x = 1\n")
    hooks = Hooks()
    hooks.load(good)

    with pytest.raises(ValueError, match="no class Tracer"):
        hooks.load(bad)

    assert hooks.register("w", 0x3818, 1) == 7
