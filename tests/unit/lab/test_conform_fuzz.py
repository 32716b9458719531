"""Lockstep runs: programs are the same for the same seed, differences are found, minimised and replayed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from device.regs.nic import NIC
from lab.cli import main as cli
from lab.conformance.fuzz import lockstep, session
from lab.conformance.fuzz.generate import Generator
from lab.conformance.fuzz.minimise import minimise
from lab.conformance.fuzz.program import Patch, Read, Send, Step, Wait, Write, dump, load
from lab.conformance.targets.inprocess import InProcessBench
from lab.conformance.targets.named import Named, target

if TYPE_CHECKING:
    from pathlib import Path

    from lab.conformance.bench import Bench

FCTTV = NIC["FCTTV"].offset


class Wrong(InProcessBench):
    """A card whose FCTTV reads one too much once RDTR was written: a planted difference."""

    def __init__(self) -> None:
        from device.engine.reference import ReferenceEngine  # noqa: PLC0415 - the engine is this double's alone

        super().__init__(lambda memory: ReferenceEngine(memory, offload=False))
        self._armed = False

    def reset(self) -> None:
        """Forget the planted difference, too."""
        super().reset()
        self._armed = False

    def write(self, offset: int, value: int, width: int = 4, bar: int = 0) -> None:
        """Arm the difference by RDTR."""
        self._armed = self._armed or offset == NIC["RDTR"].offset
        super().write(offset, value, width, bar)

    def read(self, offset: int, width: int = 4, bar: int = 0) -> int:
        """Lie about FCTTV."""
        return super().read(offset, width, bar) + (self._armed and offset == FCTTV)


class Liar(Wrong):
    """A card whose every register reads one too much."""

    def read(self, offset: int, width: int = 4, bar: int = 0) -> int:
        """Lie."""
        return super().read(offset, width, bar) + 1


@pytest.fixture
def benches() -> tuple[Bench, Bench]:
    """Return the reference card, and the one with a difference."""
    return target("reference").open(), Wrong()


def test_a_seed_is_a_program() -> None:
    """The same seed makes the same program, another another."""
    first, again, other = (Generator(seed, wild=True).program(200) for seed in (1, 1, 2))

    assert first == again
    assert first != other


def test_a_program_survives_being_stored() -> None:
    """Every kind of step reads back as it was written."""
    steps: list[Step] = [
        Write(4, 5, based=True),
        Read(8),
        Patch(0, "00ff", based=False),
        Send("aa" * 60),
        Wait(7),
    ]

    assert load(dump(steps, ["native", "reference"], "x")) == (steps, ["native", "reference"])


@pytest.mark.parametrize(
    "text", ["{}", '{"format": 2}', "nonsense", '{"format": 1, "targets": [], "steps": [{"do": "x"}]}']
)
def test_what_is_no_program_is_refused(text: str) -> None:
    """A ValueError, which the command line turns into one line."""
    with pytest.raises(ValueError):  # noqa: PT011 - each text is wrong in a way of its own
        load(text)


def test_a_planted_difference_is_found_and_minimised(benches: tuple[Bench, Bench]) -> None:
    """The two steps that matter are left of a thousand."""
    noise = Generator(3, wild=False).program(300)
    steps = [*noise[:200], Write(NIC["RDTR"].offset, 1), *noise[200:], Read(FCTTV)]

    found = lockstep.run(steps, *benches)
    assert found is not None
    small = session.shrink(steps, found, benches, scope=lockstep.EVERYTHING)

    assert small == [Write(NIC["RDTR"].offset, 1), Read(FCTTV)]


def test_the_engines_agree_on_wild_programs() -> None:
    """A short share of what `conform --fuzz` does: registers, frames, interrupts and memory, step by step."""
    native, reference = target("native").open(), target("reference").open()

    found = [lockstep.run(Generator(seed, wild=True).program(400), native, reference) for seed in range(20)]

    assert [one for one in found if one is not None] == []


def test_a_difference_of_memory_is_seen(benches: tuple[Bench, Bench]) -> None:
    """Not only registers are compared."""
    left, right = benches
    swapped: list[int] = []
    original = right.memory_write

    def skew(address: int, data: bytes) -> None:
        swapped.append(address)
        original(address, data if len(data) > 4 else bytes([data[0] ^ 1]) + data[1:])

    right.memory_write = skew  # type: ignore[method-assign]  # a planted fault in one bench
    found = lockstep.run([Patch(0x100, "11223344")], left, right)

    assert found is not None
    assert found.what == "memory at area + 0x100"


@pytest.mark.parametrize("bad", [{3}, {3, 17}, {0, 9, 19}])
def test_minimising_leaves_what_is_needed(bad: set[int]) -> None:
    """Every subset that is needed is found whole."""
    small = minimise(range(20), lambda part: bad <= set(part))

    assert set(small) == bad


def test_the_command_line_replays_what_it_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """--fuzz writes a file that --replay shows again."""
    file = tmp_path / "d.json"
    named = {"native": Named("native", Liar), "reference": target("reference")}
    monkeypatch.setattr(session, "target", lambda name: named[name])

    codes = [
        cli.main(["conform", "--fuzz", "1", "--steps", "50", "--output", str(file)]),
        cli.main(["conform", "--replay", str(file)]),
    ]

    assert codes == [1, 1]
    assert "1 steps show it" in capsys.readouterr().out
