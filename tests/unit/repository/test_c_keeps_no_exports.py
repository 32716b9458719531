"""What C is told the address of may be part of a garbage cycle: the collector ends it without a crash.

A cffi ``from_buffer`` that is kept, in a cycle with its view, makes the collector clear the view under it
("memoryview has 1 exported buffer"), and the interpreter then dies when the export is released. Each case
runs in a process of its own, as the fault is a SIGSEGV.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

PRELUDE = """
import gc
from device.engine.native import NativeEngine
from miniport.burst import Bell, RxBurst, TxBurst
from miniport.coalescingring import CoalescingRing
from miniport.rxring import RxBuffer
from tests.support.miniport_frames import Memory

class Owner:
    pass

def one():
    ring, data = Memory(256), Memory(16 * 2048, 0x100000)  # before the owner: the collector clears them first
    buffers = [RxBuffer(0x100000 + 2048 * n, data.view[2048 * n :][:2048]) for n in range(16)]
    owner = Owner()
    owner.kept = MAKE
    owner.ring, owner.data = ring, data
    ring.owner = data.owner = owner.kept

for round in range(200):
    one()
    if round % 20 == 0:
        gc.collect()
gc.collect()
print("collected")
"""
MAKERS = {
    "TxBurst": "TxBurst(ring, data, 16, Bell(owner))",
    "RxBurst": "RxBurst(ring, data, 16, Bell(owner))",
    "CoalescingRing": "CoalescingRing(ring, buffers, 16, lambda tail: owner)",
    "Loan": "NativeEngine().lend(1 << 32, data.view)",
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_ring_in_a_cycle_with_its_memory_is_collected(make: str) -> None:
    """No complaint of an exported buffer, and no SIGSEGV."""
    program = PRELUDE.replace("MAKE", make).replace("range(200)", f"range({60 if 'Native' in make else 400})")

    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", program],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "collected\n", "")


@pytest.mark.parametrize("name", ["TxBurst", "RxBurst"])
def test_a_ring_outlives_the_objects_that_brought_its_memory(name: str) -> None:
    """The views alone hold the bytes where they are."""
    program = PRELUDE.split("def one()", maxsplit=1)[0] + (
        "ring = " + name + "(Memory(256), Memory(16 * 2048, 0x100000), 16, Bell.silent())\n"
        "gc.collect()\n"
        "junk = [bytes([255]) * 256 for _ in range(100)] + [bytes([255]) * 16 * 2048 for _ in range(100)]\n"
        "print(ring.send([bytes(60)] * 99) if hasattr(ring, 'send') else (ring.start(), ring.receive(9)))\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=60
    )

    assert (done.returncode, done.stdout) == (0, "15\n" if name == "TxBurst" else "(None, [])\n"), done.stderr
