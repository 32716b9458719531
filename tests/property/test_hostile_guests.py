"""Whatever a guest writes, the card answers: random registers, rings and memory, bounded work."""

from __future__ import annotations

import random
from struct import Struct

import pytest

from device.card import BAR0, BAR2, BAR3, CONFIG, Card
from device.regs.nic import BAR0_SIZE, NIC
from tests.bench import MAC, MEMORY, TX_RING, Bench, ethernet

RING = Struct("<QII")
HOT = [
    register.at(index)
    for register in NIC
    if register.name not in {"PBM", "FFMT", "FTFT", "FFVT"}
    for index in range(min(register.count, 4))
]
SMALL = [0, 1, 2, 3, 8, 0x80, 0x100, 0x1000, 0xFFF0, 0xFFFF, 0x80000, 0x04008002, 0x0400_8042, 0xFFFF_FFFF]


def hand_over(bench: Bench, card: Card, rng: random.Random) -> None:
    """Fill a transmit ring with descriptors that are nearly right, and ring its doorbell."""
    queue = rng.randrange(2)
    for index in range(64):
        address = rng.randrange(MEMORY) if rng.random() < 0.9 else rng.getrandbits(64)
        low = rng.getrandbits(32) & ~0xF_C000
        bench.ram.write(TX_RING[queue] + 16 * index, RING.pack(address, low, rng.getrandbits(32)))
    card.write_region(BAR0, NIC[f"TDT{queue}"].offset, rng.randrange(64).to_bytes(4, "little"))


def play(bench: Bench, seed: int, steps: int) -> None:
    """Do what a hostile guest might: write anything anywhere, hand over garbage, offer frames."""
    rng = random.Random(seed)
    card = Card(bench.engine, MAC)
    card.set_carrier(present=True)
    card.write_region(CONFIG, 4, b"\x06\x00")
    card.advance(10**9)
    bench.ram.write(0, rng.randbytes(0x10000))
    bench.transmitter()
    bench.transmitter(queue=1)
    bench.receiver(extended=rng.random() < 0.5, control=rng.getrandbits(32) & NIC["RCTL"].mask)
    now = 10**9
    for _ in range(steps):
        action = rng.randrange(12)
        if action < 3:
            value = rng.choice(SMALL) if rng.random() < 0.7 else rng.getrandbits(32)
            card.write_region(BAR0, rng.choice(HOT), value.to_bytes(4, "little"))
        elif action < 5:
            hand_over(bench, card, rng)
        elif action < 8:
            card.read_region(BAR0, rng.randrange(BAR0_SIZE - 8), rng.choice((1, 2, 4, 8)))
        elif action == 8:
            size = rng.choice((14, 60, 200, 1514, 9000, 17000))
            card.receive(ethernet(rng.randbytes(size), destination=rng.choice((MAC, b"\xff" * 6))))
        elif action == 9:
            now += rng.choice((1, 1000, 10**6, 10**9))
            card.advance(now)
        elif action == 10:
            bench.ram.write(rng.randrange(MEMORY - 64), rng.randbytes(64))
            hand_over(bench, card, rng)
        else:
            index = rng.choice((BAR2, BAR3, CONFIG))
            card.write_region(index, rng.randrange(8) * 4, rng.randbytes(4))


@pytest.mark.parametrize("seed", range(20))
def test_nothing_a_guest_writes_raises_or_hangs(bench: Bench, seed: int) -> None:
    """The promise of 82574l.md, from a seed that can be played again."""
    play(bench, seed, 400)

    assert len(bench.ram.data) == MEMORY
