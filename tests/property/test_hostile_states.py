"""Saved states that somebody has changed: refused with a ValueError, or taken; the card works either way."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from device.card import Card
from device.regs.nic import NIC
from tests.bench import MAC

if TYPE_CHECKING:
    from tests.bench import Bench

STRANGE: tuple[Any, ...] = (
    None,
    -1,
    0,
    1,
    255,
    1 << 31,
    1 << 32,
    1 << 63,
    1 << 64,
    1 << 200,
    0.5,
    "",
    "zz",
    "ff",
    [],
    {},
    [0],
    True,
)
TRIES = 120


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:  # noqa: ANN401 - JSON
    """Return the way to every value of a JSON document."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path] * bool(path) + [one for key, value in items for one in places(value, (*path, key))]


def changed(state: dict[str, Any], seed: int) -> bytes:
    """Return the document with one to three values replaced or removed."""
    chance = random.Random(seed)
    document = json.loads(json.dumps(state))
    for _ in range(chance.randrange(1, 4)):
        way = chance.choice(places(document))
        at = document
        for key in way[:-1]:
            at = at[key]
        if isinstance(at, dict) and chance.random() < 0.2:
            del at[way[-1]]
        else:
            at[way[-1]] = chance.choice(STRANGE)
    return json.dumps(document).encode()


def used(bench: Bench) -> Card:
    """Return a card that has done something of everything."""
    card = Card(bench.engine, MAC)
    card.write_region(7, 4, b"\x06\0")
    card.set_carrier(present=True)
    card.advance(1 << 32)
    for name, value in (("RDTR", 100), ("TIDV", 100), ("ITR", 100), ("IMS", 0xFFFF_FFFF), ("VET", 0x1234)):
        card.write_region(0, NIC[name].offset, value.to_bytes(4, "little"))
    card.write_region(3, 0, bytes(16))
    return card


@pytest.mark.parametrize("part", range(4))
def test_a_changed_state_is_refused_or_taken(bench: Bench, part: int) -> None:
    """Nothing but ValueError comes out, and the card answers afterwards."""
    card = used(bench)
    state = json.loads(card.save())

    refused = 0
    for seed in range(part * TRIES, (part + 1) * TRIES):
        try:
            card.restore(changed(state, seed))
        except ValueError:
            refused += 1
        card.release()
        card.advance(1 << 33)
        card.write_region(0, NIC["TDT0"].offset, bytes(4))
        assert len(card.read_region(0, NIC["STATUS"].offset, 4)) == 4

    assert 0 < refused < TRIES


def test_a_state_survives_its_own_way_round(bench: Bench) -> None:
    """What is saved after a restore is what was restored."""
    card = used(bench)
    state = card.save()

    card.restore(state)

    assert json.loads(card.save()) | {"engine": 0} == json.loads(state) | {"engine": 0}
    assert json.loads(card.save())["engine"]["words"] == json.loads(state)["engine"]["words"]


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"7", b'"x"', b"\xff\xfe", b"{}"])
def test_what_is_no_state_is_refused(bench: Bench, text: bytes) -> None:
    """Whatever JSON it is, or is not."""
    card = used(bench)

    with pytest.raises(ValueError, match=r"."):
        card.restore(text)
