"""Questions to a stack in a guest: lines through two FIFOs, answered between two steps of its loop."""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING

import pytest

from lab.host.control_socket import Answer, QuestionError
from lab.host.fifo_relay import ANSWER, ASK, PIPE_BYTES, FifoTools, relayed
from lab.host.inspection_gate import EventDesk
from ndis.events import Event, Kind
from ntos.executive.contract import SECOND
from ntos.executive.irql import Irql
from ntos.executive.live import LiveExecutive

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def refuse(arguments: list[str]) -> Answer:
    """Refuse to answer."""
    raise QuestionError(f"no {arguments}")


TOOLS = {
    "echo": lambda arguments: Answer(" ".join(arguments), arguments),
    "no": refuse,
    "long": lambda _arguments: Answer("x" * PIPE_BYTES),
}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Answer in a thread, as the guest does in its loop."""
    loop, over = LiveExecutive(), threading.Event()
    fifos = FifoTools(loop, tmp_path, TOOLS)
    thread = threading.Thread(target=lambda: loop.run_until(over.is_set, 60 * SECOND))
    thread.start()
    yield tmp_path
    over.set()
    with (tmp_path / ASK).open("wb") as ask:
        ask.write(b"{}\n")
    thread.join()
    fifos.close()
    loop.close()


def carry(folder: Path, line: bytes) -> bytes:
    """Do what the agent's script does: a write, and one line back."""
    with (folder / ASK).open("wb", buffering=0) as ask:
        half = len(line) // 2
        ask.write(line[:half])
        ask.write(line[half:])
    with (folder / ANSWER).open("rb") as answer:
        return answer.readline()


def test_each_question_has_its_answer(folder: Path) -> None:
    """As text and as data; a refusal is a refusal here too."""
    tools = relayed(TOOLS, lambda line: carry(folder, line))

    answers = [tools["echo"]([word, "ü"]) for word in ("one", "two")]

    assert [(one.text, one.data) for one in answers] == [("one ü", ["one", "ü"]), ("two ü", ["two", "ü"])]
    with pytest.raises(QuestionError, match="no"):
        tools["no"](["x"])
    with pytest.raises(QuestionError, match="too long"):
        tools["long"]([])


def test_a_guest_that_is_not_up_is_told_as_such() -> None:
    """An empty answer is no answer."""
    tools = relayed(["echo"], lambda _line: b"")

    with pytest.raises(QuestionError, match="has not begun"):
        tools["echo"]([])


@pytest.mark.parametrize("line", [b"\n", b"[1]\n", b"\xff\n"])
def test_any_line_gets_an_answer(folder: Path, line: bytes) -> None:
    """And the next question too."""
    first, second = carry(folder, line), carry(folder, b'{"tool": "echo", "arguments": ["a"]}\n')

    assert "error" in json.loads(first)
    assert json.loads(second)["text"] == "a"


def test_a_stack_without_a_lock_answers_at_its_next_crossing() -> None:
    """On its own thread; a stack that ends sends away who waits."""
    desk = EventDesk()
    event = Event(Kind.ENTER, 0, 0, Irql.PASSIVE, "", "")
    served: list[int] = []
    asking = threading.Thread(target=lambda: served.append(desk.serve(threading.get_ident)))
    asking.start()
    while not served and asking.is_alive():
        desk(event)
    asking.join()
    refused: list[QuestionError] = []

    def ask() -> None:
        try:
            desk.serve(os.getpid)
        except QuestionError as error:
            refused.append(error)

    waiting = threading.Thread(target=ask)
    waiting.start()
    while waiting.is_alive():
        desk.refuse()
    waiting.join()

    assert served == [threading.get_ident()]
    assert "ask again" in str(refused[0])
