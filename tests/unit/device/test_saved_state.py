"""The reference engine's saved state: a field that a transmit queue gains is saved, too."""

from __future__ import annotations

import json
from typing import Final

from device.engine.reference import ReferenceEngine
from device.engine.reference.transmit import Queue
from tests.bench import Ram

PLACES: Final = {"number", "low", "high", "length", "tdh", "tdt", "txdctl", "tarc"}
"""Where a queue's registers are: they never change."""
SAVED_AS: Final = {"chunks": "gathered", "size": "gathered"}
"""What is saved under another name: the size follows from the chunks."""


def test_every_slot_of_a_transmit_queue_is_saved() -> None:
    """Whoever adds one saves it, or says here why not."""
    saved = json.loads(ReferenceEngine(Ram(0x1000)).save())

    wanted = {SAVED_AS.get(slot, slot) for slot in Queue.__slots__ if slot not in PLACES}

    assert {frozenset(queue) for queue in saved["queues"]} == {frozenset(wanted)}
