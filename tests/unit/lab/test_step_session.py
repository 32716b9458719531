"""The stepper's sessions: where they stop, what they show, and how they go back."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import pytest

from device.trace.recording import Recording
from lab.stepper import view_commands
from lab.stepper.command import CommandError
from lab.stepper.commands import COMMANDS, find
from lab.stepper.completion import complete
from lab.stepper.prompt import Prompt
from lab.stepper.replaying import Replay
from lab.stepper.session import Session
from lab.stepper.tools import Tools
from lab.stepper.views import Look
from lab.stepper.workbench import build

if TYPE_CHECKING:
    from pathlib import Path


def replay(script: str, fault: str = "", frames: int = 8, every: int = 7) -> tuple[str, Replay, Prompt]:
    """Run a script of commands on a recording; return what was printed."""
    out = io.BytesIO()
    build(fault, write=out.write).work(frames)
    text = io.StringIO()
    prompt = Prompt(script.strip().splitlines(), text, echo=True)
    played = Replay(Recording(out.getvalue()), prompt, every=every)
    prompt.tools = Tools(played.session)
    played.run()
    return text.getvalue(), played, prompt


def stops(text: str) -> list[int]:
    """Return the numbers of the events that were stopped at."""
    return [
        int(number)
        for number in re.findall(r"^#(\d+) .*\((?:step|here|breakpoint|there)", text, re.MULTILINE)
    ]


def kinds(text: str) -> list[str]:
    """Return the kinds of the events that were stopped at."""
    return re.findall(r"^#\d+ (\w+) .*\((?:step|here|breakpoint)", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        ("access", {"read", "write"}),
        ("descriptor", {"fetch"}),
        ("frame", {"frame", "arrive"}),
        ("interrupt", {"irq", "line"}),
    ],
)
def test_a_step_goes_to_the_next_of_its_kind(step: str, kind: set[str]) -> None:
    """Ten times."""
    text, _, _ = replay(f"step {step}\n" * 10 + "quit")

    assert len(kinds(text)) == 11
    assert set(kinds(text)[1:]) <= kind


def test_a_step_of_many_is_as_many_steps() -> None:
    """Counted by kind."""
    once, _, _ = replay("step descriptor 5\nquit")
    singly, _, _ = replay("step descriptor\n" * 5 + "quit")

    assert stops(once)[-1] == stops(singly)[-1]


def test_every_stage_of_a_transmitted_frame_is_a_stop() -> None:
    """Doorbell, fetch, data, frame, write-back, cause, interrupt, acknowledgement: in this order."""
    text, _, _ = replay("until doorbell tx value=1\n" + "step\n" * 7 + "quit")

    assert kinds(text)[1:] == ["write", "fetch", "data", "frame", "writeback", "cause", "irq", "write"]


def test_a_breakpoint_stops_each_nth_time() -> None:
    """And counts its hits."""
    text, played, _ = replay("break fetch tx0 every=3\ncontinue\ncontinue\nquit")

    assert kinds(text)[1:] == ["fetch", "fetch"]
    assert "tx[0].desc[2]" in text
    assert "tx[0].desc[5]" in text
    assert played.session.breakpoints[0].hits == 6


def test_a_breakpoint_may_ask_for_anything() -> None:
    """An expression on the card's state."""
    text, _, _ = replay("break fetch tx0 if tx[0].tail == 4\ncontinue\nprint tx[0].head\nquit")

    assert "tx[0].desc[3]" in text
    assert "\n3 (0x3)\n" in text


def test_an_expression_that_fails_stops_and_says_so() -> None:
    """So that a typing error is not a breakpoint that never hits."""
    text, _, _ = replay("break fetch tx0 if tx[0].tial == 4\ncontinue\nbreakpoints\nquit")

    assert "expression failed: 'RingView' object has no attribute 'tial'" in text


def test_going_back_step_by_step_shows_the_way_in_reverse() -> None:
    """Over points, and out of the middle of inputs."""
    there, _, _ = replay("step 40\n" + "step\n" * 25 + "quit")
    back, _, _ = replay("step 65\n" + "reverse-step\n" * 25 + "quit")

    assert stops(there)[1:] == list(reversed(stops(back)[1:]))


def test_going_back_by_breakpoints_finds_each_again() -> None:
    """The last first; then the beginning."""
    text, _, _ = replay("break writeback tx0\n" + "continue\n" * 4 + "reverse-continue\n" * 4 + "quit")
    found = stops(text)

    assert found[1:5] == sorted(found[1:5])
    assert found[5:] == [found[3], found[2], found[1], 1]
    assert "there was none before" in text


def test_the_end_of_a_recording_can_be_left_backwards() -> None:
    """One looks at the result first, and then for its cause."""
    text, _, _ = replay("continue\nbreak irq\nreverse-continue\nwhere\nquit")

    assert "the recording ends here" in text
    assert kinds(text)[1] == "irq"


