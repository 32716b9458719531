"""Guest memory of three kinds: shared, by messages, and private to QEMU by mistake.

The first is what all other tests have. Without a descriptor the card asks QEMU for every byte (DMA_READ,
DMA_WRITE); with the descriptor of memory that is not shared it can only tell its user.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from device.served import PRIVATE_MEMORY
from lab.machines.card_process import start_card
from lab.machines.guest.session import Guest, GuestSpec
from lab.machines.qemu.command import VfioUserNic
from tests.guest.conftest import ENGINES

pytestmark = pytest.mark.guest

MIB = 512
PING = (
    "ip link set {0} up && ip addr add {1} dev {0} && sleep 1 && ping -c 5 -W 5 {2} ; ip addr flush dev {0}"
)


def backed_by(backend: str) -> tuple[str, ...]:
    """Return QEMU's arguments for RAM of another kind; the last ``-machine`` counts."""
    return ("-object", f"{backend},id=own,size={MIB}M", "-machine", "memory-backend=own")


# ``extra``: one run in some eight hangs (docs/bring-your-own-driver.md). QEMU's vCPU keeps the BQL while it
# waits for a register; its main thread needs it to answer the DMA_READ for which the card's lock is held.
@pytest.mark.extra
@pytest.mark.usefixtures("fetched")
def test_a_guest_whose_memory_comes_without_a_descriptor_pings_through_both_engines() -> None:
    """Anonymous RAM: the card's every access is a message to QEMU, while the guest reads its registers."""
    with TemporaryDirectory(prefix="rw-") as made, contextlib.ExitStack() as stack:
        cards = []
        for number, engine in enumerate(ENGINES):
            card = start_card(
                Path(made) / engine,
                "netns",
                engine=engine,
                mac=f"52:54:00:82:57:{number + 1:02x}",
                options=("--dma", "messages"),
            )
            stack.callback(card.close)
            cards.append(card)
        nics = tuple(VfioUserNic(Path(card.ready.socket)) for card in cards)
        extra = backed_by("memory-backend-ram")
        guest = stack.enter_context(Guest(GuestSpec(nics=nics, memory_mib=MIB, extra=extra)))
        answers = []
        for number, card in enumerate(cards):
            peer = (card.ready.peer_address or "").partition("/")[0]
            ours = f"{peer.rpartition('.')[0]}.77/24"
            answers.append(guest.run(PING.format(f"eth{number}", ours, peer)).out)

        faults = [card.account()["dma_faults"] for card in cards]

    assert all(", 0% packet loss" in answer for answer in answers), answers
    assert faults == [0, 0]


@pytest.mark.usefixtures("fetched")
def test_a_guest_whose_memory_is_private_to_qemu_makes_the_card_say_so() -> None:
    """QEMU passes the descriptor of a memfd without share=on, and its guest writes elsewhere."""
    with TemporaryDirectory(prefix="rw-") as made:
        cards = [start_card(Path(made) / engine, "none", engine=engine) for engine in ENGINES]
        nics = tuple(VfioUserNic(Path(card.ready.socket)) for card in cards)
        extra = backed_by("memory-backend-memfd,share=off")
        with Guest(GuestSpec(nics=nics, memory_mib=MIB, extra=extra)) as guest:
            guest.run("ip link set eth0 up; ip link set eth1 up; sleep 1")
        said = [card.stop() for card in cards]

    assert said == [f"ringwalk: {PRIVATE_MEMORY}\n"] * 2
