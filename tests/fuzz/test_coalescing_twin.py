"""The driver's coalescing in C, under ASan and UBSan, against its Python twin, over frames of a hostile peer.

Every frame may be cut, lengthened or changed anywhere, its headers first. Checksums are made right
again where it still is a TCP segment: the card's word for them is what both sides go by.
"""

from __future__ import annotations

import random
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest

from device.rings.receive import RxError
from lab.trials.fuzz import libfuzzer
from miniport.coalescing import coalesce, parse
from miniport.rxring import BUFFER_BYTES
from tests.property.test_miniport_coalescing import UNVERIFIED, VERIFIED, traffic
from tests.support.miniport_frames import ones_sum

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fuzz.conftest import Build

BATCHES = 150
RING = 64


def mutated(choose: random.Random, frame: bytes) -> bytes:
    """Return a frame with a few bytes, or its end, changed."""
    raw = bytearray(frame)
    for _ in range(choose.choice((0, 0, 1, 2, 5))):
        at = choose.randrange(min(len(raw), choose.choice((14, 34, 80, len(raw)))))
        raw[at] = choose.choice((0, 0xFF, raw[at] ^ 1 << choose.randrange(8), choose.randrange(256)))
    cut = choose.random()
    if cut < 0.05:
        del raw[choose.randrange(14, len(raw) + 1) :]
    elif cut < 0.1:
        raw += choose.randbytes(choose.randrange(1, 40))
    return corrected(bytes(raw[:BUFFER_BYTES]))


def corrected(frame: bytes) -> bytes:
    """Return a segment with right checksums; anything else as it is."""
    segment = parse(frame)
    if segment is None:
        return frame
    raw = bytearray(frame)
    if segment.tcp == 34:
        raw[24:26] = bytes(2)
        raw[24:26] = (0xFFFF - ones_sum(bytes(raw[14:34]))).to_bytes(2, "big")
    raw[segment.tcp + 16 : segment.tcp + 18] = bytes(2)
    addresses = raw[26:34] if segment.tcp == 34 else raw[22:54]
    pseudo = bytes(addresses) + struct.pack(">HH", 6, segment.end - segment.tcp)
    total = ones_sum(pseudo + bytes(raw[segment.tcp : segment.end]))
    raw[segment.tcp + 16 : segment.tcp + 18] = (0xFFFF - total).to_bytes(2, "big")
    return bytes(raw)


def told(frame: bytes, *, verified: bool) -> int:
    """Return the status and errors that a card writes for a frame."""
    if verified:
        return int(VERIFIED)
    if parse(frame) is None:
        return int(UNVERIFIED) | int(RxError.IPE) << 24
    return int(UNVERIFIED)


def units(raw: bytes) -> list[list[tuple[bytes, int]]]:
    """Take what the program said apart, batch by batch."""
    batches, at = [], 0
    while at < len(raw):
        (count,) = struct.unpack_from("=I", raw, at)
        at += 4
        batch = []
        for _ in range(count):
            segments, length = struct.unpack_from("=II", raw, at)
            batch.append((raw[at + 8 : at + 8 + length], segments))
            at += 8 + length
        batches.append(batch)
    return batches


@pytest.mark.parametrize("seed", range(4))
def test_sanitized_c_and_its_twin_make_the_same_of_hostile_frames(build: Build, seed: int) -> None:
    """Some 4,800 frames a seed; no memory rule is broken and every unit is equal."""
    program: Path = build("memory", (libfuzzer.TARGETS / "units.c",))
    choose = random.Random(seed)
    said, wanted = bytearray(), []
    for _ in range(BATCHES):
        frames = [
            (mutated(choose, frame), good) for frame, good in traffic(choose, choose.randrange(1, RING))
        ]
        wanted.append([(unit.data(), unit.segments) for unit in coalesce(frames)])
        said += struct.pack("=I", len(frames))
        for frame, good in frames:
            said += struct.pack("=II", told(frame, verified=good), len(frame)) + frame

    done = subprocess.run([program], input=bytes(said), check=False, capture_output=True, timeout=60)

    assert (done.returncode, done.stderr) == (0, b"")
    assert units(done.stdout) == wanted
    assert sum(segments > 1 for batch in wanted for _, segments in batch) > 100