def test_seeking_shows_the_same_state_from_both_sides() -> None:
    """Registers, rings and history do not depend on the way there."""
    look = "registers all\nring tx0 all\nring rx0 all\nhistory 10\n"

    forwards, _, _ = replay(f"seek 60\n{look}quit")
    backwards, _, _ = replay(f"seek 9999\nseek 60\n{look}quit")

    at = "#60 "
    assert (
        forwards[forwards.index(at) :]
        == backwards[backwards.rindex(at, 0, backwards.index("registers all")) :]
    )


def test_a_ring_shows_head_tail_and_owners() -> None:
    """At a doorbell of a ring of eight that has wrapped."""
    text, _, _ = replay("break fetch tx0 index=0 every=2\ncontinue\nring tx0\nquit", frames=12)

    assert "head 0  tail 1  the card owns 1" in text
    assert "\n   #.......\n" in text
    assert re.search(
        r"^H  \[  0\] card   legacy +64 bytes  buffer 0x10000  EOP\|IFCS\|RS$", text, re.MULTILINE
    )
    assert re.search(r"^ T \[  1\] driver legacy", text, re.MULTILINE)


def test_a_descriptor_is_shown_by_field_with_its_buffer() -> None:
    """At the place where it is fetched, without saying which."""
    text, _, _ = replay("until fetch tx0\ndescriptor\nquit")

    assert "command    0xb (11) EOP|IFCS|RS" in text
    assert "Ethernet  52:54:00:82:57:01 > 02:00:00:00:00:01 type 0x88b5 64 bytes" in text
    assert "00000000  02 00 00 00 00 01 52 54" in text


def test_registers_that_changed_since_the_last_stop_are_named() -> None:
    """With the old and the new value, and the fields."""
    text, _, _ = replay("until write TCTL\nstep access\nregisters changed\nquit")

    assert re.search(r"^TCTL +0x0{8}|^TCTL .* -> 0x0000000a +EN PSP", text, re.MULTILINE)


def test_commands_that_cannot_be_done_say_why() -> None:
    """And the script goes on."""
    text, _, prompt = replay(
        "until doorbell tx\nnonsense\nstep sideways\nring zx9\ndescriptor tx0 99\nmemory zero\n"
        "break write NOSUCH\ndelete 7\nprint 1/0\nprint nosuch\nprint (\nreverse-continue\n"
        "assert tx[0].count == 9\nquit"
    )

    assert len(prompt.failed) == 12
    for told in ("no command nonsense", "no ring zx9", "has 8 slots", "division by zero", "no breakpoint 7"):
        assert told in text


def test_an_expression_reaches_no_builtins() -> None:
    """It is evaluated against the card, not against the machine."""
    _, _, prompt = replay("print open('/etc/passwd')\nprint __import__('os')\nquit")

    assert len(prompt.failed) == 2


