"""Whether what an engine did is what a recording says came of an input. It knows no engine and no file.

A recording of the native engine keeps digests of what follows from its inputs (frames that leave, data stored
in guest memory); then it is digests that are compared. Another engine may write in other pieces: what counts
is what lies in guest memory after the input.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from device.trace.digest import digest_of
from device.trace.records import Kind, Record, frame_sum, sum_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHOWN: Final = 24
_RESULTS: Final = frozenset({Kind.ANSWER, Kind.STORED})
_FRAMES: Final = frozenset({Kind.FRAME, Kind.FRAME_SUM})
_MESSAGES: Final = frozenset({Kind.MESSAGE, Kind.SIGNAL})
_WRITES: Final = frozenset({Kind.DMA_WRITE, Kind.DMA_WRITE_SUM})


class Played(NamedTuple):
    """What an engine did with one input."""

    result: Record | None
    """``ANSWER`` or ``STORED``."""
    frames: list[tuple[int, bytes]]
    """``which`` and ``data`` of a ``FRAME``."""
    signals: list[tuple[int, int]]
    """Kind (``MESSAGE``, ``SIGNAL``, ``LEVEL``), and vector or level."""
    written: list[tuple[int, bytes]]
    """Address and bytes of each DMA write."""
    unknown: list[tuple[int, int]]
    """Address and length of reads that the recording has no bytes for."""


class Mismatch(NamedTuple):
    """In what they differ, as the recording says it and as it was played."""

    what: str
    recorded: str
    played: str


def judge(outcomes: list[Record], played: Played) -> Iterator[Mismatch]:
    """Yield where the outcomes of an input and what was played differ."""
    for address, length in played.unknown:
        yield Mismatch(
            "guest memory that the recording never saw", "nothing", f"read {address:#x}+{length:#x}"
        )
    answer = next((r for r in outcomes if r.kind in _RESULTS), None)
    if answer is not None and played.result is not None and answer != played.result:
        what = "the answer" if answer.kind == Kind.ANSWER else "whether the frame was stored"
        yield Mismatch(what, _value(answer), _value(played.result))
    yield from _judge_frames([r for r in outcomes if r.kind in _FRAMES], played.frames)
    signals = [(r.kind, r.which) for r in outcomes if r.kind in _MESSAGES or r.kind == Kind.LEVEL]
    if _apart(signals) != _apart(played.signals):
        yield Mismatch("interrupts", _signals(signals), _signals(played.signals))
    yield from _judge_memory([r for r in outcomes if r.kind in _WRITES], played.written)


def _judge_frames(recorded: list[Record], played: list[tuple[int, bytes]]) -> Iterator[Mismatch]:
    for number in range(max(len(recorded), len(played))):
        if number >= len(recorded):
            yield Mismatch(f"frame {number} to the wire", "none", _frame(played[number][1]))
            return
        record = recorded[number]
        said = _frame_said(record)
        if number >= len(played):
            yield Mismatch(f"frame {number} to the wire", said, "none")
            return
        which, data = played[number]
        same = Record(Kind.FRAME, which, 0, 0, data) if record.kind == Kind.FRAME else frame_sum(which, data)
        if record != same:
            yield Mismatch(f"frame {number} to the wire", said, _frame(data))
            return


def _judge_memory(recorded: list[Record], played: list[tuple[int, bytes]]) -> Iterator[Mismatch]:
    if len(recorded) == len(played) and all(map(_same_write, recorded, played)):
        return
    after = _bytes(played)
    expected: dict[int, int] = {}
    sums: list[tuple[int, int, int]] = []
    for record in recorded:
        if record.kind == Kind.DMA_WRITE:
            expected.update(_bytes([(record.value, record.data)]))
        else:
            sums.append((record.value, *sum_of(record)))
    covered = set(expected)
    for address, length, digest in sums:
        there = bytes(after.get(address + at, 0) for at in range(length))
        covered.update(range(address, address + length))
        whole = all(address + at in after for at in range(length))
        if not whole or digest_of(there) != digest:
            shown = there[:_SHOWN].hex(" ") if whole else "not all of it written"
            yield Mismatch(f"guest memory at {address:#x} ({length} bytes)", f"digest {digest:#018x}", shown)
            return
    wrong = sorted(a for a in covered | after.keys() if _differs(a, expected, after, covered))
    if wrong:
        run = [wrong[0] + n for n in range(16) if wrong[0] + n in expected or wrong[0] + n in after]
        what = f"guest memory at {wrong[0]:#x} ({len(wrong)} bytes in all)"
        yield Mismatch(what, _hex(expected, run), _hex(after, run))


def _differs(address: int, expected: dict[int, int], after: dict[int, int], covered: set[int]) -> bool:
    if address in expected:
        return expected[address] != after.get(address)
    return address not in covered


def _same_write(record: Record, played: tuple[int, bytes]) -> bool:
    address, data = played
    if record.kind == Kind.DMA_WRITE:
        return record.value == address and record.data == data
    return record.value == address and sum_of(record) == (len(data), digest_of(data))


def _bytes(written: list[tuple[int, bytes]]) -> dict[int, int]:
    return {address + at: byte for address, data in written for at, byte in enumerate(data)}


def _hex(content: dict[int, int], addresses: list[int]) -> str:
    return " ".join(f"{content[a]:02x}" if a in content else "--" for a in addresses)


def _value(record: Record) -> str:
    if record.kind == Kind.STORED:
        return "stored" if record.which else "not stored"
    return f"{int.from_bytes(record.data, 'little'):#x}"


def _frame(data: bytes) -> str:
    return f"{len(data)} bytes {data[:_SHOWN].hex()}{'...' if len(data) > _SHOWN else ''}"


def _frame_said(record: Record) -> str:
    if record.kind == Kind.FRAME:
        return _frame(record.data)
    return f"{int.from_bytes(record.data[:4], 'little')} bytes, digest {record.value:#018x}"


def _apart(signals: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Put messages before the line's changes: the order between the two is not kept."""
    return sorted(signals, key=lambda signal: signal[0] == Kind.LEVEL)


def _signals(signals: list[tuple[int, int]]) -> str:
    names = [f"line {n}" if kind == Kind.LEVEL else f"vector {n}" for kind, n in signals]
    return ", ".join(names) or "none"
