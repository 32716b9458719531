"""A stop holds the card's clock, and the prompt opens when no event comes."""

from __future__ import annotations

import io
import mmap
import os
import threading
from typing import TYPE_CHECKING

import pytest

from device.regs.nic import NIC
from device.vfio_user import Client
from device.wire.spec import open_wire
from lab.machines.qemu.command import VfioUserNic
from lab.stepper.clock import StandingClock
from lab.stepper.live import Live, LiveThread, start
from lab.stepper.prompt import Prompt
from lab.stepper.signals import Interrupts
from lab.stepper.small_driver import MAC
from lab.stepper.wish import Wish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lab.stepper.session import Session, Stop

SOON_S = 20
"""Far more than anything here takes."""


class Asked:
    """A front end that waits at each stop until the test lets it go."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.stood = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.at_stop: Callable[[Session], object] = lambda _: None

    def stopped(self, session: Session, stop: Stop) -> None:
        """Note the stop and wait."""
        self.reasons.append(stop.reason)
        self.at_stop(session)
        session.run()
        self.stood.release()
        assert self.go.acquire(timeout=SOON_S)


@pytest.fixture
def front() -> Asked:
    """Return a front end that waits."""
    return Asked()


@pytest.fixture
def card(front: Asked, tmp_path: Path) -> Iterator[LiveThread]:
    """Serve a card that is stepped, without a client."""
    wire = open_wire("none")
    thread = start(str(tmp_path / "card"), wire, MAC, Wish(), front)
    assert thread.live.session is not None
    thread.live.session.run()
    yield thread
    for _ in range(10):
        front.go.release()
    thread.close()
    wire.close()


def write(client: Client, name: str, value: int) -> None:
    """Write a register."""
    client.write(0, NIC[name].offset, value.to_bytes(4, "little"))


def test_a_clock_that_stands_does_not_count_the_time_it_stood() -> None:
    """And goes on from there, as often as it is stopped."""
    now = [100]
    clock = StandingClock(lambda: now[0])
    seen = [clock()]

    for _ in range(2):
        clock.hold()
        now[0] += 1_000_000
        seen.append(clock())
        clock.hold()
        clock.release()
        clock.release()
        now[0] += 7
        seen.append(clock())

    assert seen == [100, 100, 107, 107, 114]


def test_ctrl_c_opens_the_prompt_of_a_card_to_which_nothing_happens(card: LiveThread, front: Asked) -> None:
    """No event comes, and none is waited for."""
    session = card.live.session
    assert session is not None

    session.pause()

    assert front.stood.acquire(timeout=SOON_S)
    assert front.reasons == ["(paused) the card is idle"]


def test_a_pause_that_an_event_has_answered_opens_no_second_prompt(card: LiveThread, front: Asked) -> None:
    """The prompt is opened once for each Ctrl-C."""
    session = card.live.session
    assert session is not None
    front.go.release()
    with card.live.served.lock:
        session.pause()
        card.live.served.card.write_register(NIC["IMC"].offset, 1)
    assert front.stood.acquire(timeout=SOON_S)

    session.pause("again")
    assert front.stood.acquire(timeout=SOON_S)
    assert front.reasons == ["paused", "(again) the card is idle"]


def test_the_card_s_time_stands_at_a_stop(card: LiveThread, front: Asked) -> None:
    """Lint and statistics see none of what the user took to think."""
    session = card.live.session
    assert session is not None
    times: list[int] = []

    def stand(_: Session) -> None:
        times.append(card.live.clock())
        threading.Event().wait(0.05)
        times.append(card.live.clock())

    front.at_stop = stand
    session.pause()
    assert front.stood.acquire(timeout=SOON_S)
    front.go.release()

    assert times[0] == times[1]


def test_the_state_a_client_leaves_is_kept_until_the_next_one_comes(
    card: LiveThread, front: Asked, tmp_path: Path
) -> None:
    """Registers, descriptors and their buffers, though the card is reset and the memory gone."""
    session = card.live.session
    assert session is not None
    shown: list[str] = []
    front.at_stop = lambda s: shown.append("\n".join(s.look.ring("tx0").lines()))
    card.live.has_guest = False
    card.live.wish = Wish(step=True)
    fd = os.memfd_create("guest")
    os.ftruncate(fd, 1 << 16)
    os.pwrite(fd, bytes.fromhex("0010000000000000 3c00 00 0b 00 00 0000"), 0)
    with Client.connect(tmp_path / "card") as client:
        client.map_dma(0, mmap.mmap(fd, 1 << 16), fd=fd)
        write(client, "TDLEN0", 128)
        client.read(0, NIC["STATUS"].offset, 4)

    assert front.stood.acquire(timeout=SOON_S)
    front.go.release()

    assert "the client has left" in front.reasons[-1]
    assert "8 slots" in shown[-1]
    assert "60 bytes" in shown[-1]


def test_two_ctrl_c_at_the_prompt_end_it_and_one_does_not() -> None:
    """And a command in between starts afresh."""
    session = Live(open_wire("none"), MAC, Wish(step=True), Asked()).session
    assert session is not None
    interrupts = Interrupts(session)
    session._stands = True

    interrupts()
    session.lines += 1
    interrupts()
    assert not session.detached
    with pytest.raises(KeyboardInterrupt):
        interrupts()

    assert session.detached


def test_a_script_s_commands_go_on_when_nothing_comes_any_more() -> None:
    """The last state can be looked at; going on is refused with the reason."""
    text = io.StringIO()
    prompt = Prompt(["where", "continue", "until fetch tx0", "ring tx0", "quit"], text)
    live = Live(open_wire("none"), MAC, Wish(step=True), prompt)
    session = live.session
    assert session is not None

    with live.served.lock:
        session.finish("the guest has ended")

    assert text.getvalue().startswith("#0 the guest has ended; the card's last state is kept\n")
    assert text.getvalue().count("error: the guest has ended: nothing comes any more") == 2
    assert "tx[0]  not set up" in text.getvalue()


def test_a_stepped_card_s_guest_waits_for_its_writes(tmp_path: Path) -> None:
    """QEMU posts register writes otherwise, and a stop at a doorbell holds nobody."""
    plain, stepped = VfioUserNic(tmp_path), VfioUserNic(tmp_path, waits=True)

    assert "x-no-posted-writes" not in plain.arguments()[1]
    assert '"x-no-posted-writes": true' in stepped.arguments()[1]