def test_a_bug_behind_why_is_no_advice_about_rings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A KeyError of ours in the analysis was printed as "there is no ring TCTL"."""

    def broken(_session: Session, _name: str) -> list[str]:
        raise KeyError("TCTL")

    monkeypatch.setattr(view_commands, "why", broken)

    with pytest.raises(KeyError, match="TCTL"):
        replay("why tx0")


def test_every_command_has_help_and_is_found_by_a_part_of_its_name() -> None:
    """And Tab knows them."""
    text, _, _ = replay("help\n" + "".join(f"help {one.names[0]}\n" for one in COMMANDS) + "quit")

    assert all(one.help in text for one in COMMANDS)
    assert find("hist").names[0] == "history"
    with pytest.raises(CommandError, match="may be"):
        find("re")
    assert complete("brea") == ["break", "breakpoints"]
    assert complete("break fet") == ["fetch"]
    assert "TDT0" in complete("registers TD")


def test_a_live_card_is_stepped_and_cannot_go_back() -> None:
    """It says what can."""
    bench = build()
    text = io.StringIO()
    prompt = Prompt(["until fetch tx0", "seek 1", "reverse-step", "detach"], text)
    session = Session(Look(bench.engine, bench.ram), prompt)
    prompt.tools = Tools(session)
    bench.engine.observer = session.observe
    bench.card.watch(session.observe)

    symptom = bench.work(5)

    assert text.getvalue().count("a live card cannot go back") == 2
    assert symptom.completed == 5
    assert session.stops == 2


def test_a_session_pauses_when_asked() -> None:
    """As by Ctrl-C from another thread."""
    bench = build()
    seen: list[str] = []

    class Front:
        def stopped(self, session: Session, stop: object) -> None:
            seen.append(str(stop))
            session.run()

    session = Session(Look(bench.engine, bench.ram), Front())
    session.run()
    bench.engine.observer = session.observe
    bench.driver.start()
    assert seen == []

    session.pause()
    bench.driver.read("ICR")

    assert len(seen) == 1
    assert "(paused)" in seen[0]


def test_the_end_of_a_script_lets_the_card_run(tmp_path: Path) -> None:
    """And its page of statistics is written."""
    path = tmp_path / "page.html"

    text, played, _ = replay(f"break irq\nseek 50\nstatistics {path}")

    assert played.session.detached
    assert "wrote" in text
    assert path.read_text().startswith("<!doctype html>")


def test_a_temporary_breakpoint_stops_once() -> None:
    """And is gone."""
    text, played, _ = replay("tbreak fetch tx0\ncontinue\ncontinue\nquit")

    assert kinds(text)[1:] == ["fetch"]
    assert "the recording ends here" in text
    assert played.session.breakpoints == []


def test_what_one_runs_to_is_forgotten_at_another_stop() -> None:
    """A breakpoint of `to` does not stop the card for ever after."""
    text, played, _ = replay("break fetch tx0 index=1\nto tx0 5\nbreakpoints\nquit")

    assert "tx[0].desc[1]" in text
    assert [one.text for one in played.session.breakpoints] == ["fetch tx0 index=1"]


def test_a_tracepoint_prints_each_hit_and_stops_nothing() -> None:
    """With the event and its number."""
    text, _, _ = replay("tracepoint frame\ncontinue\nbreakpoints\nquit", frames=3)

    assert len(re.findall(r"^#\d+ frame .*\(tracepoint 1\)$", text, re.MULTILINE)) == 3
    assert text.count("(step)") == 1
    assert "3 hits  frame   (prints)" in text


@pytest.mark.parametrize(
    "given",
    [
        "commands 1 print tx[0].head; print tx[0].tail",
        "commands 1\nprint tx[0].head\nprint tx[0].tail\nend",
    ],
)
def test_a_breakpoint_does_commands_of_its_own(given: str) -> None:
    """Given in one line, or a line each up to `end`."""
    text, _, _ = replay(f"break fetch tx0 index=2\n{given}\ncontinue\nwhere\nquit")

    assert "\n2 (0x2)\n" in text
    assert "\n3 (0x3)\n" in text
    assert text.index("3 (0x3)") < text.index("(ringwalk) where")


def test_a_breakpoint_s_commands_may_let_the_card_go_on() -> None:
    """So that it prints what it wants and stops nothing."""
    text, played, _ = replay(
        "break fetch tx0\ncommands 1 print tx[0].head; continue\ncontinue\nquit", frames=4
    )

    assert [f"\n{head} (0x{head})\n" in text for head in range(4)] == [True] * 4
    assert played.session.breakpoints[0].hits == 4


def test_events_are_traced_to_a_file(tmp_path: Path) -> None:
    """All, or those that are named; up to `trace off`."""
    path = tmp_path / "events"

    text, _, prompt = replay(
        f"trace {path} fetch tx0\ncontinue\ntrace off\ntrace {tmp_path}/no/such\ntrace {path} nonsense\nquit",
        frames=5,
    )

    lines = path.read_text().splitlines()
    assert len(lines) == 5
    assert re.fullmatch(r"#\d+ 1\.\d{9} fetch     tx\[0\]\.desc\[0\] .*", lines[0])
    assert f"{path} is written" in text
    assert len(prompt.failed) == 2


def test_commands_come_from_a_file_too(tmp_path: Path) -> None:
    """`source` does them as if they were typed."""
    path = tmp_path / "mine"
    path.write_text("# my breakpoints\nbreak fetch tx0\nbreak irq\n")

    text, played, prompt = replay(f"source {path}\nsource {path}.not\nquit")

    assert len(played.session.breakpoints) == 2
    assert "breakpoint 2: irq" in text
    assert len(prompt.failed) == 1


def test_a_user_s_start_up_file_is_done_at_the_first_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the greeting says what is stepped through; a script has neither."""
    (tmp_path / "ringwalk").mkdir()
    (tmp_path / "ringwalk" / "stepper").write_text("break irq\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    typed = iter(["continue", "quit"])
    monkeypatch.setattr("builtins.input", lambda _prompt="": next(typed))
    out = io.BytesIO()
    build(write=out.write).work(3)
    text = io.StringIO()
    prompt = Prompt(out=text)
    played = Replay(Recording(out.getvalue()), prompt)
    prompt.tools = Tools(played.session)

    played.run()

    assert text.getvalue().startswith("stepping through a recording: `help` lists the commands")
    assert text.getvalue().count("stepping through") == 1
    assert "breakpoint 1: irq" in text.getvalue()
    assert "(breakpoint 1: irq)" in text.getvalue()


def test_going_back_takes_what_was_counted_back_too() -> None:
    """Statistics, the lint, the interrupts, the history: as on the way there."""
    look = "statistics\ninterrupts\nlint\nhistory 50\nwrites\n"

    there, _, _ = replay(f"seek 60\n{look}quit", fault="rs-forgotten")
    back, _, _ = replay(f"seek 9999\nseek 60\n{look}seek 9999\nseek 60\n{look}quit", fault="rs-forgotten")

    expected = there[there.index("(ringwalk) statistics") : there.index("(ringwalk) quit")]
    assert "signalled" in expected
    assert back.count(expected) == 2


@pytest.mark.parametrize("steps", range(1, 5))
def test_a_descriptor_needs_no_arguments_at_any_stage(steps: int) -> None:
    """Fetch, data, frame, write-back: it is the one that the card works on."""
    text, _, prompt = replay(f"until doorbell tx value=1\ndescriptor\nstep {steps}\ndescriptor\nquit")

    assert prompt.failed == []
    assert text.count("tx0 [  0] ") == 2
